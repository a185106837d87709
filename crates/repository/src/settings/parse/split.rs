//! The table `split`: arms, shadows, and the key that requests are told apart by.

use std::collections::BTreeSet;

use salver_servable::VersionChoice;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Reader, in_file_order, integer, number};
use crate::settings::{Arm, HeaderMatch, Percent, Shadow, Split, Target};

/// Every key, for suggestions.
const KEYS: [&str; 3] = ["key", "arms", "shadows"];

/// Every key of an arm, for suggestions.
const ARM_KEYS: [&str; 6] = ["name", "version", "label", "model", "weight", "header"];

/// Every key of a shadow, for suggestions.
const SHADOW_KEYS: [&str; 5] = ["name", "version", "label", "model", "percent"];

/// Every key of a header, for suggestions.
const HEADER_KEYS: [&str; 2] = ["name", "value"];

/// The most arms, and the most shadows: a set of arms is the bits of one number, and nobody tries out as many versions.
const MAX_ENTRIES: usize = 32;

/// The largest weight: parts of a millionth are finer than any count of requests shows.
const MAX_WEIGHT: u32 = 1_000_000;

/// The longest names and values of headers, in bytes: arms' names are in every answer and in metrics.
const MAX_HEADER_BYTES: usize = 128;

/// What was read of an arm or a shadow.
#[derive(Default)]
struct Entry {
    name: Option<String>,
    model: Option<String>,
    version: Option<i64>,
    label: Option<String>,
    weight: Option<u32>,
    percent: Option<Percent>,
    header: Option<HeaderMatch>,
}

impl Reader<'_> {
    pub(super) fn split(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Split> {
        let DeValue::Table(table) = value.get_ref() else {
            let expected = "a table of `arms`, `shadows` and `key`";
            return self.expected("split", expected, value.get_ref(), value.span());
        };
        let mut split = Split::default();
        let mut names = BTreeSet::new();
        for (key, value) in in_file_order(table) {
            let name: &str = key.get_ref();
            match name {
                "key" => split.key = self.header_text("split.key", value, is_header_name),
                "arms" => split.arms = self.arms(value, &mut names),
                "shadows" => {
                    split.shadows = self.entries("split.shadows", value, &mut names, Self::shadow);
                }
                _ => self.unknown_key(name, &KEYS, key.span()),
            }
        }
        if table.get("arms").is_none() && table.get("shadows").is_none() {
            self.lacks(
                "split",
                "arms",
                "name at least one arm or one shadow",
                value,
            );
        }
        Some(split)
    }

    fn arms(&mut self, value: &Spanned<DeValue<'_>>, names: &mut BTreeSet<String>) -> Vec<Arm> {
        let num_problems = self.problems.len();
        let arms = self.entries("split.arms", value, names, Self::arm);
        let is_read = self.problems.len() == num_problems;
        if is_read && arms.iter().all(|arm| arm.weight == 0) {
            let message = "the weights of `split.arms` are all 0".to_owned();
            self.problem(value.span(), message).remedy =
                Some("give a weight to the arm of requests without a header".to_owned());
        }
        arms
    }

    /// Reads a list of tables, each with a `name` that none before has.
    fn entries<T>(
        &mut self,
        list: &str,
        value: &Spanned<DeValue<'_>>,
        names: &mut BTreeSet<String>,
        read: impl Fn(&mut Self, &str, &Spanned<DeValue<'_>>, &DeTable<'_>) -> Option<T>,
    ) -> Vec<T> {
        let expected = format!("a list of 1 to {MAX_ENTRIES} tables");
        let DeValue::Array(tables) = value.get_ref() else {
            self.expected::<()>(list, &expected, value.get_ref(), value.span());
            return Vec::new();
        };
        if tables.is_empty() || tables.len() > MAX_ENTRIES {
            let message = format!("`{list}`: expected {expected}, got {}", tables.len());
            self.problem(value.span(), message);
        }
        let mut entries = Vec::new();
        for (entry_idx, entry) in tables.iter().enumerate() {
            let path = format!("{list}[{entry_idx}]");
            let DeValue::Table(table) = entry.get_ref() else {
                self.expected::<()>(&path, "a table", entry.get_ref(), entry.span());
                continue;
            };
            let name = table.get("name").and_then(|name| name.get_ref().as_str());
            if let Some(name) = name
                && !names.insert(name.to_owned())
            {
                let message = format!("`{path}.name`: `{name}` is taken");
                self.problem(entry.span(), message).remedy =
                    Some("give every arm and shadow a name of its own".to_owned());
            }
            entries.extend(read(self, &path, entry, table));
        }
        entries
    }

    fn arm(
        &mut self,
        path: &str,
        value: &Spanned<DeValue<'_>>,
        table: &DeTable<'_>,
    ) -> Option<Arm> {
        let entry = self.entry(path, table, &ARM_KEYS);
        let target = self.target(path, value, table, &entry);
        if table.get("weight").is_none() && table.get("header").is_none() {
            self.lacks(path, "weight", "add weight = 50, or a header", value);
        }
        Some(Arm {
            name: entry.name?.into(),
            target: target?,
            weight: entry.weight.unwrap_or_default(),
            header: entry.header,
        })
    }

    fn shadow(
        &mut self,
        path: &str,
        value: &Spanned<DeValue<'_>>,
        table: &DeTable<'_>,
    ) -> Option<Shadow> {
        let entry = self.entry(path, table, &SHADOW_KEYS);
        let target = self.target(path, value, table, &entry);
        if table.get("percent").is_none() {
            self.lacks(path, "percent", "add percent = 10", value);
        }
        Some(Shadow {
            name: entry.name?.into(),
            target: target?,
            percent: entry.percent?,
        })
    }

    fn entry(&mut self, path: &str, table: &DeTable<'_>, keys: &[&str]) -> Entry {
        let mut entry = Entry::default();
        for (key, value) in in_file_order(table) {
            let name: &str = key.get_ref();
            let full_name = format!("{path}.{name}");
            match name {
                _ if !keys.contains(&name) => self.unknown_key(name, keys, key.span()),
                "name" => entry.name = self.arm_name(&full_name, value),
                "model" => entry.model = self.string(&full_name, value),
                "version" => {
                    entry.version = integer(value.get_ref());
                    if entry.version.is_none() {
                        let expected = "a version number";
                        self.expected::<()>(&full_name, expected, value.get_ref(), value.span());
                    }
                }
                "label" => entry.label = self.string(&full_name, value),
                "weight" => entry.weight = self.weight(&full_name, value),
                "percent" => entry.percent = self.percent(&full_name, value),
                _ => entry.header = self.header(&full_name, value),
            }
        }
        entry
    }

    /// Makes sure that an entry has a name, and returns whom it stands for.
    fn target(
        &mut self,
        path: &str,
        value: &Spanned<DeValue<'_>>,
        table: &DeTable<'_>,
        entry: &Entry,
    ) -> Option<Target> {
        if table.get("name").is_none() {
            self.lacks(path, "name", "add name = \"canary\"", value);
        }
        let has = |key| table.get(key).is_some();
        if has("version") && has("label") {
            let message = format!("`{path}` has both `version` and `label`");
            self.problem(value.span(), message).remedy = Some("keep one of them".to_owned());
            return None;
        }
        if !has("version") && !has("label") && !has("model") {
            let remedy = "add version = 2, label = \"stable\" or model = \"other\"";
            self.lacks(path, "version", remedy, value);
            return None;
        }
        let version = entry.version.map(VersionChoice::Version);
        let label = entry.label.clone().map(VersionChoice::Label);
        Some(Target {
            model: entry.model.as_deref().map(Into::into),
            version: version.or(label).unwrap_or(VersionChoice::Latest),
        })
    }

    fn arm_name(&mut self, name: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let is_name = |text: &str| {
            let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            text.bytes().all(is_letter)
        };
        let expected = "a name of letters, digits, `-`, `_` and `.`";
        self.short_text(name, value, expected, is_name)
    }

    fn header_text(
        &mut self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        is_valid: impl Fn(&str) -> bool,
    ) -> Option<String> {
        self.short_text(name, value, "what a header may hold", is_valid)
    }

    /// Reads a text that goes into headers.
    fn short_text(
        &mut self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        expected: &str,
        is_valid: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let text = value.get_ref().as_str();
        let is_short = |text: &&str| (1..=MAX_HEADER_BYTES).contains(&text.len());
        match text.filter(is_short).filter(|text| is_valid(text)) {
            Some(text) => Some(text.to_owned()),
            None => {
                let expected = format!("{expected}, of at most {MAX_HEADER_BYTES} bytes");
                self.expected(name, &expected, value.get_ref(), value.span())
            }
        }
    }

    fn weight(&mut self, name: &str, value: &Spanned<DeValue<'_>>) -> Option<u32> {
        let weight = integer(value.get_ref()).and_then(|weight| u32::try_from(weight).ok());
        let weight = weight.filter(|weight| *weight <= MAX_WEIGHT);
        weight.or_else(|| {
            let expected = format!("a whole number from 0 to {MAX_WEIGHT}");
            self.expected(name, &expected, value.get_ref(), value.span())
        })
    }

    fn percent(&mut self, name: &str, value: &Spanned<DeValue<'_>>) -> Option<Percent> {
        let percent = number(value.get_ref()).and_then(Percent::new);
        percent.or_else(|| {
            let expected = "a number from 0 to 100";
            self.expected(name, expected, value.get_ref(), value.span())
        })
    }

    fn header(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Option<HeaderMatch> {
        let DeValue::Table(table) = value.get_ref() else {
            let expected = "a table of `name` and `value`";
            return self.expected(path, expected, value.get_ref(), value.span());
        };
        let (mut header_name, mut header_value) = (None, None);
        for (key, value) in in_file_order(table) {
            let name: &str = key.get_ref();
            let full_name = format!("{path}.{name}");
            match name {
                "name" => header_name = self.header_text(&full_name, value, is_header_name),
                "value" => header_value = self.header_text(&full_name, value, is_header_value),
                _ => self.unknown_key(name, &HEADER_KEYS, key.span()),
            }
        }
        for (key, example) in [("name", "user-group"), ("value", "canary")] {
            if table.get(key).is_none() {
                self.lacks(path, key, &format!("add {key} = \"{example}\""), value);
            }
        }
        Some(HeaderMatch {
            name: header_name?,
            value: header_value?,
        })
    }

    fn lacks(&mut self, path: &str, key: &str, remedy: &str, value: &Spanned<DeValue<'_>>) {
        self.problem(value.span(), format!("`{path}` lacks `{key}`"))
            .remedy = Some(remedy.to_owned());
    }
}

/// Tells whether a text is a token of HTTP.
fn is_header_name(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    text.bytes().all(is_token)
}

/// Tells whether a text arrives as it was sent: visible letters with single spaces within.
fn is_header_value(text: &str) -> bool {
    let is_shown = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    text.bytes().all(is_shown) && text.trim() == text
}
