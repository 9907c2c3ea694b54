package pro.telepower.skyline

import com.sun.jna.Memory
import com.sun.jna.Native
import com.sun.jna.Pointer
import pro.telepower.skyline.internal.ClientHandle
import pro.telepower.skyline.internal.FailureDetails
import pro.telepower.skyline.internal.Plane
import pro.telepower.skyline.internal.size
import pro.telepower.skyline.internal.toSize
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.atomic.AtomicBoolean
import java.util.concurrent.atomic.AtomicLong
import kotlin.concurrent.thread

/** Who waits for a call. */
internal fun interface Waiting {
    /**
     * The call is over. Told once, on the thread that serves all calls: it must not block.
     *
     * @param outcome the answer's payload as a [ByteArray], or null when it has none; [FailureDetails] when the
     *   call failed; a [Throwable] when the package itself did, by a defect or for want of memory.
     */
    fun over(outcome: Any?)
}

/** A call on its way. */
internal class Call(
    val client: ClientHandle,
    val method: ByteArray,
    val payload: ByteArray?,
    private val terms: CallTerms,
    val waiting: Waiting,
) {
    /** Set when the call is made. */
    var id = 0L

    /** Whether nobody waits any more. */
    @Volatile var isCancelled = false

    /** The bytes of its record. */
    val size get() = Math.addExact(HEADER_BYTES + method.size, payload?.size ?: 0)

    /** Writes its record: a `SkylineCallHeader`, the method, the payload. */
    fun write(buffer: ByteBuffer) {
        buffer.putLong(id).putLong(terms.deadlineMs)
        buffer.putInt(method.size).putInt(payload?.size ?: 0)
        buffer.putInt(if (payload == null) terms.flags else terms.flags or PAYLOAD).putInt(0)
        buffer.put(method)
        if (payload != null) buffer.put(payload)
    }

    private companion object {
        const val HEADER_BYTES = 32

        /** `SKYLINE_CALL_PAYLOAD` */
        const val PAYLOAD = 2
    }
}

/**
 * The calls of all clients and all threads, of which the library's completion queue and one thread take care.
 *
 * Calls that are made at the same time leave together: whoever finds nobody handing over hands over what is
 * there. What has come is fetched together, too, by the one thread.
 */
internal object CompletionQueue {
    /** How many completions are fetched at once: as many as the library gathers before it wakes anybody. */
    private const val CAPACITY = 1024

    private const val ID_BYTES = 8

    /** Of the struct, with its padding to the alignment of the id. */
    private val COMPLETION_BYTES = (ID_BYTES + 3 * Native.POINTER_SIZE + 7) / 8 * 8

    /** How much is handed over at once: some hundreds of small calls. A larger record goes alone. */
    private const val RECORDS_BYTES = 64 * 1024

    private val queue: Pointer =
        checkNotNull(Plane.skyline_queue_new(null)) { "the system has no descriptor left" }
    private val lastId = AtomicLong()
    private val pending = ConcurrentHashMap<Long, Call>()

    private val submitted = ConcurrentLinkedQueue<Call>()
    private val isHandingOver = AtomicBoolean()

    // For whoever is handing over.
    private val records = ByteBuffer.allocateDirect(RECORDS_BYTES).order(ByteOrder.nativeOrder())
    private val batch = ArrayList<Call>()

    init {
        // It has no end: it waits in the library when the virtual machine has its own.
        thread(isDaemon = true, name = "skyline-calls") { pump() }
    }

    /** Makes calls. */
    fun submit(calls: Collection<Call>) {
        calls.forEach(::enter)
        handOver()
    }

    /** Makes a call. */
    fun submit(call: Call) {
        enter(call)
        handOver()
    }

    /** Ends a call for which nobody waits any more, unless it is over. */
    fun cancel(call: Call) {
        // Before it asks the library: where that does not know the call yet, the one who hands it over asks.
        call.isCancelled = true
        if (pending.remove(call.id) != null) Plane.skyline_cancel(queue, call.id)
    }

    private fun enter(call: Call) {
        call.id = lastId.incrementAndGet()
        pending[call.id] = call
        submitted += call
    }

    private fun handOver() {
        while (!submitted.isEmpty() && isHandingOver.compareAndSet(false, true)) {
            try {
                while (true) {
                    val call = submitted.poll() ?: break
                    try {
                        take(call)
                    } catch (cause: Throwable) {
                        // For want of memory: that is this call's alone, whoever is handing over.
                        broke(call, cause)
                    }
                }
                send()
            } finally {
                isHandingOver.set(false)
            }
        }
    }

    private fun take(call: Call) {
        if (call.isCancelled) return
        if (batch.isNotEmpty() && (call.client !== batch[0].client || call.size > records.remaining())) send()
        if (call.size > RECORDS_BYTES) {
            Memory(call.size.toLong()).use { sendAlone(call, it) }
        } else {
            call.write(records)
            batch += call
        }
    }

    private fun sendAlone(
        call: Call,
        memory: Memory,
    ) {
        batch += call
        val record = memory.getByteBuffer(0, memory.size())
        call.write(record)
        send(record)
    }

    private fun send() {
        if (batch.isEmpty()) return
        send(records)
        records.clear()
    }

    private fun send(buffer: ByteBuffer) {
        val length = buffer.position()
        buffer.position(0)
        val kind = Plane.skyline_submit_many(batch[0].client.pointer, queue, buffer, size(length))
        for (call in batch) {
            if (kind != 0) broke(call, IllegalStateException("the library did not take the calls: $kind"))
            // Cancelled while it was handed over: the library may not have known it then.
            if (call.isCancelled) Plane.skyline_cancel(queue, call.id)
        }
        batch.clear()
    }

    private fun broke(
        call: Call,
        cause: Throwable,
    ) {
        if (pending.remove(call.id) != null) call.waiting.over(cause)
    }

    private fun pump() {
        val completions =
            ByteBuffer
                .allocateDirect(
                    CAPACITY * COMPLETION_BYTES,
                ).order(ByteOrder.nativeOrder())
        while (true) {
            Plane.skyline_queue_wait(queue, Long.MAX_VALUE)
            val count = Plane.skyline_queue_drain(queue, completions, size(CAPACITY)).toSize()
            for (index in 0 until count) complete(completions, index * COMPLETION_BYTES)
        }
    }

    /** Tells who waits about a `SkylineCompletion`: an id, an error, a payload and its length. */
    private fun complete(
        completions: ByteBuffer,
        at: Int,
    ) {
        val call = pending.remove(completions.getLong(at)) ?: return
        val outcome =
            try {
                outcomeAt(completions, at + ID_BYTES)
            } catch (cause: Throwable) {
                // For want of memory for a large payload: that is this call's alone.
                cause
            }
        try {
            call.waiting.over(outcome)
        } catch (cause: Throwable) {
            // The coroutine's dispatcher refused it. The others are still to get their answers.
            val thread = Thread.currentThread()
            thread.uncaughtExceptionHandler.uncaughtException(thread, cause)
        }
    }

    private fun outcomeAt(
        completions: ByteBuffer,
        at: Int,
    ): Any? {
        val error = completions.pointer(at)
        if (error != null) return failureAt(error)
        val payload = completions.pointer(at + Native.POINTER_SIZE) ?: return null
        return payload.getByteArray(0, completions.pointer(at + 2 * Native.POINTER_SIZE).toSize())
    }
}

/** The pointer, or the `size_t`, in a struct that the library wrote. */
private fun ByteBuffer.pointer(at: Int): Pointer? {
    val address = if (Native.POINTER_SIZE == 8) getLong(at) else getInt(at).toLong() and 0xffff_ffff
    return if (address == 0L) null else Pointer(address)
}
