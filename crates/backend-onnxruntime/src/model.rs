//! A loaded model: signatures and the session that all instances share.

use std::fs;
use std::sync::Arc;

use salver_backend::onnx::OnnxHeader;
use salver_backend::{
    BackendError, Instance, Model, ModelConfig, ModelFiles, Signature, Signatures,
};
use salver_tensor::TensorSpec;

use crate::check::unsupported;
use crate::ffi::{Error, ErrorCode, Library, Session, SessionOptions};
use crate::instance::OrtInstance;
use crate::{INSTALL_COMMAND, PLATFORM};

pub(crate) struct OrtModel {
    signatures: Signatures,
    session: Arc<Session>,
}

impl OrtModel {
    pub(crate) fn load(
        library: &Arc<Library>,
        files: &ModelFiles,
        header: &OnnxHeader,
        signature: Signature,
        config: &ModelConfig,
    ) -> Result<Self, BackendError> {
        let names = |specs: &[TensorSpec]| {
            specs
                .iter()
                .map(|spec| spec.tensor_name.to_string())
                .collect()
        };
        let options = SessionOptions {
            model: &files.main,
            external: read_external(files, header)?,
            num_threads: config.num_threads.get(),
            // On two cores and a network of 0.1 ms, spinning took a run from 182 to 118 µs; with two runs at once it
            // cost a tenth of the throughput, and seven times the 99th percentile.
            is_spinning: config.num_instances.get() == 1,
            inputs: names(&signature.inputs),
            outputs: names(&signature.outputs),
        };
        let session = Session::new(library, &options).map_err(|error| load_error(files, error))?;
        Ok(Self {
            signatures: [signature].into_iter().collect(),
            session: Arc::new(session),
        })
    }
}

impl Model for OrtModel {
    fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    fn instance(&self) -> Result<Box<dyn Instance>, BackendError> {
        Ok(Box::new(OrtInstance::new(Arc::clone(&self.session))))
    }
}

fn read_external(
    files: &ModelFiles,
    header: &OnnxHeader,
) -> Result<Vec<(String, Vec<u8>)>, BackendError> {
    let read = |file: &salver_backend::onnx::ExternalFile| {
        let bytes = fs::read(files.dir.join(&file.location)).map_err(|error| {
            BackendError::InvalidModel {
                file: file.location.clone(),
                reason: format!("cannot be read: {error}"),
            }
        })?;
        Ok((file.location.clone(), bytes))
    };
    header.external_files.iter().map(read).collect()
}

/// Tells a bad model from a library that is too old for it and from the library's own failures.
fn load_error(files: &ModelFiles, error: Error) -> BackendError {
    let Error { code, message } = error;
    let is_too_new = [
        "is not a registered function/op",
        "Unsupported model IR version",
        "is under development",
    ]
    .iter()
    .any(|part| message.contains(part));
    match code {
        _ if is_too_new => {
            unsupported(message, format!("{INSTALL_COMMAND} for the latest version"))
        }
        ErrorCode::ORT_NOT_IMPLEMENTED => unsupported(
            message,
            "export the model with operators or types that it has".to_owned(),
        ),
        ErrorCode::ORT_INVALID_PROTOBUF
        | ErrorCode::ORT_INVALID_GRAPH
        | ErrorCode::ORT_NO_MODEL
        | ErrorCode::ORT_NO_SUCHFILE
        | ErrorCode::ORT_INVALID_ARGUMENT
        | ErrorCode::ORT_FAIL => BackendError::InvalidModel {
            file: files.file_name(),
            reason: message,
        },
        _ => BackendError::Engine {
            platform: PLATFORM,
            message,
        },
    }
}
