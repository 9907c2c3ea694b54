package pro.telepower.skyline

import pro.telepower.skyline.internal.detectDeviceIdentity
import java.nio.file.Path
import pro.telepower.skyline.internal.DeviceIdentity as NativeDeviceIdentity

/**
 * What tells this device from others; the server binds a license to it at the first login.
 *
 * @property serialNumber the serial number of the system; not empty.
 * @property csProductUuid the UUID of the computer system product (SMBIOS type 1).
 */
public data class DeviceIdentity(
    public val serialNumber: String,
    public val csProductUuid: String,
) {
    internal fun toNative(): NativeDeviceIdentity = NativeDeviceIdentity(serialNumber, csProductUuid)

    public companion object {
        /**
         * The identity of this machine: what the firmware says, or a stand-in derived from the machine's
         * id. A client whose configuration names no identity uses the same. Reads files: don't call it
         * where blocking for milliseconds matters.
         *
         * @param stateFolder where the choice of the source is remembered; `skyline` in the user's local
         *   data folder when null.
         * @throws SkylineException.InvalidConfiguration with the field `device` where nothing usable is
         *   found, as on phones: the application must supply its own there.
         */
        @JvmStatic
        @JvmOverloads
        public fun detect(stateFolder: Path? = null): DeviceIdentity {
            Core.prepare()
            val device = translatingFailures { detectDeviceIdentity(stateFolder?.toString()) }
            return DeviceIdentity(device.serialNumber, device.csProductUuid)
        }
    }
}
