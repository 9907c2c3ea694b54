import Foundation
import Skyline

/// Activates a license and uses the session: the quick start.
///
/// Reads SKYLINE_URL, SKYLINE_IDENTITY_KEY, SKYLINE_LICENSE_KEY and SKYLINE_STATE_FOLDER.
@main
struct QuickStart {
    static func main() async {
        do {
            try await run()
        } catch {
            // A sentence for the user: the server's own where it gave one.
            FileHandle.standardError.write(Data("\(error.localizedDescription)\n".utf8))
            exit(EXIT_FAILURE)
        }
    }

    static func run() async throws {
        var configuration = Configuration(
            productID: "telepower",
            productVersion: "7.0.3",
            licenseKey: try variable("SKYLINE_LICENSE_KEY"),
            identityKeys: [try variable("SKYLINE_IDENTITY_KEY")])
        configuration.url = URL(string: try variable("SKYLINE_URL"))
        configuration.stateFolder = URL(fileURLWithPath: try variable("SKYLINE_STATE_FOLDER"))

        let client = try await Client.connect(configuration)
        let session = client.session
        print("activated now:", session.isActivatedNow ? "yes" : "no")
        print("plan:", session.licensePlan)
        print("activated on:", session.activationDate)
        print("expires on:", session.expiryDate)

        for (name, value) in try await client.limits().sorted(by: { $0.key < $1.key }) {
            print("limit \(name): \(value)")
        }

        try await client.sendEvent("app.navigation", ["to": "/account-manager"])
        print("event reported: app.navigation")
        await client.shutdown()
    }

    struct MissingVariable: LocalizedError {
        let name: String
        var errorDescription: String? { "set \(name); `make demo LANGUAGE=swift` does it for you" }
    }

    static func variable(_ name: String) throws -> String {
        guard let value = ProcessInfo.processInfo.environment[name] else {
            throw MissingVariable(name: name)
        }
        return value
    }
}
