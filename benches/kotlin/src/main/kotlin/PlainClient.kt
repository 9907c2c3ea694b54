import java.io.ByteArrayOutputStream
import java.net.URI
import java.net.http.HttpClient
import java.net.http.WebSocket
import java.nio.ByteBuffer
import java.util.concurrent.CompletableFuture
import java.util.concurrent.CompletionStage
import java.util.concurrent.ConcurrentHashMap

/** The server's status was not OK. */
class CallException(
    text: String,
) : Exception(text)

/**
 * A connection that makes calls, over Java's own WebSocket.
 *
 * Calls are pipelined: a call writes its packet at once, unless an earlier one is still being written, for
 * Java takes one message at a time. It has no deadlines, no reconnecting and no bounds, which all cost time.
 */
class PlainClient(
    private val session: PlainSession,
) : WebSocket.Listener {
    private val waiting = ConcurrentHashMap<Long, CompletableFuture<ByteArray?>>()
    private val hello = CompletableFuture<ByteArray>()
    private lateinit var socket: WebSocket

    // Those that are being written, the first of them by the socket. Guarded by the session.
    private val sending = ArrayDeque<ByteBuffer>()

    // The parts of a message that has not come whole.
    private val received = ByteArrayOutputStream()

    fun connect(url: String) {
        // What waits for an answer goes on at once, on the thread that has read it: it never blocks.
        val http = HttpClient.newBuilder().executor(Runnable::run).build()
        socket = http.newWebSocketBuilder().buildAsync(URI(url), this).join()
        socket.sendBinary(ByteBuffer.wrap(session.hello()), true).join()
        session.finish(hello.join())
    }

    fun call(
        method: String,
        payload: ByteArray?,
    ): CompletableFuture<ByteArray?> {
        val answer = CompletableFuture<ByteArray?>()
        synchronized(session) {
            val (seq, packet) = session.request(method, payload)
            waiting[seq] = answer
            sending += packet
            if (sending.size == 1) send()
        }
        return answer
    }

    private fun send() {
        while (sending.isNotEmpty()) {
            val sent = socket.sendBinary(sending.first(), true)
            if (!sent.isDone || sent.isCompletedExceptionally) {
                sent.whenComplete { _, failure ->
                    if (failure == null) synchronized(session) { sentFirst() } else fail(failure)
                }
                return
            }
            sending.removeFirst()
        }
    }

    private fun sentFirst() {
        sending.removeFirst()
        send()
    }

    override fun onOpen(webSocket: WebSocket) = webSocket.request(Long.MAX_VALUE)

    override fun onBinary(
        webSocket: WebSocket,
        data: ByteBuffer,
        last: Boolean,
    ): CompletionStage<*>? {
        val part = ByteArray(data.remaining()).also(data::get)
        if (!last || received.size() > 0) received.write(part)
        if (last) take(part)
        return null
    }

    private fun take(lastPart: ByteArray) {
        val message = if (received.size() == 0) lastPart else received.toByteArray().also { received.reset() }
        if (!hello.isDone) {
            hello.complete(message)
            return
        }
        val response = session.response(message)
        val answer = checkNotNull(waiting.remove(response.seq)) { "an answer to nothing" }
        if (response.status == "OK") {
            answer.complete(response.payload)
        } else {
            answer.completeExceptionally(CallException("${response.status}: ${response.text}"))
        }
    }

    override fun onClose(
        webSocket: WebSocket,
        statusCode: Int,
        reason: String,
    ): CompletionStage<*>? {
        fail(CallException("the server hung up"))
        return null
    }

    override fun onError(
        webSocket: WebSocket,
        error: Throwable,
    ) = fail(error)

    private fun fail(failure: Throwable) {
        hello.completeExceptionally(failure)
        waiting.values.forEach { it.completeExceptionally(failure) }
    }

    fun close() = socket.abort()
}
