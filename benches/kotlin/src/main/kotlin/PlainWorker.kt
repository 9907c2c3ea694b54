// A worker that is a client with what Java has: what one makes do with where this project's library is not.

import kotlinx.coroutines.future.await
import kotlinx.coroutines.runBlocking
import org.msgpack.core.MessagePack
import kotlin.system.exitProcess

/** Logs in with a license that was never used before. */
private suspend fun startSession(
    client: PlainClient,
    packing: Packing,
): String {
    val login =
        packing.pack {
            packMapHeader(7)
            packString("productId").packString("telepower")
            packString("productVersion").packString("7.0.3")
            packString("language").packString("english")
            packString("lastLoginReportedByClient").packLong(0)
            packString("deviceSerialNumber").packString("ADTFBB4112800098")
            packString("csProductUUID").packString("20240113-E0C2-646E-FDB1-E0C2646EFDB5")
            packString("licenseKey").packString(variable("SKYLINE_LICENSE_KEY"))
        }
    val answer = checkNotNull(client.call("start-session", login).await())
    val facts =
        MessagePack
            .newDefaultUnpacker(answer)
            .unpackValue()
            .asMapValue()
            .map()
    return facts.entries
        .first { "${it.key}" == "sessionToken" }
        .value
        .asStringValue()
        .asString()
}

fun main() {
    runBlocking {
        val task = taskOfEnvironment()
        val payload = ByteArray(task.payloadBytes)
        val packing = Packing()
        val begun = System.nanoTime()
        val session = PlainSession(variable("SKYLINE_IDENTITY_KEY"))
        val client = PlainClient(session)
        client.connect(variable("SKYLINE_URL"))
        session.token = startSession(client, packing)
        val connectedIn = System.nanoTime() - begun
        val outcome =
            load(task) { check(client.call("test.echo", packing.binary(payload)).await(), payload.size) }
        client.close()
        report(task, outcome, connectedIn)
    }
    // Java's HTTP client has a thread that would keep the program alive for a while.
    exitProcess(0)
}
