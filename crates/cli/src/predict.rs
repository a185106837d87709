//! `salver predict`: one prediction from the command line.

mod caller;

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bytes::Bytes;
use salver_client::{ClientError, ClientTls, Identity, ModelRef, SignatureInfo, VersionChoice};
use salver_repository::discover;
use salver_store::StoreUri;
use salver_tensor::TensorSpec;

use crate::args::PredictArgs;
use crate::config::{self, Env, Settings, value};
use crate::exit::{Exit, Failure};
use crate::predict::caller::{Caller, columnar};
use crate::stores::Brought;
use crate::{answer, output, picture};

const DEFAULT_URL: &str = "http://localhost:8501";
const DEFAULT_TIMEOUT: &str = "60s";

/// Asks for the prediction and prints it.
pub(crate) fn run(args: &PredictArgs, env: &Env) -> Result<Exit, Failure> {
    let labels = args.labels.as_deref().map_or(Ok(Vec::new()), read_labels)?;
    let scale = args.scale.unwrap_or(1.0);
    if !scale.is_finite() || scale <= 0.0 {
        return Err(Failure::new(
            Exit::Usage,
            format!("--scale: expected a number above 0, got `{scale}`"),
        ));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    runtime.block_on(async {
        let mut caller = caller(args, env).await?;
        match body(args)? {
            Some(body) => {
                let answer = caller.answer_body(body).await?;
                output::result(String::from_utf8_lossy(&answer).trim_end());
                Ok(Exit::Done)
            }
            None => {
                Pictures {
                    args,
                    scale,
                    labels,
                }
                .predict(&mut caller)
                .await
            }
        }
    })
}

/// Finds out who is to be asked.
async fn caller(args: &PredictArgs, env: &Env) -> Result<Caller, Failure> {
    let mut settings = Settings::new(env);
    let timeout = args.timeout.as_deref().unwrap_or(DEFAULT_TIMEOUT);
    let timeout = value::duration(timeout).map_err(|expected| {
        Failure::new(
            Exit::Usage,
            format!("--timeout: expected {expected}, got `{timeout}`"),
        )
    })?;
    if args.url.is_none() && args.grpc.is_none() && is_local(&args.model)? {
        let engine = settings.get("engine", args.engine.as_deref(), value::text);
        let brought = Brought::new(Path::new(&args.model), env)?;
        let caller = Caller::local(brought.folder(), engine.as_deref(), &config::engines(env));
        return caller.map_err(|mut failure| {
            failure.messages.extend(brought.problems());
            failure
        });
    }
    let model = parse_model(&args.model)?;
    let tls = client_tls(args)?;
    let grpc = match &args.url {
        Some(_) => None,
        None => settings.get("grpc", args.grpc.as_deref(), value::text),
    };
    match grpc {
        Some(address) => Caller::grpc(&address, model, timeout, &tls)
            .await
            .map_err(failed),
        None => {
            let url = settings.get("url", args.url.as_deref(), value::text);
            let url = url.as_deref().unwrap_or(DEFAULT_URL);
            Caller::rest(url, model, timeout, &tls).map_err(failed)
        }
    }
}

/// Reads what secures connections.
fn client_tls(args: &PredictArgs) -> Result<ClientTls, Failure> {
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|error| {
            let message = format!("{} cannot be read: {error}", path.display());
            Failure::new(Exit::Failed, message)
        })
    };
    let identity = match (&args.cert, &args.key) {
        (Some(cert), Some(key)) => Some(Identity {
            certificates: read(cert)?,
            key: read(key)?,
        }),
        _ => None,
    };
    Ok(ClientTls {
        authorities: args.ca.as_ref().map(read).transpose()?,
        identity,
    })
}

/// Tells whether MODEL is a path or an address: it looks like one, or there is a model of that name in this folder.
fn is_local(model: &str) -> Result<bool, Failure> {
    if StoreUri::is_remote(model) {
        return Ok(true);
    }
    let path = Path::new(model);
    let looks_like_path = model.contains(std::path::MAIN_SEPARATOR) || model.ends_with(".onnx");
    match (path.exists(), looks_like_path) {
        (true, true) => Ok(true),
        (true, false) => Ok(!discover(path).entries.is_empty()),
        (false, true) => {
            let message = format!(
                "{model}: there is no such file or folder (names on a server have no `/` or ending)"
            );
            Err(Failure::new(Exit::Failed, message))
        }
        (false, false) => Ok(false),
    }
}

/// Reads `NAME`, `NAME:VERSION` or `NAME@LABEL`.
fn parse_model(text: &str) -> Result<ModelRef, Failure> {
    let refuse = || {
        let message = format!("MODEL: expected NAME, NAME:VERSION or NAME@LABEL, got `{text}`");
        Failure::new(Exit::Usage, message)
    };
    let (name, version) = if let Some((name, version)) = text.split_once(':') {
        (
            name,
            VersionChoice::Version(version.parse().map_err(|_| refuse())?),
        )
    } else if let Some((name, label)) = text.split_once('@') {
        (
            name,
            VersionChoice::Label(
                Some(label)
                    .filter(|label| !label.is_empty())
                    .ok_or_else(refuse)?
                    .to_owned(),
            ),
        )
    } else {
        (text, VersionChoice::Latest)
    };
    match name.is_empty() {
        true => Err(refuse()),
        false => Ok(ModelRef {
            name: name.to_owned(),
            version,
        }),
    }
}

/// Returns the request body that was given, if there are no pictures.
fn body(args: &PredictArgs) -> Result<Option<Bytes>, Failure> {
    let signature = match &args.signature {
        Some(name) => format!(
            "\"signature_name\": {}, ",
            serde_json::Value::from(name.as_str())
        ),
        None => String::new(),
    };
    Ok(match (&args.json, &args.instances) {
        (Some(json), _) if json == "-" => {
            let mut body = Vec::new();
            std::io::stdin()
                .read_to_end(&mut body)
                .context("cannot read standard input")?;
            Some(body.into())
        }
        (Some(json), _) => Some(json.clone().into()),
        (None, Some(instances)) => {
            Some(format!("{{{signature}\"instances\": {instances}}}").into())
        }
        (None, None) => None,
    })
}

fn read_labels(path: &Path) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(Exit::Failed, format!("{}: {error}", path.display())))?;
    Ok(text.lines().map(|line| line.trim().to_owned()).collect())
}

/// Pictures to be predicted, and how to tell of it.
struct Pictures<'a> {
    args: &'a PredictArgs,
    scale: f32,
    labels: Vec<String>,
}

impl Pictures<'_> {
    /// Asks for one picture after the other; one that cannot be read does not stop the others.
    async fn predict(&self, caller: &mut Caller) -> Result<Exit, Failure> {
        let metadata = caller.metadata().await?;
        let signature = metadata
            .signature(self.args.signature.as_deref().unwrap_or_default())
            .map_err(failed)?;
        let input = only_input(signature)?;
        let mut unreadable = Vec::new();
        for path in &self.args.pictures {
            match picture::read(path, input, self.scale) {
                Ok(tensor) => {
                    let inputs = [(&*input.name, &tensor)];
                    let line = match self.args.raw {
                        true => caller.answer(signature, &inputs).await?,
                        false => self.line(path, caller, signature, &inputs).await?,
                    };
                    output::result(line.trim_end());
                }
                Err(reason) => unreadable.push(reason),
            }
        }
        match unreadable.is_empty() {
            true => Ok(Exit::Done),
            false => Err(Failure::all(Exit::Failed, unreadable)),
        }
    }

    async fn line(
        &self,
        path: &Path,
        caller: &mut Caller,
        signature: &SignatureInfo,
        inputs: &[(&str, &salver_tensor::Tensor)],
    ) -> Result<String, Failure> {
        let prediction = caller.predict(signature, inputs).await?;
        let text = match answer::best_classes(&prediction.outputs).as_deref() {
            Some(&[best]) => answer::describe(best, &self.labels),
            _ => columnar(&prediction)?,
        };
        Ok(format!("{}: {text}", path.display()))
    }
}

fn only_input(signature: &SignatureInfo) -> Result<&TensorSpec, Failure> {
    match &signature.inputs[..] {
        [input] => Ok(input),
        inputs => {
            let names: Vec<&str> = inputs.iter().map(|input| &*input.name).collect();
            let message = format!(
                "signature `{}` has {} inputs ({}), so a picture is not enough; give --json",
                signature.name,
                inputs.len(),
                names.join(", ")
            );
            Err(Failure::new(Exit::Failed, message))
        }
    }
}

fn failed(error: ClientError) -> Failure {
    let exit = match error {
        ClientError::Address { .. } => Exit::Usage,
        _ => Exit::Failed,
    };
    Failure::new(exit, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_named_with_version_or_label() {
        let rows = [
            ("digits", Some(("digits", VersionChoice::Latest))),
            ("digits:2", Some(("digits", VersionChoice::Version(2)))),
            (
                "digits@stable",
                Some(("digits", VersionChoice::Label("stable".to_owned()))),
            ),
            ("digits:two", None),
            ("digits@", None),
            (":2", None),
            ("", None),
        ];
        for (text, expected) in rows {
            let expected = expected.map(|(name, version)| ModelRef {
                name: name.to_owned(),
                version,
            });
            assert_eq!(parse_model(text).ok(), expected, "{text:?}");
        }
    }
}
