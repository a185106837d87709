//! A model in this process: a prediction without a server.

use std::path::Path;

use salver_backend::{Inputs, Instance, Model, Requested};
use salver_client::{Metadata, Prediction, SignatureInfo};
use salver_repository::{ModelEntry, Problem, discover, versions};
use salver_tensor::Tensor;

use crate::config::EngineConfig;
use crate::engine;
use crate::exit::{Exit, Failure};

/// A loaded model with the one instance that runs it.
pub(crate) struct LocalModel {
    version: i64,
    model: Box<dyn Model>,
    instance: Box<dyn Instance>,
}

impl LocalModel {
    /// Loads the latest version of the model at a path.
    ///
    /// # Blocking
    /// Reads the whole model.
    pub(crate) fn open(
        path: &Path,
        engine: Option<&str>,
        engines: &EngineConfig,
    ) -> Result<Self, Failure> {
        let entry = find(path)?;
        let cannot_read =
            |error| Failure::new(Exit::Failed, format!("{}: {error}", path.display()));
        let (version, files) = versions(&entry.base)
            .map_err(cannot_read)?
            .pop()
            .ok_or_else(|| {
                Failure::new(
                    Exit::Failed,
                    format!("{}: holds no version of a model", path.display()),
                )
            })?;
        let refused =
            |error| Failure::new(Exit::Failed, format!("{}: {error}", files.main.display()));
        let engine = engine.or(entry.settings.engine.as_deref());
        let choice = engine::registry(engines)
            .choose(&files, engine)
            .map_err(refused)?;
        let model = choice
            .backend
            .load(
                &files,
                &entry
                    .settings
                    .model_config(&choice.backend.default_config()),
            )
            .map_err(refused)?;
        let instance = model.instance().map_err(refused)?;
        Ok(Self {
            version,
            model,
            instance,
        })
    }

    pub(crate) fn metadata(&self) -> Metadata {
        let signatures = self
            .model
            .signatures()
            .iter()
            .map(|signature| SignatureInfo {
                name: signature.name.to_string(),
                inputs: signature.inputs.clone(),
                outputs: signature.outputs.clone(),
            });
        Metadata {
            version: self.version,
            signatures: signatures.collect(),
        }
    }

    pub(crate) fn predict(
        &mut self,
        signature: &SignatureInfo,
        inputs: &[(&str, &Tensor)],
    ) -> Result<Prediction, Failure> {
        let fail = |message: String| Failure::new(Exit::Failed, message);
        let signature = self.model.signatures().get(&signature.name);
        let signature = signature.ok_or_else(|| fail("the signature is gone".to_owned()))?;
        let input = |name: &str| {
            inputs
                .iter()
                .find(|(given, _)| *given == name)
                .map(|(_, tensor)| (*tensor).clone())
        };
        let tensors: Option<Vec<Tensor>> = signature
            .inputs
            .iter()
            .map(|spec| input(&spec.name))
            .collect();
        let tensors = tensors.ok_or_else(|| fail("an input is missing".to_owned()))?;
        let wanted: Vec<usize> = (0..signature.outputs.len()).collect();
        let inputs = Inputs {
            signature,
            tensors: &tensors,
            deadline: None,
        };
        let outputs = self
            .instance
            .run(&inputs, &Requested(&wanted))
            .map_err(|error| fail(error.to_string()))?;
        let names = signature.outputs.iter().map(|spec| spec.name.to_string());
        Ok(Prediction {
            outputs: names.zip(outputs).collect(),
        })
    }
}

/// Finds the one model at a path.
fn find(path: &Path) -> Result<ModelEntry, Failure> {
    let mut discovery = discover(path);
    match discovery.entries.len() {
        1 => Ok(discovery.entries.remove(0)),
        0 if discovery.problems.is_empty() => Err(Failure::new(
            Exit::Failed,
            format!("{}: there is no model", path.display()),
        )),
        0 => Err(Failure::all(
            Exit::Failed,
            discovery.problems.iter().map(Problem::to_string),
        )),
        _ => {
            let names: Vec<&str> = discovery.entries.iter().map(|entry| &*entry.name).collect();
            let message = format!(
                "{}: holds several models: {}; name one of them",
                path.display(),
                names.join(", ")
            );
            Err(Failure::new(Exit::Failed, message))
        }
    }
}
