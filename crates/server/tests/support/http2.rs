//! An HTTP/2 client that is nothing but bytes made beforehand, so that it allocates nothing while it asks.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADER_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
}

impl Client {
    /// Connects and waits until the server has opened its windows wide enough for a picture.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a TCP socket");
        stream.write_all(PREFACE).expect("the server reads");
        stream
            .write_all(&frame(SETTINGS, 0, 0, &[]))
            .expect("the server reads");
        stream
            .write_all(&frame(SETTINGS, ACK, 0, &[]))
            .expect("the server reads");
        let mut client = Self { stream };
        let mut buffer = vec![0; 64 * 1024];
        while client.read_frame(&mut buffer).kind != WINDOW_UPDATE {}
        client
    }

    /// Writes a request and reads until its answer has ended; returns the length of the answer's data.
    pub(crate) fn call(&mut self, request: &[u8], buffer: &mut [u8]) -> usize {
        self.stream.write_all(request).expect("the server reads");
        let mut num_bytes = 0;
        loop {
            let frame = self.read_frame(buffer);
            assert_ne!(frame.kind, RST_STREAM, "the server refused the request");
            if frame.kind == DATA {
                num_bytes += frame.length;
            }
            if matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 {
                return num_bytes;
            }
        }
    }

    fn read_frame(&mut self, buffer: &mut [u8]) -> Frame {
        let mut header = [0; HEADER_BYTES];
        self.stream
            .read_exact(&mut header)
            .expect("the server answers in time");
        let length =
            usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
        self.stream
            .read_exact(&mut buffer[..length])
            .expect("the server answers in time");
        Frame {
            kind: header[3],
            flags: header[4],
            length,
        }
    }
}

struct Frame {
    kind: u8,
    flags: u8,
    length: usize,
}

/// Returns the bytes of the `call_idx`-th gRPC call of a connection, cut into frames of `frame_bytes`.
pub(crate) fn grpc_call(call_idx: u32, path: &str, message: &[u8], frame_bytes: usize) -> Vec<u8> {
    let stream_id = 2 * call_idx + 1;
    let mut headers = Vec::new();
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    for (name, value) in fields {
        headers.push(0); // a literal that is not indexed, with a name of its own
        for text in [name, value] {
            headers.push(u8::try_from(text.len()).expect("short"));
            headers.extend_from_slice(text.as_bytes());
        }
    }
    let mut bytes = frame(HEADERS, END_HEADERS, stream_id, &headers);
    let mut body = vec![0_u8];
    body.extend_from_slice(
        &u32::try_from(message.len())
            .expect("under 4 GB")
            .to_be_bytes(),
    );
    body.extend_from_slice(message);
    let num_frames = body.len().div_ceil(frame_bytes);
    for (frame_idx, data) in body.chunks(frame_bytes).enumerate() {
        let flags = if frame_idx + 1 == num_frames {
            END_STREAM
        } else {
            0
        };
        bytes.extend_from_slice(&frame(DATA, flags, stream_id, data));
    }
    bytes
}

fn frame(kind: u8, flags: u8, stream_id: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("a frame is small")
        .to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream_id.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}
