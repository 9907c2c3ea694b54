import Foundation

/// A day of the Gregorian calendar, without a time of day and without a time zone.
///
/// A license runs out on a day, wherever the user is; a `Date` is a moment, and would show another
/// day in another time zone. ``startOfDay(in:)`` and ``dateComponents`` lead to Foundation's types,
/// for example for formatting:
///
/// ```swift
/// client.session.expiryDate.startOfDay()?.formatted(date: .long, time: .omitted)
/// ```
public struct CalendarDate: Sendable, Hashable {
    /// The year, 0 to 9999.
    public let year: Int
    /// The month, 1 to 12.
    public let month: Int
    /// The day of the month, 1 to 31.
    public let day: Int

    /// A day of the calendar; `nil` when there is no such day, as 2025-02-29.
    ///
    /// - Parameters:
    ///   - year: The year, 0 to 9999.
    ///   - month: The month, 1 to 12.
    ///   - day: The day of the month.
    public init?(year: Int, month: Int, day: Int) {
        guard (0...9999).contains(year), (1...12).contains(month), day >= 1,
            day <= Self.days(in: month, of: year)
        else { return nil }
        self.year = year
        self.month = month
        self.day = day
    }

    private static func days(in month: Int, of year: Int) -> Int {
        let isLeapYear =
            year.isMultiple(of: 4) && !year.isMultiple(of: 100) || year.isMultiple(of: 400)
        switch month {
        case 2: return isLeapYear ? 29 : 28
        case 4, 6, 9, 11: return 30
        default: return 31
        }
    }

    /// Year, month and day, with the Gregorian calendar.
    public var dateComponents: DateComponents {
        DateComponents(
            calendar: Calendar(identifier: .gregorian), year: year, month: month, day: day)
    }

    /// The moment at which this day begins in a time zone.
    ///
    /// - Parameter timeZone: The time zone; the user's by default.
    /// - Returns: The moment; `nil` for one of the few days that a time zone has skipped.
    public func startOfDay(in timeZone: TimeZone = .current) -> Date? {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = timeZone
        return calendar.date(from: DateComponents(year: year, month: month, day: day))
    }
}

extension CalendarDate: LosslessStringConvertible {
    /// Reads a day as ISO 8601 writes it, `YYYY-MM-DD`; `nil` for anything else.
    ///
    /// - Parameter description: The text.
    public init?(_ description: String) {
        let fields = description.split(separator: "-", omittingEmptySubsequences: false)
        let isWellFormed =
            fields.map(\.count) == [4, 2, 2]
            && fields.joined().utf8.allSatisfy {
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
            }
        let numbers = fields.compactMap { Int($0) }
        guard isWellFormed, numbers.count == 3 else { return nil }
        self.init(year: numbers[0], month: numbers[1], day: numbers[2])
    }

    /// The day as ISO 8601 writes it, `YYYY-MM-DD`.
    public var description: String {
        func digits(_ number: Int, _ count: Int) -> String {
            let text = String(number)
            return String(repeating: "0", count: count - text.count) + text
        }
        return "\(digits(year, 4))-\(digits(month, 2))-\(digits(day, 2))"
    }
}

extension CalendarDate: Comparable {
    /// Whether one day comes before another.
    public static func < (left: CalendarDate, right: CalendarDate) -> Bool {
        (left.year, left.month, left.day) < (right.year, right.month, right.day)
    }
}

extension CalendarDate: Codable {
    /// Reads the text `YYYY-MM-DD`.
    ///
    /// - Parameter decoder: Where the text comes from.
    /// - Throws: `DecodingError` when it is not such a text.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let date = CalendarDate(text) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "\(text) is not a day written as YYYY-MM-DD")
        }
        self = date
    }

    /// Writes the text `YYYY-MM-DD`.
    ///
    /// - Parameter encoder: Where the text goes.
    /// - Throws: What the encoder throws.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
