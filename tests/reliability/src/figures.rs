//! The numbers of cases that a run went through. They are part of the result, so they are printed
//! by a run that passes too.

use std::fs::OpenOptions;
use std::io::Write;

/// Names the file that the figures are added to; scripts/test-rust sets it and prints the file.
const FILE_VARIABLE: &str = "SKYLINE_FIGURES";

/// Prints a line of figures, and adds it to the file that `SKYLINE_FIGURES` names, if there is one.
///
/// # Panics
///
/// When the file cannot be written: a run without its figures proves nothing.
pub fn tell(line: &str) {
    println!("{line}");
    if let Some(path) = std::env::var_os(FILE_VARIABLE) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .expect("the file of the figures can be opened");
        // In one write: several test programs may add at once.
        file.write_all(format!("{line}\n").as_bytes())
            .expect("the file of the figures can be written");
    }
}
