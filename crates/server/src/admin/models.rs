//! The models as an administrator sees and changes them: `/admin/models`, `/admin/models/NAME`, `/admin/config`; their
//! splits are next door.
//!
//! Whoever may change models can make the server read any folder that it can read, so changes are taken only where
//! [`ServerConfig::has_model_changes`](crate::ServerConfig::has_model_changes) says so, and never from a web page: browsers name the page's
//! origin with every such request. Where models are on disk is shown only where nobody but administrators asks.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use percent_encoding::percent_decode_str;
use salver_protocol::config::{self, ModelConfig};
use salver_protocol::json;
use serde_json::{Value, json};

use super::{form, split};
use crate::app::{App, Call};
use crate::reload::{Reload, ReloadError, ServedModel};
use crate::response::ResponseBody;

/// The largest description of a model, in bytes: a name and a path each have 4 KiB at most, labels are few.
const MAX_BODY_BYTES: usize = 64 * 1024;

const JSON_TYPE: HeaderValue = HeaderValue::from_static("application/json");
const TEXT_TYPE: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Why a request was not done: the status and a sentence.
pub(super) struct Refusal {
    status: StatusCode,
    pub(super) message: String,
}

/// What is answered: a status, a type and a body.
pub(super) struct Page {
    status: StatusCode,
    content_type: HeaderValue,
    body: Vec<u8>,
}

/// Tells whether a path is one of these.
pub(crate) fn takes(path: &str) -> bool {
    path == "/admin" || path.starts_with("/admin/")
}

/// Answers one request.
pub(crate) async fn answer(app: &App, call: &mut Call) -> Response<ResponseBody> {
    let page = respond(app, call).await.unwrap_or_else(|refusal| {
        let mut body = Vec::new();
        json::encode_error(&refusal.message, &mut body);
        Page {
            status: refusal.status,
            content_type: JSON_TYPE,
            body,
        }
    });
    let is_refused_method = page.status == StatusCode::METHOD_NOT_ALLOWED;
    let mut response = Response::new(ResponseBody::full(page.body));
    *response.status_mut() = page.status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, page.content_type);
    if is_refused_method {
        let methods = HeaderValue::from_static("GET, PUT, POST, DELETE");
        response.headers_mut().insert(ALLOW, methods);
    }
    response
}

async fn respond(app: &App, call: &mut Call) -> Result<Page, Refusal> {
    let path = call.uri.path().to_owned();
    let is_read = call.method == Method::GET || call.method == Method::HEAD;
    let reload = app.reload.clone().ok_or_else(|| {
        refusal(
            StatusCode::NOT_FOUND,
            "this server does not take lists of models",
        )
    })?;
    match path.trim_end_matches('/') {
        "/admin/models" if is_read => Ok(all(app, &served(reload).await?)),
        "/admin/config" if is_read => configuration(app, call, reload).await,
        "/admin/models" | "/admin/config" | "/admin" => Err(unknown(call)),
        path => match path.strip_prefix("/admin/models/").and_then(what) {
            Some((name, true)) => split::answer(app, call, &name).await,
            Some((name, false)) if is_read => one(app, &served(reload).await?, &name),
            Some((name, false)) => change(app, call, reload, name).await,
            None => Err(unknown(call)),
        },
    }
}

/// Returns what is served; a folder may have to be looked at for that.
async fn served(reload: Arc<dyn Reload>) -> Result<Vec<ServedModel>, Refusal> {
    let models = tokio::task::spawn_blocking(move || reload.models()).await;
    models.map_err(|_| ending())
}

fn all(app: &App, models: &[ServedModel]) -> Page {
    let models: Vec<Value> = models.iter().map(|model| form::write(app, model)).collect();
    page(&json!({ "models": models }))
}

fn one(app: &App, models: &[ServedModel], name: &str) -> Result<Page, Refusal> {
    match models.iter().find(|model| model.config.name == name) {
        Some(model) => Ok(page(&form::write(app, model))),
        None => Err(ReloadError::Unknown(name.to_owned()).into()),
    }
}

/// Returns the models as a `model_config_file` lists them: in protobuf's JSON form, or as text if that is asked for.
async fn configuration(app: &App, call: &Call, reload: Arc<dyn Reload>) -> Result<Page, Refusal> {
    if !app.config.is_admin_private() {
        let message = "base paths are not shown to whoever can ask for predictions; give --admin_port, or --host \
                       127.0.0.1";
        return Err(refusal(StatusCode::FORBIDDEN, message));
    }
    let served = served(reload).await?.into_iter();
    let models: Vec<ModelConfig> = served.map(|model| model.config).collect();
    if !wants_text(call) {
        return Ok(page(&form::write_list(&models)));
    }
    Ok(Page {
        status: StatusCode::OK,
        content_type: TEXT_TYPE,
        body: config::print_models(&models).into_bytes(),
    })
}

fn wants_text(call: &Call) -> bool {
    let is_asked_for = call.uri.query().is_some_and(|query| query == "format=text");
    let accepts = |header: &HeaderValue| header.as_bytes().starts_with(b"text/plain");
    is_asked_for || call.headers.get(http::header::ACCEPT).is_some_and(accepts)
}

async fn change(
    app: &App,
    call: &mut Call,
    reload: Arc<dyn Reload>,
    name: String,
) -> Result<Page, Refusal> {
    check_change(app, &call.method, &call.headers)?;
    let change = match call.method {
        Method::DELETE => Change::Remove(name.clone()),
        _ => Change::Put(Box::new(form::read(&name, &receive(app, call).await?)?)),
    };
    let is_removal = matches!(change, Change::Remove(_));
    apply(app, Arc::clone(&reload), change).await?;
    match is_removal {
        true => Ok(page(&json!({ "removed": name }))),
        false => one(app, &served(reload).await?, &name),
    }
}

pub(super) fn check_change(app: &App, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    if ![Method::PUT, Method::POST, Method::DELETE].contains(method) {
        let message = format!("{method} is not one of GET, PUT, POST, DELETE");
        return Err(refusal(StatusCode::METHOD_NOT_ALLOWED, message));
    }
    if !app.config.has_model_changes {
        let message = "models are not changed by HTTP here; start the server with --admin_model_changes, best with an \
                       --admin_port that only administrators reach";
        return Err(refusal(StatusCode::FORBIDDEN, message));
    }
    if headers.contains_key(ORIGIN) {
        let message =
            "models are not changed by scripts of web pages, which an Origin header tells of";
        return Err(refusal(StatusCode::FORBIDDEN, message));
    }
    Ok(())
}

pub(super) async fn receive(app: &App, call: &mut Call) -> Result<Bytes, Refusal> {
    let mut reservation = app.budget.reservation();
    let mut body = Vec::new();
    loop {
        match call.body.next(&mut reservation).await {
            Ok(None) => return Ok(body.into()),
            Ok(Some(bytes)) if body.len() + bytes.len() > MAX_BODY_BYTES => {
                let message = format!("a model is described in {MAX_BODY_BYTES} bytes at most");
                return Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, message));
            }
            Ok(Some(bytes)) => body.extend_from_slice(&bytes),
            Err(error) => return Err(refusal(error.http(), error.to_string())),
        }
    }
}

/// What is to be done.
enum Change {
    Put(Box<ModelConfig>),
    Remove(String),
}

/// Makes a change when its turn has come, and waits for it.
async fn apply(app: &App, reload: Arc<dyn Reload>, change: Change) -> Result<(), Refusal> {
    let turn = Arc::clone(&app.reload_turn).acquire_owned().await;
    let turn = turn.map_err(|_| ending())?;
    let task = tokio::task::spawn_blocking(move || {
        let result = match change {
            Change::Put(model) => reload.put(*model),
            Change::Remove(name) => reload.remove(&name),
        };
        drop(turn);
        result
    });
    Ok(task.await.map_err(|_| ending())??)
}

/// Reads a model's name from a path, and whether it is the model's split that is meant; `None` if it can be no name.
fn what(path: &str) -> Option<(String, bool)> {
    let of_split = path.strip_suffix("/split");
    Some((name(of_split.unwrap_or(path))?, of_split.is_some()))
}

/// Reads a model's name from a path; `None` if it can be none.
fn name(segment: &str) -> Option<String> {
    let name = percent_decode_str(segment).decode_utf8().ok()?.into_owned();
    let is_name = !segment.is_empty() && !segment.contains('/') && !name.contains([':', '/']);
    is_name.then_some(name)
}

fn unknown(call: &Call) -> Refusal {
    let message = format!(
        "{} {}: there are GET /admin/models, GET /admin/config, and GET, PUT and DELETE of /admin/models/NAME and \
         /admin/models/NAME/split",
        call.method,
        call.uri.path()
    );
    refusal(StatusCode::NOT_FOUND, message)
}

pub(super) fn page(value: &Value) -> Page {
    let mut body = format!("{value:#}");
    body.push('\n');
    Page {
        status: StatusCode::OK,
        content_type: JSON_TYPE,
        body: body.into_bytes(),
    }
}

/// What is left to say when a thread or its turn is gone.
fn ending() -> Refusal {
    refusal(StatusCode::INTERNAL_SERVER_ERROR, "the server is ending")
}

pub(super) fn refusal(status: StatusCode, message: impl Into<String>) -> Refusal {
    Refusal {
        status,
        message: message.into(),
    }
}

impl From<form::Mistake> for Refusal {
    fn from(mistake: form::Mistake) -> Self {
        refusal(StatusCode::BAD_REQUEST, mistake.to_string())
    }
}

/// The model's files are at fault for what does not load, not the request and not the server.
impl From<ReloadError> for Refusal {
    fn from(error: ReloadError) -> Self {
        let status = match &error {
            ReloadError::NotAvailable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            ReloadError::Unknown(_) => StatusCode::NOT_FOUND,
            ReloadError::InFolder(_)
            | ReloadError::InFile
            | ReloadError::LabelUnavailable { .. } => StatusCode::CONFLICT,
            _ => StatusCode::BAD_REQUEST,
        };
        refusal(status, error.to_string())
    }
}
