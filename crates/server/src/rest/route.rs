//! Reads a request's path as TensorFlow Serving does: as a whole, query and all, with case mattering only in names and
//! in the method behind the colon.

use http::Method;
use percent_encoding::percent_decode_str;
use salver_protocol::VersionChoice;
use salver_telemetry::Call;

use crate::inference::InferenceMethod;
use crate::status::ServeError;

/// A model, and perhaps a version of it, as a path names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) version: VersionChoice,
}

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Options,
    Status(Model),
    Metadata(Model),
    Predict(Model),
    Infer(Model, InferenceMethod),
}

impl Route {
    /// Returns what TensorFlow Serving counts it as.
    pub(super) fn counted_as(&self) -> Call {
        match self {
            Self::Predict(_) => Call::RestPredict,
            Self::Infer(_, InferenceMethod::Classify) => Call::RestClassify,
            Self::Infer(_, InferenceMethod::Regress) => Call::RestRegress,
            Self::Options | Self::Status(_) | Self::Metadata(_) => Call::RestOther,
        }
    }

    /// Returns the name of the model that is asked for.
    pub(super) fn into_model_name(self) -> Option<String> {
        match self {
            Self::Status(model)
            | Self::Metadata(model)
            | Self::Predict(model)
            | Self::Infer(model, _) => Some(model.name),
            Self::Options => None,
        }
    }
}

/// Reads a method and a path with its query.
pub(super) fn parse(method: &Method, target: &str) -> Result<Route, ServeError> {
    let Some(rest) = strip_prefix_ignoring_case(target, "/v1/") else {
        return Err(ServeError::NoSuchPage(format!(
            "{method} {target}: no such page; models are under /v1/models/NAME, metrics under /metrics"
        )));
    };
    let malformed = || ServeError::MalformedRequest(format!("{method} {target}"));
    if method == Method::OPTIONS {
        return Ok(Route::Options);
    }
    if target.contains('?') {
        return Err(malformed());
    }
    let rest = strip_prefix_ignoring_case(rest, "models").ok_or_else(malformed)?;
    if method == Method::POST {
        let (model, verb) = rest.rsplit_once(':').ok_or_else(malformed)?;
        let model = model.strip_prefix('/').ok_or_else(malformed)?;
        let parsed = parse_model(model).ok_or_else(malformed)?;
        return match verb {
            "predict" => parsed.map(Route::Predict),
            "classify" => parsed.map(|model| Route::Infer(model, InferenceMethod::Classify)),
            "regress" => parsed.map(|model| Route::Infer(model, InferenceMethod::Regress)),
            _ => Err(malformed()),
        };
    }
    if method != Method::GET {
        return Err(malformed());
    }
    if rest.is_empty() {
        return Err(ServeError::MissingNameInPath);
    }
    let model = rest.strip_prefix('/').ok_or_else(malformed)?;
    if let Some((model, last)) = model.rsplit_once('/')
        && last.eq_ignore_ascii_case("metadata")
        && let Some(parsed) = parse_model(model)
    {
        // In capitals it is read as part of the path, but what it asks for is not known.
        return parsed.map(match last {
            "metadata" => Route::Metadata,
            _ => Route::Status,
        });
    }
    if is_nameless(model) {
        return Err(ServeError::MissingNameInPath);
    }
    parse_model(model).ok_or_else(malformed)?.map(Route::Status)
}

/// Tells whether a path is a version or a label of nobody, which has a refusal of its own.
fn is_nameless(path: &str) -> bool {
    let path = match path.rsplit_once('/') {
        Some((path, last)) if last.eq_ignore_ascii_case("metadata") => path,
        _ => path,
    };
    !path.is_empty() && path.split('/').count() == 2 && parse_model(&format!("x/{path}")).is_some()
}

/// Reads `NAME`, `NAME/versions/N` or `NAME/labels/LABEL`; `None` if it is none of them.
fn parse_model(path: &str) -> Option<Result<Model, ServeError>> {
    let mut parts = path.split('/');
    let name = decode(parts.next()?)?;
    let version = match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => VersionChoice::Latest,
        (Some(kind), Some(version), None) if kind.eq_ignore_ascii_case("versions") => {
            if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            match version.parse() {
                Ok(version) => VersionChoice::Version(version),
                Err(_) => return Some(Err(ServeError::VersionInPath(version.to_owned()))),
            }
        }
        (Some(kind), Some(label), None) if kind.eq_ignore_ascii_case("labels") => {
            VersionChoice::Label(decode(label)?)
        }
        _ => return None,
    };
    Some(Ok(Model { name, version }))
}

/// Reads one path segment: not empty, no colon, percent-escapes resolved.
fn decode(segment: &str) -> Option<String> {
    if segment.is_empty() || segment.contains(':') {
        return None;
    }
    if !segment.contains('%') {
        return Some(segment.to_owned());
    }
    percent_decode_str(segment)
        .decode_utf8()
        .ok()
        .map(std::borrow::Cow::into_owned)
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, tail) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(tail)
}

#[cfg(test)]
mod tests;
