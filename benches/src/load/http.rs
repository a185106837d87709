//! One HTTP/1.1 connection of the load client.

use anyhow::{Context as _, Result, bail};
use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Answer;

/// How much is read at once.
const READ_BYTES: usize = 64 << 10;

/// A connection that is kept alive.
pub(crate) struct HttpConnection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl HttpConnection {
    /// Connects to a port of this machine.
    pub(crate) async fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(READ_BYTES),
        })
    }

    /// Sends a request and reads its answer to the end.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (head, length) = loop {
            self.read().await?;
            if let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") {
                break (end + 4, content_length(&self.buffer[..end])?);
            }
        };
        let answer = answer(&self.buffer)?;
        while self.buffer.len() < head + length {
            self.read().await?;
        }
        Ok(answer)
    }

    /// Sends a request and returns the body of its answer.
    pub(crate) async fn body(&mut self, request: &[u8]) -> Result<(Answer, Vec<u8>)> {
        let answer = self.send(request).await?;
        let end = memmem::find(&self.buffer, b"\r\n\r\n").context("no end of the headers")?;
        Ok((answer, self.buffer[end + 4..].to_vec()))
    }

    async fn read(&mut self) -> Result<()> {
        self.buffer.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => bail!("the server closed the connection"),
            _ => Ok(()),
        }
    }
}

fn answer(head: &[u8]) -> Result<Answer> {
    Ok(match head.get(9..12).context("no status line")? {
        b"200" => Answer::Good,
        b"429" | b"503" => Answer::Refused,
        _ => Answer::Bad,
    })
}

fn content_length(head: &[u8]) -> Result<usize> {
    for line in head.split(|byte| *byte == b'\n') {
        if line.len() > 15 && line[..15].eq_ignore_ascii_case(b"content-length:") {
            let number = std::str::from_utf8(&line[15..])?;
            return number.trim().parse().context("content-length");
        }
    }
    bail!(
        "an answer without content-length: {}",
        String::from_utf8_lossy(head)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_read_whatever_its_case() {
        assert_eq!(
            content_length(b"HTTP/1.1 200 OK\r\ncontent-Length: 12\r\nx: y").unwrap(),
            12
        );
        assert!(content_length(b"HTTP/1.1 200 OK\r\n").is_err());
    }
}
