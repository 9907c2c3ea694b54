//! Writes the header of the library's C interface, `skyline.h`, to the file named by the argument.
//!
//! The texts of the functions are those of `src/ffi/c/`: they state who owns what, and which
//! threads may do what.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cbindgen::{Builder, Config, EnumConfig, ExportConfig, Language, RenameRule};

/// The modules of the interface, in the order in which the header explains them.
const SOURCES: [&str; 8] = [
    "kind", "error", "client", "answer", "call", "records", "queue", "mod",
];

const HEAD: &str = "\
/* skyline.h: the C interface of the Skyline client library. Generated; do not edit.
 *
 * Threads: every function may be called from any thread, at the same time, on the same handle,
 * unless its text says otherwise. Nothing is ever called back.
 * Blocking: only the functions whose text says so wait for anything.
 * Ownership: what is passed in is copied before the function returns. A handle that a function
 * gives belongs to the caller, who frees it once with the function of its name.
 * Errors: a function that can fail returns a SkylineKind, 0 for success, or leaves a SkylineError.
 * Forks: in a child that fork() made of a process with a client, calls are refused with
 * SKYLINE_KIND_FORKED, and freeing frees nothing.
 */";

fn main() -> ExitCode {
    let Some(output) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: c-header OUTPUT");
        return ExitCode::from(2);
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../src/ffi/c");
    let mut builder = Builder::new().with_config(config());
    for source in SOURCES {
        builder = builder.with_src(folder.join(source).with_extension("rs"));
    }
    match builder.generate() {
        Ok(header) => {
            header.write_to_file(output);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("the header could not be made: {error}");
            ExitCode::FAILURE
        }
    }
}

fn config() -> Config {
    Config {
        language: Language::C,
        header: Some(HEAD.to_owned()),
        include_guard: Some("SKYLINE_H".to_owned()),
        cpp_compat: true,
        no_includes: true,
        sys_includes: vec!["stddef.h".to_owned(), "stdint.h".to_owned()],
        usize_is_size_t: true,
        enumeration: EnumConfig {
            prefix_with_name: true,
            rename_variants: RenameRule::ScreamingSnakeCase,
            ..EnumConfig::default()
        },
        export: ExportConfig {
            // Functions return a kind as a plain number, so nothing refers to it.
            include: vec!["SkylineKind".to_owned(), "SkylineCallHeader".to_owned()],
            ..ExportConfig::default()
        },
        ..Config::default()
    }
}
