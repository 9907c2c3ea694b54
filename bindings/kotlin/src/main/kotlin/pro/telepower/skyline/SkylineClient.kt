package pro.telepower.skyline

import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import kotlinx.serialization.KSerializer
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.serializer
import pro.telepower.skyline.internal.CallOptions
import pro.telepower.skyline.internal.Client
import pro.telepower.skyline.internal.ClientHandle
import kotlin.time.Duration
import kotlin.time.toJavaDuration

/**
 * A session with the licensing server.
 *
 * ```
 * SkylineClient.connect(configuration).use { client ->
 *     println(client.session.expiryDate)
 *     client.sendEvent("app.navigation", mapOf("to" to "/account-manager"))
 * }
 * ```
 *
 * May be used from any coroutine and any thread; many calls may be in flight at once. Cancelling a coroutine
 * cancels its call and nothing else: the request may have been executed then. Every function throws
 * [SkylineException].
 *
 * When the connection is lost, the client reconnects and logs in again by itself. A call that was not sent
 * yet waits for the next connection; one that was sent and not answered fails with
 * [SkylineException.ConnectionLost], which says whether it may have been executed, unless the call was marked
 * idempotent: then it is sent again. Only a refused login, a breach of integrity and [close] end a client.
 *
 * Close a client when it is done with. One that is forgotten is closed when the garbage collector finds it.
 */
public class SkylineClient private constructor(
    private val native: Client,
    internal val json: Json,
) : AutoCloseable {
    /** For calls. */
    internal val handle = ClientHandle(native)

    /** What the server said at the last login. */
    public val session: Session get() = native.session().toSession()

    /**
     * The states of the connection, the present one first, then each change; it completes after
     * [ConnectionState.Refused], [ConnectionState.Breached] or [ConnectionState.ShutDown]. A slow collector
     * may miss states in between, never the last one. Each collector has a view of its own.
     */
    public val states: Flow<ConnectionState>
        get() =
            flow {
                val stream = stateStream()
                while (true) emit(stream.nextState() ?: break)
            }

    /** The states of the connection to be read one by one, the present one first; see [states]. */
    public fun stateStream(): StateStream = StateStream(native.states())

    /**
     * Tells the client that a connection is worth trying now, as when a phone has got its network back. A
     * wait between two attempts ends at once; a connection that seems open is asked for a sign of life and
     * given up when none comes within seconds.
     */
    public fun reconnectNow(): Unit = native.reconnectNow()

    /**
     * The limits of the license: name → value, for example
     * `engine.limits.sendMessage.dailyLimit` → 150.
     *
     * @param deadline how long the call may take; the configured call deadline when null.
     */
    public suspend fun limits(deadline: Duration? = null): Map<String, Long> =
        awaitCore { native.getLimits(options(deadline)) }

    /**
     * Reports an event and waits for the server's word; see [track] for events that must not be lost.
     *
     * @param name the event's name, for example `app.navigation`.
     * @param data null, booleans, numbers, texts, and lists and maps of these, under their names.
     * @param deadline how long the call may take; the configured call deadline when null.
     */
    public suspend fun sendEvent(
        name: String,
        data: Map<String, Any?> = emptyMap(),
        deadline: Duration? = null,
    ): Unit = sendEvent(name, JsonObject.serializer(), jsonObject(data), deadline)

    /**
     * Reports an event.
     *
     * @param name the event's name, for example `app.navigation`.
     * @param data a `@Serializable` object.
     * @param deadline how long the call may take; the configured call deadline when null.
     */
    public suspend inline fun <reified Data> sendEvent(
        name: String,
        data: Data,
        deadline: Duration? = null,
    ): Unit = sendEvent(name, serializer<Data>(), data, deadline)

    /**
     * Queues an event for delivery. Unlike [sendEvent] it neither needs a connection nor waits for the server.
     *
     * Queued events are delivered in their order, over every loss of the connection and every restart of the
     * program, and each arrives once. They are kept in the state folder; the settings `maxQueuedEvents`,
     * `maxQueuedEventBytes`, `eventOverflow` and `eventDurability` say how many, what happens when there are
     * more, and whether this waits for the disk. Cancelling takes nothing back.
     *
     * @param name the event's name, for example `app.navigation`; at most 256 bytes,
     *   none of a control character.
     * @param data null, booleans, numbers, texts, and lists and maps of these, under their names; at most
     *   64 KiB.
     * @throws SkylineException.EventQueueFull when the queue is full and may not drop anything.
     * @throws SkylineException.State when the event has to be on disk and cannot be stored.
     */
    public suspend fun track(
        name: String,
        data: Map<String, Any?> = emptyMap(),
    ): Unit = track(name, JsonObject.serializer(), jsonObject(data))

    /**
     * Queues an event for delivery; else like the one with a map.
     *
     * @param name the event's name, for example `app.navigation`; at most 256 bytes,
     *   none of a control character.
     * @param data a `@Serializable` object; at most 64 KiB.
     */
    public suspend inline fun <reified Data> track(
        name: String,
        data: Data,
    ): Unit = track(name, serializer<Data>(), data)

    /**
     * Waits until every event that was tracked before is delivered, or was given up (see [EventCounters]).
     *
     * @param deadline how long to wait; the configured call deadline when null.
     * @throws SkylineException.DeadlineExceeded when the deadline passes first; the events stay queued.
     */
    public suspend fun flushEvents(deadline: Duration? = null): Unit =
        awaitCore { native.flushEvents(options(deadline)) }

    /** What became of the tracked events, since the client was connected. */
    public fun eventCounters(): EventCounters = native.eventCounters().toEventCounters()

    /**
     * Calls a method of the server.
     *
     * @param method the method's name.
     * @param request the payload, of a `@Serializable` type.
     * @param deadline how long the call may take, waiting for a connection and for its turn included; the
     *   configured call deadline when null.
     * @param idempotent whether executing the call twice does no harm: then it is sent again when the
     *   connection is lost before the answer, and waits out a rate limit, within its deadline.
     * @return the answer's payload as a `@Serializable` type: a nullable one where the answer may have none,
     *   [Unit] where it does not matter.
     * @throws SkylineException.Payload also when the answer holds what JSON cannot say, for example binary
     *   data: use [callRaw] for those.
     */
    public suspend inline fun <reified Request, reified Response> call(
        method: String,
        request: Request,
        deadline: Duration? = null,
        idempotent: Boolean = false,
    ): Response = call(method, serializer<Request>(), request, serializer<Response>(), deadline, idempotent)

    /**
     * Calls a method of the server without a payload; else like the one with a request.
     *
     * @param method the method's name.
     * @param deadline how long the call may take; the configured call deadline when null.
     * @param idempotent whether executing the call twice does no harm; see [call] with a request.
     */
    public suspend inline fun <reified Response> call(
        method: String,
        deadline: Duration? = null,
        idempotent: Boolean = false,
    ): Response = call(method, serializer<Response>(), deadline, idempotent)

    /**
     * Calls a method of the server with payloads as JSON texts.
     *
     * @param method the method's name.
     * @param payload one JSON value, or null for no payload.
     * @param deadline how long the call may take; the configured call deadline when null.
     * @param idempotent whether executing the call twice does no harm; see [call] with a request.
     * @return one JSON value, or null when the answer has no payload.
     */
    public suspend fun callJson(
        method: String,
        payload: String?,
        deadline: Duration? = null,
        idempotent: Boolean = false,
    ): String? =
        handle.call(method, payload?.utf8(), CallTerms(deadline, idempotent, json = true))?.decodeToString()

    /**
     * Calls a method of the server with payloads as they travel.
     *
     * @param method the method's name.
     * @param payload the MessagePack of one value, or null for no payload.
     * @param deadline how long the call may take; the configured call deadline when null.
     * @param idempotent whether executing the call twice does no harm; see [call] with a request.
     * @return the MessagePack of one value, or null when the answer has no payload.
     */
    public suspend fun callRaw(
        method: String,
        payload: ByteArray?,
        deadline: Duration? = null,
        idempotent: Boolean = false,
    ): ByteArray? = handle.call(method, payload, CallTerms(deadline, idempotent, json = false))

    /**
     * Makes many calls at once, which costs far less than each by itself, and waits until all are over.
     *
     * ```
     * val calls = accounts.map { BatchCall("get-balance", it) }
     * val balances = client.callMany<Account, Balance>(calls).map { it.get() }
     * ```
     *
     * @param calls the calls, each with a payload of a `@Serializable` type.
     * @param deadline how long each of them may take; the configured call deadline when null.
     * @param idempotent whether executing any of them twice does no harm; see [call] with a request.
     * @return how each call ended, in the order of [calls]: the answer's payload as a `@Serializable` type, or
     *   the [SkylineException] of that call. Nothing is thrown for it.
     */
    public suspend inline fun <reified Request, reified Response> callMany(
        calls: List<BatchCall<Request>>,
        deadline: Duration? = null,
        idempotent: Boolean = false,
    ): List<BatchResult<Response>> =
        callMany(calls, serializer<Request>(), serializer<Response>(), deadline, idempotent)

    /**
     * Makes many calls at once with payloads as JSON texts; else like [callMany].
     *
     * @param calls the calls, each with one JSON value, or null for no payload.
     * @param deadline how long each of them may take; the configured call deadline when null.
     * @param idempotent whether executing any of them twice does no harm; see [call] with a request.
     * @return how each call ended, in the order of [calls]; see [callJson] for what an answer is.
     */
    public suspend fun callManyJson(
        calls: List<BatchCall<String?>>,
        deadline: Duration? = null,
        idempotent: Boolean = false,
    ): List<BatchResult<String?>> =
        handle.callMany(
            calls,
            CallTerms(deadline, idempotent, json = true),
            encode = { it?.utf8() },
            decode = { it?.decodeToString() },
        )

    /**
     * Makes many calls at once with payloads as they travel; else like [callMany].
     *
     * @param calls the calls, each with the MessagePack of one value, or null for no payload.
     * @param deadline how long each of them may take; the configured call deadline when null.
     * @param idempotent whether executing any of them twice does no harm; see [call] with a request.
     * @return how each call ended, in the order of [calls]; see [callRaw] for what an answer is.
     */
    public suspend fun callManyRaw(
        calls: List<BatchCall<ByteArray?>>,
        deadline: Duration? = null,
        idempotent: Boolean = false,
    ): List<BatchResult<ByteArray?>> =
        handle.callMany(
            calls,
            CallTerms(deadline, idempotent, json = false),
            encode = { it },
            decode = { it },
        )

    /**
     * Closes the connection in order and waits for that. Calls in flight fail with
     * [SkylineException.ShutDown], and so does everything asked later. Events that are not delivered are on
     * disk then. Never fails; a second time it does
     * nothing.
     */
    public suspend fun shutdown(): Unit = withContext(NonCancellable) { awaitCore { native.shutdown() } }

    /** Like [shutdown], but blocks the thread, for milliseconds mostly; what `use` calls. */
    override fun close() {
        // An interrupted thread closes its client as well, and stays interrupted.
        val interrupted = Thread.interrupted()
        try {
            runBlocking { shutdown() }
        } catch (_: InterruptedException) {
            Thread.currentThread().interrupt()
        }
        if (interrupted) Thread.currentThread().interrupt()
    }

    @PublishedApi
    internal suspend fun <Data> sendEvent(
        name: String,
        serializer: KSerializer<Data>,
        data: Data,
        deadline: Duration?,
    ) {
        val text = json.write(serializer, data)
        awaitCore { native.sendEventJson(name, text, options(deadline)) }
    }

    @PublishedApi
    internal suspend fun <Data> track(
        name: String,
        serializer: KSerializer<Data>,
        data: Data,
    ) {
        val text = json.write(serializer, data)
        awaitCore { native.trackJson(name, text) }
    }

    @PublishedApi
    internal suspend fun <Request, Response> call(
        method: String,
        requestSerializer: KSerializer<Request>,
        request: Request,
        responseSerializer: KSerializer<Response>,
        deadline: Duration?,
        idempotent: Boolean,
    ): Response =
        json.read(
            responseSerializer,
            callJson(method, json.write(requestSerializer, request), deadline, idempotent),
        )

    @PublishedApi
    internal suspend fun <Response> call(
        method: String,
        responseSerializer: KSerializer<Response>,
        deadline: Duration?,
        idempotent: Boolean,
    ): Response = json.read(responseSerializer, callJson(method, null, deadline, idempotent))

    @PublishedApi
    internal suspend fun <Request, Response> callMany(
        calls: List<BatchCall<Request>>,
        requestSerializer: KSerializer<Request>,
        responseSerializer: KSerializer<Response>,
        deadline: Duration?,
        idempotent: Boolean,
    ): List<BatchResult<Response>> =
        handle.callMany(
            calls,
            CallTerms(deadline, idempotent, json = true),
            encode = { json.write(requestSerializer, it).utf8() },
            decode = { json.read(responseSerializer, it?.decodeToString()) },
        )

    private fun options(deadline: Duration?) =
        CallOptions(
            deadline = deadline?.coerceAtLeast(Duration.ZERO)?.toJavaDuration(),
            idempotent = false,
            cancellation = null,
        )

    public companion object {
        /**
         * Connects, proves the server's identity and logs in. Later the client reconnects by itself, but
         * this attempt is the only one: when it fails, so does the function.
         *
         * Cancelling the coroutine ends the attempt and closes what was opened.
         *
         * @throws SkylineException when a setting is wrong, the server cannot be reached or trusted, or it
         *   refuses the login.
         */
        @JvmSynthetic
        public suspend fun connect(configuration: SkylineConfiguration): SkylineClient =
            configuration.withNative {
                SkylineClient(awaitCore { Client.connect(it, null) }, configuration.settings.json)
            }
    }
}
