//! Lists folders of web servers by the pages on which they show what is in them: nginx, Apache, Caddy, Python.
//!
//! For servers that do not speak WebDAV. A page tells names only, so every file costs a request for its size and date.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::uri::is_file_name;
use crate::{Options, StoreError};

/// The longest page that is read, in bytes.
const MAX_PAGE_BYTES: usize = 4 << 20;

/// The most folders and files of one listing: each is a request.
const MAX_ENTRIES: usize = 5_000;

/// The deepest folder that is looked into.
const MAX_DEPTH: usize = 18;

/// How many files are asked for at once.
const NUM_REQUESTS: usize = 8;

/// What cannot stand in the path of an address as it is.
const RESERVED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'%');

/// The folders of a web server.
#[derive(Debug)]
pub(crate) struct WebIndex {
    client: reqwest::Client,
    /// Scheme and host.
    base: String,
    /// Whether the server lists by pages, and not by WebDAV; unknown until one of them has worked.
    is_used: OnceLock<bool>,
}

/// What a page says is in a folder.
#[derive(Debug, Default, PartialEq, Eq)]
struct Entries {
    files: BTreeSet<String>,
    dirs: BTreeSet<String>,
}

impl WebIndex {
    pub(crate) fn new(client: reqwest::Client, base: &str) -> Self {
        Self {
            client,
            base: base.to_owned(),
            is_used: OnceLock::new(),
        }
    }

    /// Tells whether the server lists by pages, if that is known.
    pub(crate) fn is_used(&self) -> Option<bool> {
        self.is_used.get().copied()
    }

    /// Takes note of how the server was listed; the first time counts.
    pub(crate) fn set_used(&self, is_used: bool) {
        self.is_used.get_or_init(|| is_used);
    }

    /// Lists what is below a path; `store` knows sizes and dates.
    pub(crate) async fn list(
        &self,
        path: &Path,
        store: &dyn ObjectStore,
        options: &Options,
    ) -> Result<Vec<ObjectMeta>, StoreError> {
        let mut files = Vec::new();
        let mut dirs = vec![(path.clone(), 0)];
        let mut num_entries = 0;
        while let Some((dir, depth)) = dirs.pop() {
            let entries = self.entries(&dir, options).await?;
            num_entries += entries.files.len() + entries.dirs.len();
            if num_entries > MAX_ENTRIES || depth > MAX_DEPTH {
                return Err(StoreError::TooMany { max: MAX_ENTRIES });
            }
            let below = |name: &String| Path::parse(format!("{dir}/{name}")).ok();
            files.extend(entries.files.iter().filter_map(below));
            dirs.extend(
                entries
                    .dirs
                    .iter()
                    .filter_map(below)
                    .map(|dir| (dir, depth + 1)),
            );
        }
        self.set_used(true);
        let heads: Vec<_> = files.iter().map(|file| store.head(file).boxed()).collect();
        stream::iter(heads)
            .buffered(NUM_REQUESTS)
            .map_err(|error| StoreError::of_store(&error, options))
            .try_collect()
            .await
    }

    async fn entries(&self, dir: &Path, options: &Options) -> Result<Entries, StoreError> {
        let path = match dir.is_root() {
            true => "/".to_owned(),
            false => format!("/{}/", utf8_percent_encode(dir.as_ref(), RESERVED)),
        };
        let unavailable = |error: reqwest::Error| StoreError::unavailable(&error, options);
        let sent = self.client.get(format!("{}{path}", self.base)).send().await;
        let mut answer = sent.map_err(unavailable)?;
        let kind = answer.headers().get("content-type");
        let is_page = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        let reason = match answer.status().as_u16() {
            200 if is_page => None,
            200 => Some("it lists folders neither by WebDAV nor on a page".to_owned()),
            status => Some(format!("the server answers with status {status}")),
        };
        match (reason, answer.status().as_u16()) {
            (None, _) => {}
            (Some(reason), 401 | 403) => return Err(StoreError::Denied { reason }),
            (Some(reason), 404 | 410) => return Err(StoreError::NotFound { reason }),
            (Some(reason), _) => return Err(StoreError::Unavailable { reason }),
        }
        let mut page = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unavailable)? {
            if page.len() + chunk.len() > MAX_PAGE_BYTES {
                return Err(StoreError::TooMany { max: MAX_ENTRIES });
            }
            page.extend_from_slice(&chunk);
        }
        Ok(read_page(&String::from_utf8_lossy(&page), &path))
    }
}

/// Reads the links of a page that lead to what is in the folder at `path` itself.
fn read_page(page: &str, path: &str) -> Entries {
    let mut entries = Entries::default();
    for link in links(page) {
        let link = link.replace("&amp;", "&");
        let link = link.strip_prefix(path).unwrap_or(&link);
        let link = link.strip_prefix("./").unwrap_or(link);
        if link.contains(['?', '#', ':']) {
            continue;
        }
        let decoded = percent_decode_str(link).decode_utf8_lossy();
        match decoded.strip_suffix('/') {
            Some(name) if is_file_name(name) => entries.dirs.insert(name.to_owned()),
            None if is_file_name(&decoded) => entries.files.insert(decoded.into_owned()),
            _ => continue,
        };
    }
    entries
}

/// Returns where the links of a page lead.
fn links(page: &str) -> impl Iterator<Item = &str> {
    let mut rest = page;
    std::iter::from_fn(move || {
        let lower = |text: &str| text.eq_ignore_ascii_case("href=");
        let at = rest
            .match_indices('=')
            .map(|(at, _)| at + 1)
            .find(|&at| at >= 5 && rest.get(at - 5..at).is_some_and(lower))?;
        rest = &rest[at..];
        let quote = rest
            .chars()
            .next()
            .filter(|quote| matches!(quote, '"' | '\''));
        let (link, after) = match quote {
            Some(quote) => rest[1..].split_once(quote)?,
            None => rest.split_once(['>', ' '])?,
        };
        rest = after;
        Some(link)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(page: &str, files: &[&str], dirs: &[&str]) {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let expected = Entries {
            files: set(files),
            dirs: set(dirs),
        };
        assert_eq!(read_page(page, "/m/"), expected, "{page}");
    }

    #[test]
    fn pages_of_common_servers_are_read() {
        // nginx, Apache, Python, Caddy, IIS.
        check(
            r#"<h1>Index of /m/</h1><pre><a href="../">../</a> <a href="1/">1/</a> <a href="a%20b.onnx">a b</a></pre>"#,
            &["a b.onnx"],
            &["1"],
        );
        check(
            r#"<th><a href="?C=N;O=D">Name</a></th><td><a href="/">Parent Directory</a></td><a href="model.toml">m</a>"#,
            &["model.toml"],
            &[],
        );
        check(
            "<li><a HREF='1/'>1/</a></li>\n<li><a href=w>w</a></li>",
            &["w"],
            &["1"],
        );
        check(
            r#"<a href="./00000123/"><svg href="x:y"/></a>"#,
            &[],
            &["00000123"],
        );
        check(
            r#"<A HREF="/m/2/">2</A><A HREF="/other/3/">3</A>"#,
            &[],
            &["2"],
        );
        check(r#"<a href="b&amp;c">b</a>"#, &["b&c"], &[]);
    }

    #[test]
    fn links_that_lead_elsewhere_are_left_out() {
        for link in [
            "https://h/x",
            "//h/x",
            "../x",
            "a/b",
            "%2e%2e/",
            "a%2fb",
            "#top",
            "x?y",
            "",
            "/",
        ] {
            check(&format!("<a href=\"{link}\">"), &[], &[]);
        }
        check("<a href=\"unclosed", &[], &[]);
    }

    proptest! {
        #[test]
        fn any_page_is_read(page in r#"[a-z=<>"' /é%.hrefHREF]{0,60}"#) {
            read_page(&page, "/m/");
        }
    }
}
