//! Where the models are: a folder, a base path or a list.

use std::path::PathBuf;
use std::time::Duration;

use super::{Mistake, ModelsAt, Settings, value};
use crate::args::ServeArgs;

const DEFAULT_MODEL_NAME: &str = "default";

/// What was typed goes before what the environment says; a list goes before a base path, and that before a folder.
pub(super) fn read(
    args: &ServeArgs,
    is_tf_style: bool,
    settings: &mut Settings<'_>,
) -> Option<ModelsAt> {
    let name = settings.get("model_name", args.model_name.as_deref(), model_name);
    let poll_interval = poll_interval(args, settings);
    let typed = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
    let variable = |name| settings.variable(name).map(str::to_owned);
    let list = |file: String| ModelsAt::List {
        file: PathBuf::from(file),
        poll_interval,
    };
    let base_path = |path| ModelsAt::BasePath {
        name: name
            .clone()
            .unwrap_or_else(|| DEFAULT_MODEL_NAME.to_owned()),
        path,
    };
    let found = typed(&args.model_config_file)
        .map(list)
        .or_else(|| typed(&args.model_base_path).map(base_path))
        .or_else(|| args.dir.clone().map(ModelsAt::Dir))
        .or_else(|| variable("SALVER_MODEL_CONFIG_FILE").map(list))
        .or_else(|| variable("SALVER_MODEL_BASE_PATH").map(base_path))
        .or_else(|| variable("SALVER_MODELS").map(|dir| ModelsAt::Dir(PathBuf::from(dir))));
    let mut mistake = |setting: &str, message: &str| {
        settings.mistakes.push(Mistake {
            setting: setting.to_owned(),
            message: message.to_owned(),
            is_typed: true,
        });
    };
    let is_named = matches!(found, Some(ModelsAt::Dir(_)) | None) && args.model_name.is_some();
    if is_named && name.is_some() && !is_tf_style {
        mistake(
            "--model_name",
            "it names the model at --model_base_path, which is not given; models in a folder are named by \
             their folders or files",
        );
    }
    if found.is_none() && is_tf_style {
        mistake(
            "--model_base_path",
            "Both server_options.model_base_path and server_options.model_config_file are empty!",
        );
    } else if found.is_none() {
        mistake(
            "DIR",
            "there is nothing to serve; name a folder (`salver serve models`), or give --model_base_path",
        );
    }
    found
}

fn poll_interval(args: &ServeArgs, settings: &mut Settings<'_>) -> Option<Duration> {
    let typed = args.model_config_file_poll_wait_seconds.as_deref();
    match settings.get("model_config_file_poll_wait_seconds", typed, value::looks) {
        Some(value::Looks::Every(interval)) => Some(interval),
        Some(value::Looks::Once | value::Looks::Never) | None => None,
    }
}

fn model_name(text: &str) -> Result<String, value::Expected> {
    match text.is_empty() || text.contains(['/', ':']) {
        true => Err("a name without / and :, which REST addresses could not hold".to_owned()),
        false => Ok(text.to_owned()),
    }
}
