//! Receives the one message of a unary call.

use bytes::Buf;
use http::HeaderMap;
use salver_protocol::rope::Rope;

use super::{Message, PREFIX_BYTES};
use crate::admission::Reservation;
use crate::body::{self, Receiver};
use crate::status::ServeError;
use crate::work::Work;

/// Receives a message, counted as it arrives and inflated if it is compressed.
///
/// The announced length is only ever compared: nothing is allocated by it.
pub(super) async fn receive(
    work: &mut Work<'_>,
    headers: &HeaderMap,
    body: &mut Receiver,
    limit_bytes: u64,
) -> Result<Message, ServeError> {
    let reservation = &mut work.reservation;
    let mut message = Rope::default();
    fill(&mut message, PREFIX_BYTES, body, reservation).await?;
    let flag = message.get_u8();
    let length = message.get_u32();
    if u64::from(length) > limit_bytes {
        return Err(ServeError::TooLarge { limit_bytes });
    }
    let length = length as usize;
    fill(&mut message, length, body, reservation).await?;
    while message.remaining() <= length {
        let Some(bytes) = body.next(reservation).await? else {
            break;
        };
        message.push(bytes);
    }
    if message.remaining() > length {
        return Err(ServeError::Unimplemented(
            "a unary call takes one message, got more".to_owned(),
        ));
    }
    match flag {
        0 => Ok(message),
        1 => {
            let message = Box::pin(inflate(work, headers, message)).await?;
            match message.remaining() as u64 > limit_bytes {
                true => Err(ServeError::TooLarge { limit_bytes }),
                false => Ok(message),
            }
        }
        _ => Err(ServeError::BadCompression(format!(
            "unknown compression flag {flag}"
        ))),
    }
}

/// Receives until the rope holds `wanted` bytes.
async fn fill(
    rope: &mut Rope,
    wanted: usize,
    body: &mut Receiver,
    reservation: &mut Reservation,
) -> Result<(), ServeError> {
    while rope.remaining() < wanted {
        let Some(bytes) = body.next(reservation).await? else {
            let reason = format!("{} of {wanted} announced bytes came", rope.remaining());
            return Err(ServeError::BodyBroken(reason));
        };
        rope.push(bytes);
    }
    Ok(())
}

async fn inflate(
    work: &mut Work<'_>,
    headers: &HeaderMap,
    message: Message,
) -> Result<Message, ServeError> {
    match headers
        .get("grpc-encoding")
        .map(http::HeaderValue::as_bytes)
    {
        Some(b"gzip") => {}
        Some(b"identity") | None => {
            return Err(ServeError::BadCompression(
                "the message is flagged but names no encoding".to_owned(),
            ));
        }
        Some(other) => {
            let encoding = String::from_utf8_lossy(other).into_owned();
            return Err(ServeError::Unimplemented(format!(
                "grpc-encoding {encoding}; this server inflates gzip"
            )));
        }
    }
    let inflated = body::inflate(work, message.into_bytes()).await?;
    Ok(Rope::from(inflated))
}
