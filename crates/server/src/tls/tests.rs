use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, date_time_ymd,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::{TlsConnector, client};

use super::handshake::HandshakeError;
use super::*;
use crate::listen::Stream;

const BUFFER_BYTES: usize = 64 << 10;
const NAME: &str = "localhost";

/// Whoever signs certificates, for the length of a test.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
struct Pair {
    cert: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn issue(&self) -> Pair {
        self.issue_with(&KeyPair::generate().expect("a key"), |_| {})
    }

    fn issue_with(&self, key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = CertificateParams::new([NAME.to_owned()]).expect("a name");
        change(&mut params);
        let cert = params.signed_by(key, &self.0).expect("a certificate");
        Pair {
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }
}

fn config(pair: &Pair) -> TlsConfig {
    TlsConfig {
        server_key: pair.key.clone(),
        server_cert: pair.cert.clone(),
        ..TlsConfig::default()
    }
}

fn tls(config: &TlsConfig) -> Arc<Tls> {
    Tls::new(config, 8).expect("certificates that can be used")
}

/// A client that trusts one authority, and shows a certificate if it has one.
fn client(authority: &Authority, shows: Option<&Pair>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("PEM");
    roots.add(root).expect("a certificate");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("both versions")
        .with_root_certificates(roots);
    let mut config = match shows {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let cert = CertificateDer::from_pem_slice(pair.cert.as_bytes()).expect("PEM");
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("PEM");
            builder
                .with_client_auth_cert(vec![cert], key)
                .expect("a pair")
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// A client and the server's side of one connection, once a byte went there and back.
struct Connected {
    client: client::TlsStream<DuplexStream>,
    server: Box<dyn Stream>,
}

impl Connected {
    async fn echo(&mut self) -> std::io::Result<()> {
        self.client.write_all(b"x").await?;
        let byte = self.server.read_u8().await?;
        self.server.write_u8(byte).await?;
        self.server.flush().await?;
        self.client.read_u8().await.map(drop)
    }

    fn certificate(&self) -> CertificateDer<'static> {
        let (_, session) = self.client.get_ref();
        session.peer_certificates().expect("a certificate")[0].clone()
    }
}

/// Connects; on failure returns what the server says of it, and the client.
async fn connect(tls: &Tls, client: ClientConfig) -> Result<Connected, [String; 2]> {
    let (near, far) = duplex(BUFFER_BYTES);
    let connector = TlsConnector::from(Arc::new(client));
    let name = ServerName::try_from(NAME).expect("a name");
    let (secured, connected) = tokio::join!(tls.secure(Box::new(far)), async {
        let mut stream = connector.connect(name, near).await?;
        // Only reading tells whether the server liked the client's certificate.
        stream.write_all(b"x").await?;
        Ok::<_, std::io::Error>(stream)
    });
    match (secured, connected) {
        (Ok(mut server), Ok(client)) => {
            assert_eq!(server.read_u8().await.expect("the client's byte"), b'x');
            Ok(Connected { client, server })
        }
        (secured, connected) => {
            let server = secured.err().map(|error| error.to_string());
            let client = connected.err().map(|error| error.to_string());
            Err([server.unwrap_or_default(), client.unwrap_or_default()])
        }
    }
}

async fn refusal(tls: &Tls, client: ClientConfig) -> [String; 2] {
    match connect(tls, client).await {
        Ok(_) => panic!("the handshake should fail"),
        Err(errors) => errors,
    }
}

#[tokio::test]
async fn whoever_trusts_the_authority_is_served() {
    let authority = Authority::new("ours");
    let tls = tls(&config(&authority.issue()));
    let mut connected = connect(&tls, client(&authority, None))
        .await
        .expect("served");
    connected.echo().await.expect("a byte and back");
    let (_, session) = connected.client.get_ref();
    assert_eq!(session.alpn_protocol(), Some(&b"h2"[..]));
}

#[tokio::test]
async fn every_kind_and_form_of_key_can_be_used() {
    let authority = Authority::new("ours");
    let kinds = [
        KeyPair::generate(),
        KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
        KeyPair::generate_for(&PKCS_ED25519),
    ];
    for key in kinds {
        let pair = authority.issue_with(&key.expect("a key"), |_| {});
        assert_eq!(config(&pair).check(), Ok(()), "{}", pair.key);
    }
    // The old form of a key on P-256 is the last 109 bytes of the new one.
    let key = KeyPair::generate().expect("a key");
    let whole = key.serialize_der();
    let old = pem_of("EC PRIVATE KEY", &whole[whole.len() - 109..]);
    let pair = authority.issue_with(&key, |_| {});
    let old = TlsConfig {
        server_key: format!(
            "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{old}"
        ),
        ..config(&pair)
    };
    assert_eq!(old.check(), Ok(()));
}

fn pem_of(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

#[test]
fn mistakes_name_the_field_and_what_is_wrong() {
    let authority = Authority::new("ours");
    let (pair, other) = (authority.issue(), authority.issue());
    let good = config(&pair);
    let with = |change: fn(&mut TlsConfig, &Pair)| {
        let mut config = good.clone();
        change(&mut config, &other);
        config
    };
    let rows = [
        (
            with(|config, _| config.server_key.clear()),
            "server_key is empty; it takes a PEM private key",
        ),
        (
            with(|config, _| config.server_cert = " \n".into()),
            "server_cert is empty; it takes PEM certificates",
        ),
        (
            with(|config, other| config.server_key = other.key.clone()),
            "server_key does not belong to the first certificate of server_cert",
        ),
        (
            with(|config, _| std::mem::swap(&mut config.server_key, &mut config.server_cert)),
            "server_cert holds PRIVATE KEY; it takes PEM certificates",
        ),
        (
            with(|config, _| config.server_key = "/etc/tls/key.pem".into()),
            "server_key holds what looks like a path; it takes a PEM private key",
        ),
        (
            with(|config, _| {
                config.server_key =
                    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n".into();
            }),
            "server_key holds ENCRYPTED PRIVATE KEY; it takes a PEM private key without a passphrase",
        ),
        (
            with(|config, _| config.server_cert.truncate(100)),
            "server_cert is not PEM text: the line `-----END CERTIFICATE-----` is missing",
        ),
        (
            with(|config, _| config.server_cert.insert(30, '%')),
            "server_cert is not PEM text: between BEGIN and END is something other than base64",
        ),
        (
            with(|config, _| config.server_cert.push_str(&pem_of("CERTIFICATE", b"none"))),
            "server_cert: its certificate number 2 cannot be read: ",
        ),
        (
            with(|config, _| config.server_key = pem_of("PRIVATE KEY", b"none")),
            "server_key cannot be used (",
        ),
        (
            with(|config, _| config.client_verify = true),
            "custom_ca is empty; it takes PEM certificates",
        ),
    ];
    for (config, expected) in rows {
        let message = config.check().expect_err(expected).to_string();
        assert!(message.starts_with(expected), "{message}");
    }
    assert!(
        !format!("{good:?}").contains("PRIVATE KEY"),
        "keys are not shown"
    );
}

#[tokio::test]
async fn whoever_trusts_another_authority_goes_away() {
    let (authority, other) = (Authority::new("ours"), Authority::new("another"));
    let tls = tls(&config(&authority.issue()));
    let [server, client] = refusal(&tls, client(&other, None)).await;
    assert!(client.contains("UnknownIssuer"), "{client}");
    assert!(server.contains("fatal alert"), "{server}");
}

#[tokio::test]
async fn an_expired_certificate_is_told_at_the_start_and_refused_by_clients() {
    let authority = Authority::new("ours");
    let expired = authority.issue_with(&KeyPair::generate().expect("a key"), |params| {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    let config = config(&expired);
    let doubt = credentials::build(&config)
        .expect("usable")
        .doubt
        .expect("a doubt");
    assert!(doubt.starts_with("expired "), "{doubt}");
    let [_, client] = refusal(&tls(&config), client(&authority, None)).await;
    assert!(client.contains("certificate expired"), "{client}");
}

#[tokio::test]
async fn clients_that_are_to_be_verified_need_a_certificate_of_the_authority() {
    let (authority, other) = (Authority::new("ours"), Authority::new("another"));
    let (good, bad) = (authority.issue(), other.issue());
    let tls = tls(&TlsConfig {
        custom_ca: authority.pem(),
        client_verify: true,
        ..config(&authority.issue())
    });
    let mut connected = connect(&tls, client(&authority, Some(&good)))
        .await
        .expect("served");
    connected.echo().await.expect("a byte and back");
    let [server, _] = refusal(&tls, client(&authority, None)).await;
    assert_eq!(server, "peer sent no certificates");
    let [server, _] = refusal(&tls, client(&authority, Some(&bad))).await;
    assert!(server.contains("UnknownIssuer"), "{server}");
}

#[tokio::test]
async fn replaced_certificates_are_those_of_new_connections() {
    let authority = Authority::new("ours");
    let (first, second) = (authority.issue(), authority.issue());
    let tls = tls(&config(&first));
    let handle = TlsHandle::new(Arc::clone(&tls));
    let mut before = connect(&tls, client(&authority, None))
        .await
        .expect("served");
    handle
        .replace(&config(&second))
        .expect("certificates that can be used");
    let mut after = connect(&tls, client(&authority, None))
        .await
        .expect("served");
    let der = |pair: &Pair| CertificateDer::from_pem_slice(pair.cert.as_bytes()).expect("PEM");
    assert_eq!(before.certificate(), der(&first));
    assert_eq!(after.certificate(), der(&second));
    before.echo().await.expect("an old connection goes on");
    after.echo().await.expect("a byte and back");

    let mixed = TlsConfig {
        server_key: first.key.clone(),
        ..config(&second)
    };
    assert_eq!(handle.replace(&mixed), Err(TlsError::KeyOfAnother));
    let still = connect(&tls, client(&authority, None))
        .await
        .expect("served");
    assert_eq!(still.certificate(), der(&second));
}

#[tokio::test]
async fn plain_text_is_answered_and_closed() {
    let tls = tls(&config(&Authority::new("ours").issue()));
    let (mut near, far) = duplex(BUFFER_BYTES);
    let talk = async {
        near.write_all(b"GET /v1/models/m HTTP/1.1\r\nHost: h\r\n\r\n")
            .await
            .expect("sent");
        let mut answer = String::new();
        near.read_to_string(&mut answer).await.expect("an end");
        // The server reads until the client closes, too.
        drop(near);
        answer
    };
    let (secured, answer) = tokio::join!(tls.secure(Box::new(far)), talk);
    assert!(matches!(secured, Err(HandshakeError::PlainText)));
    assert!(
        answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn slow_handshakes_give_way_to_others() {
    let authority = Authority::new("ours");
    let tls = Tls::new(&config(&authority.issue()), 1).expect("usable");
    let (near, far) = duplex(BUFFER_BYTES);
    let quick = async {
        let mut connected = connect(&tls, client(&authority, None))
            .await
            .expect("served");
        connected.echo().await.expect("a byte and back");
    };
    let (slow, ()) = tokio::join!(tls.secure(Box::new(far)), quick);
    assert!(matches!(slow, Err(HandshakeError::GaveWay)));
    drop(near);
}
