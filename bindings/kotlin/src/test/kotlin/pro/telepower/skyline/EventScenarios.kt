package pro.telepower.skyline

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import kotlin.time.Duration.Companion.milliseconds

/** The scenarios of the durable event queue. */
interface EventScenarios {
    @Test
    fun aTrackedEventArrivesOnce() =
        inCoroutine {
            SkylineClient.connect(TestServer.shared.configuration()).use { client ->
                val data = mapOf("to" to "/account-manager", "by" to "меню")
                client.track("app.navigation", data)
                client.flushEvents()
                val stored = client.call<List<StoredEvent<Map<String, String>>>>("test.events").single()
                assertEquals("app.navigation", stored.event)
                assertEquals(data, stored.data)
                assertFalse(stored.id.isNullOrEmpty())
                val counters = client.eventCounters()
                assertEquals(
                    EventCounters(
                        tracked = 1,
                        recovered = 0,
                        queued = 0,
                        queuedBytes = 0,
                        sent = 1,
                        dropped = 0,
                        rejected = 0,
                        damaged = 0,
                    ),
                    counters,
                )
            }
        }

    @Test
    fun trackedEventsSurviveARestart() =
        inCoroutine {
            TestServer().use { server ->
                val configuration = server.configuration { reconnectQuickly() }
                server.withoutConnection(configuration) { client ->
                    repeat(20) { client.trackNumber(it) }
                    assertEquals(20, client.eventCounters().queued)
                }
                server.restart()
                SkylineClient.connect(configuration).use { client ->
                    client.flushEvents()
                    assertEquals(List(20) { it }, client.storedNumbers())
                    assertEquals(20, client.eventCounters().recovered)
                    assertEquals(20, client.eventCounters().sent)
                }
            }
        }

    @Test
    fun aFullEventQueueFollowsItsPolicy() =
        inCoroutine {
            TestServer().use { server ->
                val dropping =
                    server.configuration {
                        maxQueuedEvents(3)
                        eventOverflow(EventOverflow.DROP_OLDEST)
                        reconnectQuickly()
                    }
                val refusing =
                    server.configuration {
                        maxQueuedEvents(3)
                        eventOverflow(EventOverflow.REFUSE)
                        eventDurability(EventDurability.SYNCED)
                        reconnectQuickly()
                    }
                val dropper = SkylineClient.connect(dropping)
                server.withoutConnection(refusing) { refuser ->
                    repeat(3) { refuser.trackNumber(it) }
                    val failure = assertThrows<SkylineException.EventQueueFull> { refuser.trackNumber(3) }
                    assertEquals("EVENT_QUEUE_FULL", failure.code)
                    assertEquals(3, refuser.eventCounters().queued)
                    assertEquals(0, refuser.eventCounters().dropped)

                    repeat(5) { dropper.trackNumber(it) }
                    assertEquals(3, dropper.eventCounters().queued)
                    assertEquals(2, dropper.eventCounters().dropped)

                    server.restart()
                    for (client in listOf(dropper, refuser)) client.flushEvents()
                    assertEquals(listOf(2, 3, 4), dropper.storedNumbers())
                    assertEquals(listOf(0, 1, 2), refuser.storedNumbers())
                }
                dropper.close()
            }
        }

    @Test
    fun flushingEventsEndsAtItsDeadline() =
        inCoroutine {
            TestServer().use { server ->
                server.withoutConnection(server.configuration { reconnectQuickly() }) { client ->
                    client.trackNumber(1)
                    assertThrows<SkylineException.DeadlineExceeded> {
                        client.flushEvents(200.milliseconds)
                    }
                    assertEquals(1, client.eventCounters().queued)
                    server.restart()
                    client.flushEvents()
                    assertEquals(0, client.eventCounters().queued)
                    assertEquals(listOf(1), client.storedNumbers())
                }
            }
        }
}

/** Connects, kills the server, and has [body] use the client once that has noticed; then shuts the client down. */
private suspend fun TestServer.withoutConnection(
    configuration: SkylineConfiguration,
    body: suspend (SkylineClient) -> Unit,
) {
    SkylineClient.connect(configuration).use { client ->
        val states = client.stateStream()
        kill()
        states.until<ConnectionState.Reconnecting>()
        body(client)
    }
}

private suspend fun SkylineClient.trackNumber(number: Int): Unit = track("number", mapOf("number" to number))

private suspend fun SkylineClient.storedNumbers(): List<Int> =
    call<List<StoredEvent<Map<String, Int>>>>("test.events").map { it.data.getValue("number") }
