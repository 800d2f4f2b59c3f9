//! HTTP/2 frame by frame (RFC 9113), for what no library would send.

/// What every client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113, section 6).
pub mod kind {
    /// A piece of a body.
    pub const DATA: u8 = 0;
    /// The headers of a stream.
    pub const HEADERS: u8 = 1;
    /// Ends a stream at once.
    pub const RST_STREAM: u8 = 3;
    /// What the sender takes.
    pub const SETTINGS: u8 = 4;
    /// Asks for an answer.
    pub const PING: u8 = 6;
    /// Ends a connection.
    pub const GOAWAY: u8 = 7;
    /// How much more may be sent.
    pub const WINDOW_UPDATE: u8 = 8;
    /// More headers.
    pub const CONTINUATION: u8 = 9;
}

/// Nothing follows on this stream.
pub const END_STREAM: u8 = 1;
/// No CONTINUATION follows.
pub const END_HEADERS: u8 = 4;
/// The setting of how much may be sent on a stream before more is asked for.
pub const INITIAL_WINDOW_SIZE: u16 = 4;

/// A frame.
///
/// # Panics
/// If the payload has 16 MiB or more.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    assert_eq!(length[0], 0, "a frame is shorter");
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The setting of one thing, as the payload of SETTINGS.
pub fn setting(name: u16, value: u32) -> Vec<u8> {
    [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// The headers of a call of gRPC to this path, and these besides, in HPACK (RFC 7541) without compression.
///
/// # Panics
/// If one of them has 127 bytes or more.
pub fn call(path: &str, besides: &[(&str, &str)]) -> Vec<u8> {
    // By their numbers in the static table: POST, http, :path, :authority, content-type.
    let mut block = [&[0x83, 0x86, 0x04][..], &text(path), &[0x01], &text("localhost")].concat();
    block.extend([&[0x0f, 0x10][..], &text("application/grpc")].concat());
    for (name, value) in [("te", "trailers")].iter().chain(besides) {
        block.extend(header(name, value));
    }
    block
}

/// One header by its name.
///
/// # Panics
/// If name or value has 127 bytes or more.
pub fn header(name: &str, value: &str) -> Vec<u8> {
    [&[0x00][..], &text(name), &text(value)].concat()
}

fn text(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    assert!(length < 0x7f, "longer ones have a length of several bytes");
    [&[length], text.as_bytes()].concat()
}
