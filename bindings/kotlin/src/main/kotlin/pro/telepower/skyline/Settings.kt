package pro.telepower.skyline

import kotlinx.serialization.json.Json
import pro.telepower.skyline.internal.Configuration
import pro.telepower.skyline.internal.SecretText
import java.nio.file.Path
import java.time.Duration

/** What a [SkylineConfiguration] holds; null is the library's own default. */
internal data class Settings(
    val productId: String,
    val productVersion: String,
    val licenseKey: String,
    val json: Json,
    val identityKeys: List<String> = emptyList(),
    val url: String? = null,
    val language: String? = null,
    val device: DeviceIdentity? = null,
    val stateFolder: Path? = null,
    val connectDeadline: Duration? = null,
    val handshakeDeadline: Duration? = null,
    val callDeadline: Duration? = null,
    val reconnectInitialDelay: Duration? = null,
    val reconnectMaxDelay: Duration? = null,
    val reconnectStableAfter: Duration? = null,
    val maxPacketBytes: Long? = null,
    val maxCallsInFlight: Int? = null,
    val maxBytesInFlight: Long? = null,
    val maxPacketsPerConnection: Long? = null,
    val updateUrl: String? = null,
    val releaseKeys: List<String> = emptyList(),
    val maxUpdateBytes: Long? = null,
    val maxQueuedEvents: Int? = null,
    val maxQueuedEventBytes: Long? = null,
    val eventOverflow: EventOverflow? = null,
    val eventDurability: EventDurability? = null,
    val extraRootCertificates: List<ByteArray> = emptyList(),
    val proxy: SkylineProxy? = null,
    val allowPlaintext: Boolean = false,
    val hkdfSalt: ByteArray? = null,
    val hkdfInfo: ByteArray? = null,
    val inlinePayloads: Boolean = false,
) {
    /**
     * The form that the library takes; holds the license key in native memory until it is destroyed.
     *
     * Negative numbers, which that form cannot say, become zero: the library refuses both alike.
     */
    fun toNative(): Configuration =
        Configuration(
            productId = productId,
            productVersion = productVersion,
            licenseKey = SecretText(licenseKey),
            identityKeys = identityKeys,
            url = url,
            language = language,
            device = device?.toNative(),
            stateFolder = stateFolder?.toString(),
            connectDeadline = connectDeadline?.coerceAtLeast(Duration.ZERO),
            handshakeDeadline = handshakeDeadline?.coerceAtLeast(Duration.ZERO),
            callDeadline = callDeadline?.coerceAtLeast(Duration.ZERO),
            reconnectInitialDelay = reconnectInitialDelay?.coerceAtLeast(Duration.ZERO),
            reconnectMaxDelay = reconnectMaxDelay?.coerceAtLeast(Duration.ZERO),
            reconnectStableAfter = reconnectStableAfter?.coerceAtLeast(Duration.ZERO),
            maxPacketBytes = maxPacketBytes?.toUnsigned(),
            maxCallsInFlight = maxCallsInFlight?.coerceAtLeast(0)?.toUInt(),
            maxBytesInFlight = maxBytesInFlight?.toUnsigned(),
            maxPacketsPerConnection = maxPacketsPerConnection?.toUnsigned(),
            updateUrl = updateUrl,
            releaseKeys = releaseKeys,
            maxUpdateBytes = maxUpdateBytes?.toUnsigned(),
            maxQueuedEvents = maxQueuedEvents?.coerceAtLeast(0)?.toUInt(),
            maxQueuedEventBytes = maxQueuedEventBytes?.toUnsigned(),
            eventOverflow = eventOverflow?.toNative(),
            eventDurability = eventDurability?.toNative(),
            extraRootCertificates = extraRootCertificates,
            proxy = proxy?.toNative(),
            allowPlaintext = allowPlaintext,
            hkdfSalt = hkdfSalt,
            hkdfInfo = hkdfInfo,
            inlinePayloads = inlinePayloads,
        )

    /** Product and server; no secret. */
    override fun toString(): String =
        "$productId $productVersion, url=${url ?: "default"}, licenseKey=redacted"

    private fun Long.toUnsigned(): ULong = coerceAtLeast(0).toULong()
}
