package pro.telepower.skyline

import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import java.lang.ref.WeakReference
import java.nio.file.Files
import java.nio.file.Paths
import java.util.concurrent.atomic.AtomicBoolean
import kotlin.concurrent.thread

/** What the garbage collector finds, it may drop on any thread and at any time. */
@Timeout(120)
class GarbageCollectionTest {
    private val server get() = TestServer.shared

    /** Collects garbage as often as it can while [body] runs. */
    private fun underCollection(body: () -> Unit) {
        val done = AtomicBoolean()
        val collector =
            thread {
                while (!done.get()) {
                    System.gc()
                    Thread.sleep(5)
                }
            }
        try {
            body()
        } finally {
            done.set(true)
            collector.join()
        }
    }

    private fun openSockets(): Int =
        Files.list(Paths.get("/proc/self/fd")).use { files ->
            files
                .filter { file ->
                    runCatching {
                        Files
                            .readSymbolicLink(
                                file,
                            ).toString()
                            .startsWith("socket:")
                    }.getOrDefault(false)
                }.count()
                .toInt()
        }

    @Test
    fun `forgotten clients are collected and their connections closed`() {
        // Loads what opens sockets of its own.
        inCoroutine { SkylineClient.connect(server.configuration()).close() }
        val before = openSockets()
        val clients = mutableListOf<WeakReference<SkylineClient>>()
        underCollection {
            inCoroutine {
                List(60) {
                    async {
                        val client = SkylineClient.connect(server.configuration())
                        client.echo(it)
                        synchronized(clients) { clients += WeakReference(client) }
                    }
                }.awaitAll()
            }
        }
        assertEquals(60, clients.size)
        waitUntil("all clients are collected and all connections closed") {
            System.gc()
            clients.all { it.get() == null } && openSockets() <= before
        }
    }

    @Test
    fun `a forgotten client's calls in flight get their answers`() =
        underCollection {
            inCoroutine {
                val answers =
                    List(40) {
                        async {
                            // Nothing refers to the client once its call waits.
                            SkylineClient.connect(server.configuration()).delayOnServer(300)
                            it
                        }
                    }.awaitAll()
                assertEquals(List(40) { it }, answers)
            }
        }

    @Test
    fun `abandoned and cancelled calls leave the client usable`() =
        underCollection {
            inCoroutine {
                SkylineClient.connect(server.configuration()).use { client ->
                    repeat(20) {
                        val scope = CoroutineScope(Dispatchers.Default)
                        repeat(20) { scope.launch { client.delayOnServer(30_000) } }
                        repeat(20) { scope.launch { client.echo("x".repeat(1000)) } }
                        repeat(5) { scope.launch { client.states.collect { } } }
                        scope.cancel()
                    }
                    assertEquals("still here", client.echo("still here"))
                }
            }
        }

    @Test
    fun `closing and using a client from many threads at once does no harm`() =
        underCollection {
            inCoroutine {
                repeat(20) {
                    val client = SkylineClient.connect(server.configuration())
                    List(8) { number ->
                        async(Dispatchers.IO) {
                            try {
                                if (number % 2 == 0) client.close() else client.echo(number)
                            } catch (_: SkylineException.ShutDown) {
                                // Whoever came after the first close.
                            }
                        }
                    }.awaitAll()
                }
            }
        }
}
