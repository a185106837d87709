//! Turns requests away before their tensors are decoded.

use bytes::Buf;
use http::HeaderMap;
use salver_protocol::VersionChoice;
use salver_protocol::predict::model_of;
use salver_repository::LoadedModel;
use salver_servable::Handle;

use super::Message;
use crate::split;
use crate::status::ServeError;
use crate::work::Work;

/// The least message for which it is worth looking twice: a shorter one is decoded in microseconds.
const LEAST_BYTES: usize = 16 << 10;

/// What a long request's model is, or why it has none: where a split decides, it does so once.
pub(super) type Found = Option<Result<Handle<LoadedModel>, ServeError>>;

/// Finds the model that a long request asks, and refuses the request if that model would turn it away, whatever it asks.
/// A short request is left for later, and what else may be wrong with a long one.
pub(super) fn admit(
    work: &mut Work<'_>,
    headers: &HeaderMap,
    message: &Message,
) -> Result<Found, ServeError> {
    if message.remaining() < LEAST_BYTES {
        return Ok(None);
    }
    let Ok(Some(spec)) = model_of(message.clone()) else {
        return Ok(None);
    };
    let routed = split::route(work.app, headers, &spec.name, &spec.version);
    let found = routed.map(|routed| work.follow(routed));
    if let Ok(handle) = &found {
        work.admit(handle)?;
    }
    Ok(Some(found))
}

/// Returns the model that a request asks, now that all of it is known: what [`admit`] has found, if it has looked.
pub(super) fn handle(
    work: &mut Work<'_>,
    headers: &HeaderMap,
    found: Found,
    name: String,
    version: &VersionChoice,
) -> Result<Handle<LoadedModel>, ServeError> {
    let name = work.asked.insert(name);
    if let Some(found) = found {
        return found;
    }
    let routed = split::route(work.app, headers, name, version)?;
    Ok(work.follow(routed))
}
