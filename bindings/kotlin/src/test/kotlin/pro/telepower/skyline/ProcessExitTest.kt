package pro.telepower.skyline

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.CsvSource
import java.nio.file.Files
import java.util.concurrent.TimeUnit

/**
 * A virtual machine ends in good order whatever the library is doing: with clients that nobody closed, calls
 * in flight, and the log on at its most talkative. See [ExitProgram].
 */
@Timeout(180)
class ProcessExitTest {
    private val server get() = TestServer.shared

    @ParameterizedTest
    @CsvSource("RETURN, 0", "EXIT, 3", "THROW, 1", "HOOK, 0", "HALT, 4")
    fun `the process ends as the program says`(
        way: ExitProgram.Way,
        expectedStatus: Int,
    ) {
        // Several times, for what goes wrong at the end of a process mostly does so now and then.
        repeat(4) {
            val output = Files.createTempFile("skyline-exit-", ".log")
            val program =
                ProcessBuilder(
                    System.getProperty("java.home") + "/bin/java",
                    "-XX:-CreateCoredumpOnCrash",
                    "-cp",
                    System.getProperty("surefire.test.class.path") ?: System.getProperty("java.class.path"),
                    ExitProgram::class.java.name,
                    way.name,
                    server.url,
                    server.identityKey,
                    server.issueLicense(),
                    server.newStateFolder().toString(),
                ).redirectErrorStream(true).redirectOutput(output.toFile()).start()
            val ended = program.waitFor(30, TimeUnit.SECONDS)
            if (!ended) program.destroyForcibly().waitFor()
            val text = Files.readString(output)
            Files.delete(output)
            assertTrue(ended, "$way hangs:\n$text")
            assertEquals(expectedStatus, program.exitValue(), text)
            assertTrue("about to end" in text, text)
            for (sign in listOf("JNA:", "panicked", "fatal error", "SIGSEGV", "SIGABRT")) {
                assertFalse(sign in text, text)
            }
            assertEquals(way == ExitProgram.Way.HOOK, "closed by the hook" in text, text)
        }
    }
}
