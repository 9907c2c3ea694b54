package pro.telepower.skyline

import kotlinx.coroutines.runBlocking
import kotlinx.serialization.KSerializer
import kotlinx.serialization.serializer
import java.time.Duration
import kotlin.time.toKotlinDuration

/**
 * The blocking twin of [SkylineClient], for Java and for code without coroutines.
 *
 * ```java
 * try (BlockingSkylineClient client = BlockingSkylineClient.connect(configuration)) {
 *     System.out.println(client.getSession().getExpiryDate());
 *     client.sendEvent("app.navigation", Map.of("to", "/account-manager"));
 * }
 * ```
 *
 * May be used from many threads at once. A thread that is interrupted while it waits gets
 * [InterruptedException] and its call is cancelled, no other; the request may have been executed then.
 * Every function throws [SkylineException], which is unchecked.
 *
 * @property client the client that this one stands on, for code that is on its way to coroutines; both may
 *   be used, and closing one closes the other.
 */
public class BlockingSkylineClient(
    public val client: SkylineClient,
) : AutoCloseable {
    /** What the server said at the last login. */
    public val session: Session get() = client.session

    /** The states of the connection, the present one first; see [SkylineClient.states]. */
    public fun stateStream(): BlockingStateStream = BlockingStateStream(client.stateStream())

    /** Ends a wait between two attempts to connect; see [SkylineClient.reconnectNow]. */
    public fun reconnectNow(): Unit = client.reconnectNow()

    /**
     * The limits of the license: name → value.
     *
     * @param deadline how long the call may take; the configured call deadline when null.
     */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun limits(deadline: Duration? = null): Map<String, Long> =
        runBlocking { client.limits(deadline?.toKotlinDuration()) }

    /**
     * Reports an event.
     *
     * @param name the event's name, for example `app.navigation`.
     * @param data null, booleans, numbers, texts, and lists and maps of these, under their names.
     * @param deadline how long the call may take; the configured call deadline when null.
     */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun sendEvent(
        name: String,
        data: Map<String, Any?> = emptyMap(),
        deadline: Duration? = null,
    ): Unit = runBlocking { client.sendEvent(name, data, deadline?.toKotlinDuration()) }

    /**
     * Queues an event for delivery, over every loss of the connection and every restart of the program; see
     * [SkylineClient.track].
     *
     * @param name the event's name, for example `app.navigation`; at most 256 bytes,
     *   none of a control character.
     * @param data null, booleans, numbers, texts, and lists and maps of these, under their names; at most
     *   64 KiB.
     */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun track(
        name: String,
        data: Map<String, Any?> = emptyMap(),
    ): Unit = runBlocking { client.track(name, data) }

    /**
     * Waits until every event that was tracked before is delivered, or was given up; see
     * [SkylineClient.flushEvents].
     *
     * @param deadline how long to wait; the configured call deadline when null.
     */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun flushEvents(deadline: Duration? = null): Unit =
        runBlocking { client.flushEvents(deadline?.toKotlinDuration()) }

    /** What became of the tracked events, since the client was connected. */
    public fun eventCounters(): EventCounters = client.eventCounters()

    /**
     * Calls a method of the server; see [SkylineClient.call].
     *
     * @param method the method's name.
     * @param request the payload, of a `@Serializable` type.
     * @param deadline how long the call may take; the configured call deadline when null.
     * @param idempotent whether executing the call twice does no harm; see [SkylineClient.call].
     */
    @Throws(InterruptedException::class)
    public inline fun <reified Request, reified Response> call(
        method: String,
        request: Request,
        deadline: Duration? = null,
        idempotent: Boolean = false,
    ): Response = call(method, serializer<Request>(), request, serializer<Response>(), deadline, idempotent)

    /**
     * Calls a method of the server with payloads as JSON texts, for any JSON library.
     *
     * @param method the method's name.
     * @param payload one JSON value, or null for no payload.
     * @param deadline how long the call may take; the configured call deadline when null.
     * @param idempotent whether executing the call twice does no harm; see [SkylineClient.call].
     * @return one JSON value, or null when the answer has no payload.
     */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun callJson(
        method: String,
        payload: String?,
        deadline: Duration? = null,
        idempotent: Boolean = false,
    ): String? =
        client.handle
            .callBlocking(method, payload?.utf8(), terms(deadline, idempotent, json = true))
            ?.decodeToString()

    /**
     * Calls a method of the server with payloads as they travel.
     *
     * @param method the method's name.
     * @param payload the MessagePack of one value, or null for no payload.
     * @param deadline how long the call may take; the configured call deadline when null.
     * @param idempotent whether executing the call twice does no harm; see [SkylineClient.call].
     * @return the MessagePack of one value, or null when the answer has no payload.
     */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun callRaw(
        method: String,
        payload: ByteArray?,
        deadline: Duration? = null,
        idempotent: Boolean = false,
    ): ByteArray? = client.handle.callBlocking(method, payload, terms(deadline, idempotent, json = false))

    /**
     * Makes many calls at once, with payloads of a `@Serializable` type; see [SkylineClient.callMany].
     *
     * @param calls the calls.
     * @param deadline how long each of them may take; the configured call deadline when null.
     * @param idempotent whether executing any of them twice does no harm; see [SkylineClient.call].
     */
    @Throws(InterruptedException::class)
    public inline fun <reified Request, reified Response> callMany(
        calls: List<BatchCall<Request>>,
        deadline: Duration? = null,
        idempotent: Boolean = false,
    ): List<BatchResult<Response>> =
        callMany(calls, serializer<Request>(), serializer<Response>(), deadline, idempotent)

    /**
     * Makes many calls at once with payloads as JSON texts, and waits until all are over.
     *
     * ```java
     * List<BatchCall<String>> calls = List.of(new BatchCall<>("get-balance", "{}"), …);
     * for (BatchResult<String> result : client.callManyJson(calls)) System.out.println(result.get());
     * ```
     *
     * @param calls the calls, each with one JSON value, or null for no payload.
     * @param deadline how long each of them may take; the configured call deadline when null.
     * @param idempotent whether executing any of them twice does no harm; see [SkylineClient.call].
     * @return how each call ended, in the order of [calls]. Nothing is thrown for a call that failed.
     */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun callManyJson(
        calls: List<BatchCall<String?>>,
        deadline: Duration? = null,
        idempotent: Boolean = false,
    ): List<BatchResult<String?>> =
        runBlocking { client.callManyJson(calls, deadline?.toKotlinDuration(), idempotent) }

    /**
     * Makes many calls at once with payloads as they travel; else like [callManyJson].
     *
     * @param calls the calls, each with the MessagePack of one value, or null for no payload.
     * @param deadline how long each of them may take; the configured call deadline when null.
     * @param idempotent whether executing any of them twice does no harm; see [SkylineClient.call].
     * @return how each call ended, in the order of [calls]. Nothing is thrown for a call that failed.
     */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun callManyRaw(
        calls: List<BatchCall<ByteArray?>>,
        deadline: Duration? = null,
        idempotent: Boolean = false,
    ): List<BatchResult<ByteArray?>> =
        runBlocking { client.callManyRaw(calls, deadline?.toKotlinDuration(), idempotent) }

    /** Closes the connection in order; see [SkylineClient.close]. Calls in flight fail. Never fails. */
    override fun close(): Unit = client.close()

    @PublishedApi
    internal fun <Request, Response> call(
        method: String,
        requestSerializer: KSerializer<Request>,
        request: Request,
        responseSerializer: KSerializer<Response>,
        deadline: Duration?,
        idempotent: Boolean,
    ): Response {
        val answer = callJson(method, client.json.write(requestSerializer, request), deadline, idempotent)
        return client.json.read(responseSerializer, answer)
    }

    @PublishedApi
    internal fun <Request, Response> callMany(
        calls: List<BatchCall<Request>>,
        requestSerializer: KSerializer<Request>,
        responseSerializer: KSerializer<Response>,
        deadline: Duration?,
        idempotent: Boolean,
    ): List<BatchResult<Response>> =
        runBlocking {
            client.callMany(
                calls,
                requestSerializer,
                responseSerializer,
                deadline?.toKotlinDuration(),
                idempotent,
            )
        }

    private fun terms(
        deadline: Duration?,
        idempotent: Boolean,
        json: Boolean,
    ) = CallTerms(deadline?.toKotlinDuration(), idempotent, json)

    public companion object {
        /**
         * Connects, proves the server's identity and logs in.
         *
         * @throws SkylineException when a setting is wrong, the server cannot be reached or trusted, or it
         *   refuses the login.
         */
        @JvmStatic
        @Throws(InterruptedException::class)
        public fun connect(configuration: SkylineConfiguration): BlockingSkylineClient =
            BlockingSkylineClient(runBlocking { SkylineClient.connect(configuration) })
    }
}
