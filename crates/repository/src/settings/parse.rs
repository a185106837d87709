//! Reads `model.toml` and reports every mistake in it, each with its line.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{
    BatchingSettings, ModelSettings, RequestLogSettings, SamplingRate, Split, VersionPolicyConfig,
};
use crate::Problem;

mod batching;
mod split;

/// The settings file beside a model's versions.
pub const FILE_NAME: &str = "model.toml";

/// Every key, for suggestions.
const KEYS: [&str; 10] = [
    "engine",
    "instances",
    "threads",
    "queue_capacity",
    "max_wait_micros",
    "batching",
    "versions",
    "labels",
    "request_log",
    "split",
];

/// Every key of `request_log`, for suggestions.
const REQUEST_LOG_KEYS: [&str; 3] = ["type", "filename_prefix", "sampling_rate"];

/// The forms of a request log.
const REQUEST_LOG_FORMS: [&str; 2] = ["tfrecord", "jsonl"];

/// The most requests that may wait for an instance: a full queue is looked through now and then, and far fewer than
/// these wait for longer than any client does.
const MAX_QUEUE_CAPACITY: usize = 65_536;

/// The most instances of a model: each has a thread, of which a system has no more than tens of thousands.
const MAX_INSTANCES: usize = 1_024;

/// The most threads of an instance: no machine has more cores than that by far.
const MAX_THREADS: usize = 1_024;

/// Edits up to which a word is taken for a misspelling of a key.
const MAX_EDITS: usize = 3;

const VERSIONS_REMEDY: &str = r#"use "latest", "all", { latest = 2 } or a list such as [1, 3]"#;

/// Reads the settings of a model folder; a folder without the file has the default ones.
///
/// # Errors
/// Every mistake in the file.
pub fn read(model_dir: &Path) -> Result<ModelSettings, Vec<Problem>> {
    let file = model_dir.join(FILE_NAME);
    match std::fs::read_to_string(&file) {
        Ok(text) => parse(&file, &text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ModelSettings::default()),
        Err(error) => Err(vec![Problem::new(file, format!("cannot be read: {error}"))]),
    }
}

/// Reads a split from the text of a settings file that has nothing else.
///
/// # Errors
/// Every mistake in it.
pub fn parse_split(text: &str) -> Result<Split, Vec<Problem>> {
    let settings = parse(Path::new(FILE_NAME), text)?;
    Ok(settings.split.map_or_else(Split::default, |split| *split))
}

/// Parses the text of a settings file.
pub(crate) fn parse(file: &Path, text: &str) -> Result<ModelSettings, Vec<Problem>> {
    let mut reader = Reader {
        file: file.to_path_buf(),
        text,
        problems: Vec::new(),
    };
    let (table, syntax_errors) = DeTable::parse_recoverable(text);
    for error in &syntax_errors {
        reader.problem(error.span().unwrap_or(0..0), one_line(error.message()));
    }
    if !syntax_errors.is_empty() {
        return Err(reader.problems);
    }
    let settings = reader.settings(table.get_ref());
    match reader.problems.is_empty() {
        true => Ok(settings),
        false => Err(reader.problems),
    }
}

/// Collects problems while values are read.
struct Reader<'a> {
    file: PathBuf,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn settings(&mut self, table: &DeTable<'_>) -> ModelSettings {
        let mut settings = ModelSettings::default();
        for (key, value) in in_file_order(table) {
            let name: &str = key.get_ref();
            match name {
                "engine" => settings.engine = self.string(name, value),
                "instances" => settings.instances = self.count(name, value, MAX_INSTANCES),
                "threads" => settings.threads = self.count(name, value, MAX_THREADS),
                "queue_capacity" => {
                    settings.queue_capacity = self.count(name, value, MAX_QUEUE_CAPACITY);
                }
                "max_wait_micros" => settings.max_wait = self.micros(name, value),
                "batching" => settings.batching = self.batching(value),
                "versions" => settings.version_policy = self.version_policy(value),
                "labels" => settings.labels = self.labels(value),
                "request_log" => settings.request_log = self.request_log(value),
                "split" => settings.split = self.split(value).map(Box::new),
                _ => self.unknown_key(name, &KEYS, key.span()),
            }
        }
        settings
    }

    fn string(&mut self, name: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) if !text.trim().is_empty() => Some(text.to_string()),
            other => self.expected(name, "a string", other, value.span()),
        }
    }

    fn count(
        &mut self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        max: usize,
    ) -> Option<NonZeroUsize> {
        let count = integer(value.get_ref()).and_then(|count| usize::try_from(count).ok());
        match count.and_then(NonZeroUsize::new) {
            Some(count) if count.get() <= max => Some(count),
            Some(count) => {
                let message = format!("`{name}`: {count} is too many");
                self.problem(value.span(), message).remedy = Some(format!("use at most {max}"));
                None
            }
            None => self.expected(
                name,
                "a whole number of at least 1",
                value.get_ref(),
                value.span(),
            ),
        }
    }

    fn version_policy(&mut self, value: &Spanned<DeValue<'_>>) -> Option<VersionPolicyConfig> {
        let policy = match value.get_ref() {
            DeValue::String(word) if word == "latest" => Some(VersionPolicyConfig::default()),
            DeValue::String(word) if word == "all" => Some(VersionPolicyConfig::All),
            DeValue::Array(numbers) if !numbers.is_empty() => numbers
                .iter()
                .map(|number| integer(number.get_ref()))
                .collect::<Option<Vec<i64>>>()
                .map(VersionPolicyConfig::Specific),
            DeValue::Table(table) if table.len() == 1 => table
                .get("latest")
                .and_then(|number| integer(number.get_ref()))
                .and_then(|number| usize::try_from(number).ok())
                .and_then(NonZeroUsize::new)
                .map(VersionPolicyConfig::Latest),
            _ => None,
        };
        if policy.is_none() {
            let got = self.source_of(value.span());
            let problem =
                self.problem(value.span(), format!("`versions` is not understood: {got}"));
            problem.remedy = Some(VERSIONS_REMEDY.to_owned());
        }
        policy
    }

    fn labels(&mut self, value: &Spanned<DeValue<'_>>) -> BTreeMap<String, i64> {
        let DeValue::Table(table) = value.get_ref() else {
            let expected = "a table of version numbers, such as { stable = 1 }";
            self.expected::<()>("labels", expected, value.get_ref(), value.span());
            return BTreeMap::new();
        };
        let mut labels = BTreeMap::new();
        for (label, version) in in_file_order(table) {
            let label_name = label.get_ref().to_string();
            match integer(version.get_ref()) {
                _ if label_name.is_empty() || label_name.contains(['/', ':']) => {
                    let message = format!("label `{label_name}` cannot stand in a request's path");
                    let problem = self.problem(label.span(), message);
                    problem.remedy = Some("use letters, digits, `-` and `_`".to_owned());
                }
                Some(version) => drop(labels.insert(label_name, version)),
                None => {
                    let name = format!("labels.{label_name}");
                    let got = version.get_ref();
                    self.expected::<()>(&name, "a version number", got, version.span());
                }
            }
        }
        labels
    }

    fn request_log(&mut self, value: &Spanned<DeValue<'_>>) -> Option<RequestLogSettings> {
        let DeValue::Table(table) = value.get_ref() else {
            let expected = "a table of `filename_prefix`, `sampling_rate` and `type`";
            return self.expected("request_log", expected, value.get_ref(), value.span());
        };
        let (mut form, mut prefix, mut rate) = (None, None, None);
        for (key, value) in in_file_order(table) {
            let name: &str = key.get_ref();
            match name {
                "type" => form = self.request_log_form(value),
                "filename_prefix" => prefix = self.string("request_log.filename_prefix", value),
                "sampling_rate" => rate = self.sampling_rate(value),
                _ => self.unknown_key(name, &REQUEST_LOG_KEYS, key.span()),
            }
        }
        for (name, example) in [
            ("filename_prefix", r#""/var/log/salver/NAME""#),
            ("sampling_rate", "0.01"),
        ] {
            if table.get(name).is_none() {
                let message = format!("`request_log` lacks `{name}`");
                let problem = self.problem(value.span(), message);
                problem.remedy = Some(format!("add {name} = {example}"));
            }
        }
        Some(RequestLogSettings {
            form: form.unwrap_or_default(),
            filename_prefix: prefix?,
            sampling_rate: rate?,
        })
    }

    fn request_log_form(&mut self, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let form = self.string("request_log.type", value)?;
        if !REQUEST_LOG_FORMS.contains(&form.as_str()) {
            let message = format!("there is no request log of type `{form}`");
            let problem = self.problem(value.span(), message);
            problem.remedy = Some(format!("use one of: {}", REQUEST_LOG_FORMS.join(", ")));
        }
        Some(form)
    }

    fn sampling_rate(&mut self, value: &Spanned<DeValue<'_>>) -> Option<SamplingRate> {
        let rate = number(value.get_ref()).and_then(SamplingRate::new);
        if rate.is_none() {
            let (name, expected) = ("request_log.sampling_rate", "a share from 0 to 1");
            self.expected::<()>(name, expected, value.get_ref(), value.span());
        }
        rate
    }

    fn unknown_key(&mut self, name: &str, keys: &[&str], span: Range<usize>) {
        let remedy = match closest(name, keys) {
            Some(key) => format!("did you mean `{key}`?"),
            None => format!("known keys: {}", keys.join(", ")),
        };
        self.problem(span, format!("unknown key `{name}`")).remedy = Some(remedy);
    }

    fn expected<T>(
        &mut self,
        name: &str,
        expected: &str,
        got: &DeValue<'_>,
        span: Range<usize>,
    ) -> Option<T> {
        let source = self.source_of(span.clone());
        let kind = got.type_str();
        self.problem(
            span,
            format!("`{name}`: expected {expected}, got {kind} {source}"),
        );
        None
    }

    fn problem(&mut self, span: Range<usize>, message: String) -> &mut Problem {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        self.problems.push(Problem {
            line: Some(line),
            ..Problem::new(&self.file, message)
        });
        self.problems.last_mut().expect("one was pushed just now")
    }

    /// Returns a value as it is written in the file, on one line.
    fn source_of(&self, span: Range<usize>) -> String {
        one_line(self.text.get(span).unwrap_or_default())
    }
}

fn in_file_order<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(
    &'t Spanned<toml::de::DeString<'i>>,
    &'t Spanned<DeValue<'i>>,
)> {
    let mut pairs: Vec<_> = table.iter().collect();
    pairs.sort_by_key(|(key, _)| key.span().start);
    pairs
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Float(number) => number.as_str().parse().ok(),
        DeValue::Integer(_) => integer(value).map(|number| number as f64),
        _ => None,
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the candidate that a misspelt word was most likely meant to be.
pub(crate) fn closest<'c>(word: &str, candidates: &[&'c str]) -> Option<&'c str> {
    candidates
        .iter()
        .map(|candidate| (num_edits(word, candidate), *candidate))
        .filter(|(edits, candidate)| *edits <= MAX_EDITS.min(candidate.len() / 2))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Counts the letters to insert, remove or replace to make one word of another.
fn num_edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (from_idx, from_letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = from_idx + 1;
        for (to_idx, to_letter) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(from_letter != *to_letter);
            diagonal = row[to_idx + 1];
            row[to_idx + 1] = replaced.min(diagonal + 1).min(row[to_idx] + 1);
        }
    }
    row[to.len()]
}
