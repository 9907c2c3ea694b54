package pro.telepower.skyline

import com.sun.jna.Memory
import com.sun.jna.Native
import com.sun.jna.Pointer
import kotlinx.coroutines.runBlocking
import pro.telepower.skyline.internal.ClientHandle
import pro.telepower.skyline.internal.Plane
import pro.telepower.skyline.internal.size
import pro.telepower.skyline.internal.toSize
import java.util.concurrent.ConcurrentLinkedQueue

/**
 * Makes a call and waits for the answer's payload on this thread, which is the one that the library wakes.
 *
 * @throws InterruptedException when the thread is interrupted; that cancels the call.
 */
internal fun ClientHandle.callBlocking(
    method: String,
    payload: ByteArray?,
    terms: CallTerms,
): ByteArray? {
    // In the library a virtual thread would hold on to the thread that carries it.
    if (Thread.currentThread().javaClass ===
        virtualThread
    ) {
        return runBlocking { call(method, payload, terms) }
    }
    throwIfInterrupted()
    val call = idle.poll() ?: BlockingCall()
    try {
        return call.make(this, method.utf8(), payload, terms)
    } finally {
        // Cancels a call that was interrupted.
        Plane.skyline_answer_free(call.answer)
        idle += call
    }
}

/** What blocking calls need of native memory, and use again. */
private class BlockingCall {
    /** A `SkylineAnswer`: an error, a payload, its length, and what is the library's own. */
    val answer = Memory(4L * Native.POINTER_SIZE).apply { clear() }
    private val arguments = Memory(ARGUMENTS_BYTES)

    fun make(
        client: ClientHandle,
        method: ByteArray,
        payload: ByteArray?,
        terms: CallTerms,
    ): ByteArray? {
        val length = method.size.toLong() + (payload?.size ?: 0)
        if (length <= ARGUMENTS_BYTES) {
            begin(client, arguments, method, payload, terms)
        } else {
            Memory(length).use { begin(client, it, method, payload, terms) }
        }
        answer.getPointer(0)?.let { throw failureAt(it).toException() }
        val packed = answer.getPointer(Native.POINTER_SIZE.toLong()) ?: return null
        return packed.getByteArray(0, answer.getPointer(2L * Native.POINTER_SIZE).toSize())
    }

    private fun begin(
        client: ClientHandle,
        memory: Memory,
        method: ByteArray,
        payload: ByteArray?,
        terms: CallTerms,
    ) {
        memory.write(0, method, 0, method.size)
        var place: Pointer? = null
        if (payload != null) {
            memory.write(method.size.toLong(), payload, 0, payload.size)
            place = Pointer(Pointer.nativeValue(memory) + method.size)
        }
        var isDone =
            Plane.skyline_call(
                client.pointer,
                memory,
                size(method.size),
                place,
                size(payload?.size ?: 0),
                terms.deadlineMs,
                terms.flags,
                PATIENCE_MS,
                answer,
            )
        client.keepAlive()
        while (isDone == 0) {
            throwIfInterrupted()
            isDone = Plane.skyline_answer_wait(answer, PATIENCE_MS)
        }
    }

    private companion object {
        /** More than most calls need; a larger one gets memory of its own. */
        const val ARGUMENTS_BYTES = 4096L

        /**
         * How long a thread waits in the library at a time, in milliseconds: the library does not know when it
         * is interrupted. Nobody notices a tenth of a second.
         */
        const val PATIENCE_MS = 100L
    }
}

private val idle = ConcurrentLinkedQueue<BlockingCall>()

/** The class of virtual threads, where there are any. */
private val virtualThread: Class<*>? =
    try {
        Class.forName("java.lang.VirtualThread")
    } catch (_: ClassNotFoundException) {
        null
    }

private fun throwIfInterrupted() {
    if (Thread.interrupted()) throw InterruptedException()
}
