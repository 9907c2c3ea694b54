package pro.telepower.skyline

import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.withContext
import pro.telepower.skyline.internal.Failure
import java.nio.file.Path
import java.nio.file.Paths
import pro.telepower.skyline.internal.Update as NativeUpdate
import pro.telepower.skyline.internal.UpdateDownload as NativeUpdateDownload
import pro.telepower.skyline.internal.UpdateProgress as NativeUpdateProgress
import pro.telepower.skyline.internal.verifyUpdate as verifyUpdateNatively

/** What [updateSteps] tells of a download: [UpdateProgress] any number of times, then [Update]. */
public sealed class UpdateStep

/**
 * How far a download is.
 *
 * @property bytes the bytes of the file that are here, those of earlier downloads included.
 * @property total the size of the file in bytes, as it was signed.
 * @property bytesPerSecond the bytes that came per second, over the last seconds.
 */
public data class UpdateProgress(
    public val bytes: Long,
    public val total: Long,
    public val bytesPerSecond: Long,
) : UpdateStep()

/**
 * A new version of the product: a file that has passed every check.
 *
 * @property path where the file is.
 * @property version the version that it brings.
 * @property fileName the name that the vendor gave to the file.
 * @property size its size in bytes.
 */
public data class Update(
    public val path: Path,
    public val version: String,
    public val fileName: String,
    public val size: Long,
) : UpdateStep()

/**
 * Downloads the newest version of the product for this system, and checks it (docs/protocol.md, section 8). It
 * needs no client: [SkylineException.OutdatedVersion] is the usual reason for it.
 *
 * The file has its final name only when everything about it has been checked. A lost connection is made again,
 * and cancelling leaves what has come: the next download into the same folder goes on there, also after a kill
 * or a reboot. A second download at the same time waits for the first and finds its file.
 *
 * @param configuration that of the client: it names product, version, server and trusted keys.
 * @param folder where the file goes; created when absent.
 * @param onProgress told how far the download is, in the context of the caller; it may be slow.
 * @throws SkylineException.Update when the update is refused or not to be had.
 * @throws SkylineException.Connection when the server could not be reached again and again.
 */
@JvmSynthetic
public suspend fun downloadUpdate(
    configuration: SkylineConfiguration,
    folder: Path,
    onProgress: (UpdateProgress) -> Unit = {},
): Update {
    var update: Update? = null
    updateSteps(configuration, folder).collect { step ->
        when (step) {
            is UpdateProgress -> onProgress(step)
            is Update -> update = step
        }
    }
    return checkNotNull(update) { "the steps ended without an update" }
}

/**
 * [downloadUpdate] as a flow. Each collector makes a download of its own; one that leaves cancels it. A slow
 * collector misses progress in between, never the update.
 *
 * @param configuration that of the client.
 * @param folder where the file goes; created when absent.
 */
@JvmSynthetic
public fun updateSteps(
    configuration: SkylineConfiguration,
    folder: Path,
): Flow<UpdateStep> =
    flow {
        val download =
            configuration.withNative {
                translatingFailures { NativeUpdateDownload.start(it, folder.toString()) }
            }
        try {
            while (true) {
                val progress = awaitCore { download.nextProgress(null) } ?: break
                emit(progress.toUpdateProgress())
            }
            emit(awaitCore { download.finish(null) }.toUpdate())
        } finally {
            download.end()
        }
    }

/**
 * Checks a file that came in another way: the signature, product and platform, that the version is newer than
 * the running one, the size and the SHA-256.
 *
 * @param configuration that of the client: it names product, version and trusted keys.
 * @param file the file.
 * @param manifest the manifest that was published with it, as bytes.
 * @param signature the signature over the manifest, 64 bytes.
 * @throws SkylineException.Update with the first thing that is wrong.
 */
@JvmSynthetic
public suspend fun verifyUpdate(
    configuration: SkylineConfiguration,
    file: Path,
    manifest: ByteArray,
    signature: ByteArray,
): Update =
    configuration.withNative {
        awaitCore { verifyUpdateNatively(it, file.toString(), manifest, signature) }.toUpdate()
    }

/** Ends a download that may still run, and waits until it does nothing any more. */
private suspend fun NativeUpdateDownload.end() {
    cancel()
    withContext(NonCancellable) {
        awaitCore {
            try {
                finish(null)
            } catch (_: Failure) {
                // That it was cancelled, or what the collector knows already.
            }
        }
    }
    destroy()
}

private fun NativeUpdateProgress.toUpdateProgress(): UpdateProgress =
    UpdateProgress(bytes.toLong(), total.toLong(), bytesPerSecond.toLong())

private fun NativeUpdate.toUpdate(): Update = Update(Paths.get(path), version, fileName, size.toLong())
