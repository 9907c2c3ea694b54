package pro.telepower.skyline

import pro.telepower.skyline.internal.EventCounters as NativeEventCounters
import pro.telepower.skyline.internal.EventDurability as NativeEventDurability
import pro.telepower.skyline.internal.EventOverflow as NativeEventOverflow

/** When [SkylineClient.track] is done. */
public enum class EventDurability {
    /**
     * At once; the event is written to the file within milliseconds. A killed process loses the events of its
     * last milliseconds, a power cut what the system had not put on disk yet.
     */
    BUFFERED,

    /** When the event is on disk: neither a killed process nor a power cut loses it. */
    SYNCED,
}

/** What [SkylineClient.track] does when the queue is full. */
public enum class EventOverflow {
    /** Drops the oldest events in favour of the new one, and counts them as dropped. */
    DROP_OLDEST,

    /** Fails with [SkylineException.EventQueueFull]; what is in the queue stays. */
    REFUSE,
}

/**
 * What became of the tracked events of one client, since it was connected. At any time `tracked + recovered` is
 * `queued + sent + dropped + rejected`.
 *
 * @property tracked events that the application tracked and the queue accepted.
 * @property recovered events that an earlier client of this product and license had left in the state folder.
 * @property queued events that wait for their delivery, or are on their way.
 * @property queuedBytes the bytes of these, as they count for the setting `maxQueuedEventBytes`.
 * @property sent events that the server acknowledged.
 * @property dropped events that were given up because the queue was full.
 * @property rejected events that were given up because the server would never take them.
 * @property damaged damaged stretches of the files that earlier clients left; each held at least a part of an
 *   event, or of a note that one was delivered.
 */
public data class EventCounters(
    public val tracked: Long,
    public val recovered: Long,
    public val queued: Long,
    public val queuedBytes: Long,
    public val sent: Long,
    public val dropped: Long,
    public val rejected: Long,
    public val damaged: Long,
)

internal fun EventDurability.toNative(): NativeEventDurability =
    when (this) {
        EventDurability.BUFFERED -> NativeEventDurability.BUFFERED
        EventDurability.SYNCED -> NativeEventDurability.SYNCED
    }

internal fun EventOverflow.toNative(): NativeEventOverflow =
    when (this) {
        EventOverflow.DROP_OLDEST -> NativeEventOverflow.DROP_OLDEST
        EventOverflow.REFUSE -> NativeEventOverflow.REFUSE
    }

internal fun NativeEventCounters.toEventCounters(): EventCounters =
    EventCounters(
        tracked = tracked.toLong(),
        recovered = recovered.toLong(),
        queued = queued.toLong(),
        queuedBytes = queuedBytes.toLong(),
        sent = sent.toLong(),
        dropped = dropped.toLong(),
        rejected = rejected.toLong(),
        damaged = damaged.toLong(),
    )
