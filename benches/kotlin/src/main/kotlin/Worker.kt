// What the workers share: the task of the environment, the callers, and the report.
// benches/README.md has the contract.

import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.channels.SendChannel
import kotlinx.coroutines.coroutineScope
import org.msgpack.core.MessageBufferPacker
import org.msgpack.core.MessagePack
import java.util.Locale
import java.util.concurrent.locks.LockSupport
import kotlin.concurrent.thread
import kotlin.math.roundToInt

/** The load to make, and for how long, in nanoseconds; `rate` is calls per second of all callers together. */
class Task(
    val callers: Int,
    val payloadBytes: Int,
    val warmup: Long,
    val measured: Long,
    val rate: Double?,
)

fun variable(name: String): String = checkNotNull(System.getenv(name)) { "$name is not set" }

private fun nanoseconds(name: String): Long = (variable(name).toDouble() * 1e9).toLong()

fun taskOfEnvironment() =
    Task(
        callers = variable("BENCH_CALLERS").toInt(),
        payloadBytes = variable("BENCH_PAYLOAD_BYTES").toInt(),
        warmup = nanoseconds("BENCH_WARMUP_SECONDS"),
        measured = nanoseconds("BENCH_SECONDS"),
        rate = System.getenv("BENCH_RATE")?.takeIf(String::isNotEmpty)?.toDouble(),
    )

/** Writes MessagePack; keeps its buffer from one value to the next. */
class Packing {
    private val packer: MessageBufferPacker = MessagePack.newDefaultBufferPacker()

    fun pack(write: MessageBufferPacker.() -> Unit): ByteArray {
        packer.clear()
        packer.write()
        return packer.toByteArray()
    }
}

/** The payload of a call: the MessagePack of a bin. */
fun Packing.binary(bytes: ByteArray): ByteArray = pack { packBinaryHeader(bytes.size).writePayload(bytes) }

/** The answer to an echo must be as long as what was sent. */
fun check(
    answer: ByteArray?,
    length: Int,
) {
    val packed = MessagePack.newDefaultUnpacker(checkNotNull(answer) { "the answer is empty" })
    val bytes = packed.readPayload(packed.unpackBinaryHeader())
    check(bytes.size == length) { "the answer is not the $length bytes that were sent" }
}

/** Prints the one line; [latencies] are in nanoseconds. */
fun report(
    task: Task,
    outcome: Outcome,
    connectedIn: Long,
) {
    val latencies = outcome.latencies?.let { ""","latency_us":{${percentiles(it)}}""" }.orEmpty()
    val measured = task.measured / 1e9
    println("""{"calls":${outcome.calls},"seconds":$measured,"connect_ms":${connectedIn / 1e6}$latencies}""")
}

private fun percentiles(latencies: List<Long>): String {
    check(latencies.isNotEmpty()) { "no call was measured" }
    val ordered = latencies.sorted()
    val quantiles = mapOf("p50" to 0.5, "p90" to 0.9, "p99" to 0.99, "p99.9" to 0.999, "max" to 1.0)
    return quantiles.entries.joinToString(",") { (name, quantile) ->
        val microseconds = ordered[(ordered.lastIndex * quantile).roundToInt()] / 1e3
        String.format(Locale.ROOT, "\"%s\":%.1f", name, microseconds)
    }
}

/** How many calls were answered within the measured time, and under a rate how long each took. */
class Outcome(
    val calls: Int,
    val latencies: List<Long>? = null,
)

/** Makes the load of [task] by [call], which throws unless its answer is what it should be. */
suspend fun load(
    task: Task,
    call: suspend () -> Unit,
): Outcome =
    coroutineScope {
        if (task.rate != null) return@coroutineScope atRate(task, task.rate, call)
        val begin = System.nanoTime() + task.warmup
        Outcome(
            List(task.callers) { async { oneCaller(begin, begin + task.measured, call) } }.awaitAll().sum(),
        )
    }

private suspend fun oneCaller(
    begin: Long,
    end: Long,
    call: suspend () -> Unit,
): Int {
    var calls = 0
    while (true) {
        call()
        val now = System.nanoTime()
        if (now >= end) return calls
        if (now >= begin) calls++
    }
}

private class Planned(
    val due: Long,
    val counts: Boolean,
)

/** Calls at fixed times, whether or not earlier ones were answered in time. */
private suspend fun CoroutineScope.atRate(
    task: Task,
    rate: Double,
    call: suspend () -> Unit,
): Outcome {
    val planned = Channel<Planned>(Channel.UNLIMITED)
    val callers =
        List(task.callers) {
            async {
                val latencies = mutableListOf<Long>()
                for (next in planned) {
                    call()
                    if (next.counts) latencies += System.nanoTime() - next.due
                }
                latencies
            }
        }
    thread(isDaemon = true) { pace(task, rate, planned) }
    val latencies = callers.awaitAll().flatten()
    return Outcome(latencies.size, latencies)
}

private fun pace(
    task: Task,
    rate: Double,
    planned: SendChannel<Planned>,
) {
    val start = System.nanoTime()
    val begin = start + task.warmup
    val end = begin + task.measured
    for (number in generateSequence(0L) { it + 1 }) {
        val due = start + (number * 1e9 / rate).toLong()
        if (due >= end) break
        while (System.nanoTime() < due) LockSupport.parkNanos(due - System.nanoTime())
        planned.trySend(Planned(due, due >= begin))
    }
    planned.close()
}
