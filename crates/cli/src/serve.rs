//! `salver serve`: load, serve, drain.

use std::future::pending;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use salver_server::{Server, ServerConfig, Services};
use salver_system::scheduling::{self, Pace};
use salver_telemetry::logging::{self, LogConfig, LogFormat};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::args::ServeArgs;
use crate::certificates::Certificates;
use crate::config::{self, Env, Looks, Mistake, ServeConfig};
use crate::exit::{self, Exit, Failure};
use crate::files::TfSettings;
use crate::machine::Machine;
use crate::models::{Around, Models};
use crate::progress::Progress;
use crate::signals::{Signals, Stop};
use crate::tf_style::Style;
use crate::{files, output, quiet, startup};

/// Time to unload after the requests in flight have been given theirs.
const UNLOAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the server until it is told to stop, by the rules of `style`; `unknown` are arguments that these leave out.
pub(crate) fn run(
    args: &ServeArgs,
    env: &Env,
    style: Style,
    unknown: &[String],
) -> Result<Exit, Failure> {
    let is_tf_style = style.is_tensorflow() || config::is_tf_style(args, env);
    let mut is_log_json = false;
    let outcome = resolve(args, env, style).and_then(|config| {
        is_log_json = self::is_log_json(&config.log);
        for argument in unknown {
            tracing::warn!("unknown argument: {argument}");
        }
        for remark in &config.tensorflow.remarks {
            tracing::warn!("{remark}");
        }
        serve(config, is_tf_style)
    });
    outcome.map_err(|failure| {
        failure.report(is_log_json);
        if is_tf_style {
            if failure.exit == Exit::Usage {
                crate::usage(style);
            }
            output::result(&failure.tf_line());
        }
        failure.told(is_tf_style)
    })
}

/// Finds out what is to be done, and sets up the log.
fn resolve(args: &ServeArgs, env: &Env, style: Style) -> Result<ServeConfig, Failure> {
    let config = config::serve(args, env, style, &Machine::read())
        .map_err(|mistakes| misconfigured(&mistakes))?;
    logging::init(&config.log).map_err(|error| Failure::new(Exit::Usage, error))?;
    Ok(config)
}

fn misconfigured(mistakes: &[Mistake]) -> Failure {
    let exit = match mistakes.iter().any(|mistake| mistake.is_typed) {
        true => Exit::Usage,
        false => Exit::Config,
    };
    let messages: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
    let status = format!("INVALID_ARGUMENT: {}", messages.join("; "));
    let hint = "`salver serve --help` tells of every flag".to_owned();
    Failure::all(exit, messages.into_iter().chain([hint])).with_status(status)
}

fn is_log_json(log: &LogConfig) -> bool {
    match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !output::is_terminal(),
    }
}

fn serve(config: ServeConfig, is_tf_style: bool) -> Result<Exit, Failure> {
    let runtime = runtime(config.num_io_threads).context("cannot start threads for sockets")?;
    let outcome = runtime.block_on(serve_until_stopped(config, is_tf_style));
    // A load that was told to give up may still be busy; the process ends without it.
    runtime.shutdown_background();
    outcome
}

/// The stack of an I/O thread, in bytes: what engines expect of a thread, because short runs take place there. Only the
/// pages that are touched take memory.
const IO_STACK_BYTES: usize = 8 * 1024 * 1024;

fn runtime(num_threads: NonZeroUsize) -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(num_threads.get())
        .thread_name("salver-io")
        .thread_stack_size(IO_STACK_BYTES)
        .on_thread_start(|| scheduling::set_pace(Pace::Prompt))
        .enable_all()
        .build()
}

async fn serve_until_stopped(config: ServeConfig, is_tf_style: bool) -> Result<Exit, Failure> {
    let mut signals = Signals::listen().context("cannot listen to signals")?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        max_inflight_bytes = config.server.max_inflight_bytes,
        io_threads = config.num_io_threads,
        load_threads = config.load.num_load_threads,
        "starting"
    );
    let settings = files::others(&config.tensorflow)?;
    if config.looks == Looks::Never {
        return Ok(wait_in_vain(&mut signals).await);
    }
    let Some((mut models, settings)) = start(&config, settings, &mut signals).await? else {
        return Ok(Exit::Done);
    };
    if let Some(stop) = load(&models, &mut signals).await? {
        tracing::info!(signal = stop.name(), "stopped while loading");
        return Ok(unload(models, &mut signals).await);
    }
    if let Some(obstacles) = models.obstacles() {
        if !config.starts_without_models {
            return Err(obstacles);
        }
        for obstacle in obstacles.messages {
            tracing::warn!("{obstacle}");
        }
    }
    let is_told = !is_log_json(&config.log) && !is_tf_style;
    let services = Services {
        manager: models.manager.clone(),
        metrics: models.metrics.clone(),
        reload: Some(models.list.clone()),
        request_logs: models.request_logs.clone(),
        splits: models.splits.clone(),
    };
    let certificates = config.tensorflow.files.ssl.zip(settings.tls.clone());
    let server_config = ServerConfig {
        tls: settings.tls,
        prometheus_path: settings.monitoring.prometheus_path,
        ..config.server
    };
    let server =
        Server::bind(server_config, services).map_err(|error| Failure::new(Exit::Config, error))?;
    if is_tf_style {
        startup::log_as_tensorflow(server.addresses());
    }
    if is_told {
        startup::announce(&models.manager, server.addresses());
    }
    models
        .watch_list(&config.models)
        .context("cannot start a thread for the list of models")?;
    let certificates = certificates.map(|(path, tls)| Certificates::new(path, tls));
    let num_cut = drain_when_stopped(server, certificates, &mut signals).await;
    if num_cut > 0 {
        tracing::warn!(connections = num_cut, "cut at the end of --drain-timeout");
    }
    Ok(unload(models, &mut signals).await)
}

/// Finds the models and starts to load them; `None` if a signal came before they were found.
async fn start(
    config: &ServeConfig,
    settings: TfSettings,
    signals: &mut Signals,
) -> Result<Option<(Models, TfSettings)>, Failure> {
    let around = Around::new(config);
    let stores = Arc::clone(&around.stores);
    let config = config.clone();
    let starting = spawn_blocking(move || {
        // Without it downloads are silent.
        let _progress = Progress::start(Arc::clone(&around.watch), output::is_terminal());
        Models::start(&config, &settings, around).map(|models| (models, settings))
    });
    tokio::select! {
        started = starting => started.context("the models could not be looked for")?.map(Some),
        stop = signals.next() => {
            tracing::info!(signal = stop.name(), "stopped while looking for models");
            stores.stop();
            Ok(None)
        }
    }
}

/// Waits for the end: without a look at the folders there is never anything to serve.
async fn wait_in_vain(signals: &mut Signals) -> Exit {
    tracing::warn!(
        "--file_system_poll_wait_seconds is less than 0: model folders are never looked at, so nothing is loaded and no \
         port opens; give 0 to look once"
    );
    let stop = signals.next().await;
    tracing::info!(signal = stop.name(), "stopped");
    Exit::Done
}

/// Waits for the first load; returns the signal if one came before it ended.
async fn load(models: &Models, signals: &mut Signals) -> Result<Option<Stop>, Failure> {
    let first_load = models.first_load();
    let waiting = spawn_blocking(move || first_load.wait());
    tokio::select! {
        waited = waiting => {
            waited.context("the wait for the first load failed")?.context("cannot start the progress thread")?;
            Ok(None)
        }
        stop = signals.next() => Ok(Some(stop)),
    }
}

/// Serves until the first signal, then drains; returns how many connections were cut.
async fn drain_when_stopped(
    server: Server,
    certificates: Option<Certificates>,
    signals: &mut Signals,
) -> usize {
    let (stop, stopped) = oneshot::channel::<()>();
    let watched = certificates.zip(server.tls_handle());
    let watching = async {
        match watched {
            Some((certificates, handle)) => certificates.watch(handle).await,
            None => pending().await,
        }
    };
    let mut run = pin!(server.run(async {
        // Dropping the other end is the word.
        drop(stopped.await);
    }));
    tokio::select! {
        num_cut = &mut run => return num_cut,
        signal = signals.next() => tracing::info!(signal = signal.name(), "shutting down"),
        never = watching => match never {},
        never = quiet::release_when_quiet() => match never {},
    }
    drop(stop);
    signals.unless_insisted(run).await
}

/// Unloads everything, and names what would not go in time.
async fn unload(models: Models, signals: &mut Signals) -> Exit {
    let deadline = Instant::now() + UNLOAD_TIMEOUT;
    let unloading = spawn_blocking(move || models.stop(deadline));
    let stragglers = signals.unless_insisted(unloading).await.unwrap_or_default();
    for id in &stragglers {
        tracing::warn!(model = %id.name, version = id.version, "still in use at the end");
    }
    tracing::info!("stopped");
    if !stragglers.is_empty() {
        exit::at_once(Exit::Done as i32);
    }
    Exit::Done
}
