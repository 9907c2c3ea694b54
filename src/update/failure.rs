//! Why an update was refused or could not be had.

use std::fmt;

macro_rules! update_failures {
    ($($name:ident $text:literal $code:literal $doc:literal $sentence:literal,)*) => {
        /// Why an update was refused or could not be had (docs/protocol.md, section 8). Nothing is
        /// left under the file's final name then.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum UpdateFailure {
            $(#[doc = $doc] $name,)*
        }

        impl UpdateFailure {
            /// The stable name, in lower case, for example `signature-wrong`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The stable code, for example `UPDATE_SIGNATURE_WRONG`.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }
        }

        impl fmt::Display for UpdateFailure {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $sentence,)* })
            }
        }
    };
}

update_failures! {
    SignatureMissing "signature-missing" "UPDATE_SIGNATURE_MISSING"
        "The server's answer has no manifest, or no signature of it."
        "the update is not signed: do not install it, and tell the vendor",
    SignatureWrong "signature-wrong" "UPDATE_SIGNATURE_WRONG"
        "No trusted key made the signature."
        "the update's signature is not the vendor's: do not install it; use another network, and tell the vendor if it stays so",
    ManifestMalformed "manifest-malformed" "UPDATE_MANIFEST_MALFORMED"
        "The signed manifest does not say what it should."
        "the update's manifest is malformed: tell the vendor",
    FileName "file-name" "UPDATE_FILE_NAME"
        "The file's name is dangerous, or Content-Disposition says another one."
        "the update's file name is refused: tell the vendor",
    WrongProduct "wrong-product" "UPDATE_WRONG_PRODUCT"
        "The update is of another product."
        "the update is of another product: check the update address",
    WrongPlatform "wrong-platform" "UPDATE_WRONG_PLATFORM"
        "The update is for another platform."
        "the update is for another platform: check the update address",
    NotNewer "not-newer" "UPDATE_NOT_NEWER"
        "The update's version is the running one or older, or there is none that is newer."
        "there is no newer version: try again later",
    TooLarge "too-large" "UPDATE_TOO_LARGE"
        "The update is larger than the configured bound."
        "the update is too large: raise max_update_bytes if its size is right",
    NoSpace "no-space" "UPDATE_NO_SPACE"
        "The disk has no room for the update."
        "the disk has too little room for the update: free some and try again",
    Size "size" "UPDATE_SIZE"
        "The file is longer or shorter than the manifest says."
        "the update's file has another size than was signed: try again later, and tell the vendor if it stays so",
    Hash "hash" "UPDATE_HASH"
        "The file's SHA-256 is not the manifest's."
        "the update's file is not the one that was signed: try again later, and tell the vendor if it stays so",
    Changed "changed" "UPDATE_CHANGED"
        "The file changed on the server again and again while it was downloaded."
        "the update keeps changing on the server: try again later",
    Redirect "redirect" "UPDATE_REDIRECT"
        "The server sent the client somewhere it does not go, or around in a circle."
        "the server redirects the download to where it must not go: check the update address",
    NotFound "not-found" "UPDATE_NOT_FOUND"
        "The server has no update of this product for this platform."
        "the server offers no update for this product and platform: check the update address, or ask the vendor",
    Http "http" "UPDATE_HTTP"
        "The server answered by HTTP with something else than a file."
        "the update server's answer is not a download: check the update address and try again later",
    Folder "folder" "UPDATE_FOLDER"
        "The target folder, or a file in it, could not be used."
        "the update's folder or file cannot be used: choose one that this user may read and write",
}
