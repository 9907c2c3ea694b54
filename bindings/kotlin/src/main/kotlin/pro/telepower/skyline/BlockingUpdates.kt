package pro.telepower.skyline

import kotlinx.coroutines.runBlocking
import java.nio.file.Path
import java.util.function.Consumer

/**
 * The blocking twins of [downloadUpdate] and [verifyUpdate], for Java and for code without coroutines.
 *
 * ```java
 * Update update = BlockingUpdates.downloadUpdate(configuration, folder,
 *         progress -> System.out.println(progress.getBytes() + " of " + progress.getTotal()));
 * ```
 *
 * Interrupting the thread cancels with [InterruptedException].
 */
public object BlockingUpdates {
    /**
     * Downloads the newest version of the product for this system, and checks it; see the suspending function
     * of this name.
     *
     * @param configuration that of the client: it names product, version, server and trusted keys.
     * @param folder where the file goes; created when absent.
     * @param onProgress told how far the download is, on the calling thread.
     * @throws SkylineException.Update when the update is refused or not to be had.
     * @throws SkylineException.Connection when the server could not be reached again and again.
     */
    @JvmStatic
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun downloadUpdate(
        configuration: SkylineConfiguration,
        folder: Path,
        onProgress: Consumer<UpdateProgress> = Consumer { },
    ): Update =
        runBlocking {
            pro.telepower.skyline
                .downloadUpdate(configuration, folder, onProgress::accept)
        }

    /**
     * Checks a file that came in another way; see the suspending function of this name.
     *
     * @param configuration that of the client: it names product, version and trusted keys.
     * @param file the file.
     * @param manifest the manifest that was published with it, as bytes.
     * @param signature the signature over the manifest, 64 bytes.
     * @throws SkylineException.Update with the first thing that is wrong.
     */
    @JvmStatic
    @Throws(InterruptedException::class)
    public fun verifyUpdate(
        configuration: SkylineConfiguration,
        file: Path,
        manifest: ByteArray,
        signature: ByteArray,
    ): Update =
        runBlocking {
            pro.telepower.skyline
                .verifyUpdate(configuration, file, manifest, signature)
        }
}
