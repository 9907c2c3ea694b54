import Foundation
internal import SkylineNative

/// What tells this device from others; a license is bound to it at its first login.
public struct DeviceIdentity: Sendable, Hashable {
    /// The serial number of the system.
    public var serialNumber: String
    /// The UUID of the system (SMBIOS type 1, "csproduct").
    public var csProductUUID: String

    /// An identity that the application supplies, as it must on phones.
    ///
    /// - Parameters:
    ///   - serialNumber: The serial number of the system, or a value as lasting.
    ///   - csProductUUID: The UUID of the system, or a value as lasting.
    public init(serialNumber: String, csProductUUID: String) {
        self.serialNumber = serialNumber
        self.csProductUUID = csProductUUID
    }

    /// Finds out this device's identity: from the system's firmware tables, or from the machine's
    /// id where those cannot be read. What was chosen is remembered, so that it stays the same.
    ///
    /// - Parameter stateFolder: Where the choice is remembered; `nil` is `skyline` in the user's
    ///   local data folder. The same folder as ``Configuration/stateFolder``.
    /// - Returns: The identity of this device.
    /// - Throws: ``SkylineError``, with the code ``SkylineError/Code/invalidConfiguration`` and the
    ///   field `device` where nothing usable is found.
    public static func detect(stateFolder: URL? = nil) throws -> DeviceIdentity {
        do {
            return DeviceIdentity(try detectDeviceIdentity(stateFolder: stateFolder?.path))
        } catch let failure as SkylineNative.Failure {
            throw failure.error
        }
    }

    private init(_ native: SkylineNative.DeviceIdentity) {
        self.init(serialNumber: native.serialNumber, csProductUUID: native.csProductUuid)
    }

    var native: SkylineNative.DeviceIdentity {
        .init(serialNumber: serialNumber, csProductUuid: csProductUUID)
    }
}
