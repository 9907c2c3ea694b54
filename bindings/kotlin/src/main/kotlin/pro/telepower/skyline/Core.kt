package pro.telepower.skyline

import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext
import pro.telepower.skyline.internal.Configuration
import pro.telepower.skyline.internal.Failure
import pro.telepower.skyline.internal.keepCoreThreadsAttached
import pro.telepower.skyline.internal.uniffiEnsureInitialized
import kotlin.coroutines.ContinuationInterceptor
import kotlin.coroutines.coroutineContext

/** The native library, loaded at the first use. */
internal object Core {
    init {
        keepCoreThreadsAttached()
        uniffiEnsureInitialized()
    }

    /** Makes sure that the library is loaded, and that its log follows the present level of SLF4J. */
    fun prepare() {
        SkylineLogging.refresh()
    }
}

/** Runs [block] with the library's failure turned into the exception that callers know. */
internal inline fun <T> translatingFailures(block: () -> T): T =
    try {
        block()
    } catch (failure: Failure.Failed) {
        throw failure.details.toException()
    }

/**
 * Hands [block] the library's form of a configuration, and wipes the license key afterwards. Loads the library
 * when it is the first to use it.
 */
internal suspend fun <T> SkylineConfiguration.withNative(block: suspend (Configuration) -> T): T {
    // The first time it unpacks and loads the library.
    withContext(Dispatchers.IO) { Core.prepare() }
    val native = settings.toNative()
    try {
        return block(native)
    } finally {
        native.destroy()
    }
}

/** Awaits an asynchronous function of the library; its failure is the exception that callers know. */
internal suspend fun <T> awaitCore(block: suspend () -> T): T =
    translatingFailures { onThreadsOfItsOwn(block) }

/**
 * Runs [block], which the library has go on, where the coroutine may do what it likes after it.
 *
 * The library has it go on upon a thread that serves all clients. A coroutine with a dispatcher leaves that
 * thread at once; one without (`suspend fun main`, `Dispatchers.Unconfined`) would run on there, and the first
 * blocking call would stop every client. Those are moved to [Dispatchers.Default].
 */
internal suspend fun <T> onThreadsOfItsOwn(block: suspend () -> T): T {
    val dispatcher = coroutineContext[ContinuationInterceptor]
    val hasThreads = dispatcher != null && dispatcher != Dispatchers.Unconfined
    return if (hasThreads) block() else withContext(Dispatchers.Default) { block() }
}
