//! Certificates: what they are, whether they can be used, and how they are replaced while the server runs.
//!
//! ```text
//! TlsConfig (PEM) ─► checked ─► current ─► each new connection's handshake
//!                        replace ──┘
//! ```
//!
//! Owns keys and certificates, and the handshake. Does not own files or the time to look at them again (`cli`), nor
//! what is said once a connection is secure (`connection`).

mod credentials;
mod handshake;
mod pem;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing::{info, warn};

pub(crate) use handshake::Handshakes;

/// What secures connections: PEM text, as TensorFlow Serving's `ssl_config_file` holds it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// The private key of `server_cert`: PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub server_key: String,
    /// The server's own certificate, then those that lead from it to one that clients trust.
    pub server_cert: String,
    /// The certificates that clients' have to lead to; looked at only with `client_verify`.
    pub custom_ca: String,
    /// Whether clients have to show a certificate.
    pub client_verify: bool,
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("server_cert", &self.server_cert)
            .field("custom_ca", &self.custom_ca)
            .field("client_verify", &self.client_verify)
            .finish_non_exhaustive()
    }
}

impl TlsConfig {
    /// Finds out whether connections can be secured with this.
    ///
    /// # Errors
    /// [`TlsError`] names the field and what is wrong with it.
    pub fn check(&self) -> Result<(), TlsError> {
        credentials::build(self).map(drop)
    }
}

/// Why connections cannot be secured with a [`TlsConfig`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A field that is needed is empty.
    #[error("{field} is empty; it takes {wanted}")]
    Missing {
        /// The field.
        field: &'static str,
        /// What belongs there.
        wanted: &'static str,
    },
    /// A field holds text of another kind.
    #[error("{field} holds {found}; it takes {wanted}")]
    OtherKind {
        /// The field.
        field: &'static str,
        /// What is there.
        found: String,
        /// What belongs there.
        wanted: &'static str,
    },
    /// A field holds PEM text with a mistake in it.
    #[error("{field} is not PEM text: {reason}")]
    NotPem {
        /// The field.
        field: &'static str,
        /// The mistake.
        reason: String,
    },
    /// A certificate that is none.
    #[error("{field}: its certificate number {number} cannot be read: {reason}")]
    Certificate {
        /// The field.
        field: &'static str,
        /// Which one of the field's certificates, from 1.
        number: usize,
        /// Why not.
        reason: String,
    },
    /// A key of a kind that cannot sign.
    #[error(
        "server_key cannot be used ({reason}); RSA of 2048 to 4096 bits, ECDSA on P-256 or P-384, and Ed25519 can"
    )]
    Key {
        /// Why not.
        reason: String,
    },
    /// A key and a certificate that have nothing to do with each other.
    #[error(
        "server_key does not belong to the first certificate of server_cert, which has to be the server's own"
    )]
    KeyOfAnother,
}

/// What secures the connections of some ports, now.
pub(crate) struct Tls {
    current: ArcSwap<rustls::ServerConfig>,
    handshakes: Arc<Handshakes>,
}

impl Tls {
    /// Takes up a configuration; `max_handshakes` may be under way at once.
    pub(crate) fn new(config: &TlsConfig, max_handshakes: usize) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self {
            current: ArcSwap::new(take_up(config)?),
            handshakes: Arc::new(Handshakes::new(max_handshakes)),
        }))
    }
}

fn take_up(config: &TlsConfig) -> Result<Arc<rustls::ServerConfig>, TlsError> {
    let credentials = credentials::build(config)?;
    if let Some(doubt) = &credentials.doubt {
        warn!("server_cert {doubt}; clients will refuse it");
    }
    Ok(credentials.config)
}

/// Replaces the certificates of a running server.
#[derive(Clone)]
pub struct TlsHandle(Arc<Tls>);

impl fmt::Debug for TlsHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsHandle").finish_non_exhaustive()
    }
}

impl TlsHandle {
    pub(crate) fn new(tls: Arc<Tls>) -> Self {
        Self(tls)
    }

    /// Secures new connections with `config`; those that there are go on with what they began with.
    ///
    /// # Errors
    /// [`TlsError`] as of [`TlsConfig::check`]; nothing has changed then.
    pub fn replace(&self, config: &TlsConfig) -> Result<(), TlsError> {
        self.0.current.store(take_up(config)?);
        info!("certificates replaced");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
