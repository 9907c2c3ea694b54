import Foundation
import SkylineNative
import XCTest

@testable import Skyline

final class SkylineErrorTests: XCTestCase {
    func testEveryKindOfTheCoreHasACode() {
        let codes: [SkylineError.Code] = [
            .invalidConfiguration, .connection, .handshake, .integrityBreach, .outdatedVersion,
            .keyBoundToAnotherDevice, .licenseNotFound, .licenseExpired, .licenseSuspended,
            .badRequest, .unknownMethod, .invalidSession, .rateLimited, .internalError,
            .unknownStatus, .connectionLost, .deadlineExceeded, .shutDown, .payload,
            .packetTooLarge, .eventQueueFull, .state, .forked,
        ]
        // Cancelling is Swift's own CancellationError; an update has a code for each cause.
        let kinds = SkylineNative.FailureKind.allCases.filter {
            $0 != .cancelled && $0 != .update
        }
        XCTAssertEqual(
            Set(codes.map { $0.rawValue.replacingOccurrences(of: "_", with: "").lowercased() }),
            Set(kinds.map { "\($0)".lowercased() }))
        XCTAssertEqual(codes.count, kinds.count)
    }

    func testEveryDetailOfTheCoreIsKept() {
        let error = SkylineError(
            FailureDetails(
                kind: .rateLimited, code: "RATE_LIMITED", text: "text", status: "STATUS",
                serverMessage: "message", field: "identity_keys", expected: "expected",
                breachReason: "protocol", connectionFailure: "tls", httpStatus: 502,
                retryAfterSeconds: .max, maybeExecuted: true, updateFailure: "hash"))

        XCTAssertEqual(error.code, .rateLimited)
        XCTAssertEqual(error.message, "text")
        XCTAssertEqual(error.status, "STATUS")
        XCTAssertEqual(error.serverMessage, "message")
        XCTAssertEqual(error.field, "identityKeys")
        XCTAssertEqual(error.expected, "expected")
        XCTAssertEqual(error.breachReason, .protocolViolation)
        XCTAssertEqual(error.connectionFailure, .tls)
        XCTAssertEqual(error.httpStatus, 502)
        XCTAssertEqual(error.retryAfter, .seconds(Int64.max))
        XCTAssertEqual(error.maybeExecuted, true)
        XCTAssertEqual(error.updateFailure, .hash)
    }

    func testTheTextForAPersonIsTheMessage() {
        let error: any Error = SkylineError(code: .payload, message: "It does not fit.")
        XCTAssertEqual(error.localizedDescription, "It does not fit.")
        XCTAssertEqual("\(error)", "PAYLOAD: It does not fit.")
    }

    func testACodeThatThisVersionDoesNotKnowIsKept() {
        let code = SkylineError.Code(rawValue: "NEW_KIND")
        XCTAssertEqual(code.description, "NEW_KIND")
        XCTAssertNotEqual(code, .payload)
    }
}
