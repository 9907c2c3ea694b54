import Foundation
import XCTest

@testable import Skyline

final class ConfigurationTests: XCTestCase {
    private static let licenseKey = "WDGQX-WC2Y3-4R966-TK3H3-HXRB8"

    private var configuration: Configuration {
        Configuration(
            productID: "telepower", productVersion: "7.0.3", licenseKey: Self.licenseKey,
            identityKeys: ["00"])
    }

    func testNoTextOfAConfigurationShowsItsSecrets() {
        var configuration = configuration
        configuration.proxy = .url("socks5://user:password@127.0.0.1:1080")
        var dumped = ""
        dump(configuration, to: &dumped)
        var dumpedProxy = ""
        dump(configuration.proxy, to: &dumpedProxy)

        for text in [
            "\(configuration)", String(reflecting: configuration), dumped,
            "\(Mirror(reflecting: configuration).children.map(\.value))",
            "\(Optional(configuration) as Any)",
            "\(configuration.proxy)", String(reflecting: configuration.proxy), dumpedProxy,
        ] {
            XCTAssertFalse(text.contains("WDGQX"), text)
            XCTAssertFalse(text.contains("password"), text)
        }
        XCTAssertTrue("\(configuration)".contains("productID: telepower"))
        XCTAssertTrue("\(configuration)".contains("licenseKey: <redacted>"))
    }

    func testADescriptionHasEverySetting() {
        let described = configuration.customMirror.children.compactMap(\.label)
        XCTAssertEqual(described.count, 31)
        XCTAssertEqual(Set(described).count, 31)
    }

    func testWhatIsNotSetIsLeftToTheCore() {
        let native = configuration.native
        XCTAssertNil(native.url)
        XCTAssertNil(native.device)
        XCTAssertNil(native.stateFolder)
        XCTAssertNil(native.callDeadline)
        XCTAssertNil(native.maxPacketBytes)
        XCTAssertEqual(native.language, "english")
        XCTAssertFalse(native.allowPlaintext)
    }

    func testNumbersOutOfRangeReachTheCoreAsNumbersThatItRefuses() {
        var configuration = configuration
        configuration.callDeadline = .seconds(-5)
        configuration.connectDeadline = .seconds(Int64.max)
        configuration.maxBytesInFlight = -1
        configuration.maxCallsInFlight = .max

        XCTAssertEqual(configuration.native.callDeadline, 0)
        XCTAssertEqual(configuration.native.connectDeadline, 3_155_760_000)
        XCTAssertEqual(configuration.native.maxBytesInFlight, 0)
        XCTAssertEqual(configuration.native.maxCallsInFlight, .max)
    }

    func testFractionsOfASecondAreKept() {
        XCTAssertEqual(Duration.milliseconds(1500).seconds, 1.5, accuracy: 1e-9)
        XCTAssertEqual(Duration.nanoseconds(1).seconds, 1e-9, accuracy: 1e-15)
    }

    func testSettingsAreNamedAsTheirProperties() {
        for (setting, property) in [
            ("url", "url"), ("product_id", "productID"), ("identity_keys", "identityKeys"),
            ("max_packets_per_connection", "maxPacketsPerConnection"), ("hkdf_salt", "hkdfSalt"),
            ("update_url", "updateURL"), ("max_update_bytes", "maxUpdateBytes"),
        ] {
            XCTAssertEqual(Configuration.propertyName(ofSetting: setting), property)
        }
    }

    func testALanguageIsAnyName() {
        let language: Configuration.Language = "german"
        XCTAssertEqual(language.rawValue, "german")
        XCTAssertEqual(Configuration.Language.russian.rawValue, "russian")
    }
}
