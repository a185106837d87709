//! The command line of TensorFlow's server: the names it is called by, and its rules.
//!
//! ```text
//! tf_serving_entrypoint ARGS   ─► tensorflow_model_server --port=8500 … ARGS
//! tensorflow_model_server ARGS ─► salver serve ARGS
//! ```
//!
//! Under these rules an unknown argument is warned about and left out, a repeated flag takes its last value, and a start
//! that fails exits 255. They hold under TensorFlow's names, and for `salver serve` with a flag that says where models
//! are as TensorFlow's server is told.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use clap::CommandFactory;

use crate::args::{Cli, tensorflow};
use crate::config::Env;

/// The name under which the program takes the arguments of TensorFlow's server.
pub(crate) const NAME: &str = "tensorflow_model_server";

/// The name of the script that starts TensorFlow's server in its image.
const ENTRYPOINT_NAME: &str = "tf_serving_entrypoint";

/// The release of TensorFlow Serving whose flags, files and answers these are.
const API_VERSION: &str = "2.20.0";

/// Flags that say where models are, with which `salver serve` follows the rules of TensorFlow's server.
const MODEL_FLAGS: [&str; 4] = [
    "--model_base_path",
    "--model-base-path",
    "--model_config_file",
    "--model-config-file",
];

/// What was typed, in the form that is parsed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CommandLine {
    /// The program, the command, and what it knows.
    pub(crate) words: Vec<OsString>,
    pub(crate) style: Style,
    /// What TensorFlow's server would warn about.
    pub(crate) unknown: Vec<String>,
}

/// Whose rules a command line follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Own,
    /// TensorFlow's, because of a flag.
    TensorFlowFlags,
    /// TensorFlow's, because of the program's name.
    TensorFlowName,
}

impl Style {
    pub(crate) fn is_tensorflow(self) -> bool {
        self != Self::Own
    }
}

impl CommandLine {
    /// Finds out whose rules hold, and sorts out what they leave out.
    pub(crate) fn read(mut words: Vec<OsString>, env: &Env) -> Self {
        if name_of(&words) == ENTRYPOINT_NAME {
            let arguments = words.into_iter().skip(1).collect();
            words = entrypoint(arguments, env);
        }
        let style = style_of(&words);
        if style == Style::TensorFlowName {
            words.insert(1, OsString::from("serve"));
        }
        let unknown = match style {
            Style::Own => Vec::new(),
            _ => take_unknown(&mut words, style),
        };
        Self {
            words,
            style,
            unknown,
        }
    }

    /// Tells whether nothing but the versions is wanted.
    pub(crate) fn asks_for_version(&self) -> bool {
        let is_version = |word: &OsString| word == "--version" || word == "--version=true";
        self.style.is_tensorflow() && self.words.iter().any(is_version)
    }

    /// Tells whether help is wanted of TensorFlow's server, which counts as a failure there.
    pub(crate) fn asks_for_usage(&self) -> bool {
        self.style == Style::TensorFlowName && self.words.iter().any(|word| word == "--help")
    }
}

/// Returns what `--version` prints of TensorFlow's server; `tensorflow` is the library's, if it is installed.
pub(crate) fn versions(tensorflow: Option<&str>) -> String {
    let ours = env!("CARGO_PKG_VERSION");
    let library = tensorflow.unwrap_or("not installed");
    format!("TensorFlow ModelServer: {API_VERSION}+salver.{ours}\nTensorFlow Library: {library}")
}

/// Returns the command line that the entry point of TensorFlow Serving's image makes of its arguments and variables.
pub(crate) fn entrypoint(arguments: Vec<OsString>, env: &Env) -> Vec<OsString> {
    let variable = |name: &str, default: &str| {
        let value = env.get(name).filter(|value| !value.is_empty());
        value.map_or(default, String::as_str).to_owned()
    };
    let name = variable("MODEL_NAME", "model");
    let base_path = variable("MODEL_BASE_PATH", "/models");
    let words = [
        NAME.to_owned(),
        "--port=8500".to_owned(),
        "--rest_api_port=8501".to_owned(),
        format!("--model_name={name}"),
        format!("--model_base_path={base_path}/{name}"),
    ];
    words
        .into_iter()
        .map(OsString::from)
        .chain(arguments)
        .collect()
}

fn name_of(words: &[OsString]) -> String {
    words
        .first()
        .and_then(|program| Path::new(program).file_stem())
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn style_of(words: &[OsString]) -> Style {
    if name_of(words) == NAME {
        return Style::TensorFlowName;
    }
    let is_serve = words.get(1).is_some_and(|word| word == "serve");
    let says_where = |word: &OsString| {
        let word = word.to_string_lossy();
        let name = word.split('=').next().unwrap_or_default();
        MODEL_FLAGS.contains(&name)
    };
    match is_serve && words.iter().any(says_where) {
        true => Style::TensorFlowFlags,
        false => Style::Own,
    }
}

/// How a flag is followed by its value.
#[derive(Clone, Copy)]
enum Value {
    /// After a space or an equals sign.
    Any,
    /// After an equals sign, or not at all.
    Joined,
}

/// Takes out what `salver serve` does not know.
fn take_unknown(words: &mut Vec<OsString>, style: Style) -> Vec<String> {
    let known = known_flags();
    let mut kept: Vec<OsString> = words.drain(..2).collect();
    let mut unknown = Vec::new();
    let mut rest = std::mem::take(words).into_iter();
    while let Some(word) = rest.next() {
        let text = word.to_string_lossy().into_owned();
        let (name, has_value) = match text.split_once('=') {
            Some((name, _)) => (name, true),
            None => (text.as_str(), false),
        };
        let is_flag = text.starts_with('-');
        match known.get(name) {
            Some(Value::Any) if !has_value => {
                kept.push(word);
                kept.extend(rest.next());
            }
            Some(_) => kept.push(word),
            // A folder: TensorFlow's server knows no such argument, while `salver serve` does.
            None if !is_flag && style == Style::TensorFlowFlags => kept.push(word),
            None => unknown.push(text),
        }
    }
    *words = kept;
    unknown
}

fn known_flags() -> BTreeMap<String, Value> {
    let command = Cli::command();
    let serve = command
        .find_subcommand("serve")
        .expect("`serve` is a command");
    let mut known = BTreeMap::from([("--help".to_owned(), Value::Joined)]);
    known.insert("-h".to_owned(), Value::Joined);
    known.insert("--version".to_owned(), Value::Joined);
    for arg in serve.get_arguments() {
        let value = match arg.is_require_equals_set() {
            true => Value::Joined,
            false => Value::Any,
        };
        let names = arg.get_long_and_visible_aliases().unwrap_or_default();
        let aliases = arg.get_all_aliases().unwrap_or_default();
        for name in names.into_iter().chain(aliases) {
            known.insert(format!("--{name}"), value);
        }
    }
    known
}

/// Returns what is to be logged about a flag of TensorFlow Serving's that was given.
pub(crate) fn remark(flag: &tensorflow::TfFlag) -> Option<String> {
    match flag.effect {
        tensorflow::Effect::Declared | tensorflow::Effect::Does(_) => None,
        tensorflow::Effect::Later(_) => Some(format!(
            "--{} is read and checked, but has no effect in this release",
            flag.name
        )),
        tensorflow::Effect::Nothing(why) => {
            Some(format!("--{} has no effect here: {why}", flag.name))
        }
    }
}

#[cfg(test)]
mod tests;
