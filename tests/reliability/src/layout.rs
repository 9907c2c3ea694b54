//! Where the parts of a recorded session lie among its bytes.

use std::ops::Range;

/// The parts of one direction of a session: the HTTP head of the upgrade, then a WebSocket frame
/// (RFC 6455, section 5.2) for each message, its header included.
///
/// # Panics
///
/// When the bytes are not a whole head and whole frames.
pub fn parts(bytes: &[u8]) -> Vec<Range<usize>> {
    const END_OF_HEAD: &[u8] = b"\r\n\r\n";
    let head = bytes
        .windows(END_OF_HEAD.len())
        .position(|window| window == END_OF_HEAD)
        .expect("an HTTP head")
        + END_OF_HEAD.len();
    let mut parts = Vec::new();
    let mut end = head;
    parts.push(0..end);
    while end < bytes.len() {
        let begin = end;
        end += frame_length(&bytes[begin..]);
        assert!(end <= bytes.len(), "half a frame");
        parts.push(begin..end);
    }
    parts
}

/// The length of the frame that `bytes` begin with.
fn frame_length(bytes: &[u8]) -> usize {
    const MASKED: u8 = 0x80;
    let (extended, payload) = match bytes[1] & !MASKED {
        126 => (2, usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
        127 => panic!("no message of the tests is that long"),
        length => (0, usize::from(length)),
    };
    let mask = if bytes[1] & MASKED == 0 { 0 } else { 4 };
    2 + extended + mask + payload
}
