package pro.telepower.skyline

import kotlinx.coroutines.runBlocking
import java.time.Duration
import pro.telepower.skyline.internal.ConnectionState as NativeState
import pro.telepower.skyline.internal.StateStream as NativeStateStream

/** The state of a client's connection. */
public sealed class ConnectionState {
    /** An attempt to connect and log in is under way. */
    public object Connecting : ConnectionState() {
        override fun toString(): String = "Connecting"
    }

    /** The session is open. */
    public object Ready : ConnectionState() {
        override fun toString(): String = "Ready"
    }

    /**
     * There is no connection; the client waits before it tries again. [SkylineClient.reconnectNow] ends the
     * wait.
     *
     * @property attempt the number of the attempt that comes next: 1 after a connection that was stable.
     * @property nextDelay how long the client waits before it.
     * @property lastError how the connection was lost, or why the last attempt failed.
     */
    public class Reconnecting internal constructor(
        public val attempt: Int,
        public val nextDelay: Duration,
        public val lastError: SkylineException,
    ) : ConnectionState() {
        override fun toString(): String = "Reconnecting($attempt, $nextDelay, ${lastError.message})"
    }

    /**
     * The server refused the login for good: the version is outdated, or the license is unknown, expired,
     * suspended or bound to another device. The client is finished.
     *
     * @property error the refusal; every later call fails with it.
     */
    public class Refused internal constructor(
        public val error: SkylineException,
    ) : ConnectionState() {
        override fun toString(): String = "Refused(${error.message})"
    }

    /**
     * The integrity of the session was violated. The client is finished.
     *
     * @property error the breach; every later call fails with it.
     */
    public class Breached internal constructor(
        public val error: SkylineException,
    ) : ConnectionState() {
        override fun toString(): String = "Breached(${error.message})"
    }

    /** The client was shut down. */
    public object ShutDown : ConnectionState() {
        override fun toString(): String = "ShutDown"
    }
}

/**
 * The states of one client, one after the other; from [SkylineClient.stateStream]. It need not be closed, and
 * does not keep a forgotten client alive.
 */
public class StateStream internal constructor(
    private val native: NativeStateStream,
) {
    /**
     * The present state at the first call, then each change; null after [ConnectionState.Refused],
     * [ConnectionState.Breached] or [ConnectionState.ShutDown]. A slow reader may miss states in between,
     * never the last one. Cancelling ends the wait and leaves the stream usable; a state that comes in that
     * very moment may be missed, and if it was the last one, null follows.
     */
    public suspend fun nextState(): ConnectionState? =
        awaitCore { native.nextState(null) }?.toConnectionState()
}

/** The blocking twin of [StateStream]; from [BlockingSkylineClient.stateStream]. */
public class BlockingStateStream internal constructor(
    private val stream: StateStream,
) {
    /** Blocks until there is a next state; null after the last. See [StateStream.nextState]. */
    @Throws(InterruptedException::class)
    public fun nextState(): ConnectionState? = runBlocking { stream.nextState() }
}

internal fun NativeState.toConnectionState(): ConnectionState =
    when (this) {
        is NativeState.Connecting -> {
            ConnectionState.Connecting
        }

        is NativeState.Ready -> {
            ConnectionState.Ready
        }

        is NativeState.Reconnecting -> {
            ConnectionState.Reconnecting(attempt.toInt(), nextDelay, lastError.toException())
        }

        is NativeState.Refused -> {
            ConnectionState.Refused(details.toException())
        }

        is NativeState.Breached -> {
            ConnectionState.Breached(details.toException())
        }

        is NativeState.ShutDown -> {
            ConnectionState.ShutDown
        }
    }
