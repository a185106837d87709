//! TensorFlow Serving's files: read, checked, and complained about in its words.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use salver_protocol::config::{
    self, BatchingParameters, ConfigError, ModelsFile, MonitoringConfig, PlatformConfig, SslConfig,
    TENSORFLOW_PLATFORM, TextError,
};
use salver_server::TlsConfig;

use crate::config::{Sessions, TfConfig};
use crate::exit::{Exit, Failure};

/// What the files beside the list of models say.
#[derive(Debug, Default)]
pub(crate) struct TfSettings {
    /// Platforms by name; `None` if there is no file about them.
    pub(crate) platforms: Option<BTreeMap<String, PlatformConfig>>,
    /// TensorFlow's sessions, as flags and their own file have them.
    sessions: Sessions,
    /// How requests are joined, as flags and their file have it; `None` if they are not.
    batching: Option<BatchingParameters>,
    /// The certificates; `None` if there is no file of them.
    pub(crate) tls: Option<TlsConfig>,
    /// The page for Prometheus, if there is to be one.
    pub(crate) monitoring: MonitoringConfig,
}

impl TfSettings {
    /// Returns how often requests that a version brings along are replayed; a file about platforms goes before the flags.
    pub(crate) fn num_warmup_iterations(&self, flags: &TfConfig) -> Option<NonZeroU32> {
        let Some(platforms) = &self.platforms else {
            return flags.num_warmup_iterations;
        };
        let platform = platforms
            .get(TENSORFLOW_PLATFORM)
            .filter(|platform| platform.has_warmup)?;
        let iterations = platform.num_warmup_iterations;
        let iterations = iterations.and_then(|iterations| u32::try_from(iterations).ok());
        Some(
            iterations
                .and_then(NonZeroU32::new)
                .unwrap_or(NonZeroU32::MIN),
        )
    }

    /// Returns how TensorFlow loads models and runs them; a file about platforms goes before everything else.
    pub(crate) fn sessions(&self) -> Sessions {
        let Some(platforms) = &self.platforms else {
            return self.sessions.clone();
        };
        let platform = platforms.get(TENSORFLOW_PLATFORM).cloned();
        let platform = platform.unwrap_or_default();
        let default = Sessions::default();
        Sessions {
            tags: match platform.tags.is_empty() {
                true => default.tags,
                false => platform.tags,
            },
            settings: platform.session,
        }
    }

    /// Returns how requests are joined; a file about platforms goes before the flags.
    pub(crate) fn batching(&self) -> Option<&BatchingParameters> {
        match &self.platforms {
            Some(platforms) => platforms.get(TENSORFLOW_PLATFORM)?.batching.as_ref(),
            None => self.batching.as_ref(),
        }
    }

    /// Returns the platforms that models may name.
    pub(crate) fn platform_names(&self) -> BTreeSet<String> {
        match &self.platforms {
            Some(platforms) => platforms.keys().cloned().collect(),
            None => BTreeSet::from([TENSORFLOW_PLATFORM.to_owned()]),
        }
    }
}

/// Reads a `model_config_file`.
pub(crate) fn models(path: &Path) -> Result<ModelsFile, Failure> {
    read(path, config::parse_models)
}

/// Reads every other file that was named.
pub(crate) fn others(config: &TfConfig) -> Result<TfSettings, Failure> {
    let files = &config.files;
    let platforms = files.platforms.as_deref().map(|path| {
        let platforms: BTreeMap<String, PlatformConfig> = read(path, config::parse_platforms)?;
        for platform in platforms.values() {
            check_batching(path, platform.batching.as_ref())?;
        }
        Ok::<_, Failure>(platforms)
    });
    let batching = match &files.batching {
        Some(path) => {
            let parameters: BatchingParameters = read(path, config::parse_batching)?;
            check_batching(path, Some(&parameters))?;
            Some(parameters)
        }
        None => Some(BatchingParameters::default()),
    };
    let monitoring = files.monitoring.as_deref();
    let monitoring = monitoring.map(|path| read(path, config::parse_monitoring));
    let tls = files.ssl.as_deref().map(certificates).transpose()?;
    let overrides = &config.session;
    let settings = match &files.session {
        Some(path) => read(path, |text| config::parse_session(text, overrides))?,
        None => config::parse_session("", overrides).unwrap_or_default(),
    };
    Ok(TfSettings {
        sessions: Sessions {
            tags: config.tags.clone(),
            settings,
        },
        batching: batching.filter(|_| config.joins_requests),
        platforms: platforms.transpose()?,
        tls,
        monitoring: monitoring.transpose()?.unwrap_or_default(),
    })
}

/// Reads an `ssl_config_file`, and makes sure that connections can be secured with it.
pub(crate) fn certificates(path: &Path) -> Result<TlsConfig, Failure> {
    let ssl: SslConfig = read(path, config::parse_ssl)?;
    let tls = TlsConfig {
        server_key: ssl.server_key,
        server_cert: ssl.server_cert,
        custom_ca: ssl.custom_ca,
        client_verify: ssl.client_verify,
    };
    tls.check().map_err(|error| {
        let message = format!("{}: {error}", path.display());
        Failure::new(Exit::Config, message).with_status(format!("INVALID_ARGUMENT: {error}"))
    })?;
    Ok(tls)
}

fn check_batching(path: &Path, parameters: Option<&BatchingParameters>) -> Result<(), Failure> {
    let checked = parameters.map_or(Ok(()), BatchingParameters::check);
    checked.map_err(|error| {
        let message = format!("{}: {error}", path.display());
        Failure::new(Exit::Config, message).with_status(format!("INVALID_ARGUMENT: {error}"))
    })
}

/// Reads a file in protobuf's text format.
fn read<T, E: Into<ConfigError>>(
    path: &Path,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, Failure> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| {
        let message = format!("{shown}: cannot be read: {error}");
        Failure::new(Exit::Config, message).with_status(format!("NOT_FOUND: {shown}; {error}"))
    })?;
    parse(&text).map_err(|error| match error.into() {
        ConfigError::Text(error) => invalid(path, &error),
        error => Failure::new(Exit::Config, format!("{shown}: {error}"))
            .with_status(format!("INVALID_ARGUMENT: {error}")),
    })
}

/// Says in the log where the mistake is, and in the status which file it is in.
fn invalid(path: &Path, error: &TextError) -> Failure {
    let status = format!("Invalid protobuf file: '{}'", path.display());
    Failure::all(Exit::Config, [error.to_string(), status.clone()])
        .with_status(format!("INVALID_ARGUMENT: {status}"))
}
