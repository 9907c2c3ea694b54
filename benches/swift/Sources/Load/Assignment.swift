import Foundation

/// What a worker is to do, from the environment; benches/README.md has the contract.
public struct Assignment: Sendable {
    /// Concurrent callers, each with one call in flight.
    public let callers: Int
    /// How long the load runs before anything counts.
    public let warmup: Duration
    /// How long it is measured.
    public let seconds: Double
    /// Calls per second of all callers together, at fixed times.
    public let rate: Double?
    /// The payload of each call: MessagePack of a bin of as many bytes as were asked for.
    public let payload: Data
    private let environment: [String: String]

    /// Reads the environment.
    ///
    /// - Throws: ``WorkerError`` when a variable is missing or no number.
    public init(_ environment: [String: String] = ProcessInfo.processInfo.environment) throws {
        self.environment = environment
        func number<Number: LosslessStringConvertible>(_ name: String) throws -> Number {
            guard let number = environment[name].flatMap(Number.init) else {
                throw WorkerError("\(name) is no number")
            }
            return number
        }
        callers = try number("BENCH_CALLERS")
        warmup = .seconds(try number("BENCH_WARMUP_SECONDS") as Double)
        seconds = try number("BENCH_SECONDS")
        rate = environment["BENCH_RATE"] == nil ? nil : try number("BENCH_RATE")
        let size: UInt32 = try number("BENCH_PAYLOAD_BYTES")
        let header: [UInt8] =
            switch size {
            case 0..<0x100: [0xc4, UInt8(size)]
            case 0..<0x10000: [0xc5] + withUnsafeBytes(of: UInt16(size).bigEndian, Array.init)
            default: [0xc6] + withUnsafeBytes(of: size.bigEndian, Array.init)
            }
        payload = Data(header) + Data(count: Int(size))
    }

    /// The value of a variable that must be there.
    ///
    /// - Parameter name: The variable's name.
    /// - Returns: The value.
    /// - Throws: ``WorkerError`` when it is not.
    public func variable(_ name: String) throws -> String {
        guard let value = environment[name] else { throw WorkerError("\(name) is not set") }
        return value
    }

    /// Checks the answer to an echo: it must be as long as what was sent.
    ///
    /// - Parameter answer: MessagePack.
    /// - Throws: ``WorkerError`` when it is not.
    public func check(_ answer: Data?) throws {
        guard let answer, answer.count == payload.count, answer.first == payload.first else {
            throw WorkerError("the answer is not what was sent")
        }
    }
}

/// Why a worker gives up.
public struct WorkerError: Error, CustomStringConvertible {
    /// What is wrong.
    public let description: String

    /// An error with a sentence.
    ///
    /// - Parameter description: What is wrong.
    public init(_ description: String) { self.description = description }
}
