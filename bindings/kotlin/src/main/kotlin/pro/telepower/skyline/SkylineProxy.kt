package pro.telepower.skyline

import pro.telepower.skyline.internal.Proxy
import pro.telepower.skyline.internal.SecretText

/** Which proxy leads to the server. */
public sealed class SkylineProxy {
    internal abstract fun toNative(): Proxy

    /**
     * That of the environment variables `HTTPS_PROXY`, else `ALL_PROXY`, unless `NO_PROXY` names the host.
     * Loopback addresses are always reached directly. The default.
     */
    public object Environment : SkylineProxy() {
        override fun toNative(): Proxy = Proxy.Environment

        override fun toString(): String = "Environment"
    }

    /** None, whatever the environment says. */
    public object Direct : SkylineProxy() {
        override fun toNative(): Proxy = Proxy.Direct

        override fun toString(): String = "Direct"
    }

    /**
     * The one at this address.
     *
     * @param url `http://`, `socks5://` (names resolved here) or `socks5h://` (names resolved by the proxy),
     *   with `user:password@` where the proxy wants them.
     */
    public class Url(
        private val url: String,
    ) : SkylineProxy() {
        override fun toNative(): Proxy = Proxy.Url(SecretText(url))

        /** Without the address, which may hold a password. */
        override fun toString(): String = "Url(redacted)"
    }
}
