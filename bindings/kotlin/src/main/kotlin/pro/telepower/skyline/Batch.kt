package pro.telepower.skyline

import kotlinx.coroutines.CancellableContinuation
import kotlinx.coroutines.suspendCancellableCoroutine
import pro.telepower.skyline.internal.ClientHandle
import pro.telepower.skyline.internal.FailureDetails
import java.util.concurrent.atomic.AtomicInteger
import kotlin.coroutines.resume

/**
 * One of the calls that [SkylineClient.callMany] makes at once.
 *
 * @property method the method's name.
 * @property payload what goes with it, in the form that the function takes.
 */
public class BatchCall<out Payload>(
    public val method: String,
    public val payload: Payload,
)

/** How one of the calls of [SkylineClient.callMany] ended. */
public sealed class BatchResult<out Answer> {
    /** The answer; throws the [SkylineException] with which the call failed. */
    public abstract fun get(): Answer

    /**
     * The call was answered.
     *
     * @property answer the answer, in the form that the function gives.
     */
    public class Answered<out Answer>(
        public val answer: Answer,
    ) : BatchResult<Answer>() {
        override fun get(): Answer = answer
    }

    /**
     * The call failed.
     *
     * @property failure why.
     */
    public class Failed(
        public val failure: SkylineException,
    ) : BatchResult<Nothing>() {
        override fun get(): Nothing = throw failure
    }
}

/**
 * Makes calls at once and awaits them all; cancelling the coroutine cancels those that are open.
 *
 * What [encode] or [decode] refuses with a [SkylineException] is the failure of its call alone.
 */
internal suspend fun <Payload, Answer> ClientHandle.callMany(
    calls: List<BatchCall<Payload>>,
    terms: CallTerms,
    encode: (Payload) -> ByteArray?,
    decode: (ByteArray?) -> Answer,
): List<BatchResult<Answer>> {
    val results = arrayOfNulls<Any?>(calls.size)
    val sound = ArrayList<Pair<Int, ByteArray?>>(calls.size)
    for ((index, call) in calls.withIndex()) {
        try {
            sound += index to encode(call.payload)
        } catch (refused: SkylineException) {
            results[index] = refused
        }
    }
    if (sound.isNotEmpty()) {
        onThreadsOfItsOwn {
            suspendCancellableCoroutine { continuation ->
                val batch = Batch(results, sound.size, continuation)
                val made =
                    sound.map { (index, payload) ->
                        Call(this, calls[index].method.utf8(), payload, terms) { batch.put(index, it) }
                    }
                CompletionQueue.submit(made)
                continuation.invokeOnCancellation { made.forEach(CompletionQueue::cancel) }
            }
        }
    }
    return results.map { result -> resultOf(result, decode) }
}

private fun <Answer> resultOf(
    result: Any?,
    decode: (ByteArray?) -> Answer,
): BatchResult<Answer> =
    when (result) {
        is FailureDetails -> {
            BatchResult.Failed(result.toException())
        }

        is SkylineException -> {
            BatchResult.Failed(result)
        }

        is Throwable -> {
            throw result
        }

        else -> {
            try {
                BatchResult.Answered(decode(result as ByteArray?))
            } catch (refused: SkylineException) {
                BatchResult.Failed(refused)
            }
        }
    }

/** Gathers the outcomes of calls, as [Waiting] is told them, in [results]. */
private class Batch(
    private val results: Array<Any?>,
    count: Int,
    private val continuation: CancellableContinuation<Unit>,
) {
    private val open = AtomicInteger(count)

    fun put(
        index: Int,
        result: Any?,
    ) {
        results[index] = result
        if (open.decrementAndGet() == 0) continuation.resume(Unit)
    }
}
