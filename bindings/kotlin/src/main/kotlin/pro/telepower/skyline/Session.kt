package pro.telepower.skyline

import java.time.LocalDate
import pro.telepower.skyline.internal.Session as NativeSession

/**
 * What the server said at the last login (docs/protocol.md, section 5).
 *
 * @property isActivatedNow whether this client's connecting activated the license; reconnecting changes nothing.
 * @property activationDate the day on which the license was activated.
 * @property licensePlan the plan, for example `telepower.licensePlan.release.monthly`.
 * @property expiryDate the day on which the license runs out.
 */
public data class Session(
    public val isActivatedNow: Boolean,
    public val activationDate: LocalDate,
    public val licensePlan: String,
    public val expiryDate: LocalDate,
)

internal fun NativeSession.toSession(): Session =
    Session(
        isActivatedNow = isActivatedNow,
        activationDate = LocalDate.parse(activationDate),
        licensePlan = licensePlan,
        expiryDate = LocalDate.parse(expiryDate),
    )
