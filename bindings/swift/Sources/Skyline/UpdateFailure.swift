extension SkylineError {
    /// Why an update was refused or could not be had. Nothing is left under the file's name then.
    ///
    /// Later versions may know more causes, so a `switch` needs a `default`.
    public struct UpdateFailure: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
        /// The stable name, for example `signature-wrong`.
        public let rawValue: String

        /// A cause by its raw value.
        ///
        /// - Parameter rawValue: The stable name.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The raw value.
        public var description: String { rawValue }

        /// The server's answer has no manifest, or no signature of it.
        public static let signatureMissing = UpdateFailure(rawValue: "signature-missing")
        /// No trusted key made the signature.
        public static let signatureWrong = UpdateFailure(rawValue: "signature-wrong")
        /// The signed manifest does not say what it should.
        public static let manifestMalformed = UpdateFailure(rawValue: "manifest-malformed")
        /// The file's name is dangerous, or the server's header says another one.
        public static let fileName = UpdateFailure(rawValue: "file-name")
        /// The update is of another product.
        public static let wrongProduct = UpdateFailure(rawValue: "wrong-product")
        /// The update is for another platform.
        public static let wrongPlatform = UpdateFailure(rawValue: "wrong-platform")
        /// The update's version is the running one or older, or there is none that is newer.
        public static let notNewer = UpdateFailure(rawValue: "not-newer")
        /// The update is larger than ``Configuration/maxUpdateBytes``.
        public static let tooLarge = UpdateFailure(rawValue: "too-large")
        /// The disk has no room for the update.
        public static let noSpace = UpdateFailure(rawValue: "no-space")
        /// The file is longer or shorter than the manifest says.
        public static let size = UpdateFailure(rawValue: "size")
        /// The file's SHA-256 is not the manifest's.
        public static let hash = UpdateFailure(rawValue: "hash")
        /// The file changed on the server again and again while it was downloaded.
        public static let changed = UpdateFailure(rawValue: "changed")
        /// The server sent the client somewhere it does not go, or around in a circle.
        public static let redirect = UpdateFailure(rawValue: "redirect")
        /// The server has no update of this product for this platform.
        public static let notFound = UpdateFailure(rawValue: "not-found")
        /// The server answered by HTTP with something else than a file.
        public static let http = UpdateFailure(rawValue: "http")
        /// The target folder, or a file in it, could not be used.
        public static let folder = UpdateFailure(rawValue: "folder")
    }
}
