//! `salver engine`, and the only place that names engines.

use std::sync::Arc;

use salver_backend::{EngineStatus, Registry};
use salver_backend_rten::Rten;
use serde_json::{Value, json};

use crate::args::EngineCommand;
use crate::config::{self, EngineConfig, Env};
use crate::exit::{Exit, Failure};
use crate::{output, table};

/// Returns the engines of this program, fastest first.
pub(crate) fn registry(_engines: &EngineConfig) -> Registry {
    Registry::new(vec![Arc::new(Rten)])
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

fn install(engine: &str, _engines: &EngineConfig) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Usage, engine))
}
