// A worker through the public Kotlin package.

import kotlinx.coroutines.runBlocking
import pro.telepower.skyline.SkylineClient
import pro.telepower.skyline.SkylineConfiguration
import java.nio.file.Paths

fun main() =
    runBlocking {
        val task = taskOfEnvironment()
        val payload = ByteArray(task.payloadBytes)
        val packing = Packing()
        val configuration =
            SkylineConfiguration("telepower", "7.0.3", variable("SKYLINE_LICENSE_KEY")) {
                url(variable("SKYLINE_URL"))
                identityKey(variable("SKYLINE_IDENTITY_KEY"))
                stateFolder(Paths.get(variable("SKYLINE_STATE_FOLDER")))
            }
        val begun = System.nanoTime()
        val client = SkylineClient.connect(configuration)
        val connectedIn = System.nanoTime() - begun
        val outcome =
            client.use {
                load(task) { check(client.callRaw("test.echo", packing.binary(payload)), payload.size) }
            }
        report(task, outcome, connectedIn)
    }
