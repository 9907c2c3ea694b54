import Foundation
import Load
import Skyline

/// A worker through the public Swift package.
@main
struct SkylineWorker: Worker {
    static func run() async throws {
        let assignment = try Assignment()
        let begun = ContinuousClock.now
        var configuration = Configuration(
            productID: "telepower",
            productVersion: "7.0.3",
            licenseKey: try assignment.variable("SKYLINE_LICENSE_KEY"),
            identityKeys: [try assignment.variable("SKYLINE_IDENTITY_KEY")])
        configuration.url = URL(string: try assignment.variable("SKYLINE_URL"))
        configuration.stateFolder = URL(
            fileURLWithPath: try assignment.variable("SKYLINE_STATE_FOLDER"))
        let client = try await Client.connect(configuration)

        try await assignment.run(connectedIn: .now - begun) {
            try assignment.check(try await client.callRaw("test.echo", assignment.payload))
        }
        await client.shutdown()
    }
}
