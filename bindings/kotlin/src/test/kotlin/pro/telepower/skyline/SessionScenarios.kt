package pro.telepower.skyline

import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.delay
import kotlinx.coroutines.supervisorScope
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlin.time.TimeSource

/** The scenarios of a session that outlives its connections. */
interface SessionScenarios {
    @Test
    fun aLostConnectionIsMadeAgain() =
        inCoroutine {
            val configuration = TestServer.shared.configuration { reconnectQuickly() }
            SkylineClient.connect(configuration).use { client ->
                client.dropConnection()
                assertEquals("again", client.echo("again"))
            }
        }

    @Test
    fun aCallWaitsForTheNextConnection() =
        inCoroutine {
            TestServer().use { server ->
                SkylineClient.connect(server.configuration { reconnectQuickly() }).use { client ->
                    val states = client.stateStream()
                    server.kill()
                    states.until<ConnectionState.Reconnecting>()
                    val call = async(start = CoroutineStart.UNDISPATCHED) { client.echo("patient") }
                    delay(200)
                    assertTrue(call.isActive)
                    server.restart()
                    assertEquals("patient", call.await())
                }
            }
        }

    @Test
    fun aCallLostOnTheWaySaysThatItMayHaveRun() =
        inCoroutine {
            val configuration = TestServer.shared.configuration { reconnectQuickly() }
            SkylineClient.connect(configuration).use { client ->
                supervisorScope {
                    val call = async(start = CoroutineStart.UNDISPATCHED) { client.delayOnServer(30_000) }
                    delay(200)
                    client.dropConnection()
                    val failure = assertThrows<SkylineException.ConnectionLost> { call.await() }
                    assertTrue(failure.maybeExecuted)
                    assertEquals("CONNECTION_LOST", failure.code)
                }
            }
        }

    @Test
    fun anIdempotentCallIsSentAgain() =
        inCoroutine {
            val configuration = TestServer.shared.configuration { reconnectQuickly() }
            SkylineClient.connect(configuration).use { client ->
                val call =
                    async(start = CoroutineStart.UNDISPATCHED) {
                        client.delayOnServer(2_000, idempotent = true)
                    }
                delay(200)
                client.dropConnection()
                assertTrue(call.isActive, "it was answered before the drop")
                call.await()
            }
        }

    @Test
    fun reconnectingNowEndsTheWait() =
        inCoroutine {
            val configuration = TestServer.shared.configuration { reconnectLate() }
            SkylineClient.connect(configuration).use { client ->
                val states = client.stateStream()
                client.dropConnection()
                states.until<ConnectionState.Reconnecting>()
                val hasty =
                    assertThrows<SkylineException.DeadlineExceeded> { client.limits(200.milliseconds) }
                assertFalse(hasty.maybeExecuted)
                client.reconnectNow()
                assertEquals("back", client.echo("back"))
            }
        }

    @Test
    fun everyStateIsTold() =
        inCoroutine {
            val client = SkylineClient.connect(TestServer.shared.configuration { reconnectLate() })
            val states = client.stateStream()
            assertEquals(ConnectionState.Ready, states.nextState())
            client.dropConnection()
            val lost = assertInstanceOf(ConnectionState.Reconnecting::class.java, states.nextState())
            assertEquals(1, lost.attempt)
            assertTrue(lost.nextDelay > java.time.Duration.ZERO)
            assertInstanceOf(SkylineException.ConnectionLost::class.java, lost.lastError)
            client.reconnectNow()
            states.until<ConnectionState.Ready>()
            client.shutdown()
            assertEquals(ConnectionState.ShutDown, states.nextState())
            assertNull(states.nextState())
        }

    @Test
    fun aRefusalWhileReconnectingEndsTheClient() =
        inCoroutine {
            TestServer().use { server ->
                val license = server.issueLicense()
                val client = SkylineClient.connect(server.configuration(license) { reconnectQuickly() })
                val states = client.stateStream()
                server.kill()
                server.suspendLicense(license)
                server.restart()
                val refused = states.until<ConnectionState.Refused>()
                assertInstanceOf(SkylineException.LicenseSuspended::class.java, refused.error)
                assertNull(states.nextState())
                repeat(2) {
                    val failure = assertThrows<SkylineException.LicenseSuspended> { client.limits() }
                    assertEquals(refused.error.message, failure.message)
                }
            }
        }

    @Test
    fun anIdempotentCallWaitsOutARateLimit() =
        inCoroutine {
            SkylineClient.connect(TestServer.shared.configuration()).use { client ->
                val request = StatusRequest("RATE_LIMITED", null, retryAfterSeconds = 5)
                val atOnce =
                    assertThrows<SkylineException.RateLimited> {
                        client.call<StatusRequest, Unit>("test.status", request)
                    }
                assertEquals(5, atOnce.retryAfterSeconds)

                // Sent again after one wait; a second one would go beyond the deadline. Both are long
                // beside what a busy machine may take for an answer.
                val begun = TimeSource.Monotonic.markNow()
                val atLast =
                    assertThrows<SkylineException.RateLimited> {
                        client.call<StatusRequest, Unit>("test.status", request, 9.seconds, idempotent = true)
                    }
                assertEquals(5, atLast.retryAfterSeconds)
                assertTrue(begun.elapsedNow() >= 5.seconds, "it did not wait")
                assertEquals("still here", client.echo("still here"))
            }
        }

    @Test
    fun aRotatedIdentityKeyIsAccepted() =
        inCoroutine {
            TestServer().use { server ->
                val next = server.newIdentityKey("next.key")
                val prepared =
                    SkylineClient.connect(
                        server.configuration {
                            identityKey(next)
                            reconnectQuickly()
                        },
                    )
                val old = SkylineClient.connect(server.configuration { reconnectQuickly() })
                val states = old.stateStream()
                server.restart("next.key")
                assertEquals("rotated", prepared.echo("rotated"))
                val breached = states.until<ConnectionState.Breached>()
                val failure = assertThrows<SkylineException.IntegrityBreach> { old.limits() }
                for (error in listOf(breached.error, failure)) {
                    val breach = assertInstanceOf(SkylineException.IntegrityBreach::class.java, error)
                    assertEquals(BreachReason.SERVER_SIGNATURE, breach.reason)
                }
                prepared.close()
            }
        }
}
