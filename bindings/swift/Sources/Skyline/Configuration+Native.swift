import Foundation
internal import SkylineNative

extension Configuration {
    /// The settings as the core takes them.
    var native: SkylineNative.Configuration {
        SkylineNative.Configuration(
            productId: productID,
            productVersion: productVersion,
            licenseKey: SecretText(text: licenseKey),
            identityKeys: identityKeys,
            url: url?.absoluteString,
            language: language.rawValue,
            device: device?.native,
            stateFolder: stateFolder?.path,
            connectDeadline: connectDeadline?.seconds,
            handshakeDeadline: handshakeDeadline?.seconds,
            callDeadline: callDeadline?.seconds,
            reconnectInitialDelay: reconnectInitialDelay?.seconds,
            reconnectMaxDelay: reconnectMaxDelay?.seconds,
            reconnectStableAfter: reconnectStableAfter?.seconds,
            // Clamped: a negative number becomes 0, which the core refuses by the setting's name.
            maxPacketBytes: maxPacketBytes.map { UInt64(clamping: $0) },
            maxCallsInFlight: maxCallsInFlight.map { UInt32(clamping: $0) },
            maxBytesInFlight: maxBytesInFlight.map { UInt64(clamping: $0) },
            maxPacketsPerConnection: maxPacketsPerConnection.map { UInt64(clamping: $0) },
            maxQueuedEvents: maxQueuedEvents.map { UInt32(clamping: $0) },
            maxQueuedEventBytes: maxQueuedEventBytes.map { UInt64(clamping: $0) },
            eventDurability: eventDurability.native,
            eventOverflow: eventOverflow.native,
            updateUrl: updateURL?.absoluteString,
            releaseKeys: releaseKeys,
            maxUpdateBytes: maxUpdateBytes.map { UInt64(clamping: $0) },
            extraRootCertificates: extraRootCertificates,
            proxy: proxy.native,
            allowPlaintext: allowPlaintext,
            hkdfSalt: hkdfSalt,
            hkdfInfo: hkdfInfo,
            inlinePayloads: inlinePayloads)
    }

    /// The property of this type that holds a setting of the core: `product_id` is ``productID``,
    /// `update_url` is ``updateURL``.
    static func propertyName(ofSetting setting: String) -> String {
        let words = setting.split(separator: "_")
        let capitalized = words.dropFirst().map {
            ["id", "url"].contains($0) ? $0.uppercased() : $0.capitalized
        }
        return (words.prefix(1).map(String.init) + capitalized).joined()
    }
}

extension Configuration.EventDurability {
    fileprivate var native: SkylineNative.EventDurability {
        switch self {
        case .buffered: .buffered
        case .synced: .synced
        }
    }
}

extension Configuration.EventOverflow {
    fileprivate var native: SkylineNative.EventOverflow {
        switch self {
        case .dropOldest: .dropOldest
        case .refuse: .refuse
        }
    }
}

extension Configuration.Proxy {
    fileprivate var native: SkylineNative.Proxy {
        switch self {
        case .environment: .environment
        case .direct: .direct
        case .url(let url): .url(url: SecretText(text: url))
        }
    }
}
