//! `salver inspect`: what a model takes and gives, and which engine would run it.

mod cost;
mod declared;

use salver_backend::{BackendError, ModelFiles, Registry, Signature, Signatures};
use salver_repository::{ModelEntry, discover, versions};
use salver_tensor::{Dim, TensorSpec};
use serde_json::{Value, json};

use crate::args::InspectArgs;
use crate::config::{self, Env, Settings, value};
use crate::exit::{Exit, Failure};
use crate::stores::Brought;
use crate::{engine, output};

use cost::Cost;
use declared::Declared;

/// What there is to say about one model.
#[derive(Debug)]
struct Report {
    name: String,
    version: i64,
    files: ModelFiles,
    num_bytes: u64,
    declared: Result<Declared, String>,
    engine: Result<(&'static str, String), String>,
    /// What its runs cost, if that was asked for.
    cost: Option<Result<Cost, String>>,
}

/// Prints what is known about each model at a path.
pub(crate) fn run(args: &InspectArgs, env: &Env) -> Result<Exit, Failure> {
    let brought = Brought::new(&args.path, env)?;
    let discovery = discover(brought.folder());
    let registry = engine::registry(&config::engines(env));
    let asked_for = Settings::new(env).get("engine", args.engine.as_deref(), value::text);
    let problems = discovery.problems.iter().map(ToString::to_string);
    let mut failure = Failure::all(Exit::Failed, problems.chain(brought.problems()));
    let mut reports = Vec::new();
    for entry in &discovery.entries {
        match report(entry, asked_for.as_deref(), &registry, args.cost) {
            Ok(report) => reports.push(report),
            Err(reason) => failure.messages.push(reason),
        }
    }
    if reports.is_empty() && failure.messages.is_empty() {
        failure
            .messages
            .push(format!("{}: there is no model", args.path.display()));
    }
    let text = match args.json {
        true => format!(
            "{:#}",
            Value::from_iter(reports.iter().map(Report::to_json))
        ),
        false => reports
            .iter()
            .map(Report::to_text)
            .collect::<Vec<_>>()
            .join("\n"),
    };
    if args.json || !reports.is_empty() {
        output::result(text.trim_end());
    }
    let is_good =
        failure.messages.is_empty() && reports.iter().all(|report| report.declared.is_ok());
    if is_good {
        Ok(Exit::Done)
    } else {
        Err(failure)
    }
}

/// Looks at the latest version of a model.
fn report(
    entry: &ModelEntry,
    asked_for: Option<&str>,
    registry: &Registry,
    measures: bool,
) -> Result<Report, String> {
    let path = entry.base.path().display();
    let (version, files) = versions(&entry.base)
        .map_err(|error| format!("{path}: {error}"))?
        .pop()
        .ok_or_else(|| format!("{path}: holds no version of a model"))?;
    let choice = registry.choose(&files, asked_for.or(entry.settings.engine.as_deref()));
    let cost = choice.as_ref().ok().filter(|_| measures).map(|choice| {
        let cost = Cost::measure(&entry.name, choice, &files, &entry.settings);
        cost.map_err(|error| error.to_string())
    });
    let engine = choice
        .map(|choice| (choice.backend.platform(), choice.reason))
        .map_err(|error: BackendError| error.to_string());
    Ok(Report {
        name: entry.name.to_string(),
        version,
        num_bytes: declared::num_bytes(&files),
        declared: declared::read(&files),
        engine,
        cost,
        files,
    })
}

impl Report {
    fn to_text(&self) -> String {
        let mut text = format!("{} version {}\n", self.name, self.version);
        let mut line = |key: &str, value: &str| text.push_str(&format!("  {key:<10}{value}\n"));
        line(
            "file",
            &format!(
                "{} ({})",
                self.files.main.display(),
                size_text(self.num_bytes)
            ),
        );
        match &self.declared {
            Ok(declared) => {
                let opsets = declared.opsets.iter().map(opset_text);
                let tags = declared.tags.iter().map(|tag| format!("tag {tag}"));
                let format = [self.files.format.name().to_owned()].into_iter();
                let format: Vec<String> = format.chain(opsets).chain(tags).collect();
                line("format", &format.join(", "));
                if !declared.producer.is_empty() {
                    line("producer", &declared.producer);
                }
                if !declared.operators.is_empty() {
                    line("operators", &declared.operators.join(" "));
                }
                for reason in &declared.not_servable {
                    line("note", reason);
                }
            }
            Err(reason) => {
                line("format", self.files.format.name());
                line("error", reason);
            }
        }
        match &self.engine {
            Ok((platform, reason)) => line("engine", &format!("{platform} ({reason})")),
            Err(reason) => line("engine", &format!("none: {reason}")),
        }
        match &self.cost {
            None => {}
            Some(Ok(cost)) => {
                let keys = ["runs"].into_iter().chain(std::iter::repeat(""));
                for (key, text) in keys.zip(cost.lines()) {
                    line(key, &text);
                }
            }
            Some(Err(reason)) => line("runs", &format!("not measured: {reason}")),
        }
        if let Ok(declared) = &self.declared {
            text.extend(
                declared
                    .signatures
                    .iter()
                    .map(|signature| signature_text(signature)),
            );
        }
        text
    }

    fn to_json(&self) -> Value {
        let (signatures, error) = match &self.declared {
            Ok(declared) => (signatures_json(&declared.signatures), Value::Null),
            Err(reason) => (json!({}), Value::from(reason.as_str())),
        };
        let declared = self.declared.as_ref().ok();
        let opsets =
            declared.map(|declared| declared.opsets.iter().map(opset_json).collect::<Value>());
        let (engine, reason) = match &self.engine {
            Ok((platform, reason)) => (Value::from(*platform), reason),
            Err(reason) => (Value::Null, reason),
        };
        json!({
            "name": self.name,
            "version": self.version,
            "file": self.files.main.display().to_string(),
            "size_bytes": self.num_bytes,
            "format": self.files.format.name(),
            "opsets": opsets,
            "tags": declared.map(|declared| &declared.tags),
            "producer": declared.map(|declared| declared.producer.as_str()),
            "operators": declared.map(|declared| &declared.operators),
            "engine": engine,
            "engine_reason": reason,
            "cost": self.cost.as_ref().map(|cost| match cost {
                Ok(cost) => cost.to_json(),
                Err(reason) => json!({ "error": reason }),
            }),
            "signatures": signatures,
            "error": error,
        })
    }
}

/// Writes `opset 17`, or `ai.onnx.ml 3` for another set than ONNX's own.
fn opset_text((domain, version): &(String, i64)) -> String {
    let domain = if domain.is_empty() { "opset" } else { domain };
    format!("{domain} {version}")
}

fn opset_json((domain, version): &(String, i64)) -> Value {
    json!({ "domain": domain, "version": version })
}

fn signature_text(signature: &Signature) -> String {
    let mut text = format!(
        "\n  signature {} ({})\n",
        signature.name, signature.method_name
    );
    let names = signature
        .inputs
        .iter()
        .chain(&signature.outputs)
        .map(|spec| spec.name.chars().count());
    let width = names.max().unwrap_or(0);
    for (role, specs) in [
        ("inputs", &signature.inputs),
        ("outputs", &signature.outputs),
    ] {
        text.push_str(&format!("    {role}\n"));
        for spec in specs {
            text.push_str(&format!(
                "      {:<width$}  {spec}{}\n",
                spec.name,
                axes_text(spec)
            ));
        }
    }
    text
}

/// Writes the names that the model gives to its dynamic extents: ` (batch, sequence)`.
fn axes_text(spec: &TensorSpec) -> String {
    let dims = spec.dims.as_deref().unwrap_or_default();
    let names: Vec<&str> = dims
        .iter()
        .filter_map(|dim| match dim {
            Dim::Dynamic(Some(name)) => Some(&**name),
            Dim::Dynamic(None) | Dim::Fixed(_) => None,
        })
        .collect();
    if names.is_empty() {
        String::new()
    } else {
        format!("  -1: {}", names.join(", "))
    }
}

fn signatures_json(signatures: &Signatures) -> Value {
    let members = signatures
        .iter()
        .map(|signature| (signature.name.to_string(), signature_json(signature)));
    Value::Object(members.collect())
}

fn signature_json(signature: &Signature) -> Value {
    let specs = |specs: &[TensorSpec]| {
        specs
            .iter()
            .map(|spec| {
                let extent = |dim: &Dim| match dim {
                    Dim::Fixed(extent) => json!(extent),
                    Dim::Dynamic(Some(name)) => json!(&**name),
                    Dim::Dynamic(None) => json!(-1),
                };
                let shape = spec
                    .dims
                    .as_ref()
                    .map(|dims| dims.iter().map(extent).collect::<Value>());
                json!({ "name": &*spec.name, "dtype": spec.dtype.name(), "shape": shape })
            })
            .collect::<Value>()
    };
    json!({
        "method_name": &*signature.method_name,
        "inputs": specs(&signature.inputs),
        "outputs": specs(&signature.outputs),
    })
}

/// Writes a size in the unit that leaves one to three digits before the point.
fn size_text(num_bytes: u64) -> String {
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)];
    match units
        .into_iter()
        .find(|(_, unit_bytes)| num_bytes >= *unit_bytes)
    {
        Some((unit, unit_bytes)) => format!("{:.1} {unit}", num_bytes as f64 / unit_bytes as f64),
        None => format!("{num_bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let rows = [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (150_259, "150.3 kB"),
            (178_000_000, "178.0 MB"),
            (2_500_000_000, "2.5 GB"),
        ];
        for (num_bytes, expected) in rows {
            assert_eq!(size_text(num_bytes), expected);
        }
    }
}
