package pro.telepower.skyline

import org.slf4j.Logger
import org.slf4j.LoggerFactory
import pro.telepower.skyline.internal.LogLevel
import pro.telepower.skyline.internal.LogRecord
import pro.telepower.skyline.internal.LogSink
import pro.telepower.skyline.internal.clearLogSink
import pro.telepower.skyline.internal.setLogLevel
import pro.telepower.skyline.internal.setLogSink

/**
 * The library's log, which goes to SLF4J: to the logger [ROOT] and those below it.
 *
 * Records below the level of the logger [ROOT] are not even made. The level is read at each connect; after
 * changing it while clients are connected, call [refresh]. Records come from a thread of their own, so a slow
 * appender delays no call; those that it cannot keep up with are dropped and counted. No record holds a
 * license key, a token or another secret.
 */
public object SkylineLogging {
    /** The name of the topmost logger. */
    public const val ROOT: String = "pro.telepower.skyline"

    private var installed: LogLevel? = null

    /** Makes the library follow the present level of the logger [ROOT]. */
    @JvmStatic
    public fun refresh() {
        val level = LoggerFactory.getLogger(ROOT).level()
        synchronized(this) {
            when {
                level == installed -> return
                level == null -> clearLogSink()
                installed == null -> setLogSink(level, Slf4jSink)
                else -> setLogLevel(level)
            }
            installed = level
        }
    }

    private fun Logger.level(): LogLevel? =
        when {
            isTraceEnabled -> LogLevel.TRACE
            isDebugEnabled -> LogLevel.DEBUG
            isInfoEnabled -> LogLevel.INFO
            isWarnEnabled -> LogLevel.WARN
            isErrorEnabled -> LogLevel.ERROR
            else -> null
        }
}

private object Slf4jSink : LogSink {
    override fun log(record: LogRecord) {
        val logger = LoggerFactory.getLogger(loggerName(record.target))
        when (record.level) {
            LogLevel.TRACE -> logger.trace(record.text)
            LogLevel.DEBUG -> logger.debug(record.text)
            LogLevel.INFO -> logger.info(record.text)
            LogLevel.WARN -> logger.warn(record.text)
            LogLevel.ERROR -> logger.error(record.text)
        }
    }

    /** `skyline::connection` → `pro.telepower.skyline.connection`, `skyline_protocol` → `….skyline.protocol` */
    private fun loggerName(target: String): String =
        "pro.telepower." + target.replaceFirst("skyline_", "skyline.").replace("::", ".")
}
