import Foundation
import Skyline

/// Logs in and calls a method, with the public interface only.
@main
struct Consumer {
    struct Greeting: Codable {
        let text: String
    }

    static func main() async throws {
        let environment = ProcessInfo.processInfo.environment
        var configuration = Configuration(
            productID: "telepower",
            productVersion: "7.0.3",
            licenseKey: environment["SKYLINE_LICENSE_KEY"] ?? "",
            identityKeys: [environment["SKYLINE_IDENTITY_KEY"] ?? ""])
        configuration.url = environment["SKYLINE_URL"].flatMap(URL.init(string:))
        configuration.stateFolder = environment["SKYLINE_STATE_FOLDER"].map {
            URL(fileURLWithPath: $0)
        }
        configuration.device = DeviceIdentity(serialNumber: "CONSUMER-1", csProductUUID: "C-1")

        let client = try await Client.connect(configuration)
        let answer = try await client.call(
            "test.echo", Greeting(text: "Привет, consumer"), as: Greeting.self)
        print("activated: \(client.session.isActivatedNow), answer: \(answer.text)")
        await client.shutdown()
    }
}
