//! TensorFlow Serving's flags beyond those that `salver serve` has anyway: what they mean, and what goes together.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use salver_protocol::config::SessionOverrides;
use salver_server::{ChannelArguments, ServerConfig};

use super::value::{self, Expected};
use super::{Mistake, Settings, variable_of};
use crate::args::tensorflow::{Effect, Kind, TF_FLAGS, TfArgs, TfFlag, find};
use crate::tf_style;

/// What TensorFlow Serving's flags say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TfConfig {
    /// Whether a reload may give unused labels to versions that are not loaded.
    pub(crate) allows_unavailable_labels: bool,
    pub(crate) num_unload_threads: NonZeroUsize,
    pub(crate) files: TfFiles,
    /// How often requests that a version brings along are replayed before it serves; `None` for not at all.
    pub(crate) num_warmup_iterations: Option<NonZeroU32>,
    /// The tags of the graph to load from a SavedModel.
    pub(crate) tags: Vec<String>,
    /// Whether requests are joined into batches.
    pub(crate) joins_requests: bool,
    /// Whether each version says by itself how.
    pub(crate) has_batching_by_version: bool,
    /// Over what the file about sessions says.
    pub(crate) session: SessionOverrides,
    /// What is to be logged about flags that do not do what their users may expect.
    pub(crate) remarks: Vec<String>,
}

/// Text protos, each if it was named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TfFiles {
    pub(crate) batching: Option<PathBuf>,
    pub(crate) monitoring: Option<PathBuf>,
    pub(crate) platforms: Option<PathBuf>,
    pub(crate) session: Option<PathBuf>,
    pub(crate) ssl: Option<PathBuf>,
}

/// Threads that free models if nothing else is said: enough that a few that hang do not stop the others.
const NUM_UNLOAD_THREADS: NonZeroUsize = NonZeroUsize::new(8).expect("8 is not 0");

/// Finds out what the flags mean; what they say about ports goes into `server`.
pub(super) fn read(
    args: &TfArgs,
    server: &mut ServerConfig,
    settings: &mut Settings<'_>,
) -> TfConfig {
    let mut flags = Flags { args, settings };
    let mut remarks = flags.check_all();
    remarks.extend(fill(server, &mut flags));
    let batching = flags.path("batching_parameters_file");
    if batching.is_some() && !flags.switch("enable_batching") {
        flags.refuse(
            "batching_parameters_file",
            "server_options.batching_parameters_file is set without setting server_options.enable_batching to true.",
        );
    }
    let ssl = flags.path("ssl_config_file");
    check_alts(&mut flags, ssl.is_some());
    TfConfig {
        allows_unavailable_labels: flags.switch("allow_version_labels_for_unavailable_models"),
        num_unload_threads: flags
            .count("num_unload_threads")
            .unwrap_or(NUM_UNLOAD_THREADS),
        num_warmup_iterations: num_warmup_iterations(&mut flags),
        tags: tags(&mut flags),
        session: session(&mut flags),
        joins_requests: flags.switch("enable_batching"),
        has_batching_by_version: flags.switch("enable_per_model_batching_parameters"),
        files: TfFiles {
            batching,
            monitoring: flags.path("monitoring_config_file"),
            platforms: flags.path("platform_config_file"),
            session: flags.path("tensorflow_session_config_file"),
            ssl,
        },
        remarks,
    }
}

/// Fills in what is said about ports and connections; returns what is to be said about that.
fn fill(server: &mut ServerConfig, flags: &mut Flags<'_, '_>) -> Vec<String> {
    server.grpc_socket = flags.path("grpc_socket_path");
    server.has_cors = flags.switch("rest_api_enable_cors_support");
    server.has_profiler = flags.is_on("enable_profiler");
    server.is_tensor_content = flags.switch("enable_serialization_as_tensor_content");
    server.checks_method_names = flags.switch("enable_signature_method_name_check");
    let parse = |text: &str| {
        ChannelArguments::parse(text).map_err(|_| "KEY=VALUE, separated by commas".to_owned())
    };
    let Some(arguments) = flags.get("grpc_channel_arguments", parse) else {
        return Vec::new();
    };
    server.channel = arguments.config;
    // The flag that is our own says it with more care.
    server.max_connection_age = server.max_connection_age.or(arguments.max_connection_age);
    let remark = |note| format!("--grpc_channel_arguments: {note}");
    arguments.notes.into_iter().map(remark).collect()
}

fn check_alts(flags: &mut Flags<'_, '_>, has_ssl: bool) {
    if !flags.switch("use_alts_credentials") {
        return;
    }
    let message = match has_ssl {
        true => "Either use_alts_credentials must be false or ssl_config_file must be empty.",
        false => {
            "ALTS works within Google's own network only, and without it requests would go unprotected; use \
             --ssl_config_file"
        }
    };
    flags.refuse("use_alts_credentials", message);
}

fn num_warmup_iterations(flags: &mut Flags<'_, '_>) -> Option<NonZeroU32> {
    let iterations = flags.positive("num_request_iterations_for_warmup");
    let iterations = iterations.and_then(NonZeroU32::new);
    flags
        .is_on("enable_model_warmup")
        .then(|| iterations.unwrap_or(NonZeroU32::MIN))
}

fn tags(flags: &mut Flags<'_, '_>) -> Vec<String> {
    let list = |text: &str| text.split(',').map(|tag| tag.trim().to_owned()).collect();
    let tags: Option<Vec<String>> = flags.checked("saved_model_tags", |text| Some(list(text)));
    tags.unwrap_or_else(|| list("serve"))
}

fn session(flags: &mut Flags<'_, '_>) -> SessionOverrides {
    let both = flags.positive("tensorflow_session_parallelism");
    let intra = flags.positive("tensorflow_intra_op_parallelism");
    let inter = flags.positive("tensorflow_inter_op_parallelism");
    if both.is_some() && intra.is_some() && inter.is_some() {
        flags.refuse(
            "tensorflow_session_parallelism",
            "Either configure server_options.tensorflow_session_parallelism or \
             (server_options.tensorflow_intra_op_parallelism, server_options.tensorflow_inter_op_parallelism) \
             separately. You cannot configure all.",
        );
    }
    let is_separate = intra.is_some() || inter.is_some();
    SessionOverrides {
        intra_op_parallelism: if is_separate { intra } else { both },
        inter_op_parallelism: if is_separate { inter } else { both },
        gpu_memory_fraction: flags
            .get("per_process_gpu_memory_fraction", fraction)
            .filter(|&fraction| fraction > 0.0),
        is_bfloat16: flags.get("mixed_precision", bfloat16).unwrap_or(false),
    }
}

fn fraction(text: &str) -> Result<f64, Expected> {
    text.parse()
        .ok()
        .filter(|fraction| (0.0..=1.0).contains(fraction))
        .ok_or_else(|| "a share from 0 to 1".to_owned())
}

fn bfloat16(text: &str) -> Result<bool, Expected> {
    match text {
        "" => Ok(false),
        "bfloat16" => Ok(true),
        _ => Err("bfloat16, the only one there is".to_owned()),
    }
}

/// The flags of the table, typed or set.
struct Flags<'s, 'a> {
    args: &'s TfArgs,
    settings: &'s mut Settings<'a>,
}

impl Flags<'_, '_> {
    /// Checks every value; returns what is to be said about flags that were given.
    fn check_all(&mut self) -> Vec<String> {
        let mut remarks = Vec::new();
        for flag in TF_FLAGS
            .iter()
            .filter(|flag| flag.effect != Effect::Declared)
        {
            let mistakes_before = self.settings.mistakes.len();
            let given = self.get(flag.name, |text| check(flag, text));
            // Every other look at the flag would find the same mistake again.
            self.settings.mistakes.truncate(mistakes_before + 1);
            if given.is_some_and(|is_default| !is_default) {
                remarks.extend(tf_style::remark(flag));
            }
        }
        remarks
    }

    fn get<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, Expected>) -> Option<T> {
        debug_assert!(find(name).is_some(), "{name} is in the table");
        self.settings.get(name, self.args.get(name), parse)
    }

    /// Returns a value whose mistakes [`Flags::check_all`] has told of.
    fn checked<T>(&mut self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.get(name, |text| Ok(parse(text))).flatten()
    }

    fn switch(&mut self, name: &str) -> bool {
        self.checked(name, |text| value::switch(text).ok())
            .unwrap_or(false)
    }

    /// Returns a switch that is on if nothing is said.
    fn is_on(&mut self, name: &str) -> bool {
        self.checked(name, |text| value::switch(text).ok())
            .unwrap_or(true)
    }

    fn path(&mut self, name: &str) -> Option<PathBuf> {
        self.checked(name, |text| (!text.is_empty()).then(|| PathBuf::from(text)))
    }

    fn count(&mut self, name: &str) -> Option<NonZeroUsize> {
        self.checked(name, |text| text.parse().ok())
    }

    /// Returns a number above 0; 0 and less leave it open.
    fn positive(&mut self, name: &str) -> Option<u32> {
        self.checked(name, |text| {
            text.parse().ok().filter(|&threads| threads > 0)
        })
    }

    fn refuse(&mut self, name: &str, message: &str) {
        let is_typed = self.args.get(name).is_some();
        self.settings.mistakes.push(Mistake {
            setting: match is_typed {
                true => format!("--{name}"),
                false => variable_of(name),
            },
            message: message.to_owned(),
            is_typed,
        });
    }
}

/// Checks a value by its kind; tells whether it is the default.
fn check(flag: &TfFlag, text: &str) -> Result<bool, Expected> {
    let is_default = text == flag.default;
    match flag.kind {
        Kind::Bool => value::switch(text).map(|is_on| is_on.to_string() == flag.default),
        Kind::Int => text
            .parse::<i64>()
            .map(|number| number.to_string() == flag.default)
            .map_err(|_| "a whole number".to_owned()),
        Kind::Float => text
            .parse::<f64>()
            .map(|number| number.to_string() == flag.default)
            .map_err(|_| "a number".to_owned()),
        Kind::Text => Ok(is_default),
    }
}
