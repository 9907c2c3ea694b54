package pro.telepower.skyline

import ch.qos.logback.classic.Level
import ch.qos.logback.classic.Logger
import kotlinx.coroutines.DelicateCoroutinesApi
import kotlinx.coroutines.GlobalScope
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.slf4j.LoggerFactory
import java.nio.file.Paths

/** A program that ends in the midst of everything; [ProcessExitTest] watches how. */
object ExitProgram {
    /** How the program ends. */
    enum class Way {
        /** `main` returns. */
        RETURN,

        /** `System.exit`. */
        EXIT,

        /** An exception that nobody catches. */
        THROW,

        /** `main` returns, and a shutdown hook closes the client. */
        HOOK,

        /** `Runtime.halt`, which runs no hooks. */
        HALT,
    }

    @OptIn(DelicateCoroutinesApi::class)
    @JvmStatic
    fun main(arguments: Array<String>) {
        val (way, url, identityKey, licenseKey, stateFolder) = arguments
        (LoggerFactory.getLogger(SkylineLogging.ROOT) as Logger).level = Level.TRACE
        val configuration =
            SkylineConfiguration("telepower", "7.0.3", licenseKey) {
                url(url)
                identityKey(identityKey)
                device(DeviceIdentity("SN-EXIT", "20240113-E0C2-646E-FDB1-E0C2646EFDB5"))
                stateFolder(Paths.get(stateFolder))
            }
        val clients = runBlocking { List(2) { SkylineClient.connect(configuration) } }
        for (client in clients) {
            repeat(10) { GlobalScope.launch { client.delayOnServer(30_000) } }
            GlobalScope.launch { while (true) client.echo("busy") }
            GlobalScope.launch { client.states.collect { } }
        }
        Thread.sleep(200)
        println("about to end")
        when (Way.valueOf(way)) {
            Way.RETURN -> {
                return
            }

            Way.EXIT -> {
                System.exit(3)
            }

            Way.THROW -> {
                throw IllegalStateException("nobody catches this")
            }

            Way.HALT -> {
                Runtime.getRuntime().halt(4)
            }

            Way.HOOK -> {
                Runtime.getRuntime().addShutdownHook(
                    Thread {
                        clients.forEach { it.close() }
                        println("closed by the hook")
                    },
                )
            }
        }
    }
}
