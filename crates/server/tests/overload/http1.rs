//! A blocking HTTP/1.1 client over one kept connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One connection.
pub(crate) struct Client(BufReader<TcpStream>);

/// What a request is answered with.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .expect("a TCP socket");
        Self(BufReader::new(stream))
    }

    pub(crate) fn call(&mut self, request: &[u8]) -> Answer {
        let sent = self.0.get_mut().write_all(request);
        sent.expect("the server reads");
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = self.0.read_line(&mut head);
            assert_ne!(read.expect("the server answers in time"), 0, "{head}");
        }
        let head = head.to_ascii_lowercase();
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        let length = header("content-length: ").expect("a length");
        let mut body = vec![0; length.parse().expect("a number")];
        let read = self.0.read_exact(&mut body);
        read.expect("the whole body");
        let status = header("http/1.1 ").and_then(|line| line.get(..3));
        Answer {
            status: status.and_then(|code| code.parse().ok()).expect("a status"),
            body: String::from_utf8(body).expect("text"),
            head,
        }
    }
}

/// Returns the bytes of a request; `headers` end in a line break each.
pub(crate) fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}
