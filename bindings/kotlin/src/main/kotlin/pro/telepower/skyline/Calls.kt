package pro.telepower.skyline

import kotlinx.coroutines.suspendCancellableCoroutine
import pro.telepower.skyline.internal.ClientHandle
import pro.telepower.skyline.internal.FailureDetails
import kotlin.coroutines.resume
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds

/** What a call is told beside its payload. */
internal class CallTerms(
    deadline: Duration?,
    idempotent: Boolean,
    json: Boolean,
) {
    /** As the library takes it; a millisecond that has begun counts, lest a short deadline be none. */
    val deadlineMs: Long =
        when {
            deadline == null -> DEFAULT_DEADLINE
            deadline <= Duration.ZERO -> 0
            else -> deadline.inWholeMilliseconds.let { if (it.milliseconds < deadline) it + 1 else it }
        }

    /** Those of `SkylineCallHeader`. */
    val flags: Int = (if (idempotent) IDEMPOTENT else 0) or (if (json) JSON else 0)

    private companion object {
        /** `UINT64_MAX`: the client's own. */
        const val DEFAULT_DEADLINE = -1L

        /** `SKYLINE_CALL_IDEMPOTENT` */
        const val IDEMPOTENT = 1

        /** `SKYLINE_CALL_JSON` */
        const val JSON = 4
    }
}

/** Makes a call and awaits the answer's payload; cancelling the coroutine cancels the call. */
internal suspend fun ClientHandle.call(
    method: String,
    payload: ByteArray?,
    terms: CallTerms,
): ByteArray? {
    val outcome =
        onThreadsOfItsOwn {
            suspendCancellableCoroutine<Any?> { continuation ->
                val call = Call(this, method.utf8(), payload, terms) { continuation.resume(it) }
                CompletionQueue.submit(call)
                continuation.invokeOnCancellation { CompletionQueue.cancel(call) }
            }
        }
    // Made here, an exception tells who has called.
    if (outcome is FailureDetails) throw outcome.toException()
    if (outcome is Throwable) throw outcome
    return outcome as ByteArray?
}

/**
 * The text as the library takes it.
 *
 * @throws java.nio.charset.CharacterCodingException when it holds half a character.
 */
internal fun String.utf8(): ByteArray = encodeToByteArray(throwOnInvalidSequence = true)
