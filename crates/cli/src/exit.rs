//! How the process ends: codes that scripts can tell apart, and messages.

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use crate::output;

/// Why the process ends; the number is its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// All went well.
    Done = 0,
    /// The command ran, and its answer is an error.
    Failed = 1,
    /// The command line is wrong (sysexits' EX_USAGE).
    Usage = 64,
    /// Salver itself failed (EX_SOFTWARE).
    Internal = 70,
    /// The configuration is wrong, or nothing could be loaded (EX_CONFIG).
    Config = 78,
    /// What `tensorflow_model_server` gives when it cannot start.
    TfStart = 255,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Ends the process although an engine is busy; what was printed is out first.
pub(crate) fn at_once(code: i32) -> ! {
    // Whoever read it has gone if this fails.
    drop(std::io::stdout().flush());
    salver_system::exit_at_once(code)
}

/// A command that did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// One message for each thing that is wrong; empty if all is said.
    pub(crate) messages: Vec<String>,
    /// What TensorFlow's server would say of it, code first; `None` for what the messages say.
    status: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Display) -> Self {
        Self {
            exit,
            messages: vec![message.to_string()],
            status: None,
        }
    }

    /// Returns a failure of several messages.
    pub(crate) fn all<M: Display>(exit: Exit, messages: impl IntoIterator<Item = M>) -> Self {
        Self {
            exit,
            messages: messages
                .into_iter()
                .map(|message| message.to_string())
                .collect(),
            status: None,
        }
    }

    /// Sets what TensorFlow's server would say of it.
    pub(crate) fn with_status(self, status: String) -> Self {
        Self {
            status: Some(status),
            ..self
        }
    }

    /// Returns the line that TensorFlow's server ends with.
    pub(crate) fn tf_line(&self) -> String {
        let status = self.status.clone().unwrap_or_else(|| {
            let code = match self.exit {
                Exit::Done | Exit::Failed | Exit::TfStart => "UNKNOWN",
                Exit::Usage | Exit::Config => "INVALID_ARGUMENT",
                Exit::Internal => "INTERNAL",
            };
            format!("{code}: {}", self.messages.join("; "))
        });
        format!("Failed to start server. Error: {status}")
    }

    /// Writes the messages to standard error, or to the log where that is for machines.
    pub(crate) fn report(&self, is_log_json: bool) {
        for message in &self.messages {
            match is_log_json {
                true => tracing::error!("{message}"),
                false => output::note(&format!("error: {message}")),
            }
        }
    }

    /// Returns what is left to say of a failure that was reported: the exit code.
    pub(crate) fn told(self, is_tf_style: bool) -> Self {
        let exit = match self.exit {
            Exit::Usage | Exit::Config | Exit::Internal if is_tf_style => Exit::TfStart,
            exit => exit,
        };
        Self {
            exit,
            messages: Vec::new(),
            status: None,
        }
    }
}

/// An error of our own making that no user could cause.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Exit::Internal, format!("{error:#}"))
    }
}
