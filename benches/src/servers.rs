//! The servers that are compared, each started on the same model, and the requests that each takes.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::load::{Request, Target};
use crate::model::Model;
use crate::process::Process;

const PREDICT: &str = "/tensorflow.serving.PredictionService/Predict";
const MODEL_INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// The programs that are compared.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// The binary of this project.
    pub(crate) salver: PathBuf,
    /// Where its engines were installed.
    pub(crate) engines: Option<PathBuf>,
    /// The bare handlers.
    pub(crate) bare: PathBuf,
    /// The virtual environment with the peers, if they are to be measured.
    pub(crate) peers: Option<PathBuf>,
    /// Where models and logs are written.
    pub(crate) folder: PathBuf,
}

/// Which server.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    /// Salver with an engine.
    Salver(&'static str),
    /// A handler that computes in Rust: axum for REST, tonic for gRPC.
    Bare,
    /// The same with HTTP/2 as tonic has it.
    BareDefault,
    /// FastAPI and ONNX Runtime.
    FastApi,
    /// Triton with its Python backend and ONNX Runtime.
    Triton,
}

/// How a server is asked.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Api {
    /// JSON rows.
    Rest,
    /// JSON rows to a handler in the event loop, where a server has one of its own.
    RestAsync,
    /// A binary tensor.
    Grpc,
}

impl Api {
    /// Returns the name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rest => "REST",
            Self::RestAsync => "REST, async",
            Self::Grpc => "gRPC",
        }
    }
}

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Server {
    /// Which one.
    pub(crate) kind: Kind,
    /// What runs.
    pub(crate) process: Process,
    folder: PathBuf,
    http_port: u16,
    grpc_port: u16,
}

impl Server {
    /// Starts a server on some models.
    pub(crate) fn start(kind: Kind, programs: &Programs, models: &[&Model]) -> Result<Self> {
        Self::start_with(kind, programs, models, |command| command)
    }

    /// Starts a server that gives way to whoever else wants to run.
    pub(crate) fn start_idle(kind: Kind, programs: &Programs, models: &[&Model]) -> Result<Self> {
        Self::start_with(kind, programs, models, |command| {
            let mut nice = Command::new("nice");
            nice.arg("-n19")
                .arg(command.get_program())
                .args(command.get_args());
            for (name, value) in command.get_envs() {
                match value {
                    Some(value) => nice.env(name, value),
                    None => nice.env_remove(name),
                };
            }
            nice
        })
    }

    fn start_with(
        kind: Kind,
        programs: &Programs,
        models: &[&Model],
        change: impl FnOnce(Command) -> Command,
    ) -> Result<Self> {
        let [http_port, grpc_port] = free_ports()?;
        let folder = tempfile::tempdir_in(&programs.folder)?.keep();
        let (command, ready) = match kind {
            Kind::Salver(engine) => (
                salver(programs, engine, &folder, models, [http_port, grpc_port])?,
                "/readyz",
            ),
            Kind::Bare | Kind::BareDefault => {
                let mut command = Command::new(&programs.bare);
                command.args([http_port.to_string(), grpc_port.to_string()]);
                if kind == Kind::BareDefault {
                    command.arg("default-windows");
                }
                (command, "/ready")
            }
            Kind::FastApi => (fastapi(programs, &folder, models, http_port)?, "/ready"),
            Kind::Triton => (
                triton(programs, &folder, models, [http_port, grpc_port])?,
                "/v2/health/ready",
            ),
        };
        let log = folder.join("log");
        Ok(Self {
            kind,
            process: Process::start(&kind.name(), change(command), &log, http_port, ready)?,
            folder,
            http_port,
            grpc_port,
        })
    }

    /// Returns where and what a request for a model is, if the server speaks that API.
    pub(crate) fn target(&self, api: Api, model: &Model) -> Option<Target> {
        let request = match (self.kind, api) {
            (Kind::Salver(_) | Kind::Bare | Kind::BareDefault, Api::Rest) => {
                Request::post(&format!("/v1/models/{}:predict", model.name), &model.rows())
            }
            (Kind::Salver(_) | Kind::Bare | Kind::BareDefault, Api::Grpc) => {
                Request::call(PREDICT, &model.predict_request())
            }
            (Kind::FastApi, Api::Rest) => Request::post("/sync", &model.rows()),
            (Kind::FastApi, Api::RestAsync) => Request::post("/async", &model.rows()),
            (Kind::Triton, Api::Rest) => {
                let input = json!({"name": "x", "shape": model.shape, "datatype": "FP32", "data": model.values});
                let body = json!({ "inputs": [input] }).to_string();
                Request::post(&format!("/v2/models/{}/infer", model.name), body.as_bytes())
            }
            (Kind::Triton, Api::Grpc) => Request::call(MODEL_INFER, &model.infer_request()),
            _ => return None,
        };
        let port = if api == Api::Grpc {
            self.grpc_port
        } else {
            self.http_port
        };
        Some(Target { port, request })
    }

    /// Writes a version of one of Salver's models where it is not seen yet; [`Server::publish`] puts it in its place.
    pub(crate) fn prepare(&self, model: &Model, version: u32) -> Result<()> {
        write_version(&self.folder.join(version.to_string()), model)
    }

    /// Renames what [`Server::prepare`] wrote into the folder of the model.
    pub(crate) fn publish(&self, model: &Model, version: u32) -> Result<()> {
        let version = version.to_string();
        let place = self.folder.join("models").join(model.name).join(&version);
        Ok(fs::rename(self.folder.join(version), place)?)
    }

    /// Returns the port of HTTP.
    pub(crate) fn http_port(&self) -> u16 {
        self.http_port
    }
}

impl Kind {
    /// Returns the name in tables.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Salver("rten") => "Salver".to_owned(),
            Self::Salver(engine) => format!("Salver, {engine}"),
            Self::Bare => "bare handler".to_owned(),
            Self::BareDefault => "bare, default windows".to_owned(),
            Self::FastApi => "FastAPI".to_owned(),
            Self::Triton => "Triton".to_owned(),
        }
    }
}

fn salver(
    programs: &Programs,
    engine: &str,
    folder: &Path,
    models: &[&Model],
    [http_port, grpc_port]: [u16; 2],
) -> Result<Command> {
    for model in models {
        let version = folder.join("models").join(model.name).join("1");
        write_version(&version, model)?;
        fs::write(version.with_file_name("model.toml"), &model.settings)?;
    }
    let mut command = Command::new(&programs.salver);
    command
        .arg("serve")
        .arg(folder.join("models"))
        .args(["--host=127.0.0.1", "--log-format=json"])
        .arg(format!("--engine={engine}"))
        .arg(format!("--rest_api_port={http_port}"))
        .arg(format!("--port={grpc_port}"));
    if let Some(engines) = &programs.engines {
        command.env("SALVER_CACHE_DIR", engines);
    }
    Ok(command)
}

fn write_version(folder: &Path, model: &Model) -> Result<()> {
    fs::create_dir_all(folder)?;
    // Written long ago, as models are: what was written just now is looked at twice before it is served.
    let file = fs::File::create(folder.join("model.onnx"))?;
    (&file).write_all(&model.bytes)?;
    file.set_modified(SystemTime::now() - Duration::from_secs(3600))?;
    Ok(())
}

/// FastAPI serves one model: the first.
fn fastapi(programs: &Programs, folder: &Path, models: &[&Model], port: u16) -> Result<Command> {
    let file = folder.join("model.onnx");
    let model = models.first().context("no model")?;
    fs::write(&file, &model.bytes)?;
    let mut command = Command::new(programs.peers()?.join("bin/python"));
    command
        .args([
            "-m",
            "uvicorn",
            "fastapi_app:app",
            "--no-access-log",
            "--log-level=warning",
        ])
        .arg(format!("--app-dir={}", source_folder().display()))
        .arg(format!("--port={port}"))
        .env("MODEL", file)
        .env("THREADS", threads_of(model));
    Ok(command)
}

fn triton(
    programs: &Programs,
    folder: &Path,
    models: &[&Model],
    ports: [u16; 2],
) -> Result<Command> {
    let packages = programs.packages()?;
    let wheel = packages.join("pytriton/tritonserver");
    let backend = folder.join("backends/python");
    fs::create_dir_all(&backend)?;
    // Its Python sees what is beside the backend, and no virtual environment.
    let version = packages
        .parent()
        .and_then(Path::file_name)
        .context("no folder of packages")?;
    let version = version.to_string_lossy().replace("python", "");
    let stubs = wheel.join("python_backend_stubs").join(version);
    for parts in [&wheel.join("backends/python"), &stubs, &packages] {
        for entry in
            fs::read_dir(parts).with_context(|| format!("{} cannot be read", parts.display()))?
        {
            let entry = entry?;
            std::os::unix::fs::symlink(entry.path(), backend.join(entry.file_name())).or_else(
                |error| match error.kind() {
                    std::io::ErrorKind::AlreadyExists => Ok(()),
                    _ => Err(error),
                },
            )?;
        }
    }
    for model in models {
        let version = folder.join("models").join(model.name).join("1");
        fs::create_dir_all(&version)?;
        fs::write(version.join("model.onnx"), &model.bytes)?;
        fs::copy(
            source_folder().join("triton_model.py"),
            version.join("model.py"),
        )?;
        let dims = vec!["-1"; model.shape.len()].join(", ");
        let config = format!(
            "name: \"{}\"\nbackend: \"python\"\nmax_batch_size: 0\n\
             input {{ name: \"x\" data_type: TYPE_FP32 dims: [ {dims} ] }}\n\
             output {{ name: \"y\" data_type: TYPE_FP32 dims: [ {dims} ] }}\n\
             parameters {{ key: \"threads\" value {{ string_value: \"{}\" }} }}\n\
             instance_group {{ count: {} kind: KIND_CPU }}\n",
            model.name,
            threads_of(model),
            if model.is_on_one_thread { 1 } else { 2 }
        );
        fs::write(version.with_file_name("config.pbtxt"), config)?;
    }
    let libraries = programs.python_libraries()?;
    let mut command = Command::new(wheel.join("bin/tritonserver"));
    command
        .arg(format!(
            "--model-repository={}",
            folder.join("models").display()
        ))
        .arg(format!(
            "--backend-directory={}",
            folder.join("backends").display()
        ))
        .arg(format!("--http-port={}", ports[0]))
        .arg(format!("--grpc-port={}", ports[1]))
        .args([
            "--http-address=127.0.0.1",
            "--grpc-address=127.0.0.1",
            "--allow-metrics=false",
        ])
        .env(
            "LD_LIBRARY_PATH",
            format!(
                "{}:{libraries}",
                packages.join("nvidia_pytriton.libs").display()
            ),
        );
    Ok(command)
}

/// Returns how many threads ONNX Runtime is told to run a model in; 0 is its own default.
fn threads_of(model: &Model) -> &'static str {
    if model.is_on_one_thread { "1" } else { "0" }
}

impl Programs {
    /// Returns the virtual environment with the peers.
    pub(crate) fn peers(&self) -> Result<&Path> {
        self.peers.as_deref().context("no --peers")
    }

    /// Returns the folder of the peers' Python packages.
    fn packages(&self) -> Result<PathBuf> {
        let lib = self.peers()?.join("lib");
        for entry in fs::read_dir(&lib)? {
            let packages = entry?.path().join("site-packages");
            if packages.is_dir() {
                return Ok(packages);
            }
        }
        anyhow::bail!("{} has no site-packages", lib.display())
    }

    /// Returns the folder of libpython.
    fn python_libraries(&self) -> Result<String> {
        let output = Command::new(self.peers()?.join("bin/python"))
            .args([
                "-c",
                "import sysconfig; print(sysconfig.get_config_var('LIBDIR'))",
            ])
            .output()?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}

/// Returns the folder of the peers' sources.
pub(crate) fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

fn free_ports() -> Result<[u16; 2]> {
    // Held both at a time: one that was given back may be given again.
    let (one, other) = (
        TcpListener::bind("127.0.0.1:0")?,
        TcpListener::bind("127.0.0.1:0")?,
    );
    Ok([one.local_addr()?.port(), other.local_addr()?.port()])
}
