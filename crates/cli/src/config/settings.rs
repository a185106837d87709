//! Looks a setting up: flag, else environment, else default; keeps every mistake.

use std::collections::BTreeMap;
use std::fmt;

use super::value::Expected;

/// Environment variables, as far as they concern Salver.
pub(crate) type Env = BTreeMap<String, String>;

/// One mistake in a flag or a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// `--port` or `SALVER_PORT`.
    pub(crate) setting: String,
    /// What is wrong, and what would be right.
    pub(crate) message: String,
    /// Whether it was typed on the command line.
    pub(crate) is_typed: bool,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.message)
    }
}

/// Returns the variable that stands for a flag: `SALVER_REST_API_PORT` for `rest_api_port`.
pub(crate) fn variable_of(flag: &str) -> String {
    format!("SALVER_{}", flag.replace('-', "_").to_ascii_uppercase())
}

/// Resolves settings one by one and collects what is wrong with them.
#[derive(Debug)]
pub(crate) struct Settings<'a> {
    env: &'a Env,
    pub(crate) mistakes: Vec<Mistake>,
}

impl<'a> Settings<'a> {
    pub(crate) fn new(env: &'a Env) -> Self {
        Self {
            env,
            mistakes: Vec::new(),
        }
    }

    /// Returns what was typed or set for a flag, read by `parse`; `None` if nothing was, or if that was a mistake.
    pub(crate) fn get<T>(
        &mut self,
        flag: &str,
        typed: Option<&str>,
        parse: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        let variable = variable_of(flag);
        let (setting, text, is_typed) = match typed {
            Some(text) => (format!("--{flag}"), text, true),
            None => (variable.clone(), self.variable(&variable)?, false),
        };
        match parse(text) {
            Ok(value) => Some(value),
            Err(expected) => {
                self.mistakes.push(Mistake {
                    setting,
                    message: format!("expected {expected}, got `{text}`"),
                    is_typed,
                });
                None
            }
        }
    }

    /// Returns a variable that is set and not empty.
    pub(crate) fn variable(&self, name: &str) -> Option<&'a str> {
        self.env
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty() && !is_service_link(value))
    }
}

/// Tells whether a value is Kubernetes's own: beside a Service named `salver` every container gets
/// `SALVER_PORT=tcp://10.0.0.1:8500`, which nobody meant for us.
fn is_service_link(value: &str) -> bool {
    ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme))
}
