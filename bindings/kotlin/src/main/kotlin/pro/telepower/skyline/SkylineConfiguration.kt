package pro.telepower.skyline

import kotlinx.serialization.json.Json
import java.nio.file.Path
import java.time.Duration
import kotlin.time.toJavaDuration
import kotlin.time.Duration as KotlinDuration

/**
 * The settings of a client; immutable, so one may serve many clients.
 *
 * ```
 * val configuration = SkylineConfiguration("telepower", "7.0.3", licenseKey) {
 *     identityKey("35a5906d…")
 *     language("russian")
 * }
 * ```
 *
 * From Java: `SkylineConfiguration.builder("telepower", "7.0.3", licenseKey).identityKey("…").build()`.
 *
 * Nothing is checked before [SkylineClient.connect], which checks everything and names the first setting
 * that is wrong: [SkylineException.InvalidConfiguration].
 *
 * | setting | default |
 * |---|---|
 * | `url` | the production server |
 * | `language` | `english` |
 * | `device` | detected |
 * | `stateFolder` | `skyline` in the user's local data folder |
 * | `connectDeadline`, `handshakeDeadline`, `callDeadline` | 10 s, 10 s, 30 s |
 * | `reconnectInitialDelay`, `reconnectMaxDelay`, `reconnectStableAfter` | 500 ms, 60 s, 60 s |
 * | `maxPacketBytes` | 16 MiB |
 * | `maxCallsInFlight`, `maxBytesInFlight` | 1024, 64 MiB |
 * | `maxPacketsPerConnection` | just below 2^32 |
 * | `updateUrl` | `/updates/` and the product's id on the host of `url` |
 * | `releaseKey` | none: the identity keys sign releases |
 * | `maxUpdateBytes` | 2 GiB |
 * | `maxQueuedEvents`, `maxQueuedEventBytes` | 10 000, 16 MiB |
 * | `eventOverflow`, `eventDurability` | [EventOverflow.DROP_OLDEST], [EventDurability.BUFFERED] |
 * | `extraRootCertificate` | none beside the system's |
 * | `proxy` | [SkylineProxy.Environment] |
 * | `allowPlaintext` | no |
 * | `hkdfSalt`, `hkdfInfo` | none |
 * | `inlinePayloads` | no |
 * | `json` | [DEFAULT_JSON] |
 */
public class SkylineConfiguration private constructor(
    internal val settings: Settings,
) {
    /** Product and server; no secret. */
    override fun toString(): String = "SkylineConfiguration($settings)"

    /**
     * Collects the settings. Each function changes one and returns this builder.
     *
     * @param productId the product's id, as the licensing server knows it; not empty.
     * @param productVersion the product's version, for example `7.0.3`; not empty.
     * @param licenseKey the license key, five groups of five letters and digits.
     */
    public class Builder(
        productId: String,
        productVersion: String,
        licenseKey: String,
    ) {
        private var settings = Settings(productId, productVersion, licenseKey, DEFAULT_JSON)

        /**
         * Adds an identity key of the server that is trusted; at least one is needed. Several let the key be
         * rotated without breaking old installs.
         *
         * @param key 64 hexadecimal digits, or base64.
         */
        public fun identityKey(key: String): Builder = set { copy(identityKeys = identityKeys + key) }

        /**
         * Adds an identity key of the server that is trusted.
         *
         * @param key its 32 bytes.
         */
        public fun identityKey(key: ByteArray): Builder =
            identityKey(key.joinToString("") { "%02x".format(it) })

        /** The server's URL: `wss://`, or `ws://` to loopback addresses. */
        public fun url(url: String): Builder = set { copy(url = url) }

        /** The language in which the server words its messages: `english`, `russian`. */
        public fun language(language: String): Builder = set { copy(language = language) }

        /** This device's identity; must be given on phones, where none can be detected. */
        public fun device(device: DeviceIdentity): Builder = set { copy(device = device) }

        /**
         * The folder where the client keeps its last login, the source of the device's identity and the
         * tracked events; created when absent. Must be given on Android: a folder below `Context.getFilesDir()`.
         */
        public fun stateFolder(folder: Path): Builder = set { copy(stateFolder = folder) }

        /** How long name resolution, TCP, proxy, TLS and the WebSocket may take together; above zero. */
        public fun connectDeadline(deadline: Duration): Builder = set { copy(connectDeadline = deadline) }

        /** How long name resolution, TCP, proxy, TLS and the WebSocket may take together; above zero. */
        public fun connectDeadline(deadline: KotlinDuration): Builder =
            connectDeadline(deadline.toJavaDuration())

        /** How long the handshake and the login may take together; above zero. */
        public fun handshakeDeadline(deadline: Duration): Builder = set { copy(handshakeDeadline = deadline) }

        /** How long the handshake and the login may take together; above zero. */
        public fun handshakeDeadline(deadline: KotlinDuration): Builder =
            handshakeDeadline(deadline.toJavaDuration())

        /** How long a call may take that names no deadline of its own, waiting for its turn included; above zero. */
        public fun callDeadline(deadline: Duration): Builder = set { copy(callDeadline = deadline) }

        /** How long a call may take that names no deadline of its own, waiting for its turn included; above zero. */
        public fun callDeadline(deadline: KotlinDuration): Builder = callDeadline(deadline.toJavaDuration())

        /**
         * The longest wait before the first attempt to reconnect; above zero. The wait is drawn evenly from
         * zero on, and what it is drawn from doubles with each attempt.
         */
        public fun reconnectInitialDelay(delay: Duration): Builder =
            set { copy(reconnectInitialDelay = delay) }

        /** The longest wait before the first attempt to reconnect; see the other function of this name. */
        public fun reconnectInitialDelay(delay: KotlinDuration): Builder =
            reconnectInitialDelay(delay.toJavaDuration())

        /**
         * The longest wait before any attempt to reconnect, between the initial delay and a day; a server
         * that asks for more by `RATE_LIMITED` gets it.
         */
        public fun reconnectMaxDelay(delay: Duration): Builder = set { copy(reconnectMaxDelay = delay) }

        /** The longest wait before any attempt to reconnect; see the other function of this name. */
        public fun reconnectMaxDelay(delay: KotlinDuration): Builder =
            reconnectMaxDelay(delay.toJavaDuration())

        /** How long a connection must last before the waits start again with the shortest. */
        public fun reconnectStableAfter(time: Duration): Builder = set { copy(reconnectStableAfter = time) }

        /** How long a connection must last before the waits start again with the shortest. */
        public fun reconnectStableAfter(time: KotlinDuration): Builder =
            reconnectStableAfter(time.toJavaDuration())

        /** The largest packet in bytes, in either direction; between 4 KiB and 1 GiB. */
        public fun maxPacketBytes(bytes: Long): Builder = set { copy(maxPacketBytes = bytes) }

        /** How many calls may be in flight, at least 1; further ones wait for their turn. */
        public fun maxCallsInFlight(calls: Int): Builder = set { copy(maxCallsInFlight = calls) }

        /** How many bytes of request payload may be in flight, at least 1; further calls wait for their turn. */
        public fun maxBytesInFlight(bytes: Long): Builder = set { copy(maxBytesInFlight = bytes) }

        /** After how many packets, both directions together, the client changes keys; at least 4. */
        public fun maxPacketsPerConnection(packets: Long): Builder =
            set { copy(maxPacketsPerConnection = packets) }

        /** The address of the product's updates: `https://`, or `http://` to loopback addresses. */
        public fun updateUrl(url: String): Builder = set { copy(updateUrl = url) }

        /**
         * Adds a key that may sign a release. Where there is one, the identity keys may not.
         *
         * @param key 64 hexadecimal digits, or base64.
         */
        public fun releaseKey(key: String): Builder = set { copy(releaseKeys = releaseKeys + key) }

        /** The largest update that is downloaded, in bytes; above zero. */
        public fun maxUpdateBytes(bytes: Long): Builder = set { copy(maxUpdateBytes = bytes) }

        /** How many tracked events may wait for their delivery; between 1 and 1 000 000. */
        public fun maxQueuedEvents(events: Int): Builder = set { copy(maxQueuedEvents = events) }

        /**
         * How many bytes the waiting events may take, names and data as MessagePack and 35 bytes for each;
         * between 128 KiB and 256 MiB.
         */
        public fun maxQueuedEventBytes(bytes: Long): Builder = set { copy(maxQueuedEventBytes = bytes) }

        /** What happens to an event for which there is no room. */
        public fun eventOverflow(overflow: EventOverflow): Builder = set { copy(eventOverflow = overflow) }

        /** When tracking an event is done. */
        public fun eventDurability(durability: EventDurability): Builder =
            set { copy(eventDurability = durability) }

        /** Adds root certificates that are trusted beside the system's: one or more in PEM, or one in DER. */
        public fun extraRootCertificate(certificate: ByteArray): Builder =
            set { copy(extraRootCertificates = extraRootCertificates + listOf(certificate.copyOf())) }

        /** Which proxy leads to the server. */
        public fun proxy(proxy: SkylineProxy): Builder = set { copy(proxy = proxy) }

        /**
         * Whether `ws://` is allowed to an address that is not loopback. The packets are encrypted all the
         * same; what is lost is the second layer and the hiding of the traffic's shape.
         */
        public fun allowPlaintext(allow: Boolean): Builder = set { copy(allowPlaintext = allow) }

        /** The salt of the key derivation, for deployments that use one (docs/protocol.md, section 2). */
        public fun hkdfSalt(salt: ByteArray): Builder = set { copy(hkdfSalt = salt.copyOf()) }

        /** The info of the key derivation, for deployments that use one (docs/protocol.md, section 2). */
        public fun hkdfInfo(info: ByteArray): Builder = set { copy(hkdfInfo = info.copyOf()) }

        /** Whether payloads are sent inline instead of as binary data (docs/protocol.md, section 3). */
        public fun inlinePayloads(inline: Boolean): Builder = set { copy(inlinePayloads = inline) }

        /** How `@Serializable` types are written and read by the typed calls. */
        public fun json(json: Json): Builder = set { copy(json = json) }

        /** The configuration with the settings so far; changing the builder later does not change it. */
        public fun build(): SkylineConfiguration = SkylineConfiguration(settings)

        private inline fun set(change: Settings.() -> Settings): Builder =
            apply { settings = settings.change() }
    }

    public companion object {
        /** Reads what it knows and ignores what a newer server adds. */
        @JvmField
        public val DEFAULT_JSON: Json = Json { ignoreUnknownKeys = true }

        /** A builder; see [Builder] for the parameters. */
        @JvmStatic
        public fun builder(
            productId: String,
            productVersion: String,
            licenseKey: String,
        ): Builder = Builder(productId, productVersion, licenseKey)

        /** The configuration that [configure] makes; see [Builder] for the parameters. */
        @JvmSynthetic
        public inline operator fun invoke(
            productId: String,
            productVersion: String,
            licenseKey: String,
            configure: Builder.() -> Unit,
        ): SkylineConfiguration = Builder(productId, productVersion, licenseKey).apply(configure).build()
    }
}
