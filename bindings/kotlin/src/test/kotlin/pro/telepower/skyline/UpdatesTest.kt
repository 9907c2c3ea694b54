package pro.telepower.skyline

import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.TimeoutCancellationException
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir
import java.net.ServerSocket
import java.nio.file.Files
import java.nio.file.Path
import java.util.concurrent.CompletableFuture
import java.util.concurrent.TimeUnit
import kotlin.time.Duration.Companion.milliseconds

@Timeout(90)
class UpdatesTest {
    private val server get() = TestServer.shared

    /** A configuration whose updates come from a server that accepts connections and says nothing. */
    private fun silently(body: (SkylineConfiguration) -> Unit) =
        ServerSocket(0).use { silent ->
            body(server.configuration { updateUrl("http://127.0.0.1:${silent.localPort}/update") })
        }

    @Test
    fun `a server without a release of the product has no update`(
        @TempDir folder: Path,
    ) = inCoroutine {
        server.addProduct("without-release")
        val license = server.issueLicense("without-release")
        val configuration = server.configuration(license, "without-release")
        val failures =
            listOf(
                assertThrows<SkylineException.Update> { downloadUpdate(configuration, folder) },
                assertThrows<SkylineException.Update> { updateSteps(configuration, folder).toList() },
                assertThrows<SkylineException.Update> {
                    withContext(Dispatchers.IO) { BlockingUpdates.downloadUpdate(configuration, folder) }
                },
            )
        for (failure in failures) {
            assertEquals(UpdateFailure.NOT_FOUND, failure.failure)
            assertEquals("UPDATE_NOT_FOUND", failure.code)
            assertTrue(failure.message.isNotBlank())
        }
    }

    @Test
    fun `the blocking download tells its progress on the calling thread`(
        @TempDir folder: Path,
    ) {
        server.addProduct("blocking-update")
        val content = ByteArray(100_000) { it.toByte() }
        val release = server.publishRelease("blocking-update", "7.1.0", content)
        val configuration = server.configuration(server.issueLicense("blocking-update"), "blocking-update")
        val threads = mutableSetOf<Thread>()
        val progress = mutableListOf<UpdateProgress>()
        val update =
            BlockingUpdates.downloadUpdate(configuration, folder) {
                threads += Thread.currentThread()
                progress += it
            }
        assertEquals(setOf(Thread.currentThread()), threads)
        assertEquals(update.size, progress.last().bytes)
        assertArrayEquals(content, Files.readAllBytes(update.path))
        assertEquals(
            update,
            BlockingUpdates.verifyUpdate(configuration, update.path, release.manifest, release.signature),
        )
    }

    @Test
    fun `a file with a signature of nobody is refused`(
        @TempDir folder: Path,
    ) = inCoroutine {
        val configuration = server.configuration()
        val file = Files.write(folder.resolve("telepower-8.0.0.bin"), byteArrayOf(1, 2, 3))
        val failures =
            listOf(
                assertThrows<SkylineException.Update> {
                    verifyUpdate(configuration, file, byteArrayOf(), ByteArray(64))
                },
                assertThrows<SkylineException.Update> {
                    withContext(Dispatchers.IO) {
                        BlockingUpdates.verifyUpdate(configuration, file, byteArrayOf(), ByteArray(64))
                    }
                },
            )
        for (failure in failures) assertEquals(UpdateFailure.SIGNATURE_WRONG, failure.failure)
    }

    @Test
    fun `cancelling a coroutine ends its download`(
        @TempDir folder: Path,
    ) = silently { configuration ->
        inCoroutine {
            assertThrows<TimeoutCancellationException> {
                withTimeout(200.milliseconds) { downloadUpdate(configuration, folder) }
            }
        }
    }

    @Test
    fun `interrupting a thread ends its download`(
        @TempDir folder: Path,
    ) = silently { configuration ->
        val outcome = CompletableFuture<Throwable>()
        val thread =
            Thread {
                try {
                    BlockingUpdates.downloadUpdate(configuration, folder)
                } catch (caught: Throwable) {
                    outcome.complete(caught)
                }
            }
        thread.start()
        Thread.sleep(200)
        thread.interrupt()
        assertInstanceOf(InterruptedException::class.java, outcome.get(20, TimeUnit.SECONDS))
    }

    @Test
    fun `each failure of an update has a name of its own`() {
        for (failure in UpdateFailure.entries) {
            assertEquals(failure, UpdateFailure.of(failure.code))
            assertEquals(failure.name.lowercase().replace('_', '-'), failure.code)
        }
    }
}
