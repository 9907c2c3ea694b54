package pro.telepower.skyline

import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.async
import kotlinx.coroutines.delay
import kotlinx.coroutines.supervisorScope
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.assertThrows
import java.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds

/** `callMany`, of both clients. */
@Timeout(90)
class BatchTest {
    private val server get() = TestServer.shared
    private val slow = BatchCall("test.delay", """{"milliseconds":60000}""")

    private inline fun <reified Failure : SkylineException> assertFailed(result: BatchResult<*>) {
        val failure = assertInstanceOf(BatchResult.Failed::class.java, result).failure
        assertInstanceOf(Failure::class.java, failure)
        assertThrows<Failure> { result.get() }
    }

    @Test
    fun `what cannot be written or read fails its call alone`() =
        inCoroutine {
            SkylineClient.connect(server.configuration()).use { client ->
                val numbers = listOf(1.5, Double.NaN).map { BatchCall("test.echo", it) }
                val written = client.callMany<Double, Double>(numbers)
                assertEquals(1.5, written[0].get())
                assertFailed<SkylineException.Payload>(written[1])
                val texts = listOf("1", "one").map { BatchCall("test.echo", it) }
                val read = client.callMany<String, Int>(texts)
                assertEquals(1, read[0].get())
                assertFailed<SkylineException.Payload>(read[1])
            }
        }

    @Test
    fun `payloads may be absent, and larger than what is handed over at once`() =
        inCoroutine {
            SkylineClient.connect(server.configuration()).use { client ->
                // The MessagePack of a bin 32.
                val large = byteArrayOf(0xc6.toByte(), 0, 3, 0, 0) + ByteArray(0x30000) { it.toByte() }
                val payloads = List(5) { large } + null + List(2000) { byteArrayOf(it.mod(128).toByte()) }
                val results = client.callManyRaw(payloads.map { BatchCall("test.echo", it) })
                assertEquals(payloads.size, results.size)
                for ((payload, result) in payloads.zip(results)) assertArrayEquals(payload, result.get())
            }
        }

    @Test
    fun `no calls are a batch too`() =
        inCoroutine {
            SkylineClient.connect(server.configuration()).use { client ->
                assertEquals(emptyList<Any>(), client.callManyJson(emptyList()))
            }
        }

    @Test
    fun `cancelling a batch cancels its calls`() =
        inCoroutine {
            SkylineClient.connect(server.configuration { maxCallsInFlight(4) }).use { client ->
                repeat(3) {
                    supervisorScope {
                        val batch = async { client.callManyJson(List(10) { slow }) }
                        delay(100)
                        batch.cancel()
                        assertThrows<CancellationException> { batch.await() }
                    }
                }
                // Calls that were left would hold all the places.
                assertEquals("1", client.callJson("test.echo", "1", deadline = 5.seconds))
            }
        }

    @Test
    fun `a deadline holds for each call of a batch`() =
        inCoroutine {
            SkylineClient.connect(server.configuration()).use { client ->
                val calls = listOf(slow, BatchCall("test.echo", "1"), BatchCall("test.echo", null))
                val results = client.callManyJson(calls, deadline = 3.seconds)
                assertFailed<SkylineException.DeadlineExceeded>(results[0])
                assertEquals("1", results[1].get())
                assertNull(results[2].get())
            }
        }

    @Test
    fun `the blocking client does the same`() {
        val client = BlockingSkylineClient.connect(server.configuration())
        val numbers = client.callMany<Int, Int>(List(3000) { BatchCall("test.echo", it) })
        assertEquals(List(3000) { it }, numbers.map { it.get() })
        val texts = client.callManyJson(listOf(BatchCall("test.echo", "1"), slow), Duration.ofSeconds(3))
        assertEquals("1", texts[0].get())
        assertFailed<SkylineException.DeadlineExceeded>(texts[1])
        val bytes = client.callManyRaw(listOf(BatchCall("test.echo", byteArrayOf(7))))
        assertArrayEquals(byteArrayOf(7), bytes.single().get())
        client.close()
        assertFailed<SkylineException.ShutDown>(client.callManyJson(listOf(slow)).single())
    }
}
