import Foundation
import Skyline
import XCTest

final class CalendarDateTests: XCTestCase {
    func testADayIsReadAndWrittenAsISO8601() throws {
        let date = try XCTUnwrap(CalendarDate("2025-01-25"))
        XCTAssertEqual([date.year, date.month, date.day], [2025, 1, 25])
        XCTAssertEqual(date.description, "2025-01-25")
        XCTAssertEqual(CalendarDate(year: 7, month: 3, day: 2)?.description, "0007-03-02")
    }

    func testWhatIsNoDayIsRefused() {
        for text in [
            "", "2025-1-25", "2025-13-01", "2025-00-01", "2025-02-29", "1900-02-29", "2025-04-31",
            "2025-01-00", "20250125", "2025-01-25T00:00", "+025-01-25", "-001-01-01", "２０２５-01-25",
            "2025-01-25 ", "2025--1-25",
        ] {
            XCTAssertNil(CalendarDate(text), text)
        }
        for text in ["2024-02-29", "2000-02-29", "0000-01-01", "9999-12-31"] {
            XCTAssertNotNil(CalendarDate(text), text)
        }
    }

    func testDaysAreOrdered() throws {
        let days = try ["2025-01-25", "2024-12-31", "2025-01-03", "2025-02-01"].map {
            try XCTUnwrap(CalendarDate($0))
        }
        XCTAssertEqual(
            days.sorted().map(\.description),
            ["2024-12-31", "2025-01-03", "2025-01-25", "2025-02-01"])
    }

    func testADayBeginsAtMidnightOfTheTimeZone() throws {
        let date = try XCTUnwrap(CalendarDate("2025-01-25"))
        let utc = try XCTUnwrap(TimeZone(secondsFromGMT: 0))
        let east = try XCTUnwrap(TimeZone(secondsFromGMT: 3 * 3600))
        // 2025-01-25T00:00:00Z
        XCTAssertEqual(date.startOfDay(in: utc)?.timeIntervalSince1970, 1_737_763_200)
        XCTAssertEqual(date.startOfDay(in: east)?.timeIntervalSince1970, 1_737_763_200 - 3 * 3600)
        XCTAssertEqual(date.dateComponents.month, 1)
    }

    func testADayIsCodedAsText() throws {
        let days = [try XCTUnwrap(CalendarDate("2025-01-25"))]
        let json = try JSONEncoder().encode(days)
        XCTAssertEqual(String(decoding: json, as: UTF8.self), #"["2025-01-25"]"#)
        XCTAssertEqual(try JSONDecoder().decode([CalendarDate].self, from: json), days)
        let noDay = Data(#"["2025-02-30"]"#.utf8)
        XCTAssertThrowsError(try JSONDecoder().decode([CalendarDate].self, from: noDay))
    }
}
