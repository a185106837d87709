//! Label sets of the metric families.

use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};

/// The labels of one time series: names from the catalogue, values from the caller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Labels {
    names: &'static [&'static str],
    values: Vec<Arc<str>>,
}

impl Labels {
    /// Pairs names with values.
    pub(crate) fn new<const N: usize>(
        names: &'static [&'static str],
        values: [Arc<str>; N],
    ) -> Self {
        debug_assert_eq!(names.len(), N);
        Self {
            names,
            values: values.into(),
        }
    }
}

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> std::fmt::Result {
        for (name, value) in self.names.iter().zip(&self.values) {
            (*name, &**value).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}
