//! Link settings of the shared library, by the system that it is built for.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Set by cargo for every build script.
    let system = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    let arguments: &[&str] = match system.as_str() {
        // The name under which programs linked against it look for it, wherever it was built.
        "linux" => &["-Wl,-soname,libskyline.so"],
        // Android 15 runs on kernels with pages of 16 KiB; a library aligned to 4 KiB won't load.
        "android" => &["-Wl,-soname,libskyline.so", "-Wl,-z,max-page-size=16384"],
        // Found by the run path of the program, not at the place where it was built.
        "macos" | "ios" => &["-Wl,-install_name,@rpath/libskyline.dylib"],
        _ => &[],
    };
    for argument in arguments {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
}
