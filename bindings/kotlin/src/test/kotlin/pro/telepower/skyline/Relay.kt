package pro.telepower.skyline

import java.io.IOException
import java.net.InetAddress
import java.net.ServerSocket
import java.net.Socket
import java.util.concurrent.CopyOnWriteArrayList
import java.util.concurrent.atomic.AtomicLong
import kotlin.concurrent.thread

/**
 * Stands in front of a server of this machine and counts what that sends.
 *
 * @param target the server's port.
 * @param limit after how many bytes of the server's it falls silent.
 */
internal class Relay(
    private val target: Int,
    private val limit: Long = Long.MAX_VALUE,
) : AutoCloseable {
    private val listener = ServerSocket(0, BACKLOG, InetAddress.getLoopbackAddress())
    private val sockets = CopyOnWriteArrayList<Socket>()
    private val counted = AtomicLong()

    /** Where it listens. */
    val port: Int get() = listener.localPort

    /** How many bytes of the server's went through. */
    val passed: Long get() = counted.get()

    init {
        inBackground {
            while (true) {
                val client = listener.accept().also(sockets::add)
                val server = Socket(InetAddress.getLoopbackAddress(), target).also(sockets::add)
                inBackground { pass(client, server, AtomicLong(), Long.MAX_VALUE) }
                inBackground { pass(server, client, counted, limit) }
            }
        }
    }

    /** Passes bytes on until the end, or until [count] is at [limit]: the rest stays unread. */
    private fun pass(
        from: Socket,
        to: Socket,
        count: AtomicLong,
        limit: Long,
    ) {
        val buffer = ByteArray(BUFFER_BYTES)
        while (count.get() < limit) {
            val most = minOf(buffer.size.toLong(), limit - count.get()).toInt()
            val read = from.getInputStream().read(buffer, 0, most)
            if (read < 0) return to.shutdownOutput()
            to.getOutputStream().write(buffer, 0, read)
            count.addAndGet(read.toLong())
        }
    }

    private fun inBackground(body: () -> Unit) {
        thread(isDaemon = true, name = "relay") {
            try {
                body()
            } catch (_: IOException) {
                // One end is gone, or this relay was closed.
            }
        }
    }

    override fun close() {
        listener.close()
        sockets.forEach(Socket::close)
    }

    private companion object {
        const val BACKLOG = 10
        const val BUFFER_BYTES = 16 shl 10
    }
}
