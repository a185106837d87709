//! Secure connections: whom a client trusts, and what it shows of itself.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::ClientError;

/// How a client secures connections to `https` addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// The certificates that the server's has to lead to, in PEM; `None` for those that the system trusts.
    pub authorities: Option<Vec<u8>>,
    /// What the client shows to a server that asks for it.
    pub identity: Option<Identity>,
}

/// A certificate and its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The client's own certificate, then those that lead to one that the server trusts, in PEM.
    pub certificates: Vec<u8>,
    /// The key of the first one, in PEM.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// What opens connections, secure ones and others.
pub(crate) type Connector = HttpsConnector<HttpConnector>;

impl ClientTls {
    /// Returns what opens connections for HTTP/1.1, plain or secure as the address says.
    pub(crate) fn rest(
        &self,
        is_secure: bool,
        timeout: Duration,
    ) -> Result<Connector, ClientError> {
        let config = match is_secure {
            true => self.config(self.roots()?)?,
            false => Self::default().config(RootCertStore::empty())?,
        };
        let connector = HttpsConnectorBuilder::new().with_tls_config(config);
        Ok(connector
            .https_or_http()
            .enable_http1()
            .wrap_connector(plain(timeout)))
    }

    /// Returns what opens secure connections for gRPC.
    pub(crate) fn grpc(&self, timeout: Duration) -> Result<Connector, ClientError> {
        let config = self.config(self.roots()?)?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(config);
        Ok(connector
            .https_only()
            .enable_http2()
            .wrap_connector(plain(timeout)))
    }

    fn config(&self, roots: RootCertStore) -> Result<ClientConfig, ClientError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(roots);
        let Some(identity) = &self.identity else {
            return Ok(builder.with_no_client_auth());
        };
        let certificates = certificates("the client's certificate", &identity.certificates)?;
        let key = PrivateKeyDer::from_pem_slice(&identity.key).map_err(|error| {
            unusable(format!(
                "the client's key is no private key in PEM: {error}"
            ))
        })?;
        builder
            .with_client_auth_cert(certificates, key)
            .map_err(unusable)
    }

    fn roots(&self) -> Result<RootCertStore, ClientError> {
        let mut roots = RootCertStore::empty();
        let Some(authorities) = &self.authorities else {
            // What cannot be read is not trusted; with nothing left, the connection says so.
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            return Ok(roots);
        };
        for certificate in certificates("the authority", authorities)? {
            roots.add(certificate).map_err(unusable)?;
        }
        Ok(roots)
    }
}

fn plain(timeout: Duration) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(timeout));
    connector
}

fn certificates(of: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| unusable(format!("{of} is not PEM: {error}")))?;
    match found.is_empty() {
        true => Err(unusable(format!("{of} has no certificate in PEM"))),
        false => Ok(found),
    }
}

fn unusable(reason: impl std::fmt::Display) -> ClientError {
    ClientError::Certificates {
        reason: reason.to_string(),
    }
}

/// Returns what a failed call says of the connection's security, if it was that which failed.
pub(crate) fn failure_of(address: &str, error: &(dyn Error + 'static)) -> Option<ClientError> {
    cause(error).map(|error| ClientError::Insecure {
        address: address.to_owned(),
        reason: error.to_string(),
        hint: hint(error),
    })
}

/// Looks for a TLS error among an error's causes; an I/O error's cause is the cause of what it wraps, not that itself.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(error);
    }
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    match wrapped {
        Some(wrapped) => cause(wrapped),
        None => cause(error.source()?),
    }
}

fn hint(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(_) => {
            "the server's certificate has to lead to one of --ca, or of those that the system trusts"
        }
        rustls::Error::InvalidMessage(_) => "the server does not seem to speak TLS there",
        rustls::Error::AlertReceived(_) => {
            "the server refuses this client; it may want a certificate, --cert and --key"
        }
        _ => "its log may say more",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_that_cannot_be_used_are_explained() {
        let identity = |certificates: &[u8]| ClientTls {
            identity: Some(Identity {
                certificates: certificates.to_vec(),
                key: Vec::new(),
            }),
            ..ClientTls::default()
        };
        let rows = [
            (
                ClientTls {
                    authorities: Some(b"none".to_vec()),
                    ..ClientTls::default()
                },
                "the authority has no certificate in PEM",
            ),
            (
                ClientTls {
                    authorities: Some(b"-----BEGIN CERTIFICATE-----\n".to_vec()),
                    ..ClientTls::default()
                },
                "the authority is not PEM: ",
            ),
            (
                identity(b""),
                "the client's certificate has no certificate in PEM",
            ),
        ];
        for (tls, expected) in rows {
            let error = tls.grpc(Duration::ZERO).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
