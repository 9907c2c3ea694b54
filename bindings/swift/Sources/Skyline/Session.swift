internal import SkylineNative

/// What the server said about the license at a login; see ``Client/session``.
public struct Session: Sendable, Hashable {
    /// Whether ``Client/connect(_:)`` activated the license: its login was the first one with this
    /// license key. Stays as it is when the client logs in again after a lost connection.
    public let isActivatedNow: Bool
    /// The day on which the license was activated.
    public let activationDate: CalendarDate
    /// The plan, for example `telepower.licensePlan.release.monthly`.
    public let licensePlan: String
    /// The day on which the license runs out.
    public let expiryDate: CalendarDate

    init(_ native: SkylineNative.Session) throws {
        isActivatedNow = native.isActivatedNow
        activationDate = try Self.date(native.activationDate)
        licensePlan = native.licensePlan
        expiryDate = try Self.date(native.expiryDate)
    }

    private static func date(_ text: String) throws -> CalendarDate {
        guard let date = CalendarDate(text) else {
            throw SkylineError(
                code: .handshake,
                message: "the server's date \(text) is not a day of the years 0 to 9999")
        }
        return date
    }
}
