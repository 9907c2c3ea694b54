package pro.telepower.skyline

import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.TimeoutCancellationException
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.withTimeoutOrNull
import kotlinx.serialization.Serializable
import kotlinx.serialization.SerializationException
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonPrimitive
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.assertThrows
import java.net.ServerSocket
import kotlin.coroutines.Continuation
import kotlin.coroutines.EmptyCoroutineContext
import kotlin.coroutines.startCoroutine
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes

@Timeout(90)
class SkylineClientTest {
    private val server get() = TestServer.shared

    private fun withClient(body: suspend (SkylineClient) -> Unit) =
        inCoroutine { SkylineClient.connect(server.configuration()).use { body(it) } }

    @Test
    fun `a type that does not fit the answer is a payload failure without the data in its text`() =
        withClient { client ->
            val failure =
                assertThrows<SkylineException.Payload> {
                    client.call<String, List<Int>>(
                        "test.echo",
                        "private",
                    )
                }
            assertFalse("private" in failure.message, failure.message)
            assertInstanceOf(SerializationException::class.java, failure.cause)
            assertEquals("PAYLOAD", failure.code)
        }

    @Test
    fun `an answer that JSON cannot say is a payload failure`() =
        withClient { client ->
            // bin 8 of one byte
            val binary = byteArrayOf(0xc4.toByte(), 1, 7)
            assertNotNull(client.callRaw("test.echo", binary))
            assertThrows<SkylineException.Payload> { client.callJson("test.echo", "{") }
            assertThrows<SkylineException.Payload> { client.echo(Double.NaN) }
        }

    @Test
    fun `an absent answer is null, unit or a failure`() =
        withClient { client ->
            assertNull(client.call<String?>("test.echo"))
            client.call<Unit>("test.echo")
            client.call<String, Unit>("test.echo", "ignored")
            assertEquals(JsonNull, client.call<JsonElement>("test.echo"))
            assertThrows<SkylineException.Payload> { client.call<String>("test.echo") }
        }

    @Test
    fun `unknown members of an answer are ignored`() =
        withClient { client ->
            val answer = client.call<Map<String, Int>, Known>("test.echo", mapOf("known" to 1, "new" to 2))
            assertEquals(Known(1), answer)
        }

    @Test
    fun `an event takes plain maps, and refuses what is no data`() =
        withClient { client ->
            val data =
                mapOf(
                    "null" to null,
                    "boolean" to true,
                    "numbers" to listOf(1.toByte(), 2.toShort(), 3, 4L, ULong.MAX_VALUE, 0.5f, 0.25),
                    "nested" to mapOf("array" to arrayOf("a", JsonPrimitive("b"))),
                )
            client.sendEvent("plain", data)
            val text =
                assertNotNull(
                    client.callJson("test.events", null),
                ).let { client.callJson("test.events", null) }
            assertEquals(
                """[{"event":"plain","data":{"null":null,"boolean":true,""" +
                    """"numbers":[1,2,3,4,18446744073709551615,0.5,0.25],"nested":{"array":["a","b"]}},"id":null}]""",
                text,
            )
            assertThrows<SkylineException.Payload> {
                client.sendEvent(
                    "plain",
                    mapOf("thread" to Thread.currentThread()),
                )
            }
            assertThrows<SkylineException.Payload> {
                client.sendEvent(
                    "plain",
                    mapOf("map" to mapOf(1 to 2)),
                )
            }
        }

    @Test
    fun `every status has an exception of its own`() =
        withClient { client ->
            val expected =
                mapOf(
                    "OUTDATED_VERSION" to SkylineException.OutdatedVersion::class,
                    "KEY_BOUND_TO_ANOTHER_DEVICE" to SkylineException.KeyBoundToAnotherDevice::class,
                    "BAD_REQUEST" to SkylineException.BadRequest::class,
                    "UNKNOWN_METHOD" to SkylineException.UnknownMethod::class,
                    "INVALID_SESSION" to SkylineException.InvalidSession::class,
                    "LICENSE_NOT_FOUND" to SkylineException.LicenseNotFound::class,
                    "LICENSE_EXPIRED" to SkylineException.LicenseExpired::class,
                    "LICENSE_SUSPENDED" to SkylineException.LicenseSuspended::class,
                    "RATE_LIMITED" to SkylineException.RateLimited::class,
                    "INTERNAL_ERROR" to SkylineException.InternalError::class,
                    "INTEGRITY_BREACH" to SkylineException.IntegrityBreach::class,
                )
            // A breach ends the client, so it comes last.
            for ((status, type) in expected) {
                val failure = assertThrows<SkylineException> { client.haveStatus(status, "Прочтите это.") }
                assertEquals(type, failure::class)
                assertEquals(status, failure.code)
                assertEquals(status, failure.status)
                assertEquals("Прочтите это.", failure.serverMessage)
                assertTrue("Прочтите это." in failure.message)
            }
        }

    @Test
    fun `a rate limit says how long to wait`() =
        withClient { client ->
            val failure =
                assertThrows<SkylineException.RateLimited> {
                    client.call<StatusRequest, Unit>("test.status", StatusRequest("RATE_LIMITED", null, 17))
                }
            assertEquals(17, failure.retryAfterSeconds)
        }

    @Test
    fun `nobody listening is a connection failure`() =
        inCoroutine {
            val port = ServerSocket(0).use { it.localPort }
            val configuration = server.configuration { url("ws://127.0.0.1:$port/ws") }
            val failure = assertThrows<SkylineException.Connection> { SkylineClient.connect(configuration) }
            assertEquals(ConnectionFailure.REFUSED, failure.failure)
            assertNull(failure.httpStatus)
        }

    @Test
    fun `an http server is a connection failure with its status`() =
        inCoroutine {
            val configuration = server.configuration { url(server.url.removeSuffix("/ws") + "/elsewhere") }
            val failure = assertThrows<SkylineException.Connection> { SkylineClient.connect(configuration) }
            assertEquals(ConnectionFailure.HTTP, failure.failure)
            assertEquals(404, failure.httpStatus)
        }

    @Test
    fun `a silent peer ends the handshake at its deadline, or when the coroutine is cancelled`() =
        inCoroutine {
            ServerSocket(0).use { silent ->
                val url = "ws://127.0.0.1:${silent.localPort}/ws"
                val impatient = server.configuration { url(url).connectDeadline(200.milliseconds) }
                val failure = assertThrows<SkylineException.Connection> { SkylineClient.connect(impatient) }
                assertEquals(ConnectionFailure.TIMEOUT, failure.failure)
                val patient = server.configuration { url(url).connectDeadline(10.minutes) }
                assertThrows<TimeoutCancellationException> {
                    withTimeout(200.milliseconds) { SkylineClient.connect(patient) }
                }
            }
        }

    @Test
    fun `the states begin with the present one and end with the last`() =
        inCoroutine {
            val client = SkylineClient.connect(server.configuration())
            val seen = Channel<ConnectionState>(Channel.UNLIMITED)
            val collecting = launch { client.states.collect { seen.send(it) } }
            assertEquals(ConnectionState.Ready, seen.receive())
            client.shutdown()
            collecting.join()
            assertEquals(ConnectionState.ShutDown, seen.receive())
            assertTrue(seen.tryReceive().isFailure)
            assertEquals(listOf(ConnectionState.ShutDown), client.states.toList())
        }

    @Test
    fun `a breach is the last state`() =
        withClient { client ->
            assertThrows<SkylineException.IntegrityBreach> { client.haveStatus("INTEGRITY_BREACH", "LL") }
            val last =
                assertInstanceOf(ConnectionState.Breached::class.java, client.states.toList().single())
            assertInstanceOf(SkylineException.IntegrityBreach::class.java, last.error)
            assertTrue("LL" in last.toString(), last.toString())
        }

    @Test
    fun `a cancelled wait for a state leaves the stream usable`() =
        withClient { client ->
            val states = client.stateStream()
            assertEquals(ConnectionState.Ready, states.nextState())
            assertNull(withTimeoutOrNull(100.milliseconds) { states.nextState() })
            client.shutdown()
            assertEquals(ConnectionState.ShutDown, states.nextState())
            assertNull(states.nextState())
        }

    @Test
    fun `reconnecting does not unsay that the license was activated`() =
        inCoroutine {
            val configuration = server.configuration { reconnectQuickly() }
            SkylineClient.connect(configuration).use { client ->
                val before = client.session
                assertTrue(before.isActivatedNow)
                client.dropConnection()
                client.echo("over the next connection")
                assertEquals(before, client.session)
            }
        }

    @Test
    fun `a collector that leaves does not end the states of another`() =
        withClient { client ->
            withContext(Dispatchers.Default) {
                val leaving = launch { client.states.collect { } }
                val staying = async { client.states.toList() }
                delay(100)
                leaving.cancelAndJoin()
                client.shutdown()
                assertEquals(ConnectionState.ShutDown, staying.await().last())
            }
        }

    @Test
    fun `code after a call never runs on a thread of the library`() {
        // A coroutine without a dispatcher, as that of `suspend fun main`.
        val threads = Channel<String>(Channel.UNLIMITED)
        val body: suspend () -> Unit = {
            BlockingSkylineClient.connect(server.configuration()).use { blocking ->
                blocking.client.echo("suspends")
                threads.send(Thread.currentThread().name)
                // Would never come back if it blocked the thread that all connections share.
                assertEquals(500, blocking.limits()["engine.limits.inviteToChannel.dailyLimit"])
                withContext(Dispatchers.Unconfined) { blocking.client.echo("suspends") }
                threads.send(Thread.currentThread().name)
                blocking.limits()
            }
            threads.close()
        }
        body.startCoroutine(Continuation(EmptyCoroutineContext) { it.onFailure(threads::close) })
        inCoroutine {
            val names = mutableListOf<String>()
            for (name in threads) names += name
            assertEquals(2, names.size)
            assertTrue(names.all { it.startsWith("DefaultDispatcher") }, names.toString())
        }
    }

    @Test
    fun `a cancelled call ends as cancelled and not as a failure`() =
        withClient { client ->
            withContext(Dispatchers.Default) {
                val call = async { client.delayOnServer(30_000) }
                delay(100)
                call.cancel()
                assertThrows<CancellationException> { call.await() }
            }
        }

    @Test
    fun `the version of the native library is that of the package`() {
        assertEquals(
            System.getProperty("skyline.version"),
            pro.telepower.skyline.internal
                .libraryVersion(),
        )
    }

    @Serializable
    private data class Known(
        val known: Int,
    )
}
