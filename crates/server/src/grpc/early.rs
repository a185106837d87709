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

/// Finds the model that a long request asks, and refuses the request if that model would turn it away, whatever it asks.
/// Returns `None` where that is left for later: short requests, and such as are wrong.
pub(super) fn admit(
    work: &mut Work<'_>,
    headers: &HeaderMap,
    message: &Message,
) -> Result<Option<Handle<LoadedModel>>, ServeError> {
    if message.remaining() < LEAST_BYTES {
        return Ok(None);
    }
    let Ok(Some(spec)) = model_of(message.clone()) else {
        return Ok(None);
    };
    let Ok(routed) = split::route(work.app, headers, &spec.name, &spec.version) else {
        return Ok(None);
    };
    let handle = work.follow(routed);
    work.admit(&handle)?;
    Ok(Some(handle))
}

/// Returns the model that a request asks, now that all of it is known: the one that [`admit`] has found, if it has.
pub(super) fn handle(
    work: &mut Work<'_>,
    headers: &HeaderMap,
    admitted: Option<Handle<LoadedModel>>,
    name: String,
    version: &VersionChoice,
) -> Result<Handle<LoadedModel>, ServeError> {
    let name = work.asked.insert(name);
    if let Some(handle) = admitted {
        return Ok(handle);
    }
    let routed = split::route(work.app, headers, name, version)?;
    Ok(work.follow(routed))
}
