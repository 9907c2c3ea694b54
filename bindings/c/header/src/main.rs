//! Writes the header of the library's C interface.
fn main() {}
