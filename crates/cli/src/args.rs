//! What may be typed: commands, flags and their help.
//!
//! Only the form is here. Flags that the environment can give too are kept as they were typed; [`crate::config`]
//! finds out what they mean, so that every mistake is reported at once.

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "help texts name shapes in brackets, which are no links"
)]

mod serve;
pub(crate) mod tensorflow;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};

pub(crate) use serve::ServeArgs;

/// Columns that help texts are broken at, so that they read the same everywhere.
pub(crate) const HELP_WIDTH: usize = 100;

/// Serves machine-learning models: from a folder to a prediction service.
///
/// Speaks TensorFlow Serving's gRPC and REST APIs; runs ONNX models with an engine that is built in, or faster with
/// ONNX Runtime where that is installed.
#[derive(Debug, Parser)]
#[command(
    name = "salver",
    version,
    max_term_width = HELP_WIDTH,
    args_override_self = true,
    disable_help_subcommand = true,
    after_help = AFTER_HELP
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Results go to standard output; logs, tables and progress to standard error.

Exit codes:
  0    done, or shut down by SIGTERM or SIGINT
  1    the command ran, and its answer is an error (a server's refusal, an engine that cannot run a model)
  64   the command line is wrong
  78   the configuration is wrong, or no model could be loaded
  70   Salver itself failed
  130, 143   ended at once by a second SIGINT or SIGTERM
  255  instead of 64, 70 and 78 for a start as of tensorflow_model_server: under that name, or with --model_base_path
       or --model_config_file

Examples:
  salver serve models                        serve every model in a folder
  salver predict digits 3.png                ask that server about a picture
  salver predict models/digits 3.png         the same without a server
  salver inspect models/digits               what the model takes and gives
  salver check models                        every mistake in a folder at once
  salver engine install onnxruntime          get the fast engine for ONNX
  salver engine install tensorflow           get the engine for SavedModels";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(Box<ServeArgs>),
    Predict(Box<PredictArgs>),
    Inspect(InspectArgs),
    Check(CheckArgs),
    #[command(subcommand)]
    Engine(EngineCommand),
    Entrypoint(EntrypointArgs),
}

/// Makes one prediction, of a server or of a model folder.
///
/// Pictures (PNG, JPEG) are decoded to what the model declares: [N,H,W,C], [N,C,H,W], [N,H,W] or [N,H*W], resized
/// bilinearly if their size differs, made grey if C is 1. Pixel values are 0 to 255 unless --scale says otherwise.
///
/// For an output [N,K] of scores the best class and its score are printed, else the answer as JSON.
#[derive(Args, Debug)]
#[command(after_help = PREDICT_EXAMPLES,
    override_usage = "salver predict [OPTIONS] <MODEL> <PICTURE>...\n       \
        salver predict [OPTIONS] <MODEL> --instances <LIST>\n       \
        salver predict [OPTIONS] <MODEL> --json <BODY>",
    group(ArgGroup::new("input").required(true).args(["pictures", "json", "instances"])))]
pub(crate) struct PredictArgs {
    /// NAME, NAME:VERSION or NAME@LABEL of a model on a server; or the path of a model file or folder, which is then
    /// loaded here and needs no server.
    pub(crate) model: String,

    /// Pictures to predict, one request each.
    #[arg(value_name = "PICTURE")]
    pub(crate) pictures: Vec<PathBuf>,

    /// A whole request body of the REST API, as JSON; `-` reads it from standard input.
    #[arg(long, value_name = "BODY", conflicts_with_all = ["pictures", "instances"])]
    pub(crate) json: Option<String>,

    /// The instances of a request in row form, as a JSON list.
    #[arg(long, value_name = "LIST", conflicts_with = "pictures")]
    pub(crate) instances: Option<String>,

    /// The REST API of a server. [env: SALVER_URL] [default: http://localhost:8501]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,

    /// The gRPC API of a server, instead of REST: HOST:PORT, https://HOST:PORT or unix:PATH. [env: SALVER_GRPC]
    #[arg(long, value_name = "ADDRESS", conflicts_with = "url")]
    pub(crate) grpc: Option<String>,

    /// The certificates that the server's has to lead to, in PEM, for https addresses. [default: those that the system
    /// trusts]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// What to show a server that verifies its clients: a certificate and those that it leads to, in PEM.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,

    /// The private key of --cert, in PEM.
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,

    /// The signature to call. [default: serving_default]
    #[arg(long, value_name = "NAME", conflicts_with = "json")]
    pub(crate) signature: Option<String>,

    /// Divides every pixel value: 255 gives 0 to 1. [default: 1]
    #[arg(long, value_name = "DIVISOR")]
    pub(crate) scale: Option<f32>,

    /// A file with the name of one class on each line; names are printed instead of indices.
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,

    /// Prints the answer as it came: the REST body, or the same form of a gRPC answer.
    #[arg(long)]
    pub(crate) raw: bool,

    /// The engine, if the model is loaded here. [env: SALVER_ENGINE]
    #[arg(long, value_name = "ENGINE")]
    pub(crate) engine: Option<String>,

    /// The longest time to wait for an answer: seconds, or a number with ms, s, m or h. [default: 60s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) timeout: Option<String>,
}

const PREDICT_EXAMPLES: &str = "\
Examples:
  salver predict digits 3.png
  salver predict digits:2 *.png --labels names.txt
  salver predict --grpc localhost:8500 digits@stable 3.png
  salver predict --url https://localhost:8501 --ca ca.pem digits 3.png
  salver predict half_plus_two --instances '[1.0, 2.0, 5.0]'
  salver predict half_plus_two --json '{\"inputs\": {\"x\": [1.0]}}' --raw
  salver predict models/digits 3.png";

/// Shows what a model takes and gives, and which engine would run it.
///
/// Reads the model file only as far as its declarations, so large models are shown at once.
#[derive(Args, Debug)]
#[command(after_help = INSPECT_EXAMPLES)]
pub(crate) struct InspectArgs {
    /// A model file, a version folder, a model folder (its latest version is shown) or a folder of models.
    pub(crate) path: PathBuf,

    /// Prints JSON instead of text.
    #[arg(long)]
    pub(crate) json: bool,

    /// Loads the model and measures what its runs cost on this machine, by rows, and how it would be run.
    #[arg(long)]
    pub(crate) cost: bool,

    /// Asks whether this engine can run the model. [env: SALVER_ENGINE] [default: the fastest one that can]
    #[arg(long, value_name = "ENGINE")]
    pub(crate) engine: Option<String>,
}

const INSPECT_EXAMPLES: &str = "\
Examples:
  salver inspect models/digits
  salver inspect resnet.onnx --cost
  salver inspect models --json | jq '.[].signatures'";

/// Validates a folder of models without serving it; every mistake at once, with file, line and remedy.
///
/// Exits 0 if all is well and 78 if anything is wrong. Mistakes go to standard output.
#[derive(Args, Debug)]
#[command(after_help = CHECK_EXAMPLES)]
pub(crate) struct CheckArgs {
    /// One model, or a folder of models.
    pub(crate) dir: PathBuf,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  salver check models
  salver check models && salver serve models";

/// Starts as the entry point of TensorFlow Serving's image does.
///
/// Is `tensorflow_model_server --port=8500 --rest_api_port=8501 --model_name=$MODEL_NAME
/// --model_base_path=$MODEL_BASE_PATH/$MODEL_NAME ARGS`; MODEL_NAME is `model` and MODEL_BASE_PATH is `/models` if they
/// are not set. For images without a shell. The program does the same under the name tf_serving_entrypoint, whatever
/// comes behind a dot.
#[derive(Args, Debug)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:\n  MODEL_NAME=half_plus_two salver entrypoint --log-format=json"
)]
pub(crate) struct EntrypointArgs {
    /// Arguments of tensorflow_model_server; of repeated flags the last one counts.
    #[arg(
        value_name = "ARGS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub(crate) arguments: Vec<OsString>,
}

/// Lists and installs inference engines.
///
/// `rten` is built in. `onnxruntime` and `tensorflow` are shared libraries, opened when they are found: the file that
/// SALVER_ONNXRUNTIME_LIB names, the file or folder that SALVER_TENSORFLOW_LIB names, else what `salver engine install`
/// has put into SALVER_ENGINE_DIR (default: SALVER_CACHE_DIR, else salver under XDG_CACHE_HOME, else ~/.cache/salver).
#[derive(Debug, Subcommand)]
#[command(after_help = ENGINE_EXAMPLES)]
pub(crate) enum EngineCommand {
    /// Lists the engines, their versions and where they were found.
    #[command(after_help = "Examples:\n  salver engine list\n  salver engine list --json")]
    List {
        /// Prints JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Installs an engine into SALVER_ENGINE_DIR, by default the user's cache folder.
    ///
    /// The library comes out of the engine's Python package: `pip download` fetches it from the package index that
    /// pip is set up for, its hash is checked, and only the shared library is kept. Nothing is installed into Python.
    /// Needs a python3 with pip: SALVER_PYTHON names another one.
    #[command(after_help = "Examples:\n  salver engine install onnxruntime\n  \
        SALVER_PYTHON=/opt/python/bin/python3 salver engine install onnxruntime")]
    Install {
        /// The engine: onnxruntime (24 MB are downloaded), tensorflow (270 MB).
        engine: String,
    },
}

const ENGINE_EXAMPLES: &str = "\
Examples:
  salver engine list
  salver engine install tensorflow";
