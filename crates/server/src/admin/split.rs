//! How the requests of one model are shared out: `/admin/models/NAME/split`.
//!
//! The JSON form is that of `model.toml`, and read as such: whatever is wrong there is wrong here, in the same words.

use http::{Method, StatusCode};
use salver_repository::{Arm, LoadedModel, Shadow, Split, Target, parse_split};
use salver_servable::{Manager, VersionChoice};
use serde_json::{Map, Value, json};

use super::models::{Page, Refusal, check_change, page, receive, refusal};
use crate::app::{App, Call};
use crate::reload::ReloadError;
use crate::split::{ReadySplit, SplitSource};

/// Shows a model's split, sets one, or goes back to the model's own.
pub(super) async fn answer(app: &App, call: &mut Call, name: &str) -> Result<Page, Refusal> {
    let is_known = app.manager.status(name).is_some() || app.splits.get(name).is_some();
    let unknown = || ReloadError::Unknown(name.to_owned());
    let is_read = call.method == Method::GET || call.method == Method::HEAD;
    if !is_read {
        check_change(app, &call.method, &call.headers)?;
    }
    if is_read || call.method == Method::DELETE {
        if !is_known {
            return Err(unknown().into());
        }
        if !is_read {
            app.splits.set(name, SplitSource::Admin, None);
            tracing::info!(model = name, "the split of the admin pages was removed");
        }
        return Ok(show(app, name));
    }
    let split = read(&receive(app, call).await?)?;
    if !is_known && !is_whole(&split) {
        return Err(unknown().into());
    }
    app.splits.set(name, SplitSource::Admin, Some(&split));
    tracing::info!(model = name, "a split was set on the admin pages");
    Ok(show(app, name))
}

/// Tells whether a split needs no model of its own name.
fn is_whole(split: &Split) -> bool {
    let arms = split.arms.iter().map(|arm| &arm.target);
    let shadows = split.shadows.iter().map(|shadow| &shadow.target);
    let mut targets = arms.chain(shadows);
    !split.arms.is_empty() && targets.all(|target| target.model.is_some())
}

fn read(body: &[u8]) -> Result<Split, Refusal> {
    let wrong = |message: String| refusal(StatusCode::BAD_REQUEST, message);
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| wrong(format!("expected a split as a JSON object: {error}")))?;
    let text = toml::to_string(&json!({ "split": value }))
        .map_err(|error| wrong(format!("a split does not hold such a value: {error}")))?;
    parse_split(&text).map_err(|problems| {
        let told = problems.into_iter().map(|problem| match problem.remedy {
            Some(remedy) => format!("{}; {remedy}", problem.message),
            None => problem.message,
        });
        wrong(told.collect::<Vec<_>>().join(". "))
    })
}

/// Shows the split in force, and where it was set.
fn show(app: &App, name: &str) -> Page {
    let in_force = app.splits.get(name);
    let (split, source, available) = match &in_force {
        None => (Value::Null, Value::Null, json!({})),
        Some((ready, source)) => {
            let source = match source {
                SplitSource::File => "file",
                SplitSource::Admin => "admin",
            };
            let available = available(&app.manager, ready);
            (write(&ready.split), json!(source), available)
        }
    };
    page(&json!({ "model": name, "source": source, "split": split, "available": available }))
}

/// Returns of each arm and shadow whether what it stands for is loaded.
fn available(manager: &Manager<LoadedModel>, ready: &ReadySplit) -> Value {
    let Split { arms, shadows, .. } = &ready.split;
    let arms = arms.iter().map(|arm| (&arm.name, &arm.target));
    let shadows = shadows.iter().map(|shadow| (&shadow.name, &shadow.target));
    let is_loaded = |target| Value::Bool(ready.find(manager, target).is_ok());
    let entries = arms
        .chain(shadows)
        .map(|(name, target)| (name.to_string(), is_loaded(target)));
    Value::Object(entries.collect())
}

/// Writes a split so that it can be set again.
fn write(split: &Split) -> Value {
    let mut fields = Map::new();
    let mut add = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    if let Some(key) = &split.key {
        add("key", json!(key));
    }
    if !split.arms.is_empty() {
        add("arms", split.arms.iter().map(write_arm).collect());
    }
    if !split.shadows.is_empty() {
        add("shadows", split.shadows.iter().map(write_shadow).collect());
    }
    Value::Object(fields)
}

fn write_arm(arm: &Arm) -> Value {
    let mut fields = write_target(&arm.name, &arm.target);
    fields.insert("weight".to_owned(), json!(arm.weight));
    if let Some(header) = &arm.header {
        let header = json!({ "name": header.name, "value": header.value });
        fields.insert("header".to_owned(), header);
    }
    Value::Object(fields)
}

fn write_shadow(shadow: &Shadow) -> Value {
    let mut fields = write_target(&shadow.name, &shadow.target);
    fields.insert("percent".to_owned(), json!(shadow.percent.get()));
    Value::Object(fields)
}

fn write_target(name: &str, target: &Target) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut add = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    add("name", json!(name));
    if let Some(model) = &target.model {
        add("model", json!(**model));
    }
    match &target.version {
        VersionChoice::Latest => None,
        VersionChoice::Version(version) => add("version", json!(version)),
        VersionChoice::Label(label) => add("label", json!(label)),
    };
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_set_again() {
        let value = json!({
            "key": "user-id",
            "arms": [
                { "name": "a", "version": 1, "weight": 70 },
                { "name": "b", "label": "canary", "weight": 0,
                  "header": { "name": "user-group", "value": "can\"ary" } },
                { "name": "c", "model": "m", "weight": 30 },
            ],
            "shadows": [{ "name": "d", "model": "m", "version": 3, "percent": 0.5 }],
        });
        let split = read(value.to_string().as_bytes()).ok().expect("valid");
        assert_eq!(write(&split), value);
        assert!(!is_whole(&split));
        let whole = br#"{"arms": [{"name": "c", "model": "m", "weight": 1}]}"#;
        assert!(is_whole(&read(whole).ok().expect("valid")));
    }

    #[test]
    fn every_mistake_is_told() {
        let rows = [
            ("", "expected a split as a JSON object: EOF"),
            (
                "1",
                "`split`: expected a table of `arms`, `shadows` and `key`, got integer 1",
            ),
            ("null", "a split does not hold such a value: "),
            ("{\"arms\": null}", "a split does not hold such a value: "),
            (
                "{}",
                "`split` lacks `arms`; name at least one arm or one shadow",
            ),
            (
                r#"{"arm": [], "key": ""}"#,
                "unknown key `arm`; did you mean `arms`?. `split.key`: expected what a header may hold",
            ),
            (
                r#"{"arms": [{"name": "a", "version": 1, "weight": -1}]}"#,
                "`split.arms[0].weight`: expected a whole number from 0 to 1000000, got integer -1",
            ),
        ];
        for (body, expected) in rows {
            let told = read(body.as_bytes()).expect_err(body);
            assert!(
                told.message.starts_with(expected),
                "{body}: {}",
                told.message
            );
        }
    }
}
