//! The flags of `salver serve`.

use std::path::PathBuf;

use clap::Args;

use super::tensorflow::TfArgs;

/// Serves models over TensorFlow Serving's gRPC and REST APIs.
///
/// DIR is one model or a folder of models: NAME/VERSION/model.onnx, or NAME.onnx as version 1. A model folder needs
/// no configuration; NAME/model.toml may add some. The folder is watched: new versions are loaded and take over
/// without a lost request, removed ones are unloaded, half-copied ones are left alone until they are whole. It may as
/// well be an address in an object store: s3://BUCKET/PATH, gs://, az://, http:// or https:// (docs/remote-stores.md).
///
/// Ports open once every model is ready or has failed once. SIGTERM and SIGINT stop accepting, finish what is in
/// flight, unload and exit 0; a second signal ends at once.
///
/// All flags of tensorflow_model_server are accepted, in their own form too (`--name=value`, `--name` for true). With
/// --model_base_path or --model_config_file, or under the program name tensorflow_model_server, its rules hold: arguments
/// that are unknown are warned about and left out, a start that fails exits 255, and REST is off unless --rest_api_port
/// is given.
///
/// Every flag can also be given by the environment variable that its help names; the flag wins. A repeated flag takes
/// its last value. Durations are seconds, or a number with ms, s, m or h; sizes are bytes, or a number with KiB, MiB,
/// GiB, kB, MB or GB.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    /// One model or a folder of models, or an address of such. [env: SALVER_MODELS]
    #[arg(value_name = "DIR", conflicts_with_all = ["model_base_path", "model_config_file"])]
    pub(crate) dir: Option<PathBuf>,

    /// The name of the one model at --model_base_path. [env: SALVER_MODEL_NAME] [default: default]
    #[arg(long = "model_name", alias = "model-name", value_name = "NAME", help_heading = MODELS)]
    pub(crate) model_name: Option<String>,

    /// The folder of one model's version folders, or its address in an object store, as for tensorflow_model_server.
    /// [env: SALVER_MODEL_BASE_PATH]
    #[arg(long = "model_base_path", alias = "model-base-path", value_name = "PATH", help_heading = MODELS)]
    pub(crate) model_base_path: Option<String>,

    /// A ModelServerConfig text proto: the models to serve, their versions and labels, as for tensorflow_model_server.
    /// Goes before --model_base_path; an empty file serves nothing until a list comes by HandleReloadConfigRequest.
    /// [env: SALVER_MODEL_CONFIG_FILE] [default: none]
    #[arg(long = "model_config_file", alias = "model-config-file", value_name = "FILE", help_heading = MODELS)]
    pub(crate) model_config_file: Option<String>,

    /// How often --model_config_file is read again, in seconds; fractions are allowed, 0 reads it at the start only. A
    /// file that is broken or gone changes nothing. [env: SALVER_MODEL_CONFIG_FILE_POLL_WAIT_SECONDS] [default: 0]
    #[arg(long = "model_config_file_poll_wait_seconds", alias = "model-config-file-poll-wait-seconds",
        value_name = "SECONDS", allow_hyphen_values = true, help_heading = MODELS)]
    pub(crate) model_config_file_poll_wait_seconds: Option<String>,

    /// Starts although no model could be loaded; those that can be later are served then.
    /// [env: SALVER_ALLOW_START_WITHOUT_MODELS] [default: false: the start fails, so that nobody waits in vain]
    #[arg(long = "allow_start_without_models", alias = "allow-start-without-models", value_name = "BOOL",
        num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = MODELS)]
    pub(crate) allow_start_without_models: Option<String>,

    /// The engine for models whose model.toml names none: rten, onnxruntime, tensorflow. [env: SALVER_ENGINE]
    /// [default: for each model the fastest one that is installed and can run it]
    #[arg(long, value_name = "ENGINE", help_heading = MODELS)]
    pub(crate) engine: Option<String>,

    /// How often the model folders are looked at, in seconds; fractions are allowed, 0 looks once at the start. Two
    /// looks must agree before a new version is loaded, so smaller values publish sooner. Less than 0 never looks, so
    /// that nothing is ever served; only tensorflow_model_server takes that, for its own tests.
    /// [env: SALVER_FILE_SYSTEM_POLL_WAIT_SECONDS] [default: 1; 10 for object stores, where every look is a request]
    #[arg(long = "file_system_poll_wait_seconds", alias = "file-system-poll-wait-seconds", value_name = "SECONDS",
        allow_hyphen_values = true, help_heading = MODELS)]
    pub(crate) file_system_poll_wait_seconds: Option<String>,

    /// How often a failed load is tried again; files that are wrong are not tried again until they change.
    /// [env: SALVER_MAX_NUM_LOAD_RETRIES] [default: 5]
    #[arg(long = "max_num_load_retries", alias = "max-num-load-retries", value_name = "COUNT", help_heading = MODELS)]
    pub(crate) max_num_load_retries: Option<String>,

    /// Time between two tries, in microseconds; less than 0 for none.
    /// [env: SALVER_LOAD_RETRY_INTERVAL_MICROS] [default: 60000000, one minute]
    #[arg(long = "load_retry_interval_micros", alias = "load-retry-interval-micros", value_name = "MICROSECONDS",
        allow_hyphen_values = true, help_heading = MODELS)]
    pub(crate) load_retry_interval_micros: Option<String>,

    /// How many models load at once; more start sooner, but take cores from requests. 0 means the default.
    /// [env: SALVER_NUM_LOAD_THREADS] [default: one for each core, at most 4]
    #[arg(long = "num_load_threads", alias = "num-load-threads", value_name = "COUNT", help_heading = MODELS)]
    pub(crate) num_load_threads: Option<String>,

    /// The address that ports are opened on. [env: SALVER_HOST] [default: 0.0.0.0, every IPv4 address of the machine,
    /// as TensorFlow Serving does; 127.0.0.1 keeps the server to this machine, :: adds IPv6]
    #[arg(long, value_name = "ADDRESS", help_heading = PORTS)]
    pub(crate) host: Option<String>,

    /// The gRPC port: a number, auto for a free one, 0 for none. [env: SALVER_PORT] [default: 8500]
    #[arg(long, value_name = "PORT", help_heading = PORTS)]
    pub(crate) port: Option<String>,

    /// The REST port: a number, auto for a free one, 0 for none. [env: SALVER_REST_API_PORT] [default: 8501; 0 under
    /// the rules of tensorflow_model_server]
    #[arg(long = "rest_api_port", alias = "rest-api-port", value_name = "PORT", help_heading = PORTS)]
    pub(crate) rest_api_port: Option<String>,

    /// Secures the REST port as well, with the certificates of --ssl_config_file. It stays plain otherwise, as clients of
    /// TensorFlow Serving expect; a separate --admin_port always is, for probes. [env: SALVER_REST_API_SSL]
    /// [default: false]
    #[arg(long = "rest_api_ssl", alias = "rest-api-ssl", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", help_heading = PORTS)]
    pub(crate) rest_api_ssl: Option<String>,

    /// One port for gRPC and REST, instead of the two above. [env: SALVER_SINGLE_PORT]
    #[arg(long = "single_port", alias = "single-port", value_name = "PORT",
        conflicts_with_all = ["port", "rest_api_port"], help_heading = PORTS)]
    pub(crate) single_port: Option<String>,

    /// A port of its own for /metrics, /healthz, /readyz and /admin. [env: SALVER_ADMIN_PORT] [default: they are on the REST
    /// port, or on the gRPC port if REST is off]
    #[arg(long = "admin_port", alias = "admin-port", value_name = "PORT", help_heading = PORTS)]
    pub(crate) admin_port: Option<String>,

    /// Lets /admin/models add, change and remove models. Whoever can reach it can then make the server read any folder that
    /// it can read. [env: SALVER_ADMIN_MODEL_CHANGES] [default: true with --admin_port on a --host that is a loopback
    /// address, else false]
    #[arg(long = "admin_model_changes", alias = "admin-model-changes", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true", help_heading = PORTS)]
    pub(crate) admin_model_changes: Option<String>,

    /// Request bytes that may be in memory at once. Beyond it requests are refused (RESOURCE_EXHAUSTED, 503) so that
    /// no load can exhaust the memory. So is a request whose model holds more of it than is free, which leaves room for
    /// other models. [env: SALVER_MAX_INFLIGHT_BYTES] [default: half the memory that the process may use: machine,
    /// container and ulimit]
    #[arg(long = "max_inflight_bytes", alias = "max-inflight-bytes", value_name = "SIZE", help_heading = LIMITS)]
    pub(crate) max_inflight_bytes: Option<String>,

    /// The largest size that one compressed REST body may grow to. [env: SALVER_MAX_INFLATED_BYTES] [default: 100MiB,
    /// as in TensorFlow Serving]
    #[arg(long = "max_inflated_bytes", alias = "max-inflated-bytes", value_name = "SIZE", help_heading = LIMITS)]
    pub(crate) max_inflated_bytes: Option<String>,

    /// Connections open at once; further ones wait. [env: SALVER_MAX_CONNECTIONS] [default: 10000]
    #[arg(long = "max_connections", alias = "max-connections", value_name = "COUNT", help_heading = LIMITS)]
    pub(crate) max_connections: Option<String>,

    /// Time for a client to send a request's headers. [env: SALVER_HEADER_TIMEOUT] [default: 10s; slow clients would
    /// hold connections for ever]
    #[arg(long = "header-timeout", alias = "header_timeout", value_name = "DURATION", help_heading = LIMITS)]
    pub(crate) header_timeout: Option<String>,

    /// The longest silence within a request's body. [env: SALVER_BODY_TIMEOUT] [default: 30s]
    #[arg(long = "body-timeout", alias = "body_timeout", value_name = "DURATION", help_heading = LIMITS)]
    pub(crate) body_timeout: Option<String>,

    /// The longest time a REST request may take, in milliseconds. gRPC requests carry their own deadline.
    /// [env: SALVER_REST_API_TIMEOUT_IN_MS] [default: 30000]
    #[arg(long = "rest_api_timeout_in_ms", alias = "rest-api-timeout-in-ms", value_name = "MILLISECONDS",
        help_heading = LIMITS)]
    pub(crate) rest_api_timeout_in_ms: Option<String>,

    /// The age at which a gRPC connection is asked to close once its requests are done, so that clients find new
    /// servers; 0 for never. [env: SALVER_GRPC_MAX_CONNECTION_AGE] [default: 0]
    #[arg(long = "grpc_max_connection_age", alias = "grpc-max-connection-age", value_name = "DURATION",
        help_heading = LIMITS)]
    pub(crate) grpc_max_connection_age: Option<String>,

    /// Threads that read and write sockets; models run on threads of their own. [env: SALVER_IO_THREADS] [default: one
    /// for each core, at most 4]
    #[arg(long = "io-threads", alias = "io_threads", value_name = "COUNT", help_heading = LIMITS)]
    pub(crate) io_threads: Option<String>,

    /// Time between "not ready" and the closing of the ports, for load balancers to notice.
    /// [env: SALVER_DRAIN_DELAY] [default: 0s]
    #[arg(long = "drain-delay", alias = "drain_delay", value_name = "DURATION", help_heading = SHUTDOWN)]
    pub(crate) drain_delay: Option<String>,

    /// The longest that requests in flight may take to finish after SIGTERM or SIGINT. [env: SALVER_DRAIN_TIMEOUT]
    /// [default: 25s, below the 30 s that Kubernetes waits]
    #[arg(long = "drain-timeout", alias = "drain_timeout", value_name = "DURATION", help_heading = SHUTDOWN)]
    pub(crate) drain_timeout: Option<String>,

    /// The form of the log on standard error: text, json, or auto for text on a terminal and JSON elsewhere.
    /// [env: SALVER_LOG_FORMAT] [default: auto]
    #[arg(long = "log-format", alias = "log_format", value_name = "FORMAT", help_heading = LOG)]
    pub(crate) log_format: Option<String>,

    /// What is logged: error, warn, info, debug, trace, or module=level pairs. [env: SALVER_LOG_LEVEL] [default: info]
    #[arg(long = "log-level", alias = "log_level", value_name = "LEVEL", help_heading = LOG)]
    pub(crate) log_level: Option<String>,

    /// Writes one log line for each request. [env: SALVER_ACCESS_LOG] [default: false]
    #[arg(long = "access-log", alias = "access_log", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", help_heading = LOG)]
    pub(crate) access_log: Option<String>,

    #[command(flatten)]
    pub(crate) tensorflow: TfArgs,
}

const MODELS: &str = "Models";
const PORTS: &str = "Ports";
const LIMITS: &str = "Limits";
const SHUTDOWN: &str = "Shutting down";
const LOG: &str = "Log";

const EXAMPLES: &str = "\
Examples:
  salver serve models
  salver serve models --engine rten --host 127.0.0.1
  salver serve models --single_port 8080 --admin_port 9090
  salver serve --port=8500 --rest_api_port=8501 --model_name=half_plus_two \\
               --model_base_path=/models/half_plus_two
  salver serve --rest_api_port=8501 --model_config_file=/models/models.config
  SALVER_LOG_LEVEL=debug salver serve models --access-log

Then:
  curl -d '{\"instances\": [1.0, 2.0, 5.0]}' localhost:8501/v1/models/half_plus_two:predict";
