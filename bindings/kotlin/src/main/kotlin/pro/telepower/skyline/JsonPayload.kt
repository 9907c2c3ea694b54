package pro.telepower.skyline

import kotlinx.serialization.DeserializationStrategy
import kotlinx.serialization.KSerializer
import kotlinx.serialization.SerializationException
import kotlinx.serialization.SerializationStrategy
import kotlinx.serialization.builtins.serializer
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive

/** The JSON text of [value]; what it cannot say is [SkylineException.Payload]. */
internal fun <T> Json.write(
    serializer: SerializationStrategy<T>,
    value: T,
): String =
    try {
        encodeToString(serializer, value)
    } catch (refused: SerializationException) {
        throw payloadException("the request cannot be written as JSON: ${refused.message}", refused)
    }

/**
 * The value that [text] holds; an absent payload is read as JSON's null, and any as [Unit]. What does not
 * fit the type is [SkylineException.Payload].
 */
internal fun <T> Json.read(
    serializer: DeserializationStrategy<T>,
    text: String?,
): T {
    if (serializer.descriptor == unit.descriptor) {
        @Suppress("UNCHECKED_CAST") // The descriptor says that T is Unit.
        return Unit as T
    }
    return try {
        decodeFromString(serializer, text ?: "null")
    } catch (refused: IllegalArgumentException) {
        // kotlinx.serialization documents this type for values that do not fit, its own exception included.
        // Its text quotes the input, which is the application's data, so it is in the cause alone.
        throw payloadException("the answer is no ${serializer.descriptor.serialName}", refused)
    }
}

private val unit: KSerializer<Unit> = Unit.serializer()

/** The JSON of [data]: null, booleans, numbers, texts, and collections, arrays and maps of these. */
internal fun jsonObject(data: Map<String, Any?>): JsonObject =
    JsonObject(data.mapValues { jsonElement(it.value) })

private fun jsonElement(value: Any?): JsonElement =
    when (value) {
        null -> {
            JsonNull
        }

        is JsonElement -> {
            value
        }

        is String -> {
            JsonPrimitive(value)
        }

        is Boolean -> {
            JsonPrimitive(value)
        }

        is ULong -> {
            JsonPrimitive(value)
        }

        is Byte, is Short, is Int, is Long, is Float, is Double -> {
            JsonPrimitive(value as Number)
        }

        is Iterable<*> -> {
            JsonArray(value.map(::jsonElement))
        }

        is Array<*> -> {
            JsonArray(value.map(::jsonElement))
        }

        is Map<*, *> -> {
            JsonObject(
                value.entries.associate { (key, item) ->
                    jsonKey(key) to jsonElement(item)
                },
            )
        }

        else -> {
            throw payloadException("a ${value.javaClass.name} cannot be written as JSON")
        }
    }

private fun jsonKey(key: Any?): String =
    key as? String ?: throw payloadException("a map whose keys are not texts cannot be written as JSON")
