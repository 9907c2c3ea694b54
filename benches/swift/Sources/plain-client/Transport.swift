import Foundation

/// A WebSocket that carries binary messages.
protocol Transport: Sendable {
    /// Hands each message that comes to `receiver`, one after another, and at last the failure that
    /// ended the connection.
    func begin(_ receiver: @escaping Receiver)

    /// Takes a message to be sent. The caller sees to it that this happens once at a time: that is
    /// the order in which they are sent.
    func put(_ message: [UInt8]) throws

    /// Sends what was put: at once when it is for one caller alone, who then waits for nothing.
    func flush(isAlone: Bool)

    /// Ends the connection.
    func close()
}

/// Takes a message, whose bytes are its own until it returns, and says whether it was whole: a
/// transport that cannot tell it from the beginning of one hands it again with what follows.
typealias Receiver = @Sendable (Result<UnsafeMutableRawBufferPointer, any Error>) -> Bool
