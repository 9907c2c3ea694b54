import Foundation
internal import SkylineFFI

extension SkylineError {
    /// A copy of an error of the C interface.
    ///
    /// - Parameter error: A `SkylineError *`.
    init(at error: OpaquePointer) {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let json = Data(String(cString: skyline_error_details_json(error)).utf8)
        if let details = try? decoder.decode(Details.self, from: json) {
            self.init(details)
        } else {
            self.init(
                code: Code(rawValue: String(cString: skyline_error_code(error))),
                message: String(cString: skyline_error_text(error)))
        }
    }

    /// The error for calls that the library did not take; it says no more than a kind.
    init(refusedAs kind: Int32) {
        if kind == SKYLINE_KIND_FORKED.rawValue {
            self.init(
                code: .forked,
                message: "this process was forked after its first connect: connect before, or "
                    + "start another program")
        } else {
            self.init(code: .state, message: "the call was refused (\(kind))")
        }
    }
}

/// What `skyline_error_details_json` writes.
private struct Details: FailureFields, Decodable {
    let code: String
    let text: String
    let status: String?
    let serverMessage: String?
    let field: String?
    let expected: String?
    let breachReason: String?
    let connectionFailure: String?
    let httpStatus: UInt16?
    let retryAfterSeconds: UInt64?
    let maybeExecuted: Bool?
    let updateFailure: String?
}
