import Foundation
import Synchronization

/// Makes calls over one connection, each pipelined behind the others. It has no deadlines, no
/// cancelling, no reconnecting and no bounds, which all cost time.
final class PlainClient: Sendable {
    private typealias Waiting = UnsafeContinuation<Data?, any Error>

    private struct State {
        /// Who waits for the server's hello.
        var greeting: UnsafeContinuation<[UInt8], any Error>?
        var cipher: Cipher?
        var session: PlainSession?
        var waiting: [UInt64: Waiting] = [:]
        /// Why no call can be made any more.
        var failure: (any Error)?
        /// The packet that is being made; its memory is used again.
        var packet: [UInt8] = []
    }

    private let transport: any Transport
    private let state = Mutex(State())

    /// Proves the server.
    init(_ transport: any Transport, identityKey: [UInt8]) async throws {
        self.transport = transport
        let agreement = try KeyAgreement()
        let hello = try await withUnsafeThrowingContinuation { greeting in
            state.withLock { $0.greeting = greeting }
            transport.begin { self.receive($0) }
            do { try transport.put(agreement.hello) } catch { transport.close() }
            transport.flush(isAlone: true)
        }
        let cipher = try agreement.finish(hello, identityKey: identityKey)
        state.withLock {
            $0.cipher = cipher
            $0.session = PlainSession(cipher)
        }
    }

    /// Ends the connection.
    func close() {
        transport.close()
    }

    /// Logs in with a license that was never used before.
    func startSession(_ licenseKey: String) async throws {
        var payload: [UInt8] = []
        payload.pack(mapOf: 7)
        for (key, value) in [
            ("productId", "telepower"), ("productVersion", "7.0.3"), ("language", "english"),
            ("deviceSerialNumber", "ADTFBB4112800098"),
            ("csProductUUID", "20240113-E0C2-646E-FDB1-E0C2646EFDB5"), ("licenseKey", licenseKey),
        ] {
            payload.pack(key)
            payload.pack(value)
        }
        payload.pack("lastLoginReportedByClient")
        payload.pack(0)
        let answer = try await call("start-session", Data(payload))
        let token = try answer?.withUnsafeBytes { bytes in
            var token: String?
            var reader = MessagePackReader(bytes)
            try reader.map { key, reader in
                guard key.elementsEqual("sessionToken".utf8) else { return try reader.skip() }
                if case .text(let text) = try reader.next() {
                    token = String(decoding: text, as: UTF8.self)
                }
            }
            return token
        }
        state.withLock { $0.session?.token = token }
    }

    /// Calls a method with MessagePack.
    func call(_ method: String, _ payload: Data?) async throws -> Data? {
        try await withUnsafeThrowingContinuation { waiting in
            do {
                let isAlone = try state.withLock { state in
                    if let failure = state.failure { throw failure }
                    guard
                        let number = try state.session?.request(
                            method, payload, into: &state.packet)
                    else { throw PlainError("there is no session") }
                    try transport.put(state.packet)
                    state.waiting[number] = waiting
                    return state.waiting.count == 1
                }
                transport.flush(isAlone: isAlone)
            } catch {
                waiting.resume(throwing: error)
            }
        }
    }

    /// Hands what has come to the one who waits for it; `false` when it is no whole packet.
    private func receive(_ result: Result<UnsafeMutableRawBufferPointer, any Error>) -> Bool {
        do {
            let message = try result.get()
            guard let cipher = state.withLock({ $0.cipher }) else {
                greeting()?.resume(returning: Array(message))
                return true
            }
            guard let plaintext = try cipher.open(message) else { return false }
            let response = try Response(plaintext)
            let waiting = state.withLock { $0.waiting.removeValue(forKey: response.number) }
            waiting?.resume(with: response.result.mapError { $0 })
        } catch {
            greeting()?.resume(throwing: error)
            let waiting = state.withLock { state in
                state.failure = error
                defer { state.waiting.removeAll() }
                return state.waiting
            }
            for waiting in waiting.values {
                waiting.resume(throwing: error)
            }
        }
        return true
    }

    private func greeting() -> UnsafeContinuation<[UInt8], any Error>? {
        state.withLock { state in
            defer { state.greeting = nil }
            return state.greeting
        }
    }
}
