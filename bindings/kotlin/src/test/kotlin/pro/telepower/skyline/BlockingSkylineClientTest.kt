package pro.telepower.skyline

import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.assertThrows
import java.time.Duration
import java.util.concurrent.CompletableFuture
import java.util.concurrent.ExecutionException
import java.util.concurrent.Executors
import java.util.concurrent.TimeUnit

@Timeout(90)
class BlockingSkylineClientTest {
    private val server get() = TestServer.shared

    private fun connect() = BlockingSkylineClient.connect(server.configuration())

    @Test
    fun `it does what the other client does`() {
        connect().use { client ->
            assertTrue(client.session.isActivatedNow)
            assertEquals(150, client.limits()["engine.limits.sendMessage.dailyLimit"])
            client.sendEvent("app.started")
            client.sendEvent("app.navigation", mapOf("to" to "/"))
            assertEquals(
                listOf("a", "b"),
                client.call<List<String>, List<String>>("test.echo", listOf("a", "b")),
            )
            client.track("app.started")
            client.track("app.navigation", mapOf("to" to "/"))
            client.flushEvents()
            assertEquals(2, client.eventCounters().sent)
            assertEquals("[1,2]", client.callJson("test.echo", "[ 1, 2 ]"))
            assertArrayEquals(byteArrayOf(7), client.callRaw("test.echo", byteArrayOf(7)))
            val slow = """{"milliseconds":30000}"""
            assertThrows<SkylineException.DeadlineExceeded> {
                client.callJson(
                    "test.delay",
                    slow,
                    Duration.ofMillis(50),
                )
            }
        }
    }

    @Test
    fun `it tells the states, reconnects when asked to, and sends an idempotent call again`() {
        BlockingSkylineClient.connect(server.configuration { reconnectLate() }).use { client ->
            val states = client.stateStream()
            assertEquals(ConnectionState.Ready, states.nextState())
            val call =
                CompletableFuture.supplyAsync {
                    client.callJson("test.delay", """{"milliseconds":700}""", Duration.ofSeconds(60), true)
                }
            Thread.sleep(200)
            assertThrows<SkylineException.ConnectionLost> { client.callJson("test.drop-connection", null) }
            val lost = assertInstanceOf(ConnectionState.Reconnecting::class.java, states.nextState())
            assertEquals(1, lost.attempt)
            client.reconnectNow()
            call.get(30, TimeUnit.SECONDS)
            client.close()
            val rest = generateSequence { states.nextState() }.toList()
            assertEquals(ConnectionState.ShutDown, rest.last())
        }
    }

    @Test
    fun `interrupting a thread cancels its call and no other`() {
        connect().use { client ->
            val other =
                CompletableFuture.supplyAsync {
                    client.callJson(
                        "test.delay",
                        """{"milliseconds":800}""",
                    )
                }
            val outcome = CompletableFuture<Throwable>()
            val thread =
                Thread {
                    try {
                        client.callJson("test.delay", """{"milliseconds":30000}""")
                    } catch (caught: Throwable) {
                        outcome.complete(caught)
                    }
                }
            thread.start()
            Thread.sleep(200)
            thread.interrupt()
            assertInstanceOf(InterruptedException::class.java, outcome.get(20, TimeUnit.SECONDS))
            other.get(20, TimeUnit.SECONDS)
            assertEquals("1", client.callJson("test.echo", "1"))
        }
    }

    @Test
    fun `an interrupted thread closes its client and stays interrupted`() {
        val client = connect()
        Thread.currentThread().interrupt()
        client.close()
        assertTrue(Thread.interrupted())
        assertThrows<SkylineException.ShutDown> { client.limits() }
    }

    @Test
    fun `many threads may share a client`() {
        val pool = Executors.newFixedThreadPool(16)
        connect().use { client ->
            val calls =
                List(200) { number -> pool.submit<String?> { client.callJson("test.echo", "$number") } }
            assertEquals(List(200) { "$it" }, calls.map { it.get(30, TimeUnit.SECONDS) })
        }
        pool.shutdown()
    }

    @Test
    fun `closing from another thread ends a waiting call`() {
        val client = connect()
        val waiting =
            CompletableFuture.supplyAsync {
                client.callJson(
                    "test.delay",
                    """{"milliseconds":30000}""",
                )
            }
        Thread.sleep(200)
        client.close()
        val failure = assertThrows<ExecutionException> { waiting.get(20, TimeUnit.SECONDS) }
        assertInstanceOf(SkylineException.ShutDown::class.java, failure.cause)
        assertFalse(Thread.interrupted())
    }
}
