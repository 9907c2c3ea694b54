package pro.telepower.skyline

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.nio.file.Paths
import kotlin.time.Duration.Companion.seconds

class SkylineConfigurationTest {
    private val license = "WDGQX-WC2Y3-4R966-TK3H3-HXRB8"

    @Test
    fun `no description shows a secret`() {
        val configuration =
            SkylineConfiguration("telepower", "7.0.3", license) {
                proxy(SkylineProxy.Url("http://user:password@proxy:8080"))
                hkdfSalt("salt".toByteArray())
            }
        for (text in listOf(
            "$configuration",
            "${configuration.settings}",
            "${configuration.settings.proxy}",
        )) {
            assertFalse(license in text, text)
            assertFalse("password" in text, text)
        }
        val native = configuration.settings.toNative()
        assertFalse(license in native.toString())
        assertFalse("password" in native.toString())
        native.destroy()
    }

    @Test
    fun `a builder that changes does not change what it built`() {
        val builder = SkylineConfiguration.builder("telepower", "7.0.3", license).identityKey("aa")
        val before = builder.build()
        builder.identityKey("bb").url("ws://127.0.0.1/ws")
        assertEquals(listOf("aa"), before.settings.identityKeys)
        assertEquals(null, before.settings.url)
        assertEquals(listOf("aa", "bb"), builder.build().settings.identityKeys)
    }

    @Test
    fun `every setting reaches the library`() {
        val device = DeviceIdentity("serial", "uuid")
        val settings =
            SkylineConfiguration("telepower", "7.0.3", license) {
                identityKey(byteArrayOf(0, 0x7f, -1))
                url("ws://127.0.0.1/ws")
                language("russian")
                device(device)
                stateFolder(Paths.get("state"))
                connectDeadline(1.seconds)
                handshakeDeadline(2.seconds)
                callDeadline(3.seconds)
                reconnectInitialDelay(11.seconds)
                reconnectMaxDelay(12.seconds)
                reconnectStableAfter(13.seconds)
                maxPacketBytes(4)
                maxCallsInFlight(5)
                maxBytesInFlight(6)
                maxPacketsPerConnection(7)
                updateUrl("http://127.0.0.1/updates")
                releaseKey("cc")
                maxUpdateBytes(16)
                maxQueuedEvents(14)
                maxQueuedEventBytes(15)
                eventOverflow(EventOverflow.REFUSE)
                eventDurability(EventDurability.SYNCED)
                extraRootCertificate(byteArrayOf(8))
                proxy(SkylineProxy.Direct)
                allowPlaintext(true)
                hkdfSalt(byteArrayOf(9))
                hkdfInfo(byteArrayOf(10))
                inlinePayloads(true)
            }.settings.toNative()
        assertEquals("telepower", settings.productId)
        assertEquals("7.0.3", settings.productVersion)
        assertEquals(listOf("007fff"), settings.identityKeys)
        assertEquals("ws://127.0.0.1/ws", settings.url)
        assertEquals("russian", settings.language)
        assertEquals(device.toNative(), settings.device)
        assertEquals("state", settings.stateFolder)
        assertEquals(
            listOf(1L, 2L, 3L, 11L, 12L, 13L),
            settings
                .run {
                    listOf(
                        connectDeadline,
                        handshakeDeadline,
                        callDeadline,
                        reconnectInitialDelay,
                        reconnectMaxDelay,
                        reconnectStableAfter,
                    )
                }.map { it?.seconds },
        )
        assertEquals(
            listOf(4uL, 6uL, 7uL),
            settings.run {
                listOf(maxPacketBytes, maxBytesInFlight, maxPacketsPerConnection)
            },
        )
        assertEquals(5u, settings.maxCallsInFlight)
        assertEquals(14u, settings.maxQueuedEvents)
        assertEquals(15uL, settings.maxQueuedEventBytes)
        assertEquals(EventOverflow.REFUSE.toNative(), settings.eventOverflow)
        assertEquals(EventDurability.SYNCED.toNative(), settings.eventDurability)
        assertEquals("http://127.0.0.1/updates", settings.updateUrl)
        assertEquals(listOf("cc"), settings.releaseKeys)
        assertEquals(16uL, settings.maxUpdateBytes)
        assertEquals(listOf<Byte>(8), settings.extraRootCertificates.single().toList())
        assertEquals(SkylineProxy.Direct.toNative(), settings.proxy)
        assertEquals(listOf<Byte>(9), settings.hkdfSalt?.toList())
        assertEquals(listOf<Byte>(10), settings.hkdfInfo?.toList())
        assertTrue(settings.allowPlaintext && settings.inlinePayloads)
        settings.destroy()
    }
}
