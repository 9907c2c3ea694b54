package pro.telepower.skyline

import ch.qos.logback.classic.Level
import ch.qos.logback.classic.Logger
import ch.qos.logback.classic.spi.ILoggingEvent
import ch.qos.logback.core.read.ListAppender
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.Serializable
import org.slf4j.LoggerFactory
import kotlin.time.Duration
import kotlin.time.Duration.Companion.hours
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlin.time.TimeSource

/** Runs a test's coroutine, for 60 seconds at the most. */
internal fun inCoroutine(body: suspend CoroutineScope.() -> Unit): Unit =
    runBlocking(Dispatchers.Default) { withTimeout(60.seconds, body) }

/** Waits until [condition] holds; fails after [deadline]. */
internal fun waitUntil(
    what: String,
    deadline: Duration = 30.seconds,
    condition: () -> Boolean,
) {
    val begun = TimeSource.Monotonic.markNow()
    while (!condition()) {
        check(begun.elapsedNow() < deadline) { "waited in vain until $what" }
        Thread.sleep(20)
    }
}

/** Collects what the library logs at [level] and above while [body] runs. */
internal inline fun collectingLog(
    level: Level,
    body: (records: () -> List<ILoggingEvent>) -> Unit,
) {
    val logger = LoggerFactory.getLogger(SkylineLogging.ROOT) as Logger
    val appender =
        object : ListAppender<ILoggingEvent>() {
            override fun append(event: ILoggingEvent) {
                // Takes down the name of the thread while it is the right one.
                event.prepareForDeferredProcessing()
                super.append(event)
            }
        }.apply { start() }
    logger.addAppender(appender)
    logger.level = level
    logger.isAdditive = false
    try {
        body { synchronized(appender) { appender.list.toList() } }
    } finally {
        logger.detachAppender(appender)
        logger.level = null
        logger.isAdditive = true
        SkylineLogging.refresh()
    }
}

/** Texts whose scripts, directions and code points differ. */
internal val textsOfEveryScript: List<String> =
    listOf(
        "",
        "Версия ПО устарела.",
        "👩‍👩‍👧‍👦 🦊 🏳️‍🌈",
        "שלום, עולם — مرحبا",
        "e\u0301 \u0915\u094d\u0937 \u1100\u1161\u11a8",
        "漢字と仮名",
        "\u0000\u0001 \"\\/ \u2028 \uffff",
        "\ud834\udd1e".repeat(1000),
    )

/** What `test.status` takes. */
@Serializable
internal data class StatusRequest(
    val status: String,
    val message: String?,
    val retryAfterSeconds: Int? = null,
)

/** What `test.delay` takes. */
@Serializable
internal data class DelayRequest(
    val milliseconds: Int,
)

/** An element of what `test.events` gives. */
@Serializable
internal data class StoredEvent<Data>(
    val event: String,
    val data: Data,
    val id: String?,
)

/** Has the server answer after [milliseconds]. */
internal suspend fun SkylineClient.delayOnServer(
    milliseconds: Int,
    deadline: Duration? = null,
    idempotent: Boolean = false,
): Unit = call("test.delay", DelayRequest(milliseconds), deadline, idempotent)

/** Has the server drop the connection, and waits until that is noticed. */
internal suspend fun SkylineClient.dropConnection() {
    try {
        call<Unit>("test.drop-connection")
    } catch (_: SkylineException.ConnectionLost) {
        return
    }
    error("the server answered instead")
}

/** The states until one that is a [State], which is returned; fails when they end before. */
internal suspend inline fun <reified State : ConnectionState> StateStream.until(): State {
    while (true) {
        val state = checkNotNull(nextState()) { "the states ended before ${State::class.simpleName}" }
        if (state is State) return state
    }
}

/** Has the server answer with a status. */
internal suspend fun SkylineClient.haveStatus(
    status: String,
    message: String? = null,
): Unit = call("test.status", StatusRequest(status, message))

/** Settings of a client that tries again at once. */
internal fun SkylineConfiguration.Builder.reconnectQuickly() {
    reconnectInitialDelay(10.milliseconds)
    reconnectMaxDelay(100.milliseconds)
}

/** Settings of a client that waits for longer than any test before it tries again, but for one in a thousand. */
internal fun SkylineConfiguration.Builder.reconnectLate() {
    reconnectInitialDelay(24.hours)
    reconnectMaxDelay(24.hours)
}

/** Has the server send [value] back. */
internal suspend inline fun <reified Value> SkylineClient.echo(value: Value): Value = call("test.echo", value)
