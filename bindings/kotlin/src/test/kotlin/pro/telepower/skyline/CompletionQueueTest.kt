package pro.telepower.skyline

import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Runnable
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.joinAll
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import pro.telepower.skyline.internal.FailureKind
import java.nio.ByteBuffer
import kotlin.coroutines.CoroutineContext
import kotlin.time.Duration
import kotlin.time.Duration.Companion.INFINITE
import kotlin.time.Duration.Companion.nanoseconds
import kotlin.time.Duration.Companion.seconds

/** The calls of all threads and clients on their one way through the library. */
@Timeout(90)
class CompletionQueueTest {
    private val server get() = TestServer.shared

    @Test
    fun `a call that is cancelled at any moment does not stay behind`() =
        inCoroutine {
            // One that stayed would hold one of these places for as long as the server waits.
            SkylineClient.connect(server.configuration { maxCallsInFlight(2) }).use { client ->
                repeat(100) { number ->
                    val calls = List(2) { launch { client.delayOnServer(30_000) } }
                    // Before it is handed over, while it is, and after that.
                    repeat(number * 20) { Thread.onSpinWait() }
                    calls.forEach { it.cancel() }
                    calls.joinAll()
                }
                assertEquals("1", client.callJson("test.echo", "1", deadline = 5.seconds))
            }
        }

    @Test
    fun `calls of two clients and of every size may mix`() =
        inCoroutine {
            val clients = List(2) { SkylineClient.connect(server.configuration()) }
            List(200) { number ->
                async {
                    // The MessagePack of a bin 32, from nothing to more than what is handed over at once.
                    val length = number * 700
                    val header = ByteBuffer.allocate(5).put(0xc6.toByte()).putInt(length)
                    val payload = header.array() + ByteArray(length) { number.toByte() }
                    assertArrayEquals(payload, clients[number % 2].callRaw("test.echo", payload))
                }
            }.awaitAll()
            clients.forEach { it.shutdown() }
        }

    @Test
    fun `a dispatcher that refuses an answer keeps no other from coming`() =
        inCoroutine {
            val refusing =
                object : CoroutineDispatcher() {
                    override fun dispatch(
                        context: CoroutineContext,
                        block: Runnable,
                    ) {
                        check(Thread.currentThread().name != "skyline-calls") { "refused" }
                        Dispatchers.Default.dispatch(context, block)
                    }
                }
            val thrown = CompletableDeferred<Throwable>()
            val before = Thread.getDefaultUncaughtExceptionHandler()
            Thread.setDefaultUncaughtExceptionHandler { _, cause -> thrown.complete(cause) }
            try {
                SkylineClient.connect(server.configuration()).use { client ->
                    CoroutineScope(refusing).launch { client.echo(1) }
                    thrown.await()
                    assertEquals(2, client.echo(2))
                }
            } finally {
                Thread.setDefaultUncaughtExceptionHandler(before)
            }
        }

    @Test
    fun `a deadline is whole milliseconds, and none that is left is none`() {
        fun inMilliseconds(deadline: Duration?) =
            CallTerms(deadline, idempotent = false, json = false).deadlineMs
        assertEquals(-1, inMilliseconds(null))
        assertEquals(0, inMilliseconds((-1).seconds))
        assertEquals(0, inMilliseconds(0.seconds))
        assertEquals(1, inMilliseconds(1.nanoseconds))
        assertEquals(2000, inMilliseconds(2.seconds))
        assertEquals(2001, inMilliseconds(2.seconds + 1.nanoseconds))
        assertEquals(Long.MAX_VALUE, inMilliseconds(INFINITE))
    }

    @Test
    fun `the kinds of failure have their numbers of the C interface`() {
        // The ends and the middle of the list in src/ffi/c/kind.rs; in between both lists go on in step.
        val numbers =
            mapOf(
                1 to FailureKind.INVALID_CONFIGURATION,
                11 to FailureKind.UNKNOWN_METHOD,
                16 to FailureKind.CONNECTION_LOST,
                20 to FailureKind.PAYLOAD,
                23 to FailureKind.STATE,
                24 to FailureKind.UPDATE,
                25 to FailureKind.FORKED,
            )
        for ((number, kind) in numbers) assertEquals(kind, kindOf(number))
        assertEquals(25, FailureKind.entries.size)
    }
}
