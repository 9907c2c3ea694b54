package pro.telepower.skyline

import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.toList
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import java.net.URI
import java.nio.file.Files
import java.nio.file.Path
import kotlin.random.Random

/** The scenarios of updates: releases that the server publishes. */
interface UpdateScenarios {
    @Test
    fun anUpdateIsDownloadedAndVerified() =
        inCoroutine {
            val server = TestServer.shared
            val product = "update-kotlin"
            server.addProduct(product, minimumVersion = "7.1.0")
            val content = Random(39).nextBytes(SIZE)
            server.publishRelease(product, "7.1.0", content)
            val configuration = server.configuration(server.issueLicense(product), product)
            assertThrows<SkylineException.OutdatedVersion> { SkylineClient.connect(configuration) }

            val folder = server.newFolder()
            val progress = mutableListOf<UpdateProgress>()
            val update = downloadUpdate(configuration, folder) { progress += it }
            assertEquals("7.1.0", update.version)
            assertEquals(SIZE.toLong(), update.size)
            assertEquals(folder.resolve(update.fileName), update.path)
            assertArrayEquals(content, Files.readAllBytes(update.path))
            assertTrue(progress.all { it.total == update.size && it.bytes <= it.total }, "$progress")
            assertEquals(update.size, progress.last().bytes)

            // The new version is welcome, and finds nothing newer.
            val updated =
                server.configuration(server.issueLicense(product), product, version = update.version)
            SkylineClient.connect(updated).close()
            val failure = assertThrows<SkylineException.Update> { downloadUpdate(updated, folder) }
            assertEquals(UpdateFailure.NOT_NEWER, failure.failure)
        }

    @Test
    fun aCancelledDownloadGoesOnWhereItStopped() =
        inCoroutine {
            val server = TestServer.shared
            val product = "resume-kotlin"
            server.addProduct(product)
            val content = Random(40).nextBytes(SIZE)
            server.publishRelease(product, "7.1.0", content)
            val license = server.issueLicense(product)
            val folder = server.newFolder()

            Relay(server.port, limit = SIZE / 2L).use { relay ->
                val configuration =
                    server.configuration(license, product) { updateUrl(relay.updates(product)) }
                val steps = updateSteps(configuration, folder)
                // Leaving the flow cancels the download, which waits for the rest then.
                val step = steps.first { it is UpdateProgress && it.bytes >= SIZE / 4 }
                assertEquals(SIZE.toLong(), (step as UpdateProgress).total)
            }
            assertEquals(emptyList<Path>(), folder.visibleFiles())

            Relay(server.port).use { relay ->
                val configuration =
                    server.configuration(license, product) { updateUrl(relay.updates(product)) }
                val steps = updateSteps(configuration, folder).toList()
                val update = steps.last() as Update
                assertArrayEquals(content, Files.readAllBytes(update.path))
                assertEquals(listOf(update.path), folder.visibleFiles())
                assertTrue((steps.first() as UpdateProgress).bytes >= SIZE / 4, "$steps")
                assertTrue(relay.passed < SIZE * 7L / 8, "${relay.passed} bytes came again")
            }
        }

    @Test
    fun anUpdateWithAWrongSignatureIsRefused() =
        inCoroutine {
            val server = TestServer.shared
            val product = "signature-kotlin"
            server.addProduct(product)
            val trusted = server.newIdentityKey("release-kotlin.key")
            server.publishRelease(product, "7.1.0", Random(41).nextBytes(1000), "release-kotlin.key")
            val license = server.issueLicense(product)
            val folder = server.newFolder()
            val configuration = server.configuration(license, product)
            val failure = assertThrows<SkylineException.Update> { downloadUpdate(configuration, folder) }
            assertEquals(UpdateFailure.SIGNATURE_WRONG, failure.failure)
            assertEquals("UPDATE_SIGNATURE_WRONG", failure.code)
            assertEquals(emptyList<Path>(), folder.visibleFiles())

            // The same release is accepted by who trusts its key.
            val trusting = server.configuration(license, product) { releaseKey(trusted) }
            assertEquals("7.1.0", downloadUpdate(trusting, folder).version)
        }

    @Test
    fun aFileFromElsewhereIsVerified() =
        inCoroutine {
            val server = TestServer.shared
            val product = "elsewhere-kotlin"
            server.addProduct(product)
            val content = Random(42).nextBytes(1000)
            val release = server.publishRelease(product, "7.1.0", content)
            val configuration = server.configuration(server.issueLicense(product), product)
            val file = Files.write(server.newFolder().resolve("from-a-stick.bin"), content)
            val update = verifyUpdate(configuration, file, release.manifest, release.signature)
            assertEquals(file, update.path)
            assertEquals("7.1.0", update.version)
            assertEquals(1000, update.size)

            content[500] = (content[500] + 1).toByte()
            Files.write(file, content)
            val failure =
                assertThrows<SkylineException.Update> {
                    verifyUpdate(configuration, file, release.manifest, release.signature)
                }
            assertEquals(UpdateFailure.HASH, failure.failure)
            assertFalse(failure.message.isBlank())
        }
}

/** The size of a release in bytes: several of the pieces that are written at once. */
private const val SIZE = 4 shl 20

private val TestServer.port: Int get() = URI(url).port

private fun Relay.updates(product: String): String = "http://127.0.0.1:$port/updates/$product"

/** The files in a folder, without those that the library keeps there for itself. */
private fun Path.visibleFiles(): List<Path> =
    Files.list(this).use { files -> files.filter { !it.fileName.toString().startsWith(".") }.toList() }
