package pro.telepower.skyline

import ch.qos.logback.classic.Level
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout

@Timeout(90)
class SkylineLoggingTest {
    private val server get() = TestServer.shared

    private fun session() = inCoroutine { SkylineClient.connect(server.configuration()).use { it.limits() } }

    @Test
    fun `records arrive below the package's logger, from a daemon thread`() {
        collectingLog(Level.TRACE) { records ->
            session()
            waitUntil("there are records") { records().isNotEmpty() }
            for (record in records()) {
                assertTrue(record.loggerName.startsWith("pro.telepower.skyline."), record.loggerName)
                assertTrue(':' !in record.loggerName && '_' !in record.loggerName, record.loggerName)
                assertTrue(record.threadName.startsWith("skyline-core"), record.threadName)
            }
            val threads = Thread.getAllStackTraces().keys.filter { it.name.startsWith("skyline-core") }
            assertTrue(threads.isNotEmpty() && threads.all { it.isDaemon })
        }
    }

    @Test
    fun `the level of the logger is followed`() {
        collectingLog(Level.OFF) { records ->
            session()
            assertEquals(0, records().size)
        }
        collectingLog(Level.INFO) { records ->
            session()
            session()
            waitUntil("there are records") { records().isNotEmpty() }
            assertTrue(records().all { it.level.isGreaterOrEqual(Level.INFO) })
        }
    }

    @Test
    fun `clients work on when the logger throws`() {
        collectingLog(Level.TRACE) {
            val logger =
                org.slf4j.LoggerFactory.getLogger(
                    SkylineLogging.ROOT,
                ) as ch.qos.logback.classic.Logger
            val broken =
                object : ch.qos.logback.core.AppenderBase<ch.qos.logback.classic.spi.ILoggingEvent>() {
                    override fun doAppend(event: ch.qos.logback.classic.spi.ILoggingEvent): Unit =
                        throw IllegalStateException("the disk is full")

                    override fun append(event: ch.qos.logback.classic.spi.ILoggingEvent) = Unit
                }
            logger.addAppender(broken.apply { start() })
            try {
                session()
            } finally {
                logger.detachAppender(broken)
            }
        }
        session()
    }
}
