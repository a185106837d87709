//! Connects to stores: which settings count, and under which names.
//!
//! Names are those of each cloud's own tools, as they are in the environment. What is not set is asked of the machine:
//! role files and metadata servers.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, resolve_bucket_region};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};

use crate::remote::{GcsEmulator, Lister, Remote, WebIndex};
use crate::{Options, Scheme, StoreError, StoreUri};

mod profile;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest silence within an answer. There is no limit to a whole answer: models are large.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// How failed requests are repeated, before the whole listing or download counts as failed and is tried anew later.
const RETRY: RetryConfig = RetryConfig {
    backoff: BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(2),
        base: 2.0,
    },
    max_retries: 3,
    retry_timeout: Duration::from_secs(20),
};

const USER_AGENT: &str = concat!("salver/", env!("CARGO_PKG_VERSION"));

/// Returns the store that an address names.
///
/// # Errors
/// [`StoreError::Settings`]; what came up while the region of a bucket was asked for.
pub(crate) async fn connect(uri: &StoreUri, options: &Options) -> Result<Remote, StoreError> {
    // Another part of the process may have chosen before, and the same.
    drop(rustls::crypto::ring::default_provider().install_default());
    let emulator = options
        .get("STORAGE_EMULATOR_HOST")
        .filter(|_| uri.scheme() == Scheme::Gcs)
        .map(emulator_base);
    let store: Arc<dyn ObjectStore> = match uri.scheme() {
        Scheme::Gcs if let Some(base) = &emulator => {
            Arc::new(web(&format!("{base}/{}", uri.bucket()), None, options)?)
        }
        Scheme::S3 => Arc::new(s3(uri, &profile::complete(options)).await?),
        Scheme::Gcs => Arc::new(gcs(uri, options).map_err(|error| settings(&error, options))?),
        Scheme::Azure => Arc::new(azure(uri, options).map_err(|error| settings(&error, options))?),
        Scheme::Http => Arc::new(web(uri.bucket(), uri.user_info(), options)?),
    };
    let path = Path::parse(uri.path()).map_err(|error| StoreError::Settings {
        reason: error.to_string(),
    })?;
    // One bucket may be called alike in two stores that speak one API.
    let endpoint = [
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT",
        "AZURE_ENDPOINT",
    ]
    .into_iter()
    .chain(["AZURE_STORAGE_ACCOUNT_NAME", "STORAGE_EMULATOR_HOST"])
    .filter_map(|name| options.get(name))
    .collect::<Vec<_>>();
    let place = format!("{:?} {} {}", uri.scheme(), uri.bucket(), endpoint.join(" "));
    let lister = match (uri.scheme(), emulator) {
        (Scheme::Gcs, Some(base)) => {
            let client = plain_client(HeaderMap::new(), options)?;
            Lister::GcsEmulator(GcsEmulator::new(client, &base, uri.bucket()))
        }
        (Scheme::Http, _) => {
            let client = plain_client(authorization(uri.user_info()), options)?;
            Lister::Web(Arc::new(WebIndex::new(client, uri.bucket())))
        }
        (Scheme::S3 | Scheme::Gcs | Scheme::Azure, _) => Lister::Store,
    };
    Ok(Remote::new(store, path, place, options.clone())
        .with_lister(lister)
        .with_bare_etags(uri.scheme() == Scheme::Azure))
}

fn settings(error: &object_store::Error, options: &Options) -> StoreError {
    let reason = match StoreError::of_store(error, options) {
        StoreError::Unavailable { reason }
        | StoreError::NotFound { reason }
        | StoreError::Denied { reason } => reason,
        other => return other,
    };
    StoreError::Settings { reason }
}

fn client() -> ClientOptions {
    ClientOptions::new()
        .with_config(ClientConfigKey::UserAgent, USER_AGENT)
        .with_timeout_disabled()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_read_timeout(READ_TIMEOUT)
}

/// Returns the settings whose names begin with a cloud's prefix, in the form the store's builder knows them by.
fn of_prefix<'o>(options: &'o Options, prefix: &str) -> impl Iterator<Item = (String, &'o str)> {
    let names = options
        .0
        .keys()
        .filter(move |name| name.starts_with(prefix));
    names.filter_map(|name| Some((name.to_ascii_lowercase(), options.get(name)?)))
}

/// An address without TLS is taken at its word: whoever names one wants it.
fn allows_plain(endpoint: Option<&str>) -> bool {
    endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"))
}

async fn s3(uri: &StoreUri, options: &Options) -> Result<object_store::aws::AmazonS3, StoreError> {
    let mut client = client();
    let mut builder = AmazonS3Builder::new().with_bucket_name(uri.bucket());
    let mut has_region = false;
    let mut endpoint = None;
    for (name, value) in of_prefix(options, "AWS_") {
        let Ok(key) = name.parse() else { continue };
        match key {
            AmazonS3ConfigKey::Client(key) => client = client.with_config(key, value),
            key => {
                let is_region = matches!(
                    key,
                    AmazonS3ConfigKey::Region | AmazonS3ConfigKey::DefaultRegion
                );
                has_region |= is_region;
                if matches!(
                    key,
                    AmazonS3ConfigKey::Endpoint | AmazonS3ConfigKey::S3Endpoint
                ) {
                    endpoint = Some(value);
                }
                builder = builder.with_config(key, value);
            }
        }
    }
    if allows_plain(endpoint) {
        client = client.with_allow_http(true);
    }
    if !has_region && endpoint.is_none() {
        let region = resolve_bucket_region(uri.bucket(), &client).await;
        builder =
            builder.with_region(region.map_err(|error| StoreError::of_store(&error, options))?);
    }
    let builder = builder.with_client_options(client).with_retry(RETRY);
    builder.build().map_err(|error| settings(&error, options))
}

fn gcs(uri: &StoreUri, options: &Options) -> object_store::Result<impl ObjectStore> {
    let mut client = client();
    let mut builder = GoogleCloudStorageBuilder::new().with_bucket_name(uri.bucket());
    for (name, value) in of_prefix(options, "GOOGLE_") {
        match name.parse() {
            Ok(GoogleConfigKey::Client(key)) => client = client.with_config(key, value),
            Ok(key) => builder = builder.with_config(key, value),
            Err(_) => {}
        }
    }
    builder
        .with_client_options(client)
        .with_retry(RETRY)
        .build()
}

fn azure(uri: &StoreUri, options: &Options) -> object_store::Result<impl ObjectStore> {
    let mut client = client();
    let mut builder = MicrosoftAzureBuilder::new().with_container_name(uri.bucket());
    let mut endpoint = None;
    for (name, value) in of_prefix(options, "AZURE_") {
        match name.parse() {
            Ok(AzureConfigKey::Client(key)) => client = client.with_config(key, value),
            Ok(key) => {
                if key == AzureConfigKey::Endpoint {
                    endpoint = Some(value);
                }
                builder = builder.with_config(key, value);
            }
            Err(_) => {}
        }
    }
    if let Some(identity) = options.get("IDENTITY_ENDPOINT") {
        builder = builder.with_msi_endpoint(identity);
    }
    if allows_plain(endpoint) {
        client = client.with_allow_http(true);
    }
    builder
        .with_client_options(client)
        .with_retry(RETRY)
        .build()
}

/// Returns the address of an emulator, which is often given without its scheme.
fn emulator_base(host: &str) -> String {
    match host.contains("://") {
        true => host.trim_end_matches('/').to_owned(),
        false => format!("http://{host}"),
    }
}

/// Returns a client for what the stores' own cannot ask.
fn plain_client(headers: HeaderMap, options: &Options) -> Result<reqwest::Client, StoreError> {
    let client = reqwest::Client::builder()
        .default_headers(headers)
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build();
    client.map_err(|error| StoreError::unavailable(&error, options))
}

fn web(
    url: &str,
    user_info: Option<&str>,
    options: &Options,
) -> Result<impl ObjectStore + use<>, StoreError> {
    let client = client()
        .with_allow_http(allows_plain(Some(url)))
        .with_default_headers(authorization(user_info));
    let builder = HttpBuilder::new()
        .with_url(url)
        .with_client_options(client)
        .with_retry(RETRY);
    builder.build().map_err(|error| settings(&error, options))
}

fn authorization(user_info: Option<&str>) -> HeaderMap {
    let Some(user_info) = user_info else {
        return HeaderMap::new();
    };
    let text = percent_encoding::percent_decode_str(user_info).decode_utf8_lossy();
    let encoded = format!("Basic {}", BASE64_STANDARD.encode(text.as_bytes()));
    let mut value = HeaderValue::from_str(&encoded).expect("base64 is ASCII");
    value.set_sensitive(true);
    HeaderMap::from_iter([(AUTHORIZATION, value)])
}
