import Foundation

/// The program of a worker: `@main` on a type that has this protocol.
public protocol Worker {
    /// Does all that the worker is to do.
    ///
    /// - Throws: Why it gave up.
    static func run() async throws
}

extension Worker {
    /// Runs the worker. When it gives up, the last line of its standard error says why, and its exit
    /// status is 1: an error that left `main` would be a trap in Swift's runtime instead, which looks
    /// like a crash and has a long backtrace behind the reason.
    public static func main() async {
        do {
            try await run()
        } catch {
            FileHandle.standardError.write(Data("\(error)\n".utf8))
            exit(EXIT_FAILURE)
        }
    }
}
