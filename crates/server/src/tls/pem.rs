//! Reads PEM text, and says what is there instead of what should be.

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;

/// One field of a configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    pub(super) name: &'static str,
    pub(super) text: &'a str,
}

impl Field<'_> {
    /// Returns the certificates of the field, one at least.
    pub(super) fn certificates(self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let wanted = "PEM certificates, `-----BEGIN CERTIFICATE-----`";
        let found = self.sections(wanted)?;
        match found.is_empty() {
            true => Err(self.other_kind(wanted)),
            false => Ok(found),
        }
    }

    /// Returns the first private key of the field.
    pub(super) fn private_key(self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let wanted = "a PEM private key without a passphrase, `-----BEGIN PRIVATE KEY-----`";
        let found: Vec<PrivateKeyDer<'static>> = self.sections(wanted)?;
        found
            .into_iter()
            .next()
            .ok_or_else(|| self.other_kind(wanted))
    }

    fn sections<T: PemObject>(self, wanted: &'static str) -> Result<Vec<T>, TlsError> {
        if self.text.trim().is_empty() {
            return Err(TlsError::Missing {
                field: self.name,
                wanted,
            });
        }
        let sections = T::pem_slice_iter(self.text.as_bytes());
        sections.collect::<Result<_, _>>().map_err(|error| {
            let field = self.name;
            let reason = reason(&error);
            TlsError::NotPem { field, reason }
        })
    }

    fn other_kind(self, wanted: &'static str) -> TlsError {
        let label = self.text.split_once("-----BEGIN ").map(|(_, rest)| rest);
        let label = label.and_then(|rest| rest.split_once("-----"));
        let found = match label {
            Some((label, _)) if self.text.contains("Proc-Type: 4,ENCRYPTED") => {
                format!("{label}, encrypted")
            }
            Some((label, _)) => label.to_owned(),
            None if self.text.trim_start().starts_with(['/', '.']) => {
                "what looks like a path".to_owned()
            }
            None => "text without `-----BEGIN`".to_owned(),
        };
        TlsError::OtherKind {
            field: self.name,
            found,
            wanted,
        }
    }
}

fn reason(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            let marker = String::from_utf8_lossy(end_marker);
            format!("the line `-----END {}-----` is missing", marker.trim())
        }
        pem::Error::Base64Decode(_) => {
            "between BEGIN and END is something other than base64".to_owned()
        }
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is damaged".to_owned(),
        other => other.to_string(),
    }
}
