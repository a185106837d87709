//! What browsers ask before a script of another site may use an answer.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ORIGIN,
};
use http::{HeaderMap, HeaderValue};

use crate::status::ServeError;

/// Answers a browser's question whether it may ask: the origin has to be a site, wherever its address stands.
pub(super) fn preflight(headers: &HeaderMap) -> Result<(), ServeError> {
    let origin = headers
        .get(ORIGIN)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    let is_site = |scheme: &[u8]| origin.windows(scheme.len()).any(|part| part == scheme);
    if is_site(b"http://") || is_site(b"https://") {
        return Ok(());
    }
    Err(ServeError::MalformedRequest(
        "OPTIONS without an http or https Origin".to_owned(),
    ))
}

/// Lets scripts of every site use an answer.
pub(super) fn allow(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("POST, GET"),
    );
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Content-Type"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sites_may_ask() {
        let rows = [
            (None, false),
            (Some("http://example.org"), true),
            (Some("https://example.org:8080"), true),
            (Some("null"), false),
            (Some("file://x"), false),
            (Some("http"), false),
        ];
        for (origin, is_allowed) in rows {
            let mut headers = HeaderMap::new();
            if let Some(origin) = origin {
                headers.insert(ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(preflight(&headers).is_ok(), is_allowed, "{origin:?}");
        }
    }
}
