package pro.telepower.skyline

import pro.telepower.skyline.internal.ConnectionState as NativeState

/** The state of a client's connection. */
public sealed class ConnectionState {
    /** The session is open. */
    public object Connected : ConnectionState() {
        override fun toString(): String = "Connected"
    }

    /**
     * The connection was lost; the application may connect again.
     *
     * @property cause how it was lost.
     */
    public class Disconnected internal constructor(
        public val cause: SkylineException,
    ) : ConnectionState() {
        override fun toString(): String = "Disconnected(${cause.message})"
    }

    /**
     * The client is finished. Always the last state.
     *
     * @property cause the integrity breach that ended it, or null when it was shut down.
     */
    public class Closed internal constructor(
        public val cause: SkylineException?,
    ) : ConnectionState() {
        override fun toString(): String = if (cause == null) "Closed" else "Closed(${cause.message})"
    }
}

internal fun NativeState.toConnectionState(): ConnectionState =
    when (this) {
        is NativeState.Connected -> ConnectionState.Connected
        is NativeState.Disconnected -> ConnectionState.Disconnected(details.toException())
        is NativeState.Closed -> ConnectionState.Closed(details?.toException())
    }
