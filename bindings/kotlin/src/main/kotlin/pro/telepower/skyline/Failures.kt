package pro.telepower.skyline

import com.sun.jna.Pointer
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.booleanOrNull
import kotlinx.serialization.json.contentOrNull
import kotlinx.serialization.json.int
import kotlinx.serialization.json.intOrNull
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.longOrNull
import pro.telepower.skyline.internal.FailureDetails
import pro.telepower.skyline.internal.FailureKind
import pro.telepower.skyline.internal.Plane

/** What a `SkylineError` says. */
internal fun failureAt(error: Pointer): FailureDetails {
    val details =
        Json
            .parseToJsonElement(
                Plane.skyline_error_details_json(error).getString(0, "UTF-8"),
            ).jsonObject
    return FailureDetails(
        kind = kindOf(details.getValue("kind").jsonPrimitive.int),
        code = details.getValue("code").jsonPrimitive.content,
        text = details.getValue("text").jsonPrimitive.content,
        status = details.text("status"),
        serverMessage = details.text("server_message"),
        `field` = details.text("field"),
        expected = details.text("expected"),
        breachReason = details.text("breach_reason"),
        connectionFailure = details.text("connection_failure"),
        httpStatus = details["http_status"]?.jsonPrimitive?.intOrNull?.toUShort(),
        retryAfterSeconds = details["retry_after_seconds"]?.jsonPrimitive?.longOrNull?.toULong(),
        maybeExecuted = details["maybe_executed"]?.jsonPrimitive?.booleanOrNull,
        updateFailure = details.text("update_failure"),
    )
}

private fun JsonObject.text(name: String): String? = this[name]?.jsonPrimitive?.contentOrNull

/** The kind by its number in the C interface, which never changes: both lists have the same order. */
internal fun kindOf(number: Int): FailureKind = FailureKind.entries[number - 1]
