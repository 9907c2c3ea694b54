@file:Suppress("ktlint:standard:function-naming") // The names are the library's.

package pro.telepower.skyline.internal

import com.sun.jna.Native
import com.sun.jna.Pointer
import java.nio.ByteBuffer

/**
 * The library's C interface (skyline.h), as far as this package uses it: that of calls, whose generated
 * functions cost more than the call itself (docs/adr/0024). Both are doors to the same clients. What each
 * function does, and who may call it when, is said in `src/ffi/c/`.
 *
 * JNA binds these functions directly, without looking at each call's arguments one by one. A `size_t` is a
 * [Pointer], the one type of JNA's that has its width everywhere and costs nothing: see [size].
 */
object Plane {
    init {
        // The library that the generated code has loaded, under the name that it has used.
        val name = System.getProperty("uniffi.component.skyline.libraryOverride") ?: "skyline"
        Native.register(Plane::class.java, name)
    }

    external fun skyline_queue_new(error: Pointer?): Pointer?

    external fun skyline_queue_wait(
        queue: Pointer,
        timeoutMs: Long,
    ): Int

    external fun skyline_queue_drain(
        queue: Pointer,
        completions: ByteBuffer,
        capacity: Pointer?,
    ): Pointer?

    external fun skyline_submit_many(
        client: Pointer,
        queue: Pointer,
        records: ByteBuffer,
        length: Pointer?,
    ): Int

    external fun skyline_cancel(
        queue: Pointer,
        id: Long,
    )

    external fun skyline_call(
        client: Pointer,
        method: Pointer,
        methodLength: Pointer?,
        payload: Pointer?,
        payloadLength: Pointer?,
        deadlineMs: Long,
        flags: Int,
        patienceMs: Long,
        answer: Pointer,
    ): Int

    external fun skyline_answer_wait(
        answer: Pointer,
        patienceMs: Long,
    ): Int

    external fun skyline_answer_free(answer: Pointer)

    external fun skyline_error_details_json(error: Pointer): Pointer

    external fun skyline_client_free(client: Pointer)
}

/** A `size_t`. */
fun size(bytes: Int): Pointer? = if (bytes == 0) null else Pointer(bytes.toLong())

/** The number that a `size_t` is, of something that this package has the room for. */
fun Pointer?.toSize(): Int = Math.toIntExact(Pointer.nativeValue(this))

/**
 * A client as the C interface knows it, beside the generated [Client]. Whoever makes a call holds it until the
 * library has taken the call; when nobody holds it any more, the garbage collector frees it.
 */
class ClientHandle(
    client: Client,
) {
    /** A `SkylineClient *`. */
    val pointer: Pointer = Pointer(client.cHandle().toLong())

    @Volatile private var used = false

    init {
        // Not a lambda in this class, which could hold what it is to outlive.
        UniffiLib.CLEANER.register(this, FreeClient(pointer))
    }

    /**
     * Keeps this object from being collected before here, where a native function has just used [pointer]. Java
     * 8 has no `reachabilityFence`; a volatile write is in its place.
     */
    fun keepAlive() {
        used = true
    }
}

private class FreeClient(
    private val pointer: Pointer,
) : Runnable {
    override fun run() = Plane.skyline_client_free(pointer)
}
