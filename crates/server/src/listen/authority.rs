//! Lets gRPC clients in that name a UNIX socket as the host they ask.
//!
//! gRPC's C core, which Python, C++ and others stand on, sends the socket's path as `:authority`, with `%2F` for each
//! slash. A percent sign cannot be in an authority, so the HTTP/2 library refuses the request as a whole. Nothing here
//! cares for the authority; so on its way in each percent sign in it becomes a hyphen, which is as long.
//!
//! ```text
//! preface ─► frame header ─► HEADERS, CONTINUATION: fields, byte by byte ─► frame header ─► …
//!    └─► HTTP/1.1: left alone     └─► other frames: left alone ──────────────┘
//! ```

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER_BYTES: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
const PRIORITY_BYTES: usize = 5;
const NAME: &[u8] = b":authority";
/// Where HTTP/2's table of common fields has the name.
const NAME_INDEX: usize = 1;

/// A stream whose clients may name it as they like.
pub(super) struct AnyAuthority<S> {
    stream: S,
    scanner: Scanner,
}

impl<S> AnyAuthority<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            scanner: Scanner::default(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for AnyAuthority<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let start = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        this.scanner.scan(&mut buffer.filled_mut()[start..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AnyAuthority<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// Where in a client's bytes we are.
#[derive(Debug, Default)]
struct Scanner {
    place: Place,
    fields: Fields,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// So many bytes of the preface have been seen.
    Preface(usize),
    /// So many bytes of a frame's header.
    Header([u8; FRAME_HEADER_BYTES], usize),
    /// The length of the padding comes next, then so many bytes, padding and all.
    PadLength {
        left: usize,
        has_priority: bool,
    },
    Payload(Payload),
    /// Not HTTP/2.
    Other,
}

/// What is left of a frame: bytes that do not matter, fields, bytes that do not matter.
#[derive(Clone, Copy, Debug, Default)]
struct Payload {
    before: usize,
    fields: usize,
    after: usize,
}

impl Default for Place {
    fn default() -> Self {
        Self::Preface(0)
    }
}

impl Scanner {
    /// Looks at the next bytes of the client, and changes what has to be changed.
    fn scan(&mut self, mut bytes: &mut [u8]) {
        while let Some((first, _)) = bytes.split_first_mut() {
            let num_done = match self.place {
                Place::Payload(payload) if payload.before > 0 || payload.fields == 0 => {
                    self.skip(payload, bytes.len())
                }
                _ => {
                    self.place = self.take(first);
                    1
                }
            };
            bytes = &mut bytes[num_done..];
        }
    }

    /// Passes over bytes that do not matter; returns how many.
    fn skip(&mut self, mut payload: Payload, num_bytes: usize) -> usize {
        let left = match payload.before {
            0 => &mut payload.after,
            _ => &mut payload.before,
        };
        let num_done = (*left).min(num_bytes);
        *left -= num_done;
        self.place = payload.place();
        num_done
    }

    fn take(&mut self, byte: &mut u8) -> Place {
        match self.place {
            Place::Other => Place::Other,
            Place::Preface(num_seen) if PREFACE.get(num_seen) != Some(byte) => Place::Other,
            Place::Preface(num_seen) if num_seen + 1 == PREFACE.len() => Payload::default().place(),
            Place::Preface(num_seen) => Place::Preface(num_seen + 1),
            Place::Header(mut header, num_seen) => {
                header[num_seen] = *byte;
                match num_seen + 1 == FRAME_HEADER_BYTES {
                    true => self.frame(header),
                    false => Place::Header(header, num_seen + 1),
                }
            }
            Place::PadLength { left, has_priority } => {
                Payload::of(left - 1, usize::from(*byte), has_priority).place()
            }
            Place::Payload(payload) => {
                self.fields.take(byte);
                let fields = payload.fields - 1;
                Payload { fields, ..payload }.place()
            }
        }
    }

    /// Finds out what follows a frame's header.
    fn frame(&mut self, header: [u8; FRAME_HEADER_BYTES]) -> Place {
        let [high, middle, low, kind, flags, ..] = header;
        let left = u32::from_be_bytes([0, high, middle, low]) as usize;
        let has = |flag| kind == HEADERS && flags & flag != 0;
        match kind {
            HEADERS => self.fields = Fields::default(),
            CONTINUATION => {}
            _ => return Payload::of_no_matter(left).place(),
        }
        match has(PADDED) && left > 0 {
            true => Place::PadLength {
                left,
                has_priority: has(PRIORITY),
            },
            false => Payload::of(left, 0, has(PRIORITY)).place(),
        }
    }
}

impl Payload {
    /// Returns what is in so many bytes of a frame with fields; one that cannot be is of no matter.
    fn of(left: usize, padding: usize, has_priority: bool) -> Self {
        let before = if has_priority { PRIORITY_BYTES } else { 0 };
        match left.checked_sub(before + padding) {
            Some(fields) => Self {
                before,
                fields,
                after: padding,
            },
            None => Self::of_no_matter(left),
        }
    }

    fn of_no_matter(left: usize) -> Self {
        Self {
            before: left,
            ..Self::default()
        }
    }

    fn place(self) -> Place {
        match self.before + self.fields + self.after {
            0 => Place::Header([0; FRAME_HEADER_BYTES], 0),
            _ => Place::Payload(self),
        }
    }
}

/// Where in a block of fields we are; RFC 7541 is the grammar.
#[derive(Debug, Default)]
struct Fields {
    expected: Expected,
}

#[derive(Clone, Copy, Debug, Default)]
enum Expected {
    #[default]
    Field,
    Length(Text),
    /// More of an integer.
    Rest {
        value: usize,
        shift: u32,
        then: Then,
    },
    /// So many bytes.
    Text(Text, usize),
}

/// What an integer is for.
#[derive(Clone, Copy, Debug)]
enum Then {
    Field,
    Length(Text),
    Text(Text),
}

#[derive(Clone, Copy, Debug)]
enum Text {
    /// So many bytes of it are those of the name; `None` if any is not.
    Name(Option<usize>),
    Value {
        is_authority: bool,
    },
}

impl Fields {
    fn take(&mut self, byte: &mut u8) {
        self.expected = match self.expected {
            Expected::Field => field(*byte),
            Expected::Length(text) => {
                // Names and values in Huffman's code are left alone; those who send paths do not use it.
                let text = if *byte & 0x80 == 0 {
                    text
                } else {
                    text.other()
                };
                integer(*byte, 0x7f, Then::Text(text))
            }
            Expected::Rest { value, shift, then } => {
                let more = usize::from(*byte & 0x7f).checked_shl(shift);
                let value = value.saturating_add(more.unwrap_or(usize::MAX));
                match *byte & 0x80 {
                    0 => then.with(value),
                    _ => Expected::Rest {
                        value,
                        shift: shift.saturating_add(7),
                        then,
                    },
                }
            }
            Expected::Text(text, left) => Then::Text(text.after(byte)).with(left - 1),
        }
    }
}

/// Reads a field's first byte.
fn field(byte: u8) -> Expected {
    let mask = match byte {
        0x80.. => return integer(byte, 0x7f, Then::Field),
        0x40.. => 0x3f,
        0x20.. => return integer(byte, 0x1f, Then::Field),
        _ => 0x0f,
    };
    match usize::from(byte & mask) {
        0 => Expected::Length(Text::Name(Some(0))),
        index => {
            let is_authority = index == NAME_INDEX;
            integer(byte, mask, Then::Length(Text::Value { is_authority }))
        }
    }
}

/// Reads the first byte of an integer.
fn integer(byte: u8, mask: u8, then: Then) -> Expected {
    let value = usize::from(byte & mask);
    match byte & mask == mask {
        true => Expected::Rest {
            value,
            shift: 0,
            then,
        },
        false => then.with(value),
    }
}

impl Then {
    fn with(self, value: usize) -> Expected {
        match self {
            Self::Field => Expected::Field,
            Self::Length(text) => Expected::Length(text),
            Self::Text(text) if value > 0 => Expected::Text(text, value),
            Self::Text(Text::Name(num_same)) => Expected::Length(Text::Value {
                is_authority: num_same == Some(NAME.len()),
            }),
            Self::Text(Text::Value { .. }) => Expected::Field,
        }
    }
}

impl Text {
    /// Returns the same that does not matter.
    fn other(self) -> Self {
        match self {
            Self::Name(_) => Self::Name(None),
            Self::Value { .. } => Self::Value {
                is_authority: false,
            },
        }
    }

    /// Takes one byte of it.
    fn after(self, byte: &mut u8) -> Self {
        match self {
            Self::Name(Some(num_same)) if NAME.get(num_same) == Some(byte) => {
                Self::Name(Some(num_same + 1))
            }
            Self::Name(_) => Self::Name(None),
            Self::Value { is_authority } => {
                if is_authority && *byte == b'%' {
                    *byte = b'-';
                }
                self
            }
        }
    }
}

#[cfg(test)]
mod tests;
