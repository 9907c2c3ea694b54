package pro.telepower.skyline

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.ValueSource

/** The examples as `scripts/kotlin-example` built them: with nothing but the packed jar. */
@Timeout(120)
@EnabledIfEnvironmentVariable(named = "SKYLINE_EXAMPLES", matches = ".+")
class ExamplesTest {
    private val server get() = TestServer.shared

    private fun run(
        language: String,
        licenseKey: String,
    ): Pair<Int, List<String>> {
        val builder = ProcessBuilder(System.getenv("SKYLINE_EXAMPLES"), language).redirectErrorStream(true)
        builder.environment() +=
            mapOf(
                "SKYLINE_URL" to server.url,
                "SKYLINE_IDENTITY_KEY" to server.identityKey,
                "SKYLINE_LICENSE_KEY" to licenseKey,
                "SKYLINE_STATE_FOLDER" to server.newStateFolder().toString(),
            )
        val process = builder.start()
        val output = process.inputReader().readLines()
        return process.waitFor() to output
    }

    @ParameterizedTest
    @ValueSource(strings = ["kotlin", "java"])
    fun `an example activates a license with nothing but the jar`(language: String) {
        val (status, output) = run(language, server.issueLicense())
        val text = output.joinToString("\n")
        assertEquals(0, status, text)
        assertEquals("activated now: yes", output[0], text)
        assertEquals("plan: telepower.licensePlan.release.monthly", output[1], text)
        assertTrue("limit engine.limits.sendMessage.dailyLimit: 150" in output, text)
        assertEquals("event reported: app.navigation", output.last(), text)
        assertEquals(7, output.size, text)
    }

    @ParameterizedTest
    @ValueSource(strings = ["kotlin", "java"])
    fun `an example tells why it was refused`(language: String) {
        val (status, output) = run(language, "BBBBB-CCCCC-DDDDD-FFFFF-GGGGG")
        assertEquals(1, status)
        assertTrue(output.single().startsWith("LICENSE_NOT_FOUND: "), output.toString())
    }
}
