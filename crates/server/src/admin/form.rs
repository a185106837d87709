//! One model in JSON: what an administrator is shown, and what he may say.
//!
//! ```json
//! {"base_path": "/models/half_plus_two", "versions": {"latest": 2}, "labels": {"stable": 1}}
//! ```
//!
//! `versions` has the forms of a `model.toml`: `"latest"`, `"all"`, `{"latest": 2}` or `[1, 3]`.

use std::collections::BTreeMap;

use salver_protocol::config::{ModelConfig, TENSORFLOW_PLATFORM, VersionPolicy};
use salver_servable::{State, VersionStatus};
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::infer::load_error_code;
use crate::reload::{ServedBy, ServedModel};
use crate::status::Code;

/// What is wrong with a description.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Mistake {
    #[error("expected a JSON object such as {{\"base_path\": \"/models/m\"}}: {0}")]
    Json(String),
    #[error("`{key}`: expected {expected}, got {actual}")]
    Value {
        key: &'static str,
        expected: &'static str,
        actual: String,
    },
    #[error("`base_path` is missing: an absolute path or an address")]
    NoBasePath,
    #[error("unknown key `{0}`; there are base_path, platform, versions and labels")]
    Key(String),
}

/// Reads the description of a model.
pub(super) fn read(name: &str, body: &[u8]) -> Result<ModelConfig, Mistake> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| Mistake::Json(error.to_string()))?;
    let Value::Object(fields) = value else {
        return Err(Mistake::Json(format!("got {value}")));
    };
    let mut model = ModelConfig {
        name: name.to_owned(),
        platform: TENSORFLOW_PLATFORM.to_owned(),
        ..ModelConfig::default()
    };
    for (key, value) in &fields {
        match key.as_str() {
            "base_path" => model.base_path = text("base_path", value)?,
            "platform" => model.platform = text("platform", value)?,
            "versions" => model.versions = versions(value)?,
            "labels" => model.labels = labels(value)?,
            _ => return Err(Mistake::Key(key.clone())),
        }
    }
    match model.base_path.is_empty() {
        true => Err(Mistake::NoBasePath),
        false => Ok(model),
    }
}

fn text(key: &'static str, value: &Value) -> Result<String, Mistake> {
    match value.as_str() {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(wrong(key, "text that is not empty", value)),
    }
}

fn versions(value: &Value) -> Result<VersionPolicy, Mistake> {
    let expected = "\"latest\", \"all\", {\"latest\": 2} or [1, 3]";
    let read = match value {
        Value::String(word) if word == "latest" => Some(VersionPolicy::Latest(1)),
        Value::String(word) if word == "all" => Some(VersionPolicy::All),
        Value::Object(fields) if fields.len() == 1 => fields
            .get("latest")
            .and_then(Value::as_u64)
            .and_then(|count| u32::try_from(count).ok())
            .filter(|&count| count > 0)
            .map(VersionPolicy::Latest),
        Value::Array(versions) if !versions.is_empty() => versions
            .iter()
            .map(Value::as_i64)
            .collect::<Option<Vec<i64>>>()
            .map(VersionPolicy::Specific),
        _ => None,
    };
    read.ok_or_else(|| wrong("versions", expected, value))
}

fn labels(value: &Value) -> Result<BTreeMap<String, i64>, Mistake> {
    let read = value.as_object().and_then(|labels| {
        let entries = labels.iter();
        entries
            .map(|(label, version)| Some((label.clone(), version.as_i64()?)))
            .collect::<Option<BTreeMap<String, i64>>>()
    });
    read.ok_or_else(|| wrong("labels", "an object of version numbers", value))
}

fn wrong(key: &'static str, expected: &'static str, actual: &Value) -> Mistake {
    Mistake::Value {
        key,
        expected,
        actual: actual.to_string(),
    }
}

/// Writes what a model is and how it is doing.
pub(super) fn write(app: &App, model: &ServedModel) -> Value {
    let config = &model.config;
    let statuses = app.manager.status(&config.name).unwrap_or_default();
    let is_available = statuses
        .iter()
        .any(|status| status.state == State::Available);
    let mut fields = Map::new();
    let mut add = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    add("name", json!(config.name));
    if app.config.is_admin_private() {
        add("base_path", json!(config.base_path));
    }
    add("platform", json!(config.platform));
    add("versions", write_versions(&config.versions));
    add("labels", json!(config.labels));
    add(
        "source",
        json!(match model.by {
            ServedBy::List => "list",
            ServedBy::Folder => "folder",
        }),
    );
    add("available", json!(is_available));
    if let Some(complaint) = app.manager.complaint(&config.name) {
        add("problem", json!(complaint.message));
    }
    let statuses: Vec<Value> = statuses.iter().map(write_status).collect();
    add("status", json!(statuses));
    Value::Object(fields)
}

fn write_versions(versions: &VersionPolicy) -> Value {
    match versions {
        VersionPolicy::Default | VersionPolicy::Latest(0 | 1) => json!("latest"),
        VersionPolicy::Latest(count) => json!({ "latest": count }),
        VersionPolicy::All => json!("all"),
        VersionPolicy::Specific(versions) => json!(versions),
    }
}

fn write_status(status: &VersionStatus) -> Value {
    let state = match status.state {
        State::Start => "START",
        State::Loading => "LOADING",
        State::Available => "AVAILABLE",
        State::Unloading => "UNLOADING",
        State::End => "END",
    };
    let error = status.error.as_ref();
    let code = error.map_or(Code::Ok, |error| load_error_code(error.kind));
    json!({
        "version": status.version,
        "state": state,
        "error_code": code.name(),
        "error_message": error.map_or("", |error| &error.message),
    })
}

/// Writes a list of models as protobuf's JSON form of a `model_config_file`.
pub(super) fn write_list(models: &[ModelConfig]) -> Value {
    let models: Vec<Value> = models.iter().map(write_config).collect();
    json!({ "model_config_list": { "config": models } })
}

fn write_config(model: &ModelConfig) -> Value {
    let mut fields = Map::new();
    let mut add = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    add("name", json!(model.name));
    add("base_path", json!(model.base_path));
    add("model_platform", json!(model.platform));
    let policy = match &model.versions {
        VersionPolicy::Default => None,
        VersionPolicy::Latest(count) => Some(json!({ "latest": { "num_versions": count } })),
        VersionPolicy::All => Some(json!({ "all": {} })),
        VersionPolicy::Specific(versions) => Some(json!({ "specific": { "versions": versions } })),
    };
    if let Some(policy) = policy {
        add("model_version_policy", policy);
    }
    if !model.labels.is_empty() {
        add("version_labels", json!(model.labels));
    }
    if let Some(logging) = &model.logging {
        let logging = json!({
            "log_collector_config": { "type": logging.collector, "filename_prefix": logging.filename_prefix },
            "sampling_config": { "sampling_rate": logging.sampling_rate },
        });
        add("logging_config", logging);
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_take_the_forms_of_model_toml() {
        let rows = [
            (r#"{"base_path": "/m"}"#, VersionPolicy::Default),
            (
                r#"{"base_path": "/m", "versions": "latest"}"#,
                VersionPolicy::Latest(1),
            ),
            (
                r#"{"base_path": "/m", "versions": "all"}"#,
                VersionPolicy::All,
            ),
            (
                r#"{"base_path": "/m", "versions": {"latest": 2}}"#,
                VersionPolicy::Latest(2),
            ),
            (
                r#"{"base_path": "/m", "versions": [1, 3]}"#,
                VersionPolicy::Specific(vec![1, 3]),
            ),
        ];
        for (body, expected) in rows {
            let model = read("m", body.as_bytes()).expect(body);
            assert_eq!(
                (model.name.as_str(), model.base_path.as_str()),
                ("m", "/m"),
                "{body}"
            );
            assert_eq!(model.versions, expected, "{body}");
        }
        let labelled =
            read("m", br#"{"base_path": "/m", "labels": {"stable": 1}}"#).expect("labels");
        assert_eq!(labelled.labels, BTreeMap::from([("stable".to_owned(), 1)]));
    }

    #[test]
    fn mistakes_say_what_was_wanted() {
        let rows = [
            ("", "expected a JSON object"),
            ("[]", "expected a JSON object"),
            ("{}", "`base_path` is missing"),
            (
                r#"{"base_path": ""}"#,
                "`base_path`: expected text that is not empty, got \"\"",
            ),
            (r#"{"base_path": "/m", "path": 1}"#, "unknown key `path`"),
            (
                r#"{"base_path": "/m", "versions": {"latest": 0}}"#,
                "`versions`: expected \"latest\", ",
            ),
            (
                r#"{"base_path": "/m", "versions": []}"#,
                "`versions`: expected \"latest\", ",
            ),
            (
                r#"{"base_path": "/m", "labels": {"stable": "1"}}"#,
                "`labels`: expected an object of version numbers",
            ),
        ];
        for (body, expected) in rows {
            let mistake = read("m", body.as_bytes()).expect_err(body).to_string();
            assert!(mistake.starts_with(expected), "{body}: {mistake}");
        }
    }
}
