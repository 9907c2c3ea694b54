package pro.telepower.skyline

import ch.qos.logback.classic.Level
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.supervisorScope
import kotlinx.serialization.Serializable
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.assertThrows
import org.msgpack.core.MessagePack
import org.msgpack.core.MessagePacker
import java.math.BigInteger
import java.time.Duration
import java.time.Instant
import kotlin.random.Random
import kotlin.time.Duration.Companion.milliseconds

/**
 * The scenarios of docs/scenarios.md, and nothing else: the basic ones here, the others in the interfaces, whose
 * tests run as this class's own.
 */
@Timeout(90)
class ScenariosTest :
    SessionScenarios,
    EventScenarios,
    UpdateScenarios {
    private val server get() = TestServer.shared

    @Test
    fun aFirstLoginActivatesTheLicense() =
        inCoroutine {
            for ((plan, months) in mapOf("monthly" to 1L, "quarterly" to 3L, "yearly" to 12L)) {
                val name = "telepower.licensePlan.release.$plan"
                val license = server.issueLicense(plan = name)
                SkylineClient.connect(server.configuration(license)).use { client ->
                    val session = client.session
                    assertTrue(session.isActivatedNow)
                    assertEquals(name, session.licensePlan)
                    assertEquals(session.activationDate.plusMonths(months), session.expiryDate)
                }
            }
        }

    @Test
    fun aSecondLoginFindsTheLicenseActive() =
        inCoroutine {
            val configuration = server.configuration()
            val first = SkylineClient.connect(configuration).use { it.session }
            val second = SkylineClient.connect(configuration).use { it.session }
            assertTrue(first.isActivatedNow)
            assertEquals(first.copy(isActivatedNow = false), second)
        }

    @Test
    fun anOutdatedVersionIsRefused() =
        inCoroutine {
            server.addProduct("outdated-kotlin", minimumVersion = "8.0.0")
            val license = server.issueLicense(product = "outdated-kotlin")
            val configuration =
                server.configuration(
                    license,
                    "outdated-kotlin",
                    "7.9.9",
                ) { language("russian") }
            val failure =
                assertThrows<SkylineException.OutdatedVersion> { SkylineClient.connect(configuration) }
            assertEquals("OUTDATED_VERSION", failure.status)
            assertEquals("Версия ПО устарела.", failure.serverMessage)
            assertEquals(failure.serverMessage, failure.message)
        }

    @Test
    fun aKeyBoundToAnotherDeviceIsRefused() =
        inCoroutine {
            val license = server.issueLicense()
            SkylineClient.connect(server.configuration(license)).close()
            val failure =
                assertThrows<SkylineException.KeyBoundToAnotherDevice> {
                    SkylineClient.connect(server.configuration(license))
                }
            assertEquals("KEY_BOUND_TO_ANOTHER_DEVICE", failure.status)
            assertFalse(failure.serverMessage.isNullOrBlank())
            assertEquals(failure.serverMessage, failure.message)
        }

    @Test
    fun anIntegrityBreachReportedByTheServerLatches() =
        inCoroutine {
            val configuration = server.configuration()
            SkylineClient.connect(configuration).use { it.call<Unit>("test.forget-logins") }
            val atLogin =
                assertThrows<SkylineException.IntegrityBreach> { SkylineClient.connect(configuration) }
            assertEquals(BreachReason.REPORTED_BY_SERVER, atLogin.reason)
            assertTrue("LL" in atLogin.message)

            TestServer().use { mortal ->
                val client = SkylineClient.connect(mortal.configuration())
                val inCall =
                    assertThrows<SkylineException.IntegrityBreach> {
                        client.haveStatus("INTEGRITY_BREACH", "Нарушена целостность.")
                    }
                assertEquals(BreachReason.REPORTED_BY_SERVER, inCall.reason)
                assertEquals("Нарушена целостность.", inCall.message)
                // Without a server an attempt to send would fail in another way.
                mortal.kill()
                repeat(2) {
                    val later = assertThrows<SkylineException.IntegrityBreach> { client.limits() }
                    assertEquals(BreachReason.REPORTED_BY_SERVER, later.reason)
                }
            }
        }

    @Test
    fun aWrongIdentityKeyIsABreach() =
        inCoroutine {
            val stranger = server.newIdentityKey()
            val configuration =
                SkylineConfiguration("telepower", "7.0.3", server.issueLicense()) {
                    url(server.url)
                    identityKey(stranger)
                    device(server.newDevice())
                    stateFolder(server.newStateFolder())
                }
            val failure =
                assertThrows<SkylineException.IntegrityBreach> { SkylineClient.connect(configuration) }
            assertEquals(BreachReason.SERVER_SIGNATURE, failure.reason)
            assertNull(failure.status)
        }

    @Test
    fun anUnknownLicenseIsRefused() =
        inCoroutine {
            val configuration = server.configuration(licenseKey = "BBBBB-CCCCC-DDDDD-FFFFF-GGGGG")
            val failure =
                assertThrows<SkylineException.LicenseNotFound> { SkylineClient.connect(configuration) }
            assertEquals("LICENSE_NOT_FOUND", failure.status)
        }

    @Test
    fun limitsAreRead() =
        inCoroutine {
            val license =
                server.issueLicense(
                    options = arrayOf("--limit=engine.limits.sendMessage.dailyLimit=9007199254740993"),
                )
            SkylineClient.connect(server.configuration(license)).use { client ->
                val limits = client.limits()
                assertEquals(500, limits["engine.limits.inviteToChannel.dailyLimit"])
                assertEquals(9007199254740993, limits["engine.limits.sendMessage.dailyLimit"])
            }
        }

    @Test
    fun anEventIsStored() =
        inCoroutine {
            val data = Navigation("/account-manager", listOf(Step("menu", 1.5), Step("link", null)))
            SkylineClient.connect(server.configuration()).use { client ->
                client.sendEvent("app.navigation", data)
                val stored = client.call<List<StoredEvent<Navigation>>>("test.events")
                assertEquals(listOf(StoredEvent("app.navigation", data, null)), stored)
            }
        }

    @Test
    fun everyMessagepackTypeSurvivesACall() =
        inCoroutine {
            val values = everyMessagePackType()
            val together = messagePack { values.forEach(::writePayload) }
            val array = messagePack { packArrayHeader(values.size) } + together
            SkylineClient.connect(server.configuration()).use { client ->
                assertArrayEquals(array, client.callRaw("test.echo", array))
                for (value in values.filterNot { it.contentEquals(nil) }) {
                    assertArrayEquals(value, client.callRaw("test.echo", value))
                }
                // A payload of nil and no payload are the same to the protocol.
                assertNull(client.callRaw("test.echo", null))
            }
        }

    @Test
    fun anUnknownStatusIsKeptAsItCame() =
        inCoroutine {
            SkylineClient.connect(server.configuration()).use { client ->
                val failure =
                    assertThrows<SkylineException.UnknownStatus> {
                        client.haveStatus("LICENSE_ON_THE_MOON", "Лицензия на Луне.")
                    }
                assertEquals("LICENSE_ON_THE_MOON", failure.status)
                assertEquals("Лицензия на Луне.", failure.serverMessage)
                assertTrue("Лицензия на Луне." in failure.message)
                assertEquals("UNKNOWN_STATUS", failure.code)
            }
        }

    @Test
    fun anUnknownMethodIsRefused() =
        inCoroutine {
            SkylineClient.connect(server.configuration()).use { client ->
                val failure =
                    assertThrows<SkylineException.UnknownMethod> { client.call<Unit>("no.such-method") }
                assertEquals("UNKNOWN_METHOD", failure.status)
                assertEquals("still here", client.echo("still here"))
            }
        }

    @Test
    fun manyConcurrentCallsGetTheirOwnAnswers() =
        inCoroutine {
            SkylineClient.connect(server.configuration()).use { client ->
                val answers = List(500) { async { client.echo(it) } }.awaitAll()
                assertEquals(List(500) { it }, answers)
            }
        }

    @Test
    fun manyCallsInOneBatchGetTheirOwnAnswers() =
        inCoroutine {
            val calls =
                List(500) { number ->
                    BatchCall(
                        if (number % 100 ==
                            7
                        ) {
                            "no-such-method"
                        } else {
                            "test.echo"
                        },
                        mapOf("number" to number),
                    )
                }
            SkylineClient.connect(server.configuration()).use { client ->
                val results = client.callMany<Map<String, Int>, Map<String, Int>>(calls)
                assertEquals(500, results.size)
                for ((number, result) in results.withIndex()) {
                    if (number % 100 == 7) {
                        assertThrows<SkylineException.UnknownMethod> { result.get() }
                    } else {
                        assertEquals(mapOf("number" to number), result.get())
                    }
                }
            }
        }

    @Test
    fun aLargePayloadGoesBothWays() =
        inCoroutine {
            val payload = messagePack { writeBinary(Random(1).nextBytes(5 shl 20)) }
            SkylineClient.connect(server.configuration()).use { client ->
                assertArrayEquals(payload, client.callRaw("test.echo", payload))
            }
        }

    @Test
    fun aCallEndsAtItsDeadline() =
        inCoroutine {
            SkylineClient.connect(server.configuration()).use { client ->
                val failure =
                    assertThrows<SkylineException.DeadlineExceeded> {
                        client.delayOnServer(500, deadline = 100.milliseconds)
                    }
                assertTrue(failure.maybeExecuted)
                // The late answer comes during this call.
                client.delayOnServer(1000)
                assertEquals("still here", client.echo("still here"))
            }
        }

    @Test
    fun cancellingOneCallLeavesTheOthers() =
        inCoroutine {
            SkylineClient.connect(server.configuration()).use { client ->
                val others = List(20) { async { client.delayOnServer(700) } }
                val one = async(start = CoroutineStart.UNDISPATCHED) { client.delayOnServer(30_000) }
                delay(200)
                one.cancelAndJoin()
                assertTrue(one.isCancelled)
                others.awaitAll()
                assertEquals("still here", client.echo("still here"))
            }
        }

    @Test
    fun shuttingDownFailsTheCallsInFlight() =
        inCoroutine {
            val client = SkylineClient.connect(server.configuration())
            supervisorScope {
                val calls =
                    List(20) {
                        async(start = CoroutineStart.UNDISPATCHED) { client.delayOnServer(30_000) }
                    }
                delay(200)
                client.shutdown()
                for (call in calls) {
                    assertThrows<SkylineException.ShutDown> { call.await() }
                }
            }
        }

    @Test
    fun aClientThatWasShutDownRefusesCalls() =
        inCoroutine {
            val client = SkylineClient.connect(server.configuration())
            client.close()
            client.shutdown()
            client.close()
            val failure = assertThrows<SkylineException.ShutDown> { client.limits() }
            assertFalse(failure.maybeExecuted)
        }

    @Test
    fun aClientDroppedWithoutShutdownDoesNoHarm() =
        inCoroutine {
            val configuration = server.configuration()
            repeat(10) {
                SkylineClient.connect(configuration).echo("forgotten")
                System.gc()
            }
            SkylineClient.connect(configuration).use { client ->
                assertEquals("still here", client.echo("still here"))
            }
        }

    @Test
    fun aServerThatGoesAwayFailsTheCalls() =
        inCoroutine {
            TestServer().use { mortal ->
                val client = SkylineClient.connect(mortal.configuration())
                supervisorScope {
                    val calls =
                        List(20) {
                            async(start = CoroutineStart.UNDISPATCHED) { client.delayOnServer(30_000) }
                        }
                    delay(300)
                    mortal.kill()
                    for (call in calls) {
                        val failure = assertThrows<SkylineException.ConnectionLost> { call.await() }
                        assertTrue(failure.maybeExecuted)
                    }
                }
                val later =
                    assertThrows<SkylineException.DeadlineExceeded> { client.limits(200.milliseconds) }
                assertFalse(later.maybeExecuted)
                client.close()
            }
        }

    @Test
    fun eachInvalidConfigurationFieldIsNamed() =
        inCoroutine {
            val license = server.issueLicense()
            val malformed =
                mapOf(
                    "license_key" to server.configuration("WDGQX"),
                    "product_id" to server.configuration(license, product = " "),
                    "product_version" to server.configuration(license, version = ""),
                    "identity_keys" to
                        SkylineConfiguration(
                            "telepower",
                            "7.0.3",
                            license,
                        ) { url(server.url) },
                )
            val wrong: List<Pair<String, SkylineConfiguration.Builder.() -> Unit>> =
                listOf(
                    "identity_keys" to { identityKey("35a5906d") },
                    "identity_keys" to { identityKey(ByteArray(31)) },
                    "url" to { url("no address") },
                    "url" to { url("ws://192.0.2.1/ws") },
                    "language" to { language("") },
                    "device" to { device(DeviceIdentity("", "")) },
                    "connect_deadline" to { connectDeadline(Duration.ZERO) },
                    "handshake_deadline" to { handshakeDeadline(Duration.ofSeconds(-1)) },
                    "call_deadline" to { callDeadline(kotlin.time.Duration.ZERO) },
                    "reconnect_initial_delay" to { reconnectInitialDelay(Duration.ZERO) },
                    "reconnect_max_delay" to { reconnectMaxDelay(Duration.ofMillis(-1)) },
                    "update_url" to { updateUrl("ftp://127.0.0.1/update") },
                    "release_keys" to { releaseKey("35a5906d") },
                    "max_update_bytes" to { maxUpdateBytes(0) },
                    "max_queued_events" to { maxQueuedEvents(0) },
                    "max_queued_event_bytes" to { maxQueuedEventBytes(-1) },
                    "max_packet_bytes" to { maxPacketBytes(1) },
                    "max_packet_bytes" to { maxPacketBytes(-1) },
                    "max_calls_in_flight" to { maxCallsInFlight(0) },
                    "max_bytes_in_flight" to { maxBytesInFlight(Long.MIN_VALUE) },
                    "max_packets_per_connection" to { maxPacketsPerConnection(0) },
                    "extra_root_certificates" to { extraRootCertificate(ByteArray(10)) },
                    "proxy" to { proxy(SkylineProxy.Url("gopher://proxy")) },
                )
            val all =
                malformed.toList() +
                    wrong.map { (field, set) -> field to server.configuration(license, configure = set) }
            for ((field, configuration) in all) {
                val failure =
                    assertThrows<SkylineException.InvalidConfiguration>(
                        field,
                    ) { SkylineClient.connect(configuration) }
                assertEquals(field, failure.field)
                assertTrue(failure.expected.isNotBlank(), field)
                assertTrue(field in failure.message, failure.message)
            }
        }

    @Test
    fun clientsRunSideBySide() =
        inCoroutine {
            List(8) { number ->
                async {
                    SkylineClient.connect(server.configuration()).use { client ->
                        client.sendEvent("own", mapOf("number" to number))
                        delay(100)
                        val events = client.call<List<StoredEvent<Map<String, Int>>>>("test.events")
                        assertEquals(listOf(StoredEvent("own", mapOf("number" to number), null)), events)
                    }
                }
            }.awaitAll()
        }

    @Test
    fun noSecretReachesTheLog() =
        inCoroutine {
            val license = server.issueLicense()
            val secrets =
                listOf(
                    license.toRegex(),
                    license.replace("-", "").toRegex(),
                    Regex("[0-9a-f]{8}-[0-9a-f]{8}"),
                )
            val texts = mutableListOf<String>()
            collectingLog(Level.TRACE) { records ->
                val configuration = server.configuration(license)
                texts += configuration.toString()
                SkylineClient.connect(configuration).use { client ->
                    texts += client.toString() + client.session
                    client.limits()
                    client.sendEvent("app.navigation", mapOf("to" to "/account-manager"))
                    for (status in listOf("RATE_LIMITED", "LICENSE_EXPIRED", "NEVER_HEARD_OF")) {
                        val failure = assertThrows<SkylineException> { client.haveStatus(status) }
                        texts += failure.toString() + failure.stackTraceToString()
                    }
                }
                texts +=
                    assertThrows<SkylineException> {
                        SkylineClient.connect(
                            server.configuration(license),
                        )
                    }.toString()
                val wrong = server.configuration(license.dropLast(1))
                texts += assertThrows<SkylineException> { SkylineClient.connect(wrong) }.toString()
                // The records of a session that was over before this one's have all been delivered.
                val before = records().size
                SkylineClient.connect(server.configuration()).close()
                waitUntil("the log is delivered") { records().size > before }
                assertTrue(before > 0)
                texts += records().map { it.formattedMessage }
            }
            for (text in texts) {
                for (secret in secrets) assertFalse(secret.containsMatchIn(text), text)
            }
        }

    @Test
    fun textOfEveryScriptSurvives() =
        inCoroutine {
            SkylineClient.connect(server.configuration()).use { client ->
                assertEquals(textsOfEveryScript, client.echo(textsOfEveryScript))
                val asKeys = textsOfEveryScript.associateWith { it.reversed().reversed() }
                assertEquals(asKeys, client.echo(asKeys))
                client.sendEvent("событие 🎉", asKeys)
                val stored = client.call<List<StoredEvent<Map<String, String>>>>("test.events")
                assertEquals(listOf(StoredEvent("событие 🎉", asKeys, null)), stored)
                for (text in textsOfEveryScript.filter { it.isNotEmpty() }) {
                    val failure =
                        assertThrows<SkylineException.UnknownMethod> {
                            client.haveStatus(
                                "UNKNOWN_METHOD",
                                text,
                            )
                        }
                    assertEquals(text, failure.serverMessage)
                }
            }
        }

    @Test
    fun integersKeepTheir64Bits() =
        inCoroutine {
            val integers =
                Integers(
                    Long.MIN_VALUE,
                    Long.MAX_VALUE,
                    ULong.MAX_VALUE,
                    listOf(
                        0,
                        -1,
                        (1L shl 53) + 1,
                    ),
                )
            SkylineClient.connect(server.configuration()).use { client ->
                assertEquals(integers, client.echo(integers))
                client.sendEvent("integers", integers)
                val stored = client.call<List<StoredEvent<Integers>>>("test.events")
                assertEquals(integers, stored.single().data)
            }
        }

    @Serializable
    private data class Step(
        val by: String,
        val seconds: Double?,
    )

    @Serializable
    private data class Navigation(
        val to: String,
        val steps: List<Step>,
    )

    @Serializable
    private data class Integers(
        val smallest: Long,
        val largest: Long,
        val largestUnsigned: ULong,
        val others: List<Long>,
    )

    private val nil = byteArrayOf(0xc0.toByte())

    private fun messagePack(write: MessagePacker.() -> Unit): ByteArray =
        MessagePack.newDefaultBufferPacker().apply(write).toByteArray()

    private fun MessagePacker.writeBinary(bytes: ByteArray) {
        packBinaryHeader(bytes.size)
        writePayload(bytes)
    }

    private fun everyMessagePackType(): List<ByteArray> {
        val integers =
            listOf(
                0L,
                127,
                128,
                65_536,
                1L shl 32,
                Long.MAX_VALUE,
                -1,
                -32,
                -33,
                -129,
                -40_000,
                Long.MIN_VALUE,
            )
        val sizes = listOf(0, 31, 32, 256, 70_000)
        return listOf(nil, messagePack { packBoolean(true) }, messagePack { packBoolean(false) }) +
            integers.map { messagePack { packLong(it) } } +
            messagePack { packBigInteger(BigInteger.ONE.shiftLeft(64) - BigInteger.ONE) } +
            listOf(0f, -1.5f, Float.NaN, Float.POSITIVE_INFINITY).map { messagePack { packFloat(it) } } +
            listOf(
                0.1,
                Double.MIN_VALUE,
                Double.NaN,
                Double.NEGATIVE_INFINITY,
            ).map { messagePack { packDouble(it) } } +
            sizes.map { messagePack { packString("ж".repeat(it)) } } +
            sizes.map { messagePack { writeBinary(ByteArray(it)) } } +
            sizes.map { size -> messagePack { packArrayHeader(size).also { repeat(size) { packNil() } } } } +
            messagePack {
                packMapHeader(
                    3,
                ).packString("text").packInt(1).packInt(2).packNil().packBoolean(true).packNil()
            } +
            listOf(1, 2, 4, 8, 16, 17, 300).map {
                messagePack { packExtensionTypeHeader(42, it).writePayload(ByteArray(it)) }
            } +
            messagePack { packTimestamp(Instant.parse("2026-11-22T10:20:30.123456789Z")) }
    }
}
