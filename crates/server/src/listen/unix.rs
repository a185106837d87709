//! A UNIX socket at a path that whoever comes last takes over.
//!
//! Several servers may be told the same path, one after the other or at once: the newest has it. Who had it before goes
//! on with the connections it has, and leaves the path alone at its end.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};
use tracing::warn;

/// What the system's address of a socket has room for, less the zero byte at its end.
const MAX_PATH_BYTES: usize = 107;
/// How often two servers may take the path from each other while one of them starts.
const MAX_TRIES: usize = 8;

/// Why a socket could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The path does not fit into an address.
    #[error(
        "the path has {num_bytes} bytes, and sockets have room for {MAX_PATH_BYTES}; choose a shorter one"
    )]
    TooLong {
        /// Its length.
        num_bytes: usize,
    },
    /// The folder that it is to be in does not exist.
    #[error("there is no folder {}; make it, or choose another path", folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// Something else is there, which is not ours to take away.
    #[error("what is there is not a socket; remove it, or choose another path")]
    NotASocket,
    /// The system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A socket that is listened on; its file goes away with it, unless it is another's by then.
#[derive(Debug)]
pub(crate) struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    file: FileId,
}

impl UnixSocket {
    /// Listens at `path`, in the place of a socket that may be there.
    pub(crate) fn bind(path: &Path) -> Result<Self, SocketError> {
        let num_bytes = path.as_os_str().as_bytes().len();
        if num_bytes > MAX_PATH_BYTES {
            return Err(SocketError::TooLong { num_bytes });
        }
        if let Some(folder) = folder_of(path).filter(|folder| !folder.is_dir()) {
            return Err(SocketError::NoFolder {
                folder: folder.to_owned(),
            });
        }
        let listener = take_over(path)?;
        let file = FileId::of(path)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            file,
        })
    }

    /// Waits for a connection.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // As long as the listener is open its file's number is not given to another.
        if FileId::of(&self.path).is_ok_and(|file| file == self.file)
            && let Err(error) = fs::remove_file(&self.path)
        {
            warn!(path = %self.path.display(), %error, "the socket's file could not be removed");
        }
    }
}

/// Tells one file from another that has its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

fn folder_of(path: &Path) -> Option<&Path> {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
}

fn take_over(path: &Path) -> Result<UnixListener, SocketError> {
    for _ in 1..MAX_TRIES {
        remove_socket(path)?;
        match UnixListener::bind(path) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            bound => return Ok(bound?),
        }
    }
    Ok(UnixListener::bind(path)?)
}

fn remove_socket(path: &Path) -> Result<(), SocketError> {
    let removed = match fs::metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => return Err(SocketError::NotASocket),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Sends a byte to whoever listens at `path`, which has to be `socket`.
    async fn reach(path: &Path, socket: &UnixSocket) {
        let mut client = UnixStream::connect(path).await.expect("somebody listens");
        client.write_all(b"x").await.expect("sent");
        let mut stream = socket.accept().await.expect("a connection");
        assert_eq!(stream.read_u8().await.expect("received"), b'x');
    }

    #[tokio::test]
    async fn the_newest_server_has_the_path_and_its_file_goes_away_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let first = UnixSocket::bind(&path).expect("a free path");
        reach(&path, &first).await;
        let second = UnixSocket::bind(&path).expect("a path that is taken over");
        reach(&path, &second).await;
        drop(first);
        reach(&path, &second).await;
        drop(second);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_that_nobody_listens_on_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("a free path"));
        assert!(path.exists());
        let socket = UnixSocket::bind(&path).expect("a stale path");
        reach(&path, &socket).await;
    }

    #[tokio::test]
    async fn paths_that_cannot_be_are_explained() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "not a socket").expect("a file");
        let rows = [
            (
                PathBuf::from(format!("/{}", "x".repeat(107))),
                "the path has 108 bytes, and sockets have room for 107; choose a shorter one",
            ),
            (
                PathBuf::from("/nonexistent/s"),
                "there is no folder /nonexistent; make it, or choose another path",
            ),
            (
                file.clone(),
                "what is there is not a socket; remove it, or choose another path",
            ),
        ];
        for (path, message) in rows {
            let error = UnixSocket::bind(&path).expect_err(message);
            assert_eq!(error.to_string(), message);
        }
        assert!(file.exists());
    }
}
