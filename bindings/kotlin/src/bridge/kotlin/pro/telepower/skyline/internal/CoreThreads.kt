package pro.telepower.skyline.internal

import com.sun.jna.Callback
import com.sun.jna.CallbackThreadInitializer
import com.sun.jna.Native

/**
 * Makes the threads of the native library stay attached to the virtual machine as daemons once they have
 * called into it. JNA would otherwise attach and detach them around every single callback, and as ordinary
 * threads, which keep the virtual machine from exiting.
 *
 * To be called before [uniffiEnsureInitialized]: JNA asks only when it first hands a callback to native code.
 */
fun keepCoreThreadsAttached() {
    val callbacks: List<Callback> =
        listOf(
            uniffiRustFutureContinuationCallbackImpl,
            uniffiCallbackInterfaceLogSink.log,
            uniffiCallbackInterfaceLogSink.uniffiClone,
            uniffiCallbackInterfaceLogSink.uniffiFree,
        )
    for (callback in callbacks) {
        // JNA keeps the initializer for as long as the callback lives, and these are singletons.
        Native.setCallbackThreadInitializer(callback, CallbackThreadInitializer(true, false, "skyline-core"))
    }
}
