package pro.telepower.skyline

/**
 * Why an update was refused or could not be had (docs/protocol.md, section 8).
 *
 * @property code the stable name, the same in every language: `signature-wrong`.
 */
public enum class UpdateFailure(
    public val code: String,
) {
    /** The server's answer has no manifest, or no signature of it. */
    SIGNATURE_MISSING("signature-missing"),

    /** No trusted key made the signature. */
    SIGNATURE_WRONG("signature-wrong"),

    /** The signed manifest does not say what it should. */
    MANIFEST_MALFORMED("manifest-malformed"),

    /** The file's name is dangerous, or Content-Disposition says another one. */
    FILE_NAME("file-name"),

    /** The update is of another product. */
    WRONG_PRODUCT("wrong-product"),

    /** The update is for another platform. */
    WRONG_PLATFORM("wrong-platform"),

    /** The update's version is the running one or older, or there is none that is newer. */
    NOT_NEWER("not-newer"),

    /** The update is larger than the setting `maxUpdateBytes` allows. */
    TOO_LARGE("too-large"),

    /** The disk has no room for the update. */
    NO_SPACE("no-space"),

    /** The file is longer or shorter than the manifest says. */
    SIZE("size"),

    /** The file's SHA-256 is not the manifest's. */
    HASH("hash"),

    /** The file changed on the server again and again while it was downloaded. */
    CHANGED("changed"),

    /** The server sent the client somewhere it does not go, or around in a circle. */
    REDIRECT("redirect"),

    /** The server has no update of this product for this platform. */
    NOT_FOUND("not-found"),

    /** The server answered by HTTP with something else than a file. */
    HTTP("http"),

    /** The target folder, or a file in it, could not be used. */
    FOLDER("folder"),
    ;

    internal companion object {
        /** The library and this package are of one version: it knows no other code. */
        fun of(code: String?): UpdateFailure = entries.first { it.code == code }
    }
}
