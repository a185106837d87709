//! The form of log lines: text for people, JSON for machines.
//!
//! Lines go to standard error; standard output is for results.
//!
//! ```text
//! 2026-01-31T09:30:00.123456Z  INFO salver_server: serving grpc=127.0.0.1:8500 rest=127.0.0.1:8501
//! {"timestamp":"2026-01-31T09:30:00.123456Z","level":"INFO","message":"serving","grpc":"127.0.0.1:8500",…}
//! ```

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// Whom the log is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
    /// Text if standard error is a terminal, JSON elsewhere.
    #[default]
    Auto,
}

/// How to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Whom the log is for.
    pub format: LogFormat,
    /// What is logged: a level (`info`), or levels by module (`info,salver_repository=debug`).
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Auto,
            level: "info".to_owned(),
        }
    }
}

/// A library that is never heard: it logs the addresses of failed requests, which may have signatures in them. What
/// fails is told in our own words.
const SILENCED: &str = "object_store";

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is not understood.
    #[error(
        "log level: expected `error`, `warn`, `info`, `debug`, `trace` or `module=level` pairs, got `{level}`"
    )]
    Level {
        /// What was given.
        level: String,
    },
    /// Somebody set up logging in this process already.
    #[error("logging is set up already")]
    AlreadySet,
}

/// Sets up logging for the whole process.
///
/// # Errors
/// [`LogError::Level`] for a level that is not understood, [`LogError::AlreadySet`] the second time.
pub fn init(config: &LogConfig) -> Result<(), LogError> {
    let is_terminal = io::stderr().is_terminal();
    let is_json = match config.format {
        LogFormat::Text => false,
        LogFormat::Json => true,
        LogFormat::Auto => !is_terminal,
    };
    let subscriber = match is_json {
        true => json(&config.level, io::stderr)?,
        false => text(&config.level, is_terminal, io::stderr)?,
    };
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::AlreadySet)
}

/// A subscriber whose writer and format are hidden.
type BoxSubscriber = Box<dyn Subscriber + Send + Sync>;

fn json<W>(level: &str, writer: W) -> Result<BoxSubscriber, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = fmt::layer::<Registry>()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(writer)
        .with_filter(parse_level(level)?);
    Ok(Box::new(Registry::default().with(layer)))
}

fn text<W>(level: &str, is_terminal: bool, writer: W) -> Result<BoxSubscriber, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = fmt::layer::<Registry>()
        .with_ansi(is_terminal)
        .with_writer(writer)
        .with_filter(parse_level(level)?);
    Ok(Box::new(Registry::default().with(layer)))
}

fn parse_level(level: &str) -> Result<Targets, LogError> {
    let targets: Targets = level.parse().map_err(|_| LogError::Level {
        level: level.to_owned(),
    })?;
    Ok(targets.with_target(SILENCED, LevelFilter::OFF))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log(make: impl FnOnce(Lines) -> BoxSubscriber, event: impl FnOnce()) -> String {
        let lines = Lines::default();
        tracing::subscriber::with_default(make(lines.clone()), event);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_lines_are_flat_objects() {
        let line = log(
            |lines| json("info", move || lines.clone()).unwrap(),
            || tracing::info!(grpc = "127.0.0.1:1", num_models = 2, "serving"),
        );
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["level"], "INFO");
        assert_eq!(object["message"], "serving");
        assert_eq!(object["grpc"], "127.0.0.1:1");
        assert_eq!(object["num_models"], 2);
        assert_eq!(object["target"], "salver_telemetry::logging::tests");
        let timestamp = object["timestamp"].as_str().unwrap();
        assert!(
            timestamp.contains('T') && timestamp.ends_with('Z'),
            "{timestamp}"
        );
    }

    #[test]
    fn text_lines_hold_message_and_fields() {
        let line = log(
            |lines| text("info", false, move || lines.clone()).unwrap(),
            || tracing::info!(rest = "127.0.0.1:2", "serving"),
        );
        assert!(line.ends_with("serving rest=\"127.0.0.1:2\"\n"), "{line:?}");
    }

    #[test]
    fn levels_choose_what_is_logged() {
        let rows = [
            ("warn", ""),
            ("info", "INFO"),
            ("off", ""),
            ("warn,salver_telemetry=info", "INFO"),
            ("info,salver_telemetry=error", ""),
        ];
        for (level, expected) in rows {
            let line = log(
                |lines| text(level, false, move || lines.clone()).unwrap(),
                || tracing::info!("x"),
            );
            assert_eq!(
                line.contains("INFO"),
                !expected.is_empty(),
                "{level}: {line:?}"
            );
        }
    }

    #[test]
    fn an_unknown_level_is_refused_by_name() {
        let error = parse_level("salver=loud").unwrap_err();
        assert!(error.to_string().ends_with("got `salver=loud`"), "{error}");
    }
}
