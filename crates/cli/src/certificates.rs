//! Takes up new certificates while the server runs, whenever `ssl_config_file` has changed.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use salver_server::{TlsConfig, TlsHandle};
use tokio::task::spawn_blocking;

use crate::exit::Failure;
use crate::files;

/// How often the file is looked at. Certificates live for weeks, and whoever replaces one waits a moment.
const INTERVAL: Duration = Duration::from_secs(5);

/// A file of certificates, and what was last in it.
#[derive(Debug)]
pub(crate) struct Certificates {
    path: PathBuf,
    seen: TlsConfig,
    /// What the log says already.
    complaint: Option<String>,
}

impl Certificates {
    pub(crate) fn new(path: PathBuf, seen: TlsConfig) -> Self {
        Self {
            path,
            seen,
            complaint: None,
        }
    }

    /// Takes up what is in the file, again and again; what cannot be used is told once, and the last good ones stay.
    pub(crate) async fn watch(mut self, handle: TlsHandle) -> Infallible {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let path = self.path.clone();
            // What has gone wrong with the thread says nothing about the file.
            if let Ok(read) = spawn_blocking(move || files::certificates(&path)).await {
                self.take(read, |tls| {
                    handle.replace(tls).map_err(|error| error.to_string())
                });
            }
        }
    }

    fn take(
        &mut self,
        read: Result<TlsConfig, Failure>,
        replace: impl FnOnce(&TlsConfig) -> Result<(), String>,
    ) {
        let replaced = match read {
            Ok(tls) if tls == self.seen => Ok(()),
            Ok(tls) => replace(&tls).map(|()| self.seen = tls),
            Err(failure) => Err(failure.messages.join("; ")),
        };
        let complaint = replaced.err();
        if complaint != self.complaint
            && let Some(complaint) = &complaint
        {
            let file = self.path.display();
            tracing::warn!(%file, complaint, "new certificates are not taken up");
        }
        self.complaint = complaint;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn tls(key: &str) -> TlsConfig {
        TlsConfig {
            server_key: key.to_owned(),
            ..TlsConfig::default()
        }
    }

    #[test]
    fn what_changes_is_taken_up_and_what_cannot_be_leaves_the_last() {
        let mut certificates = Certificates::new(PathBuf::from("ssl.cfg"), tls("first"));
        let mut taken = Vec::new();
        let broken = || Err(Failure::new(Exit::Config, "ssl.cfg: cannot be read"));
        let rows = [
            (Ok(tls("first")), None),
            (Ok(tls("second")), None),
            (broken(), Some("ssl.cfg: cannot be read")),
            (Ok(tls("refused")), Some("refused")),
            (Ok(tls("second")), None),
            (Ok(tls("first")), None),
        ];
        for (read, complaint) in rows {
            certificates.take(read, |tls| {
                if tls.server_key == "refused" {
                    return Err("refused".to_owned());
                }
                taken.push(tls.server_key.clone());
                Ok(())
            });
            assert_eq!(certificates.complaint.as_deref(), complaint);
        }
        assert_eq!(taken, ["second", "first"]);
    }
}
