//! An HTTP/1.1 client that allocates nothing while it asks.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: [u8; 4096],
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a TCP socket");
        Self {
            stream,
            buffer: [0; 4096],
        }
    }

    /// Writes a request and reads until its answer, a JSON object in the last line, has ended.
    pub(crate) fn call(&mut self, request: &[u8]) {
        self.stream.write_all(request).expect("the server reads");
        let mut num_bytes = 0;
        while !self.buffer[..num_bytes].ends_with(b"}")
            && !self.buffer[..num_bytes].ends_with(b"}\n")
        {
            let read = self.stream.read(&mut self.buffer[num_bytes..]);
            let read = read.expect("the server answers in time");
            assert_ne!(read, 0, "the server closed the connection");
            num_bytes += read;
        }
        assert!(self.buffer.starts_with(b"HTTP/1.1 200"), "the sink answers");
    }
}

/// Returns the bytes of a request with a JSON body.
pub(crate) fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}
