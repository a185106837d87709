//! A loaded model: signatures and the session that all instances share.

use std::sync::Arc;

use salver_backend::{BackendError, ErrorCode, Instance, Model, ModelFiles, Signature, Signatures};
use salver_protocol::tensor_proto;
use salver_savedmodel::MetaGraph;
use salver_tensor::TensorSpec;

use crate::check::{self, unsupported};
use crate::ffi::{Error, Library, LoadOptions, Session};
use crate::instance::TfInstance;
use crate::options::SessionOptions;
use crate::{INSTALL_COMMAND, PLATFORM};

pub(crate) struct TfModel {
    signatures: Signatures,
    session: Arc<Session>,
    is_pool_wanted: bool,
}

impl TfModel {
    pub(crate) fn load(
        library: &Arc<Library>,
        files: &ModelFiles,
        declared: Option<MetaGraph>,
        options: &SessionOptions,
    ) -> Result<Self, BackendError> {
        let load = LoadOptions {
            dir: &files.dir,
            tags: &options.tags,
            config: &options.config,
            wants_meta_graph: declared.is_none(),
        };
        let (session, meta_graph) =
            Session::load(library, &load).map_err(|error| load_error(files, error))?;
        let declared = match (declared, meta_graph) {
            (Some(declared), _) => declared,
            (None, Some(bytes)) => {
                salver_savedmodel::parse_meta_graph(bytes.bytes(), &files.file_name())?
            }
            (None, None) => MetaGraph::default(),
        };
        for not_servable in check::told(&declared) {
            tracing::warn!(file = %files.main.display(), "{not_servable}");
        }
        Ok(Self {
            signatures: with_dtypes_of(&session, &declared.signatures),
            session: Arc::new(session),
            is_pool_wanted: options.is_pool_wanted,
        })
    }
}

impl Model for TfModel {
    fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    fn instance(&self) -> Result<Box<dyn Instance>, BackendError> {
        Ok(Box::new(TfInstance::new(
            &self.session,
            self.is_pool_wanted,
        )))
    }
}

/// Takes the dtypes of tensors from the graph: like shapes, what a signature says of them does not bind, and TensorFlow
/// Serving, too, serves models whose signatures are mistaken.
fn with_dtypes_of(session: &Session, declared: &Signatures) -> Signatures {
    let corrected = |spec: &TensorSpec| {
        let actual = tensor_proto::dtype_of(session.data_type(&spec.tensor_name)?)?;
        (actual != spec.dtype).then_some(actual)
    };
    let correct = |signature: &Signature| {
        let mut signature = signature.clone();
        for spec in signature.inputs.iter_mut().chain(&mut signature.outputs) {
            if let Some(actual) = corrected(spec) {
                tracing::warn!(
                    signature = &*signature.name,
                    tensor = &*spec.tensor_name,
                    declared = %spec.dtype,
                    %actual,
                    "the signature declares another dtype than its tensor has, which is the one that counts"
                );
                spec.dtype = actual;
            }
        }
        signature
    };
    declared
        .iter()
        .map(|signature| correct(signature))
        .collect()
}

/// Tells a bad model from a library that is too old for it and from the library's own failures.
fn load_error(files: &ModelFiles, error: Error) -> BackendError {
    let Error { code, message } = error;
    let lacks_operator = message.contains("Op type not registered")
        || message.contains("No registered")
        || message.contains("not in Op<");
    match code {
        _ if lacks_operator => unsupported(
            message,
            format!(
                "{INSTALL_COMMAND} for the latest version, or export the model without custom operators"
            ),
        ),
        ErrorCode::Unimplemented => unsupported(
            message,
            "export the model with operators that TensorFlow has on CPU".to_owned(),
        ),
        ErrorCode::ResourceExhausted | ErrorCode::Internal | ErrorCode::Unknown => {
            BackendError::Engine {
                platform: PLATFORM,
                message,
            }
        }
        _ => BackendError::InvalidModel {
            file: files.file_name(),
            reason: message,
        },
    }
}
