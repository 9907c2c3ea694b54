import pro.telepower.skyline.SkylineClient
import pro.telepower.skyline.SkylineConfiguration
import pro.telepower.skyline.SkylineException
import java.nio.file.Paths
import kotlin.system.exitProcess

/**
 * Activates a license and uses the session: the quick start with coroutines.
 *
 * Reads SKYLINE_URL, SKYLINE_IDENTITY_KEY, SKYLINE_LICENSE_KEY and SKYLINE_STATE_FOLDER.
 */
suspend fun main() {
    val configuration =
        SkylineConfiguration("telepower", "7.0.3", setting("SKYLINE_LICENSE_KEY")) {
            url(setting("SKYLINE_URL"))
            identityKey(setting("SKYLINE_IDENTITY_KEY"))
            stateFolder(Paths.get(setting("SKYLINE_STATE_FOLDER")))
        }
    try {
        SkylineClient.connect(configuration).use { client ->
            val session = client.session
            println("activated now: ${if (session.isActivatedNow) "yes" else "no"}")
            println("plan: ${session.licensePlan}")
            println("activated on: ${session.activationDate}")
            println("expires on: ${session.expiryDate}")

            for ((name, value) in client.limits().toSortedMap()) {
                println("limit $name: $value")
            }

            client.sendEvent("app.navigation", mapOf("to" to "/account-manager"))
            println("event reported: app.navigation")
        }
    } catch (failure: SkylineException) {
        // The sentence is meant for the user; the code is for programs.
        System.err.println("${failure.code}: ${failure.message}")
        exitProcess(1)
    }
}

private fun setting(name: String): String = System.getenv(name) ?: error("set $name")
