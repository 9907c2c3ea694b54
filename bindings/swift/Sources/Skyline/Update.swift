import Foundation
internal import SkylineNative

/// A new version of the product: a file that has passed every check.
///
/// The server names it in a manifest that the vendor signed. The file gets its name only when
/// signature, product, platform, version, size and SHA-256 have been checked; one that has not
/// never appears under it.
///
/// ```swift
/// do {
///     client = try await Client.connect(configuration)
/// } catch let error as SkylineError where error.code == .outdatedVersion {
///     let update = try await Update.download(configuration, to: folder) { progress in
///         bar.fraction = progress.fraction
///     }
///     install(update.file)
/// }
/// ```
public struct Update: Sendable, Hashable {
    /// Where the file is.
    public let file: URL
    /// The version that it brings.
    public let version: String
    /// The name that the vendor gave to the file.
    public let fileName: String
    /// Its size in bytes.
    public let size: Int64

    init(_ native: SkylineNative.Update) {
        file = URL(fileURLWithPath: native.path)
        version = native.version
        fileName = native.fileName
        size = Int64(clamping: native.size)
    }

    /// Downloads the newest version of the product for this system, and checks it.
    ///
    /// Needs no connected client. A download that was interrupted, by cancelling its task, a kill
    /// or a reboot, goes on where it stopped when the same is asked for again. A second download
    /// of the product into the same folder waits for the first and finds its file. Attempts that
    /// fail are repeated with the waits of ``Configuration/reconnectInitialDelay``.
    ///
    /// - Parameters:
    ///   - configuration: The settings of the client; ``Configuration/updateURL`` and the
    ///     properties that follow it are about updates.
    ///   - folder: The folder for the file; made when absent.
    ///   - isolation: The actor on which `onProgress` is called: the caller's.
    ///   - onProgress: Takes the progress while the file comes.
    /// - Returns: The checked file.
    /// - Throws: ``SkylineError``: with an ``SkylineError/updateFailure`` when the update is refused
    ///   or not to be had, with the code ``SkylineError/Code/connection`` when the server could not
    ///   be reached again and again. `CancellationError` when the task was cancelled; the download
    ///   has ended then.
    public static func download(
        _ configuration: Configuration,
        to folder: URL,
        isolation: isolated (any Actor)? = #isolation,
        onProgress: (UpdateProgress) -> Void = { _ in }
    ) async throws -> Update {
        let download = try UpdateDownload(configuration, to: folder)
        // Ends early when the task is cancelled; `finish` then cancels the download.
        while let progress = try? await download.nextProgress() {
            onProgress(progress)
        }
        return try await download.finish()
    }

    /// Checks a file that came in another way than by ``download(_:to:isolation:onProgress:)``.
    ///
    /// The same is checked: the signature, that product and platform are the configuration's, that
    /// the version is newer than the running one, the size and the SHA-256.
    ///
    /// - Parameters:
    ///   - file: The file; its own name does not matter.
    ///   - manifest: The manifest, as the server sends it in `Skyline-Manifest` but without base64.
    ///   - signature: Its signature of 64 bytes, likewise.
    ///   - configuration: The settings of the client.
    /// - Returns: The checked file, where it was.
    /// - Throws: ``SkylineError``, with an ``SkylineError/updateFailure`` that names the first thing
    ///   that is wrong.
    public static func verify(
        _ file: URL, manifest: Data, signature: Data, with configuration: Configuration
    ) async throws -> Update {
        do {
            return Update(
                try await verifyUpdate(
                    configuration: configuration.native, file: file.path, manifest: manifest,
                    signature: signature))
        } catch let failure as SkylineNative.Failure {
            throw failure.error
        }
    }
}

/// How far a download is.
public struct UpdateProgress: Sendable, Hashable {
    /// The bytes of the file that are here, those of earlier runs included.
    public let bytes: Int64
    /// The size of the file in bytes, as it was signed.
    public let total: Int64
    /// The bytes that came per second, over the last seconds.
    public let bytesPerSecond: Int64

    init(_ native: SkylineNative.UpdateProgress) {
        bytes = Int64(clamping: native.bytes)
        total = Int64(clamping: native.total)
        bytesPerSecond = Int64(clamping: native.bytesPerSecond)
    }

    /// The part of the file that is here, from 0 to 1.
    public var fraction: Double {
        total == 0 ? 1 : Double(bytes) / Double(total)
    }
}

/// A download of an update that is under way, for applications that follow it from several places;
/// ``Update/download(_:to:isolation:onProgress:)`` is the same in one call.
///
/// ```swift
/// let download = try UpdateDownload(configuration, to: folder)
/// for await progress in download.progress { bar.fraction = progress.fraction }
/// let update = try await download.finish()
/// ```
///
/// The download ends when the last reference to it is gone; what has come stays in the folder, and
/// the next download goes on there.
public final class UpdateDownload: Sendable {
    private let native: SkylineNative.UpdateDownload

    /// Begins to download the newest version of the product for this system.
    ///
    /// - Parameters:
    ///   - configuration: The settings of the client.
    ///   - folder: The folder for the file; made when absent.
    /// - Throws: ``SkylineError``, with the code ``SkylineError/Code/invalidConfiguration``;
    ///   everything else is told by ``finish()``.
    public init(_ configuration: Configuration, to folder: URL) throws {
        do {
            native = try SkylineNative.UpdateDownload.start(
                configuration: configuration.native, targetFolder: folder.path)
        } catch let failure as SkylineNative.Failure {
            throw failure.error
        }
    }

    /// The progress, once there is any; then each change of it.
    ///
    /// A slow reader misses what lies in between. Of several readers each change is given to one.
    ///
    /// - Returns: The next progress; `nil` when the download is over, well or not.
    /// - Throws: `CancellationError` when the task was cancelled; the download goes on.
    public func nextProgress() async throws -> UpdateProgress? {
        try await cancellable { try await native.nextProgress(cancellation: $0) }
            .map(UpdateProgress.init)
    }

    /// The progress as a stream, which ends when the download is over, well or not.
    public var progress: AsyncStream<UpdateProgress> {
        // The only failure is the cancellation, which ends the stream.
        AsyncStream { try? await self.nextProgress() }
    }

    /// Waits for the end of the download. Cancelling the task that waits cancels the download.
    ///
    /// - Returns: The checked file.
    /// - Throws: ``SkylineError``: with an ``SkylineError/updateFailure`` when the update is refused
    ///   or not to be had, with the code ``SkylineError/Code/connection`` when the server could not
    ///   be reached again and again. `CancellationError` after ``cancel()`` and when the task was
    ///   cancelled; the download has ended then.
    public func finish() async throws -> Update {
        try await withTaskCancellationHandler {
            do {
                // Not cancelled itself, so that it returns when the download has ended.
                return Update(try await native.finish(cancellation: nil))
            } catch let failure as SkylineNative.Failure {
                throw failure.error
            }
        } onCancel: {
            cancel()
        }
    }

    /// Ends the download; what has come stays for the next one.
    public func cancel() {
        native.cancel()
    }
}
