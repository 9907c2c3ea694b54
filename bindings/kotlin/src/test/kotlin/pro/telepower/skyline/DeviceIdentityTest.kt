package pro.telepower.skyline

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.nio.file.Path

class DeviceIdentityTest {
    @Test
    fun `a device keeps its identity, or the application is told to supply one`(
        @TempDir stateFolder: Path,
    ) {
        try {
            val device = DeviceIdentity.detect(stateFolder)
            assertTrue(device.serialNumber.isNotBlank() && device.csProductUuid.isNotBlank())
            assertEquals(device, DeviceIdentity.detect(stateFolder))
        } catch (failure: SkylineException.InvalidConfiguration) {
            // A machine without an identity, such as a bare container.
            assertEquals("device", failure.field)
        }
    }
}
