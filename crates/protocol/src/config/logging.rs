//! Which requests of a model are logged, and where to.

use salver_proto::tensorflow::serving::{
    LogCollectorConfig, LoggingConfig as LoggingProto, PerTaskSamplingConfig, SamplingConfig,
};

/// Logging of a model's requests and answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoggingConfig {
    /// The kind of collector, such as `file`; empty if none is named.
    pub collector: String,
    /// How the collector's files begin.
    pub filename_prefix: String,
    /// The share of requests that is logged, 0 to 1.
    pub sampling_rate: f64,
    /// Other shares for single servers of many.
    pub task_sampling: Vec<TaskSampling>,
    /// Bit set: 1 keeps the origin of a request, 2 its criticality.
    pub attributes: i32,
    /// Settings of a logger of one's own.
    pub custom: Option<CustomLogging>,
}

impl LoggingConfig {
    /// Returns the share of requests that a server logs which nobody told where it runs and which of many it is.
    #[must_use]
    pub fn share(&self) -> f64 {
        let is_for_all = |task: &&TaskSampling| task.place.is_empty() && task.task_idx.is_none();
        let of_all = self.task_sampling.iter().find(is_for_all);
        of_all.map_or(self.sampling_rate, |task| task.sampling_rate)
    }
}

/// The share of requests that one server of many logs.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskSampling {
    /// Where the server runs.
    pub place: String,
    /// Which server there; all of them if not set.
    pub task_idx: Option<i32>,
    /// The share, 0 to 1.
    pub sampling_rate: f64,
}

/// An encoded message of any type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomLogging {
    /// Its type.
    pub type_url: String,
    /// Its bytes.
    pub value: Vec<u8>,
}

pub(super) fn read(proto: LoggingProto) -> LoggingConfig {
    let collector = proto.log_collector_config.unwrap_or_default();
    let sampling = proto.sampling_config.unwrap_or_default();
    LoggingConfig {
        collector: collector.r#type,
        filename_prefix: collector.filename_prefix,
        sampling_rate: sampling.sampling_rate,
        task_sampling: sampling
            .per_task_sampling_configs
            .into_iter()
            .map(|task| TaskSampling {
                place: task.dc,
                task_idx: task.task_index,
                sampling_rate: task.sampling_rate,
            })
            .collect(),
        attributes: sampling.attributes,
        custom: proto.custom_logging_config.map(|any| CustomLogging {
            type_url: any.type_url,
            value: any.value,
        }),
    }
}

pub(super) fn write(config: &LoggingConfig) -> LoggingProto {
    let task_sampling = config
        .task_sampling
        .iter()
        .map(|task| PerTaskSamplingConfig {
            dc: task.place.clone(),
            task_index: task.task_idx,
            sampling_rate: task.sampling_rate,
        });
    LoggingProto {
        log_collector_config: Some(LogCollectorConfig {
            r#type: config.collector.clone(),
            filename_prefix: config.filename_prefix.clone(),
        }),
        sampling_config: Some(SamplingConfig {
            sampling_rate: config.sampling_rate,
            attributes: config.attributes,
            per_task_sampling_configs: task_sampling.collect(),
        }),
        custom_logging_config: config.custom.as_ref().map(|custom| prost_types::Any {
            type_url: custom.type_url.clone(),
            value: custom.value.clone(),
        }),
    }
}
