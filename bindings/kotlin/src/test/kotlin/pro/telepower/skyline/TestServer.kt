package pro.telepower.skyline

import kotlinx.serialization.json.Json
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import java.nio.file.Files
import java.nio.file.Path
import java.util.Base64
import java.util.concurrent.CompletableFuture
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import kotlin.io.path.ExperimentalPathApi
import kotlin.io.path.deleteRecursively

/** A real server process with a database and an identity of its own; listens on a free loopback port. */
internal class TestServer : AutoCloseable {
    private val folder: Path = Files.createTempDirectory("skyline-test-")
    private val database = folder.resolve("skyline.db").toString()
    private val counter = AtomicInteger()
    private var process: Process

    /** The server's URL. */
    val url: String

    /** The server's public identity key, in hex. */
    val identityKey: String

    init {
        identityKey = newIdentityKey(FIRST_IDENTITY)
        addProduct(PRODUCT)
        process = serve("127.0.0.1:0", FIRST_IDENTITY)
        url = readUrl()
    }

    private fun serve(
        address: String,
        identity: String,
    ): Process =
        ProcessBuilder(
            binary,
            "serve",
            "--database=$database",
            "--identity-key=${folder.resolve(identity)}",
            "--listen=$address",
            "--test-hooks",
        ).redirectError(ProcessBuilder.Redirect.appendTo(folder.resolve("server.log").toFile())).start()

    private fun readUrl(): String {
        val ready = CompletableFuture.supplyAsync { process.inputReader().readLine() }
        return ready.get(READY_SECONDS, TimeUnit.SECONDS).removePrefix("listening on ")
    }

    /** Makes an identity key that is not this server's, unless it is the first; returns the public key in hex. */
    fun newIdentityKey(name: String = "identity-${counter.incrementAndGet()}.key"): String =
        run("keygen", folder.resolve(name).toString())

    /** Creates a product, or changes it. */
    fun addProduct(
        id: String,
        minimumVersion: String? = null,
    ) {
        val version = minimumVersion?.let { arrayOf("--minimum-version=$it") } ?: emptyArray()
        run("product", "set", id, *version, "--database=$database")
    }

    /** Issues a license and returns its key. */
    fun issueLicense(
        product: String = PRODUCT,
        plan: String = MONTHLY,
        vararg options: String,
    ): String =
        run("license", "issue", "--product=$product", "--plan=$plan", *options, "--database=$database")

    /** Suspends a license: the next login with it is refused. */
    fun suspendLicense(key: String) {
        run("license", "suspend", key, "--database=$database")
    }

    /**
     * Signs a file and offers it as an update for this system.
     *
     * @param key the name under which [newIdentityKey] made the key that signs.
     */
    fun publishRelease(
        product: String,
        version: String,
        content: ByteArray,
        key: String = FIRST_IDENTITY,
    ): Release {
        val file = Files.write(newFolder().resolve("$product-$version.bin"), content)
        val printed =
            run(
                "release",
                "publish",
                "$file",
                "--product=$product",
                "--version=$version",
                "--release-key=${folder.resolve(key)}",
                "--database=$database",
                "--json",
            )
        val release = Json.parseToJsonElement(printed).jsonObject

        fun bytes(name: String) = Base64.getDecoder().decode(release.getValue(name).jsonPrimitive.content)
        return Release(bytes("manifest"), bytes("signature"))
    }

    /** What goes with a release's file when it is handed on in another way. */
    class Release(
        val manifest: ByteArray,
        val signature: ByteArray,
    )

    /** A folder that nobody used before; it goes with the server. */
    fun newFolder(): Path = Files.createTempDirectory(folder, "files-")

    /** A folder for a client's state that nobody used before. */
    fun newStateFolder(): Path = Files.createTempDirectory(folder, "state-")

    /** A device that nobody used before. */
    fun newDevice(): DeviceIdentity {
        val number = counter.incrementAndGet()
        return DeviceIdentity("SN-TEST-%08d".format(number), "20240113-E0C2-646E-FDB1-%012X".format(number))
    }

    /** A configuration that this server accepts: its own device, state folder and license each time. */
    fun configuration(
        licenseKey: String = issueLicense(),
        product: String = PRODUCT,
        version: String = "7.0.3",
        configure: SkylineConfiguration.Builder.() -> Unit = {},
    ): SkylineConfiguration =
        SkylineConfiguration(product, version, licenseKey) {
            url(url)
            identityKey(identityKey)
            device(newDevice())
            stateFolder(newStateFolder())
            configure()
        }

    /** Kills the process without giving it a chance to say goodbye. */
    fun kill() {
        check(process.destroyForcibly().waitFor(STOP_SECONDS, TimeUnit.SECONDS)) { "the server does not end" }
    }

    /**
     * Kills the process and starts it again on the same port and database.
     *
     * @param identity the name under which [newIdentityKey] made the identity key it has from now on.
     */
    fun restart(identity: String = FIRST_IDENTITY) {
        kill()
        process = serve(url.removePrefix("ws://").removeSuffix("/ws"), identity)
        check(readUrl() == url) { "the server did not come back on its port" }
    }

    @OptIn(ExperimentalPathApi::class)
    override fun close() {
        kill()
        folder.deleteRecursively()
    }

    private fun run(vararg arguments: String): String {
        val command = ProcessBuilder(binary, *arguments).redirectErrorStream(true).start()
        val output = command.inputReader().readText().trim()
        check(command.waitFor() == 0) { "skyline-server ${arguments.first()} failed: $output" }
        return output
    }

    companion object {
        const val PRODUCT = "telepower"
        const val MONTHLY = "telepower.licensePlan.release.monthly"
        private const val FIRST_IDENTITY = "identity.key"
        private const val READY_SECONDS = 30L
        private const val STOP_SECONDS = 10L

        private val binary: String =
            checkNotNull(
                System.getenv("SKYLINE_SERVER"),
            ) { "SKYLINE_SERVER does not name the server's binary" }

        /** The server of all tests that do not harm it; ends with the virtual machine. */
        val shared: TestServer by lazy {
            TestServer().also { Runtime.getRuntime().addShutdownHook(Thread(it::close)) }
        }
    }
}
