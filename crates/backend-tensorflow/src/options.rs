//! How sessions are made.

use salver_backend::ModelConfig;
use salver_wire::Writer;

/// What holds for every model: which of its graphs is loaded, and TensorFlow's own settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The tags of the graph to load, all of them and no others.
    pub tags: Vec<String>,
    /// Threads that one operator may use; what each model asks for if it is `None`. TensorFlow makes them once for the
    /// process, by what the first model asks for.
    pub intra_op_parallelism: Option<u32>,
    /// Operators that may run at once. If it is `None` and there is no configuration either, that is TensorFlow's own
    /// choice, and short runs keep to the thread that asks for them.
    pub inter_op_parallelism: Option<u32>,
    /// An encoded `tensorflow.ConfigProto`; empty for TensorFlow's defaults. The two numbers above win over it.
    pub session_config: Vec<u8>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tags: vec![salver_savedmodel::SERVE_TAG.to_owned()],
            intra_op_parallelism: None,
            inter_op_parallelism: None,
            session_config: Vec::new(),
        }
    }
}

/// Field numbers of `tensorflow.ConfigProto`.
mod field {
    pub(super) const INTRA_OP_PARALLELISM_THREADS: u32 = 2;
    pub(super) const INTER_OP_PARALLELISM_THREADS: u32 = 5;
}

/// What one model's session is made with.
#[derive(Debug)]
pub(crate) struct SessionOptions {
    pub(crate) tags: Vec<String>,
    /// An encoded `tensorflow.ConfigProto`.
    pub(crate) config: Vec<u8>,
    /// Whether even short runs go to TensorFlow's threads.
    pub(crate) is_pool_wanted: bool,
}

impl Options {
    pub(crate) fn for_model(&self, config: &ModelConfig) -> SessionOptions {
        let num_threads = u32::try_from(config.num_threads.get()).unwrap_or(u32::MAX);
        // A field that comes later wins, so what is appended overrides the configuration before it.
        let mut writer = Writer::new(self.session_config.clone());
        let intra_op = self.intra_op_parallelism.unwrap_or(num_threads);
        writer.varint_field(field::INTRA_OP_PARALLELISM_THREADS, u64::from(intra_op));
        if let Some(inter_op) = self.inter_op_parallelism {
            writer.varint_field(field::INTER_OP_PARALLELISM_THREADS, u64::from(inter_op));
        }
        SessionOptions {
            tags: self.tags.clone(),
            config: writer.into_inner(),
            is_pool_wanted: self.inter_op_parallelism.is_some() || !self.session_config.is_empty(),
        }
    }
}
