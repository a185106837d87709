//! Lists buckets of Google's emulators: they speak the JSON API, of the XML API that the real store is listed by they
//! know downloads only.

use object_store::ObjectMeta;
use object_store::path::Path;
use serde::Deserialize;

use crate::{Options, StoreError};

/// The longest answer that is read, in bytes: emulators do not split listings.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// The most pages of one listing: more objects than that are refused anyway.
const MAX_PAGES: usize = 100;

/// A bucket of an emulator.
#[derive(Clone, Debug)]
pub(crate) struct GcsEmulator {
    client: reqwest::Client,
    /// Where the bucket's objects are listed.
    url: String,
}

#[derive(Debug, Default, Deserialize)]
struct Page {
    #[serde(default)]
    items: Vec<Item>,
    #[serde(rename = "nextPageToken")]
    next_page_token: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Item {
    name: String,
    size: String,
    updated: String,
    #[serde(default)]
    etag: String,
    #[serde(default)]
    generation: String,
}

impl GcsEmulator {
    /// `base` is scheme and host.
    pub(crate) fn new(client: reqwest::Client, base: &str, bucket: &str) -> Self {
        let url = format!("{base}/storage/v1/b/{}/o", encoded(bucket));
        Self { client, url }
    }

    /// Lists what is below a path; with `is_flat`, not what lies in folders there.
    pub(crate) async fn list(
        &self,
        path: &Path,
        is_flat: bool,
        options: &Options,
    ) -> Result<Vec<ObjectMeta>, StoreError> {
        let prefix = match path.is_root() {
            true => String::new(),
            false => format!("{path}/"),
        };
        let delimiter = if is_flat { "&delimiter=%2F" } else { "" };
        let mut objects = Vec::new();
        let mut token = String::new();
        for _ in 0..MAX_PAGES {
            let url = format!("{}?prefix={}{delimiter}{token}", self.url, encoded(&prefix));
            let page = self.page(&url, options).await?;
            objects.extend(page.items.iter().filter_map(meta));
            match page.next_page_token {
                Some(next) => token = format!("&pageToken={}", encoded(&next)),
                None => break,
            }
        }
        Ok(objects)
    }

    async fn page(&self, url: &str, options: &Options) -> Result<Page, StoreError> {
        let unavailable = |error: &dyn std::error::Error| StoreError::unavailable(error, options);
        let sent = self.client.get(url).send().await;
        let mut answer = sent.map_err(|error| unavailable(&error))?;
        match answer.status().as_u16() {
            200 => {}
            404 => {
                return Err(StoreError::NotFound {
                    reason: "there is no such bucket".to_owned(),
                });
            }
            status => {
                return Err(StoreError::Unavailable {
                    reason: format!("the emulator answered with status {status}"),
                });
            }
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| unavailable(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(StoreError::Unavailable {
                    reason: format!("its listing is longer than {MAX_ANSWER_BYTES} bytes"),
                });
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|error| unavailable(&error))
    }
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Returns an object; `None` for what a real store would not have.
fn meta(item: &Item) -> Option<ObjectMeta> {
    Some(ObjectMeta {
        location: Path::parse(&item.name).ok()?,
        last_modified: item.updated.parse().ok()?,
        size: item.size.parse().ok()?,
        // It is not sent with the object, so nothing can be asked to match it.
        e_tag: None,
        version: Some(format!("{} {}", item.generation, item.etag)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read() {
        let text = r#"{"kind": "storage#objects", "items": [
            {"name": "m/1/a b", "size": "12", "updated": "2026-01-31T09:30:00.123456Z", "etag": "e", "generation": "7"},
            {"name": "m/../x", "size": "1", "updated": "2026-01-31T09:30:00Z"}], "nextPageToken": "t"}"#;
        let page: Page = serde_json::from_str(text).unwrap();
        assert_eq!(page.next_page_token.as_deref(), Some("t"));
        let objects: Vec<ObjectMeta> = page.items.iter().filter_map(meta).collect();
        assert_eq!(objects.len(), 1);
        assert_eq!(
            (objects[0].location.as_ref(), objects[0].size),
            ("m/1/a b", 12)
        );
        assert_eq!(objects[0].version.as_deref(), Some("7 e"));
        assert_eq!(objects[0].last_modified.timestamp(), 1_769_851_800);
    }
}
