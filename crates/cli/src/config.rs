//! What was typed and set means this: a pure function of arguments, environment and machine.
//!
//! ```text
//! ServeArgs + Env + Machine ─► ServeConfig | every Mistake
//! ```

mod models;
mod settings;
mod tensorflow;
pub(crate) mod value;

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use salver_protocol::config::SessionSettings;
use salver_server::{ChannelConfig, Listen, ServerConfig};
use salver_store::Options;
use salver_telemetry::logging::LogConfig;

use crate::args::ServeArgs;
use crate::machine::Machine;
use crate::stores::StoresConfig;
use crate::tf_style::Style;

pub(crate) use settings::{Env, Mistake, Settings, variable_of};
pub(crate) use tensorflow::TfConfig;
pub(crate) use value::Looks;

const GRPC_PORT: u16 = 8500;
const REST_PORT: u16 = 8501;

/// More threads than this bring little to reading sockets, but each costs memory.
const MAX_DEFAULT_THREADS: usize = 4;

/// How often object stores are looked at if nothing is said.
const STORE_POLL_INTERVAL: Duration = Duration::from_secs(10);

/// What TensorFlow Serving inflates at most.
const MAX_INFLATED_BYTES: u64 = 100 << 20;

/// Where the models are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ModelsAt {
    /// One model or a folder of models.
    Dir(PathBuf),
    /// One model's version folders, under a name of its own.
    BasePath { name: String, path: String },
    /// What a file lists, now and at each later look at it.
    List {
        file: PathBuf,
        poll_interval: Option<Duration>,
    },
}

/// How failed loads are treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoadConfig {
    pub(crate) num_load_threads: NonZeroUsize,
    pub(crate) max_num_load_retries: u32,
    pub(crate) load_retry_interval: Duration,
}

/// How TensorFlow loads models and runs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sessions {
    /// The tags of the graph to load from a SavedModel.
    pub(crate) tags: Vec<String>,
    pub(crate) settings: SessionSettings,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            tags: vec!["serve".to_owned()],
            settings: SessionSettings::default(),
        }
    }
}

/// Where engines that are not built in are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EngineConfig {
    /// Where installed engines are; `None` if there is no home folder either.
    pub(crate) dir: Option<PathBuf>,
    /// ONNX Runtime's shared library, if it was named.
    pub(crate) onnxruntime_library: Option<PathBuf>,
    /// TensorFlow's shared library or its folder, if it was named.
    pub(crate) tensorflow_library: Option<PathBuf>,
    /// How TensorFlow loads models and runs them.
    pub(crate) sessions: Sessions,
    /// The Python whose pip fetches engines.
    pub(crate) python: PathBuf,
}

/// Everything that `salver serve` needs to know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServeConfig {
    pub(crate) models: ModelsAt,
    /// Whether it is fine if none of them can be loaded.
    pub(crate) starts_without_models: bool,
    pub(crate) server: ServerConfig,
    pub(crate) load: LoadConfig,
    pub(crate) looks: Looks,
    pub(crate) tensorflow: TfConfig,
    pub(crate) engine: Option<String>,
    pub(crate) engines: EngineConfig,
    pub(crate) stores: StoresConfig,
    pub(crate) log: LogConfig,
    pub(crate) num_io_threads: NonZeroUsize,
}

/// Finds out what the arguments of `salver serve` mean, and by whose rules.
///
/// # Errors
/// Every mistake there is.
pub(crate) fn serve(
    args: &ServeArgs,
    env: &Env,
    style: Style,
    machine: &Machine,
) -> Result<ServeConfig, Vec<Mistake>> {
    let mut settings = Settings::new(env);
    let is_tf_style = style.is_tensorflow() || is_tf_style(args, env);
    let models = models::read(args, is_tf_style, &mut settings);
    let mut server = server(args, is_tf_style, machine, &mut settings);
    let typed = args.admin_model_changes.as_deref();
    let is_safe = server.admin != Listen::Off && server.host.is_loopback();
    server.has_model_changes = settings
        .get("admin_model_changes", typed, value::switch)
        .unwrap_or(is_safe);
    let load = load(args, machine, &mut settings);
    let looks = looks(args, is_tf_style, &mut settings);
    let mut tensorflow = tensorflow::read(&args.tensorflow, &mut server, &mut settings);
    if server.has_rest_tls && tensorflow.files.ssl.is_none() {
        settings.mistakes.push(Mistake {
            setting: "--rest_api_ssl".to_owned(),
            message: "there are no certificates; --ssl_config_file names a file of them".to_owned(),
            is_typed: true,
        });
    }
    if is_tf_style {
        tensorflow.remarks.extend(skip_rest(&mut server));
    }
    check_ports(&server, is_tf_style, &mut settings);
    let starts_without_models = settings.get(
        "allow_start_without_models",
        args.allow_start_without_models.as_deref(),
        value::switch,
    );
    let engine = settings.get("engine", args.engine.as_deref(), value::text);
    let log = log(args, &mut settings);
    let num_io_threads = settings
        .get("io-threads", args.io_threads.as_deref(), value::count)
        .unwrap_or(machine.num_cores.min(default_threads()));
    let engines = engines(env);
    let is_pace_chosen = args.file_system_poll_wait_seconds.is_some()
        || settings
            .variable("SALVER_FILE_SYSTEM_POLL_WAIT_SECONDS")
            .is_some();
    let stores = stores(env, looks, is_pace_chosen);
    match models {
        Some(models) if settings.mistakes.is_empty() => Ok(ServeConfig {
            models,
            starts_without_models: starts_without_models.unwrap_or(false),
            server,
            load,
            looks,
            tensorflow,
            engine,
            engines,
            stores,
            log,
            num_io_threads,
        }),
        _ => Err(settings.mistakes),
    }
}

/// Tells whether the rules of TensorFlow's server hold because models are where it would be told.
pub(crate) fn is_tf_style(args: &ServeArgs, env: &Env) -> bool {
    let settings = Settings::new(env);
    let is_set = |name| settings.variable(name).is_some();
    args.model_base_path.is_some()
        || args.model_config_file.is_some()
        || (args.dir.is_none()
            && (is_set("SALVER_MODEL_BASE_PATH") || is_set("SALVER_MODEL_CONFIG_FILE")))
}

fn looks(args: &ServeArgs, is_tf_style: bool, settings: &mut Settings<'_>) -> Looks {
    let typed = args.file_system_poll_wait_seconds.as_deref();
    let parse = |text: &str| match value::looks(text)? {
        Looks::Never if !is_tf_style => Err(
            "a number of seconds, or 0 to look once; without a look there is nothing to serve"
                .to_owned(),
        ),
        looks => Ok(looks),
    };
    settings
        .get("file_system_poll_wait_seconds", typed, parse)
        .unwrap_or(Looks::Every(Duration::from_secs(1)))
}

/// Finds out how object stores are reached. Each look at one is a request that somebody pays for, so they are looked at
/// less often than folders unless the pace was chosen.
pub(crate) fn stores(env: &Env, looks: Looks, is_chosen: bool) -> StoresConfig {
    let poll_interval = match looks {
        Looks::Every(interval) if is_chosen => Some(interval),
        Looks::Every(_) => Some(STORE_POLL_INTERVAL),
        Looks::Once | Looks::Never => None,
    };
    let others = env
        .iter()
        .filter(|(name, _)| !name.starts_with("SALVER_"))
        .map(|(name, value)| (name.clone(), value.clone()));
    StoresConfig {
        cache_dir: cache_dir(env),
        poll_interval,
        options: Options(others.collect()),
    }
}

/// Finds out where engines are from the environment alone.
pub(crate) fn engines(env: &Env) -> EngineConfig {
    let settings = Settings::new(env);
    let path = |name| settings.variable(name).map(PathBuf::from);
    EngineConfig {
        dir: path("SALVER_ENGINE_DIR").or_else(|| cache_dir(env)),
        onnxruntime_library: path("SALVER_ONNXRUNTIME_LIB"),
        tensorflow_library: path("SALVER_TENSORFLOW_LIB"),
        sessions: Sessions::default(),
        python: path("SALVER_PYTHON").unwrap_or_else(|| PathBuf::from("python3")),
    }
}

/// Finds out where what can be fetched again is kept; `None` if there is no home folder either.
pub(crate) fn cache_dir(env: &Env) -> Option<PathBuf> {
    let settings = Settings::new(env);
    let path = |name| settings.variable(name).map(PathBuf::from);
    path("SALVER_CACHE_DIR")
        .or_else(|| path("XDG_CACHE_HOME").map(|dir| dir.join("salver")))
        .or_else(|| path("HOME").map(|dir| dir.join(".cache/salver")))
}

fn server(
    args: &ServeArgs,
    is_tf_style: bool,
    machine: &Machine,
    settings: &mut Settings<'_>,
) -> ServerConfig {
    let seconds = Duration::from_secs;
    let rest_default = if is_tf_style {
        Listen::Off
    } else {
        Listen::Port(REST_PORT)
    };
    let mut get = Getter { settings };
    let host = get.settings.get("host", args.host.as_deref(), value::host);
    let single = get.listen("single_port", args.single_port.as_ref(), Listen::Off);
    let (mut grpc, mut rest) = (Listen::Off, Listen::Off);
    if single == Listen::Off {
        grpc = get.listen("port", args.port.as_ref(), Listen::Port(GRPC_PORT));
        rest = get.listen("rest_api_port", args.rest_api_port.as_ref(), rest_default);
    }
    let age = get.duration(
        "grpc_max_connection_age",
        args.grpc_max_connection_age.as_ref(),
        Duration::ZERO,
    );
    ServerConfig {
        host: host.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        grpc,
        grpc_socket: None,
        rest,
        single,
        admin: get.listen("admin_port", args.admin_port.as_ref(), Listen::Off),
        has_model_changes: false,
        tls: None,
        has_rest_tls: get.switch("rest_api_ssl", args.rest_api_ssl.as_ref()),
        channel: ChannelConfig::default(),
        prometheus_path: None,
        has_profiler: true,
        has_cors: false,
        max_inflight_bytes: get.bytes(
            "max_inflight_bytes",
            args.max_inflight_bytes.as_ref(),
            machine.memory_bytes / 2,
        ),
        max_inflated_bytes: get.bytes(
            "max_inflated_bytes",
            args.max_inflated_bytes.as_ref(),
            MAX_INFLATED_BYTES,
        ),
        header_timeout: get.duration("header-timeout", args.header_timeout.as_ref(), seconds(10)),
        body_timeout: get.duration("body-timeout", args.body_timeout.as_ref(), seconds(30)),
        rest_timeout: get.millis(
            "rest_api_timeout_in_ms",
            args.rest_api_timeout_in_ms.as_ref(),
            seconds(30),
        ),
        max_connection_age: Some(age).filter(|age| !age.is_zero()),
        max_connections: get.count("max_connections", args.max_connections.as_ref(), 10_000),
        is_tensor_content: false,
        checks_method_names: false,
        access_log: get.switch("access-log", args.access_log.as_ref()),
        drain_delay: get.duration("drain-delay", args.drain_delay.as_ref(), Duration::ZERO),
        drain_timeout: get.duration("drain-timeout", args.drain_timeout.as_ref(), seconds(25)),
    }
}

/// Goes on without REST if it has gRPC's port, as TensorFlow's server does; returns what it says then.
fn skip_rest(config: &mut ServerConfig) -> Option<String> {
    let is_same = matches!(config.rest, Listen::Port(_)) && config.rest == config.grpc;
    is_same.then(|| {
        config.rest = Listen::Off;
        "server_options.http_port cannot be same as grpc_port. Please use a different port for HTTP/REST API. Skipped \
         exporting HTTP/REST API."
            .to_owned()
    })
}

fn check_ports(config: &ServerConfig, is_tf_style: bool, settings: &mut Settings<'_>) {
    let mut mistake = |setting: &str, message: String| {
        settings.mistakes.push(Mistake {
            setting: setting.to_owned(),
            message,
            is_typed: true,
        });
    };
    let ports = [
        ("--port", config.grpc),
        ("--rest_api_port", config.rest),
        ("--single_port", config.single),
        ("--admin_port", config.admin),
    ];
    let is_off = |(_, listen): &(_, Listen)| *listen == Listen::Off;
    if config.grpc_socket.is_none() && ports.iter().take(3).all(is_off) {
        let message = match is_tf_style {
            true => {
                "At least one of server_options.grpc_port or server_options.grpc_socket_path must be set."
            }
            false => "gRPC and REST are both off; give --port, --rest_api_port or --single_port",
        };
        mistake("--port", message.to_owned());
    }
    for (idx, (flag, listen)) in ports.iter().enumerate() {
        let Listen::Port(port) = listen else { continue };
        if let Some((other, _)) = ports.iter().take(idx).find(|(_, other)| other == listen) {
            let remedy = "for gRPC and REST on one port give --single_port";
            mistake(
                flag,
                format!("port {port} is that of {other}; choose another ({remedy})"),
            );
        }
    }
}

fn load(args: &ServeArgs, machine: &Machine, settings: &mut Settings<'_>) -> LoadConfig {
    let threads = settings.get(
        "num_load_threads",
        args.num_load_threads.as_deref(),
        value::whole::<usize>,
    );
    let retries = settings.get(
        "max_num_load_retries",
        args.max_num_load_retries.as_deref(),
        value::whole::<u32>,
    );
    let interval = settings.get(
        "load_retry_interval_micros",
        args.load_retry_interval_micros.as_deref(),
        value::retry_interval,
    );
    LoadConfig {
        num_load_threads: threads
            .and_then(NonZeroUsize::new)
            .unwrap_or_else(|| machine.num_cores.min(default_threads())),
        max_num_load_retries: retries.unwrap_or(5),
        load_retry_interval: interval.unwrap_or(Duration::from_secs(60)),
    }
}

fn log(args: &ServeArgs, settings: &mut Settings<'_>) -> LogConfig {
    let defaults = LogConfig::default();
    LogConfig {
        format: settings
            .get("log-format", args.log_format.as_deref(), value::log_format)
            .unwrap_or(defaults.format),
        level: settings
            .get("log-level", args.log_level.as_deref(), value::text)
            .unwrap_or(defaults.level),
    }
}

fn default_threads() -> NonZeroUsize {
    NonZeroUsize::new(MAX_DEFAULT_THREADS).expect("the constant is not 0")
}

/// Settings of one kind with their defaults, one line each.
struct Getter<'s, 'a> {
    settings: &'s mut Settings<'a>,
}

impl Getter<'_, '_> {
    fn listen(&mut self, flag: &str, typed: Option<&String>, default: Listen) -> Listen {
        self.settings
            .get(flag, typed.map(String::as_str), value::listen)
            .unwrap_or(default)
    }

    fn duration(&mut self, flag: &str, typed: Option<&String>, default: Duration) -> Duration {
        self.settings
            .get(flag, typed.map(String::as_str), value::duration)
            .unwrap_or(default)
    }

    fn millis(&mut self, flag: &str, typed: Option<&String>, default: Duration) -> Duration {
        let millis = self
            .settings
            .get(flag, typed.map(String::as_str), value::whole::<u64>);
        millis.map_or(default, Duration::from_millis)
    }

    fn bytes(&mut self, flag: &str, typed: Option<&String>, default: u64) -> u64 {
        self.settings
            .get(flag, typed.map(String::as_str), value::bytes)
            .unwrap_or(default)
    }

    fn count(&mut self, flag: &str, typed: Option<&String>, default: usize) -> usize {
        self.settings
            .get(flag, typed.map(String::as_str), value::count)
            .map_or(default, NonZeroUsize::get)
    }

    fn switch(&mut self, flag: &str, typed: Option<&String>) -> bool {
        self.settings
            .get(flag, typed.map(String::as_str), value::switch)
            .unwrap_or(false)
    }
}

#[cfg(test)]
mod tests;
