import Foundation

/// The settings of a ``Client``.
///
/// ``init(productID:productVersion:licenseKey:identityKeys:)`` takes what has no sensible default;
/// every other property has one, and `nil` stands for it. ``Client/connect(_:)`` checks them all and
/// names the first that is wrong, in ``SkylineError/field``.
///
/// Neither the description of a configuration nor `dump` nor the debugger shows the license key or
/// the proxy's address.
///
/// ```swift
/// var configuration = Configuration(
///     productID: "telepower",
///     productVersion: "7.0.3",
///     licenseKey: licenseKey,
///     identityKeys: [identityKey])
/// configuration.language = .russian
/// configuration.callDeadline = .seconds(10)
/// ```
public struct Configuration: Sendable {
    /// The product's id, as the licensing server knows it. Not empty.
    public var productID: String

    /// The product's version, for example `7.0.3`. Not empty.
    public var productVersion: String

    /// The license key: five groups of five letters and digits. Case and surrounding space do not
    /// matter.
    public var licenseKey: String

    /// The identity keys of the server that are trusted, each 32 bytes in hex or base64; at least
    /// one. Several let the server change its key without breaking old installs.
    public var identityKeys: [String]

    /// The server's address: `wss://`, or `ws://` to a loopback address. `nil` is the production
    /// server, `wss://skyline-prod.k8s.telepower.pro/ws`.
    public var url: URL?

    /// The language in which the server words its messages. English by default, as on the server.
    public var language: Language = .english

    /// What tells this device from others. `nil` is ``DeviceIdentity/detect(stateFolder:)``; on
    /// phones the application must supply its own.
    public var device: DeviceIdentity?

    /// The folder where the client keeps its last login and the source of the device's identity;
    /// made when absent. `nil` is `skyline` in the user's local data folder.
    public var stateFolder: URL?

    /// How long name resolution, TCP, proxy, TLS and the WebSocket may take together. `nil` is 10
    /// seconds: three retransmissions of a lost first packet fit in. More than zero.
    public var connectDeadline: Duration?

    /// How long the handshake and the login may take together, waiting for another process of the
    /// same product included. `nil` is 10 seconds: two round trips on the worst link. More than
    /// zero.
    public var handshakeDeadline: Duration?

    /// How long a call may take that names no deadline of its own, waiting for its turn included.
    /// `nil` is 30 seconds, the common patience of a person. More than zero.
    public var callDeadline: Duration?

    /// The longest wait before the first attempt after a loss; before each further one it doubles.
    /// The wait itself is drawn evenly from zero to it, so that the clients which one fault has
    /// thrown off do not come back all at once. `nil` is 0.5 seconds: a short hiccup is over by
    /// then. More than zero.
    public var reconnectInitialDelay: Duration?

    /// The longest wait before any attempt; a server that asks for more gets it. `nil` is 60
    /// seconds: a service that comes back is found within a minute. From ``reconnectInitialDelay``
    /// to a day.
    public var reconnectMaxDelay: Duration?

    /// How long a connection must last before the waits begin again with the shortest. `nil` is 60
    /// seconds: a server that drops its clients right after the login is not stormed.
    public var reconnectStableAfter: Duration?

    /// The largest packet in bytes, in either direction; 4 KiB to 1 GiB. `nil` is 16 MiB, the
    /// protocol's own limit.
    public var maxPacketBytes: Int?

    /// How many calls may be in flight; further ones wait for their turn. At least 1. `nil` is
    /// 1024: enough to fill any link, few enough that a server that stopped answering is noticed.
    public var maxCallsInFlight: Int?

    /// How many bytes of payload may be in flight; further calls wait. At least 1. `nil` is 64 MiB,
    /// four of the largest packets.
    public var maxBytesInFlight: Int?

    /// After how many packets the client moves to a fresh connection and key. At least 4. `nil` is
    /// just below 2^32, the protocol's bound for one key.
    public var maxPacketsPerConnection: Int?

    /// How many tracked events may wait for their delivery; see ``Client/track(_:_:)``. From 1 to
    /// 1 000 000. `nil` is 10 000: weeks of a product that reports every screen its user opens,
    /// offline.
    public var maxQueuedEvents: Int?

    /// How many bytes they may take, in memory and, at up to three times that, on disk: names and
    /// data as MessagePack, and 35 bytes for each event. From 128 KiB to 256 MiB. `nil` is 16 MiB.
    public var maxQueuedEventBytes: Int?

    /// When tracking an event is done. ``EventDurability/buffered`` by default.
    public var eventDurability: EventDurability = .buffered

    /// What happens to an event for which the queue has no room. ``EventOverflow/dropOldest`` by
    /// default.
    public var eventOverflow: EventOverflow = .dropOldest

    /// The address of the product's updates: `https://`, or `http://` to a loopback address. `nil`
    /// is `/updates/` and the product's id on the host of ``url``.
    public var updateURL: URL?

    /// The keys that may sign a release, each 32 bytes in hex or base64. Where there are any, the
    /// ``identityKeys`` may not. None by default.
    public var releaseKeys: [String] = []

    /// The largest update that is downloaded, in bytes. At least 1. `nil` is 2 GiB: few products
    /// are larger, and a mistaken release does not fill the disk.
    public var maxUpdateBytes: Int64?

    /// Root certificates that are trusted beside those of the operating system, each one or more in
    /// PEM or one in DER. None by default.
    public var extraRootCertificates: [Data] = []

    /// Which proxy leads to the server. That of the environment by default.
    public var proxy: Proxy = .environment

    /// Whether `ws://` is allowed to an address that is not loopback. The packets are encrypted all
    /// the same; what is lost is the second layer. `false` by default.
    public var allowPlaintext = false

    /// The salt of the key derivation, for deployments that use one. `nil` is none.
    public var hkdfSalt: Data?

    /// The info of the key derivation, for deployments that use one. `nil` is empty.
    public var hkdfInfo: Data?

    /// Whether payloads are sent inline instead of as binary data, for servers that want it.
    /// `false` by default.
    public var inlinePayloads = false

    /// A configuration with the defaults for everything that has one.
    ///
    /// - Parameters:
    ///   - productID: The product's id, as the licensing server knows it.
    ///   - productVersion: The product's version.
    ///   - licenseKey: The license key.
    ///   - identityKeys: The identity keys of the server that are trusted, in hex or base64.
    public init(
        productID: String, productVersion: String, licenseKey: String, identityKeys: [String]
    ) {
        self.productID = productID
        self.productVersion = productVersion
        self.licenseKey = licenseKey
        self.identityKeys = identityKeys
    }
}

extension Configuration {
    /// The language of the server's sentences.
    public struct Language: RawRepresentable, Sendable, Hashable, ExpressibleByStringLiteral {
        /// The name that the server knows, for example `english`.
        public let rawValue: String

        /// A language by its name.
        ///
        /// - Parameter rawValue: The name that the server knows.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// A language by its name.
        ///
        /// - Parameter value: The name that the server knows.
        public init(stringLiteral value: String) { self.init(rawValue: value) }

        /// English; also what the server takes for a language that it does not know.
        public static let english: Language = "english"
        /// Russian.
        public static let russian: Language = "russian"
    }

    /// When tracking an event is done.
    public enum EventDurability: Sendable, Hashable, CaseIterable {
        /// At once; the event is written to the disk within milliseconds. A killed process loses
        /// the events of its last milliseconds, a power cut those of some seconds.
        case buffered
        /// When the event is on the disk: neither a killed process nor a power cut loses it.
        case synced
    }

    /// What happens to an event for which the queue has no room.
    public enum EventOverflow: Sendable, Hashable, CaseIterable {
        /// The oldest events are dropped in favour of the new one, and counted in
        /// ``EventCounters/dropped``.
        case dropOldest
        /// The new event is refused with ``SkylineError/Code/eventQueueFull``.
        case refuse
    }

    /// Which proxy leads to the server.
    public enum Proxy: Sendable, Hashable {
        /// That of the environment: `HTTPS_PROXY` or `ALL_PROXY`, unless `NO_PROXY` names the host.
        case environment
        /// None, whatever the environment says.
        case direct
        /// The one at this address: `http://`, `socks5://` (names are resolved here) or
        /// `socks5h://` (names are resolved by the proxy), with `user:password@` where it wants
        /// them.
        case url(String)
    }
}

extension Configuration: CustomReflectable, CustomStringConvertible, CustomDebugStringConvertible {
    /// The settings, without the license key.
    public var customMirror: Mirror {
        Mirror(
            self,
            children: [
                "productID": productID,
                "productVersion": productVersion,
                "licenseKey": "<redacted>",
                "identityKeys": identityKeys,
                "url": url as Any,
                "language": language.rawValue,
                "device": device as Any,
                "stateFolder": stateFolder as Any,
                "connectDeadline": connectDeadline as Any,
                "handshakeDeadline": handshakeDeadline as Any,
                "callDeadline": callDeadline as Any,
                "reconnectInitialDelay": reconnectInitialDelay as Any,
                "reconnectMaxDelay": reconnectMaxDelay as Any,
                "reconnectStableAfter": reconnectStableAfter as Any,
                "maxPacketBytes": maxPacketBytes as Any,
                "maxCallsInFlight": maxCallsInFlight as Any,
                "maxBytesInFlight": maxBytesInFlight as Any,
                "maxPacketsPerConnection": maxPacketsPerConnection as Any,
                "maxQueuedEvents": maxQueuedEvents as Any,
                "maxQueuedEventBytes": maxQueuedEventBytes as Any,
                "eventDurability": eventDurability,
                "eventOverflow": eventOverflow,
                "updateURL": updateURL as Any,
                "releaseKeys": releaseKeys,
                "maxUpdateBytes": maxUpdateBytes as Any,
                "extraRootCertificates": extraRootCertificates,
                "proxy": proxy,
                "allowPlaintext": allowPlaintext,
                "hkdfSalt": hkdfSalt as Any,
                "hkdfInfo": hkdfInfo as Any,
                "inlinePayloads": inlinePayloads,
            ],
            displayStyle: .struct)
    }

    /// The settings, without the license key.
    public var description: String {
        let settings = customMirror.children.map { "\($0.label ?? ""): \($0.value)" }
        return "Configuration(\(settings.joined(separator: ", ")))"
    }

    /// The settings, without the license key.
    public var debugDescription: String { description }
}

extension Configuration.Proxy: CustomReflectable, CustomStringConvertible,
    CustomDebugStringConvertible
{
    /// Nothing: the address may hold a password.
    public var customMirror: Mirror { Mirror(self, children: []) }

    /// The case, without the address, which may hold a password.
    public var description: String {
        switch self {
        case .environment: "environment"
        case .direct: "direct"
        case .url: "url(<redacted>)"
        }
    }

    /// The case, without the address, which may hold a password.
    public var debugDescription: String { description }
}
