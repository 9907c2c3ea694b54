//! Generates the foreign-language side of the `skyline` library from the built cdylib.
//!
//! A crate of its own, so that the generator's dependencies stay out of the library that
//! applications link.

fn main() {
    uniffi::uniffi_bindgen_main()
}
