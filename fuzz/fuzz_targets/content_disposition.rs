//! The header Content-Disposition of an update, and the file names in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skyline_protocol::update::{Disposition, ascii_fallback, check_file_name};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(disposition) = Disposition::parse(text) {
        assert!(disposition.file_name.is_some() || disposition.extended.is_some());
    }
    // As a name that a publisher gives to a file.
    if check_file_name(text).is_ok() {
        assert!(ascii_fallback(text).is_ascii());
        let header = Disposition::attachment(text);
        let disposition = Disposition::parse(&header).expect("our own header");
        assert!(disposition.agrees_with(text), "{header}");
    }
});
