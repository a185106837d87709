//! `salver engine`, and the only place that names engines.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use salver_backend::{EngineStatus, Registry};
use salver_backend_onnxruntime::{self as onnxruntime, OnnxRuntime};
use salver_backend_rten::Rten;
use salver_backend_tensorflow::{self as tensorflow, InstallError, TensorFlow};
use serde_json::{Value, json};

use crate::args::EngineCommand;
use crate::config::{self, EngineConfig, Env};
use crate::exit::{Exit, Failure};
use crate::{output, table};

/// Fetches an engine's library: into which folder, by which Python, and whom to tell.
type Install = fn(&Path, &Path, &mut dyn FnMut(&str)) -> Result<PathBuf, InstallError>;

/// The engines that are not built in.
const INSTALLABLE: [(&str, Install); 2] = [
    ("onnxruntime", onnxruntime::install),
    ("tensorflow", tensorflow::install),
];

/// Returns the engines of this program, fastest first.
pub(crate) fn registry(engines: &EngineConfig) -> Registry {
    let onnxruntime = onnxruntime::Config {
        library: engines.onnxruntime_library.clone(),
        cache_dir: engines.dir.clone(),
    };
    let tensorflow = tensorflow::Config {
        library: engines.tensorflow_library.clone(),
        cache_dir: engines.dir.clone(),
        options: tensorflow::Options {
            tags: engines.sessions.tags.clone(),
            intra_op_parallelism: engines.sessions.settings.intra_op_parallelism,
            inter_op_parallelism: engines.sessions.settings.inter_op_parallelism,
            session_config: engines.sessions.settings.encoded.clone(),
        },
    };
    Registry::new(vec![
        Arc::new(OnnxRuntime::new(onnxruntime)),
        Arc::new(Rten),
        Arc::new(TensorFlow::new(tensorflow)),
    ])
}

/// Returns the version of TensorFlow's libraries, if they are installed.
///
/// # Blocking
/// Opens them.
pub(crate) fn tensorflow_version(env: &Env) -> Option<String> {
    let registry = registry(&config::engines(env));
    let mut engines = registry.iter();
    engines
        .find(|engine| engine.platform() == "tensorflow")?
        .status()
        .version
}

/// Makes sure that an engine or library that was named for all models can be used: to go on with a slower one is not
/// what was asked for.
///
/// # Blocking
/// Opens the library of the engine that is named.
pub(crate) fn check_named(
    name: Option<&str>,
    engines: &EngineConfig,
    registry: &Registry,
) -> Result<(), Failure> {
    let status = |name: &str| {
        registry
            .iter()
            .find(|backend| backend.platform() == name)
            .map(|backend| backend.status())
    };
    let refuse = |setting: &str, reason: &str| {
        Err(Failure::new(Exit::Config, format!("{setting}: {reason}")))
    };
    let libraries = [
        (
            "onnxruntime",
            "SALVER_ONNXRUNTIME_LIB",
            &engines.onnxruntime_library,
        ),
        (
            "tensorflow",
            "SALVER_TENSORFLOW_LIB",
            &engines.tensorflow_library,
        ),
    ];
    for (engine, variable, library) in libraries {
        if library.is_some()
            && let Some(status) = status(engine).filter(|status| !status.is_available())
        {
            return refuse(variable, &status.note);
        }
    }
    let Some(name) = name else { return Ok(()) };
    match status(name) {
        Some(status) if status.is_available() => Ok(()),
        Some(status) => refuse("--engine", &status.note),
        None => {
            let known: Vec<&str> = registry.iter().map(|backend| backend.platform()).collect();
            refuse(
                "--engine",
                &format!("expected one of {}, got `{name}`", known.join(", ")),
            )
        }
    }
}

/// Lists or installs engines.
pub(crate) fn run(command: &EngineCommand, env: &Env) -> Result<Exit, Failure> {
    let engines = config::engines(env);
    match command {
        EngineCommand::List { json } => {
            list(&registry(&engines), *json);
            Ok(Exit::Done)
        }
        EngineCommand::Install { engine } => install(engine, &engines),
    }
}

fn list(registry: &Registry, is_json: bool) {
    let engines = || {
        registry
            .iter()
            .map(|backend| (backend.platform(), backend.status()))
    };
    let text = match is_json {
        true => format!(
            "{:#}",
            engines()
                .map(|(platform, status)| to_json(platform, &status))
                .collect::<Value>()
        ),
        false => {
            let rows: Vec<_> = engines()
                .map(|(platform, status)| to_row(platform, &status))
                .collect();
            table::render(["ENGINE", "VERSION", "LIBRARY", "NOTE"], &rows)
        }
    };
    output::result(&text);
}

fn to_row(platform: &str, status: &EngineStatus) -> [String; 4] {
    let version = status.version.clone().unwrap_or_else(|| "-".to_owned());
    let library = status
        .library
        .as_ref()
        .map_or_else(|| "-".to_owned(), |path| path.display().to_string());
    [platform.to_owned(), version, library, status.note.clone()]
}

fn to_json(platform: &str, status: &EngineStatus) -> Value {
    json!({
        "name": platform,
        "version": status.version,
        "library": status.library.as_ref().map(|path| path.display().to_string()),
        "note": status.note,
    })
}

fn install(engine: &str, engines: &EngineConfig) -> Result<Exit, Failure> {
    let Some((_, install)) = INSTALLABLE.iter().find(|(name, _)| *name == engine) else {
        let known = INSTALLABLE.map(|(name, _)| name).join(", ");
        let message = format!(
            "there is nothing to install for `{engine}`; engines that can be installed: {known}"
        );
        return Err(Failure::new(Exit::Usage, message));
    };
    let dir = engines.dir.as_deref().ok_or_else(|| {
        Failure::new(
            Exit::Config,
            "there is no folder to install into; set SALVER_ENGINE_DIR or HOME",
        )
    })?;
    let library = install(dir, &engines.python, &mut output::note)
        .map_err(|error| Failure::new(Exit::Failed, error))?;
    output::result(&library.display().to_string());
    Ok(Exit::Done)
}
