//! From PEM text to what handshakes need.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::time_provider::{DefaultTimeProvider, TimeProvider as _};
use rustls::{CertificateError, RootCertStore, ServerConfig};

use super::pem::Field;
use super::{TlsConfig, TlsError};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// What is spoken over a connection, the better first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What handshakes need.
pub(super) struct Credentials {
    pub(super) config: Arc<ServerConfig>,
    /// What clients will not like about the server's certificate.
    pub(super) doubt: Option<String>,
}

/// Reads and checks a configuration.
pub(super) fn build(config: &TlsConfig) -> Result<Credentials, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let server_cert = Field {
        name: "server_cert",
        text: &config.server_cert,
    };
    let server_key = Field {
        name: "server_key",
        text: &config.server_key,
    };
    let chain = server_cert.certificates()?;
    let anchors = parse(server_cert.name, &chain)?;
    let key = server_key.private_key()?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| TlsError::Key {
            reason: error.to_string(),
        })?;
    if !belongs(&*key, &anchors) {
        return Err(TlsError::KeyOfAnother);
    }
    let clients = client_verifier(config, &provider)?;
    let now = DefaultTimeProvider.current_time();
    let doubt = now.and_then(|now| doubt(&chain[0], now, &provider));
    let chain = SingleCertAndKey::from(CertifiedKey::new(chain, key));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has ciphers of both versions")
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(chain));
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Credentials {
        config: Arc::new(config),
        doubt,
    })
}

/// Reads certificates, old ones of version 1 too.
fn parse(field: &'static str, chain: &[CertificateDer<'_>]) -> Result<RootCertStore, TlsError> {
    let mut anchors = RootCertStore::empty();
    for (idx, certificate) in chain.iter().enumerate() {
        anchors
            .add(certificate.clone().into_owned())
            .map_err(|error| TlsError::Certificate {
                field,
                number: idx + 1,
                reason: error.to_string(),
            })?;
    }
    Ok(anchors)
}

/// Tells whether a key is that of the first certificate.
fn belongs(key: &dyn SigningKey, anchors: &RootCertStore) -> bool {
    let (Some(ours), Some(theirs)) = (key.public_key(), anchors.roots.first()) else {
        return false;
    };
    // The certificate's is without the frame around it.
    ours.ends_with(&theirs.subject_public_key_info)
}

fn client_verifier(
    config: &TlsConfig,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    if !config.client_verify {
        return Ok(WebPkiClientVerifier::no_client_auth());
    }
    let field = Field {
        name: "custom_ca",
        text: &config.custom_ca,
    };
    let roots = Arc::new(parse(field.name, &field.certificates()?)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
    verifier.map_err(|error| TlsError::NotPem {
        field: field.name,
        reason: error.to_string(),
    })
}

/// Returns what clients will not like about a certificate's dates.
fn doubt(
    certificate: &CertificateDer<'_>,
    now: UnixTime,
    provider: &CryptoProvider,
) -> Option<String> {
    // The dates are looked at first; that nobody has signed it, which is no more than asked here, comes after.
    let certificate = ParsedCertificate::try_from(certificate).ok()?;
    let algorithms = provider.signature_verification_algorithms.all;
    let nobody = RootCertStore::empty();
    let verified =
        verify_server_cert_signed_by_trust_anchor(&certificate, &nobody, &[], now, algorithms);
    let days = |late: UnixTime, early: UnixTime| {
        Duration::from_secs(late.as_secs().saturating_sub(early.as_secs())).div_duration_f64(DAY)
    };
    match verified {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
            time,
            not_after,
        })) => Some(format!("expired {:.1} days ago", days(time, not_after))),
        Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
            time,
            not_before,
        })) => Some(format!(
            "is not valid for another {:.1} days",
            days(not_before, time)
        )),
        _ => None,
    }
}
