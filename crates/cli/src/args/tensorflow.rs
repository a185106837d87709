//! TensorFlow Serving's flags as data: name, kind, default, effect.
//!
//! Those that `salver serve` says more about than TensorFlow Serving does are declared beside the others in
//! [`super::ServeArgs`]; the rest is declared from this table.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::variable_of;

/// The heading of these flags in the help.
const HEADING: &str = "As in TensorFlow Serving";

/// What a flag's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `--name`, `--name=true` or `--name=false`.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// Anything.
    Text,
}

/// What a flag does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Declared in [`super::ServeArgs`], with help of its own.
    Declared,
    /// Does this.
    Does(&'static str),
    /// Is read and checked, and will do this in a later release; until then a warning says so.
    Later(&'static str),
    /// Means nothing here, for this reason; a warning says so.
    Nothing(&'static str),
}

/// One flag of `tensorflow_model_server`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TfFlag {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
    pub(crate) effect: Effect,
}

const fn flag(name: &'static str, kind: Kind, default: &'static str, effect: Effect) -> TfFlag {
    TfFlag {
        name,
        kind,
        default,
        effect,
    }
}

use Effect::{Declared, Does, Later, Nothing};
use Kind::{Bool, Float, Int, Text};

/// Every flag of `tensorflow_model_server`, in its own order.
pub(crate) const TF_FLAGS: &[TfFlag] = &[
    flag("port", Int, "8500", Declared),
    flag(
        "grpc_socket_path",
        Text,
        "",
        Does("Serves gRPC on this UNIX socket too; the path is taken over from whoever has it."),
    ),
    flag("rest_api_port", Int, "0", Declared),
    flag(
        "rest_api_num_threads",
        Int,
        "4 for each core",
        Nothing("requests wait for models without a thread; --io-threads is about sockets"),
    ),
    flag("rest_api_timeout_in_ms", Int, "30000", Declared),
    flag(
        "rest_api_enable_cors_support",
        Bool,
        "false",
        Does("Lets scripts of other sites read REST answers (CORS headers)."),
    ),
    flag(
        "enable_batching",
        Bool,
        "false",
        Does(
            "Joins requests into batches as --batching_parameters_file says; without that file up to 1000 rows, and no request waits for others while the model is idle.",
        ),
    ),
    flag(
        "allow_version_labels_for_unavailable_models",
        Bool,
        "false",
        Does(
            "Lets a reload give a label that is not in use to a version that is not loaded yet. Labels that a file gives are always taken, and come into force when their version is there.",
        ),
    ),
    flag(
        "batching_parameters_file",
        Text,
        "",
        Does("A BatchingParameters text proto; needs --enable_batching."),
    ),
    flag(
        "enable_per_model_batching_parameters",
        Bool,
        "false",
        Does(
            "Takes batching parameters from batching_params.pbtxt in each version's folder; requests of a version without that file run alone. Needs --enable_batching.",
        ),
    ),
    flag("model_config_file", Text, "", Declared),
    flag("model_config_file_poll_wait_seconds", Int, "0", Declared),
    flag("model_name", Text, "default", Declared),
    flag("model_base_path", Text, "", Declared),
    flag("num_load_threads", Int, "0", Declared),
    flag(
        "num_unload_threads",
        Int,
        "0",
        Does(
            "How many versions are freed at once, on threads that come and go; 0 means 8. No request waits for them.",
        ),
    ),
    flag("max_num_load_retries", Int, "5", Declared),
    flag("load_retry_interval_micros", Int, "60000000", Declared),
    flag("file_system_poll_wait_seconds", Int, "1", Declared),
    flag(
        "flush_filesystem_caches",
        Bool,
        "true",
        Nothing("the system gives its cache of model files back by itself when memory is short"),
    ),
    flag(
        "tensorflow_session_parallelism",
        Int,
        "0",
        Does(
            "Threads within an operation and operations at once, of TensorFlow's; 0 leaves it to TensorFlow.",
        ),
    ),
    flag(
        "tensorflow_session_config_file",
        Text,
        "",
        Does(
            "A ConfigProto text proto for TensorFlow's sessions; the flags about parallelism win over it.",
        ),
    ),
    flag(
        "tensorflow_intra_op_parallelism",
        Int,
        "0",
        Does("Threads within an operation of TensorFlow's; 0 leaves it to TensorFlow."),
    ),
    flag(
        "tensorflow_inter_op_parallelism",
        Int,
        "0",
        Does("Operations of TensorFlow's at once; 0 leaves it to TensorFlow."),
    ),
    flag(
        "use_alts_credentials",
        Bool,
        "false",
        Does(
            "Fails the start if true: ALTS works within Google's own network only, and without it requests would go unprotected. Use --ssl_config_file.",
        ),
    ),
    flag(
        "ssl_config_file",
        Text,
        "",
        Does(
            "An SSLConfig text proto: the key and certificates that secure gRPC (and REST with --rest_api_ssl), as PEM text; taken up again when the file changes.",
        ),
    ),
    flag(
        "platform_config_file",
        Text,
        "",
        Does(
            "A PlatformConfigMap text proto: how TensorFlow loads models. The flags about batching and sessions are then ignored.",
        ),
    ),
    flag(
        "per_process_gpu_memory_fraction",
        Float,
        "0",
        Does(
            "The share of a GPU's memory that TensorFlow takes, 0 to 1; 0 leaves it to TensorFlow.",
        ),
    ),
    flag(
        "saved_model_tags",
        Text,
        "serve",
        Does("The tags of the graph to load from a SavedModel, separated by commas."),
    ),
    flag(
        "grpc_channel_arguments",
        Text,
        "",
        Does(
            "Settings of gRPC connections: KEY=VALUE, separated by commas; unknown ones are ignored.",
        ),
    ),
    flag(
        "grpc_max_threads",
        Int,
        "4 for each core",
        Nothing("requests wait for models without a thread; --max_inflight_bytes bounds them"),
    ),
    flag(
        "enable_model_warmup",
        Bool,
        "true",
        Does("Replays assets.extra/tf_serving_warmup_requests before a version answers."),
    ),
    flag(
        "num_request_iterations_for_warmup",
        Int,
        "0",
        Does("How often each of those requests is replayed; 0 means once."),
    ),
    flag(
        "version",
        Bool,
        "false",
        Does("Prints the versions of server and TensorFlow, and exits."),
    ),
    flag(
        "monitoring_config_file",
        Text,
        "",
        Does("A MonitoringConfig text proto: the page for Prometheus on the REST port."),
    ),
    flag(
        "remove_unused_fields_from_bundle_metagraph",
        Bool,
        "true",
        Nothing("what serving does not need of a model's description is never kept"),
    ),
    flag(
        "prefer_tflite_model",
        Bool,
        "false",
        Later("Takes model.tflite before saved_model.pb."),
    ),
    flag(
        "num_tflite_pools",
        Int,
        "1 for each core",
        Nothing("`instances` in a model's model.toml says how many of its requests run at once"),
    ),
    flag(
        "num_tflite_interpreters_per_pool",
        Int,
        "1",
        Nothing("`instances` in a model's model.toml says how many of its requests run at once"),
    ),
    flag(
        "enable_signature_method_name_check",
        Bool,
        "false",
        Does("Refuses requests whose API is not the one that the signature's method_name names."),
    ),
    flag(
        "xla_cpu_compilation_enabled",
        Bool,
        "false",
        Nothing("TensorFlow's library decides by itself; set TF_XLA_FLAGS for the process"),
    ),
    flag(
        "xla_gpu_compilation_enabled",
        Bool,
        "false",
        Nothing("TensorFlow's library decides by itself; set TF_XLA_FLAGS for the process"),
    ),
    flag(
        "enable_profiler",
        Bool,
        "true",
        Does("Answers TensorFlow's profiler on the gRPC port."),
    ),
    flag(
        "thread_pool_factory_config_file",
        Text,
        "",
        Nothing("it names C++ classes that are linked into a server; there are none here"),
    ),
    flag(
        "mixed_precision",
        Text,
        "",
        Does("bfloat16 lets TensorFlow compute in that type on processors that have it."),
    ),
    flag(
        "skip_initialize_tpu",
        Bool,
        "false",
        Nothing("no TPU is ever initialised"),
    ),
    flag(
        "enable_grpc_healthcheck_service",
        Bool,
        "false",
        Nothing("gRPC health checks are always answered"),
    ),
    flag(
        "enable_serialization_as_tensor_content",
        Bool,
        "false",
        Does(
            "Sends outputs of Predict as tensor_content, which is smaller and faster for numbers.",
        ),
    ),
];

/// Returns a flag by its name.
pub(crate) fn find(name: &str) -> Option<&'static TfFlag> {
    TF_FLAGS.iter().find(|flag| flag.name == name)
}

/// The flags of the table that were typed, as they were typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TfArgs(BTreeMap<&'static str, String>);

impl TfArgs {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        debug_assert!(find(name).is_some(), "{name} is in the table");
        self.0.get(name).map(String::as_str)
    }
}

fn declared() -> impl Iterator<Item = &'static TfFlag> {
    TF_FLAGS
        .iter()
        .filter(|flag| flag.effect != Effect::Declared && flag.name != "version")
}

impl TfFlag {
    fn arg(&self) -> Arg {
        let value_name = match self.kind {
            Bool => "BOOL",
            Int => "COUNT",
            Float => "NUMBER",
            Text if self.name.ends_with("_file") || self.name.ends_with("_path") => "FILE",
            Text => "TEXT",
        };
        let arg = Arg::new(self.name)
            .long(self.name)
            .value_name(value_name)
            .action(ArgAction::Set)
            .allow_hyphen_values(true)
            .help_heading(HEADING)
            .help(self.help());
        match self.kind {
            Bool => arg
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true"),
            Int | Float | Text => arg,
        }
    }

    fn help(&self) -> String {
        let text = match self.effect {
            Effect::Declared => String::new(),
            Effect::Does(text) => text.to_owned(),
            Effect::Later(text) => format!("{text} Read and checked, but without effect yet."),
            Effect::Nothing(why) => format!("Has no effect: {why}."),
        };
        let default = match self.default {
            "" => "none",
            default => default,
        };
        format!(
            "{text} [env: {}] [default: {default}]",
            variable_of(self.name)
        )
    }
}

impl clap::Args for TfArgs {
    fn augment_args(command: Command) -> Command {
        declared().fold(command, |command, flag| command.arg(flag.arg()))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for TfArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for flag in declared() {
            if let Some(value) = matches.get_one::<String>(flag.name) {
                self.0.insert(flag.name, value.clone());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names and defaults that `tensorflow_model_server --help` lists, in its order.
    const UPSTREAM: &str = "\
        port=8500 grpc_socket_path= rest_api_port=0 rest_api_num_threads=* rest_api_timeout_in_ms=30000 \
        rest_api_enable_cors_support=false enable_batching=false \
        allow_version_labels_for_unavailable_models=false batching_parameters_file= \
        enable_per_model_batching_parameters=false model_config_file= model_config_file_poll_wait_seconds=0 \
        model_name=default model_base_path= num_load_threads=0 num_unload_threads=0 max_num_load_retries=5 \
        load_retry_interval_micros=60000000 file_system_poll_wait_seconds=1 flush_filesystem_caches=true \
        tensorflow_session_parallelism=0 tensorflow_session_config_file= tensorflow_intra_op_parallelism=0 \
        tensorflow_inter_op_parallelism=0 use_alts_credentials=false ssl_config_file= platform_config_file= \
        per_process_gpu_memory_fraction=0 saved_model_tags=serve grpc_channel_arguments= grpc_max_threads=* \
        enable_model_warmup=true num_request_iterations_for_warmup=0 version=false monitoring_config_file= \
        remove_unused_fields_from_bundle_metagraph=true prefer_tflite_model=false num_tflite_pools=* \
        num_tflite_interpreters_per_pool=1 enable_signature_method_name_check=false \
        xla_cpu_compilation_enabled=false xla_gpu_compilation_enabled=false enable_profiler=true \
        thread_pool_factory_config_file= mixed_precision= skip_initialize_tpu=false \
        enable_grpc_healthcheck_service=false enable_serialization_as_tensor_content=false";

    #[test]
    fn every_flag_of_tensorflow_serving_is_there_with_its_default() {
        let upstream: Vec<(&str, &str)> = UPSTREAM
            .split_whitespace()
            .map(|row| row.split_once('=').expect("name and default"))
            .collect();
        let names =
            |rows: &[(&str, &str)]| rows.iter().map(|row| row.0.to_owned()).collect::<Vec<_>>();
        let ours: Vec<(&str, &str)> = TF_FLAGS
            .iter()
            .map(|flag| (flag.name, flag.default))
            .collect();
        assert_eq!(names(&ours), names(&upstream));
        for ((name, ours), (_, theirs)) in ours.into_iter().zip(upstream) {
            assert!(ours == theirs || theirs == "*", "{name}: {ours}");
        }
    }

    #[test]
    fn defaults_are_of_their_kind() {
        for flag in TF_FLAGS.iter().filter(|flag| !flag.default.contains(' ')) {
            let is_right = match flag.kind {
                Bool => flag.default.parse::<bool>().is_ok(),
                Int => flag.default.parse::<i64>().is_ok(),
                Float => flag.default.parse::<f64>().is_ok(),
                Text => true,
            };
            assert!(is_right, "{}: {}", flag.name, flag.default);
        }
    }
}
