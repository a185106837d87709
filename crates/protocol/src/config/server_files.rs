//! Files about the server itself: its certificates, its page of metrics.

use std::fmt;

use salver_proto::tensorflow::serving::{
    MonitoringConfig as MonitoringProto, SslConfig as SslProto,
};

use super::text::{self, TextError};

/// Where TensorFlow Serving has its metrics if nothing else is said.
const DEFAULT_PROMETHEUS_PATH: &str = "/monitoring/prometheus/metrics";

/// Certificates of the ports, each as PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SslConfig {
    /// The server's private key.
    pub server_key: String,
    /// The server's certificate and those that lead to its root.
    pub server_cert: String,
    /// The roots that clients' certificates must lead to; the system's if empty.
    pub custom_ca: String,
    /// Whether a client must show a certificate.
    pub client_verify: bool,
}

/// Keeps the key out of logs.
impl fmt::Debug for SslConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SslConfig")
            .field("client_verify", &self.client_verify)
            .finish_non_exhaustive()
    }
}

/// Monitoring of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MonitoringConfig {
    /// The path of the page for Prometheus; `None` for no page.
    pub prometheus_path: Option<String>,
}

/// Reads the text of an `ssl_config_file`.
///
/// # Errors
/// [`TextError`]; whether the PEM texts are right is the matter of whoever uses them.
pub fn parse_ssl(text: &str) -> Result<SslConfig, TextError> {
    let proto: SslProto = text::parse("tensorflow.serving.SSLConfig", text)?;
    Ok(SslConfig {
        server_key: proto.server_key,
        server_cert: proto.server_cert,
        custom_ca: proto.custom_ca,
        client_verify: proto.client_verify,
    })
}

/// Reads the text of a `monitoring_config_file`.
///
/// # Errors
/// [`TextError`].
pub fn parse_monitoring(text: &str) -> Result<MonitoringConfig, TextError> {
    let proto: MonitoringProto = text::parse("tensorflow.serving.MonitoringConfig", text)?;
    let prometheus = proto
        .prometheus_config
        .filter(|prometheus| prometheus.enable);
    Ok(MonitoringConfig {
        prometheus_path: prometheus.map(|prometheus| match prometheus.path.is_empty() {
            true => DEFAULT_PROMETHEUS_PATH.to_owned(),
            false => prometheus.path,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_a_path_of_their_own_or_the_usual_one() {
        let rows = [
            ("", None),
            ("prometheus_config { path: '/m' }", None),
            (
                "prometheus_config { enable: true }",
                Some(DEFAULT_PROMETHEUS_PATH),
            ),
            (
                "prometheus_config: { enable: true, path: \"/m\"; }",
                Some("/m"),
            ),
        ];
        for (text, expected) in rows {
            let parsed = parse_monitoring(text).expect(text);
            assert_eq!(parsed.prometheus_path.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn certificates_are_texts_of_several_lines() {
        let text = "server_key: \"-----BEGIN PRIVATE KEY-----\\nMII\\n\"\n  '-----END PRIVATE KEY-----\\n'\n\
                    server_cert: \"c\"\nclient_verify: true\n";
        let parsed = parse_ssl(text).expect("what people write");
        let key = "-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----\n";
        assert_eq!(
            (parsed.server_key.as_str(), parsed.client_verify),
            (key, true)
        );
        assert!(!format!("{parsed:?}").contains("MII"));
    }
}
