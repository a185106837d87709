//! A store that is connected to: lists what is below a base path, and opens objects.

mod gcs_emulator;
mod web_index;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt};
use salver_repository::flat_model;

use crate::listing::{self, Listing, ONLY_MODEL, Object, RemoteModel};
use crate::{BaseKind, Options, StoreError};

pub(crate) use gcs_emulator::GcsEmulator;
pub(crate) use web_index::WebIndex;

/// The most objects below one base path: each takes some 300 bytes while a listing is read.
const MAX_OBJECTS: usize = 50_000;

/// A base path in a store.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    store: Arc<dyn ObjectStore>,
    lister: Lister,
    /// Whether listings show ETags without the quotes that requests have to have.
    has_bare_etags: bool,
    path: Path,
    /// What tells the store's buckets from others of the same name.
    place: String,
    options: Options,
}

/// Who lists what is in a store.
#[derive(Clone, Debug)]
pub(crate) enum Lister {
    /// The store itself.
    Store,
    /// An emulator, which has another way of listing than what it stands for.
    GcsEmulator(GcsEmulator),
    /// A web server: itself if it speaks WebDAV, else the pages on which it shows its folders.
    Web(Arc<WebIndex>),
}

impl Remote {
    pub(crate) fn new(
        store: Arc<dyn ObjectStore>,
        path: Path,
        place: String,
        options: Options,
    ) -> Self {
        Self {
            store,
            lister: Lister::Store,
            has_bare_etags: false,
            path,
            place,
            options,
        }
    }

    /// Lists by other means than the store's own.
    pub(crate) fn with_lister(self, lister: Lister) -> Self {
        Self { lister, ..self }
    }

    /// Puts quotes around ETags.
    pub(crate) fn with_bare_etags(self, has_bare_etags: bool) -> Self {
        Self {
            has_bare_etags,
            ..self
        }
    }

    /// Returns what tells the store's objects from those of other stores.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Lists what is below the base path; `known` tells whether that was one model before.
    pub(crate) async fn list(
        &self,
        kind: BaseKind,
        known: Option<bool>,
    ) -> Result<Listing, StoreError> {
        let file_name = self.path.filename().unwrap_or_default();
        match flat_model(file_name) {
            Some(_) => self.list_flat(file_name).await,
            None => {
                let skipped = self.path.as_ref().len();
                let objects = self.list_below().await?.into_iter();
                let objects = objects.filter_map(|meta| named(meta, skipped));
                Ok(listing::read(objects.collect(), kind, known))
            }
        }
    }

    /// Lists every object below the base path.
    async fn list_below(&self) -> Result<Vec<ObjectMeta>, StoreError> {
        let by_page = async |index: &WebIndex| {
            let store = self.store.as_ref();
            index.list(&self.path, store, &self.options).await
        };
        match &self.lister {
            Lister::Store => self.list_store().await,
            Lister::GcsEmulator(emulator) => emulator.list(&self.path, false, &self.options).await,
            Lister::Web(index) => match index.is_used() {
                Some(true) => by_page(index).await,
                Some(false) => self.list_store().await,
                None => match self.list_store().await {
                    Ok(objects) if !objects.is_empty() => {
                        index.set_used(false);
                        Ok(objects)
                    }
                    // A server without WebDAV may know nothing of the path in such a request.
                    Ok(nothing) => match by_page(index).await {
                        Err(StoreError::NotFound { .. }) => Ok(nothing),
                        listed => listed,
                    },
                    Err(_) => by_page(index).await,
                },
            },
        }
    }

    async fn list_store(&self) -> Result<Vec<ObjectMeta>, StoreError> {
        let path = Some(&self.path).filter(|path| !path.is_root());
        let objects = self.store.list(path);
        let objects = objects.map_err(|error| StoreError::of_store(&error, &self.options));
        let collect = async |mut objects: Vec<ObjectMeta>, meta| {
            if objects.len() == MAX_OBJECTS {
                return Err(StoreError::TooMany { max: MAX_OBJECTS });
            }
            objects.push(meta);
            Ok(objects)
        };
        objects.try_fold(Vec::new(), collect).await
    }

    /// Lists the objects in a folder, but not below it; that of the base path is among them if it is there.
    async fn list_beside(&self, dir: &Path) -> Result<Vec<ObjectMeta>, StoreError> {
        let path = Some(dir).filter(|dir| !dir.is_root());
        match &self.lister {
            Lister::GcsEmulator(emulator) => return emulator.list(dir, true, &self.options).await,
            Lister::Web(index) if index.is_used() == Some(true) => {}
            Lister::Store | Lister::Web(_) => match self.store.list_with_delimiter(path).await {
                Ok(found) if found.objects.iter().any(|meta| meta.location == self.path) => {
                    return Ok(found.objects);
                }
                Ok(_) | Err(_) => {}
            },
        }
        // A server that lists nothing may have the file all the same.
        match self.store.head(&self.path).await {
            Ok(found) => Ok(vec![found]),
            Err(object_store::Error::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(StoreError::of_store(&error, &self.options)),
        }
    }

    /// Looks for a file that is a model, and for those beside it that its weights may be in.
    async fn list_flat(&self, file_name: &str) -> Result<Listing, StoreError> {
        let mut parts: Vec<_> = self.path.parts().collect();
        parts.pop();
        let dir: Path = parts.into_iter().collect();
        let objects: Vec<(String, Object)> = self
            .list_beside(&dir)
            .await?
            .into_iter()
            .filter_map(|meta| named(meta, dir.as_ref().len()))
            .filter(|(name, _)| name.starts_with(file_name))
            .collect();
        let mut model = RemoteModel::default();
        if objects.iter().any(|(name, _)| name == file_name) {
            let siblings = objects.iter().map(|(name, object)| (&**name, object));
            let version = listing::read_flat(file_name, siblings);
            model.versions.insert(1, version);
        }
        Ok(Listing {
            is_model: Some(true),
            models: [(ONLY_MODEL.to_owned(), model)].into(),
        })
    }

    /// Opens an object as it was listed; its content comes in pieces.
    pub(crate) async fn open(
        &self,
        object: &Object,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        let etag = object.etag.as_deref();
        let options = GetOptions {
            if_match: etag.map(|etag| match self.has_bare_etags {
                true => format!("\"{}\"", etag.trim_matches('"')),
                false => etag.to_owned(),
            }),
            ..GetOptions::default()
        };
        let opened = self.store.get_opts(&object.location, options).await;
        let opened = opened.map_err(|error| StoreError::of_store(&error, &self.options))?;
        let options = self.options.clone();
        let chunks = opened.into_stream();
        Ok(chunks
            .map_err(move |error| StoreError::of_store(&error, &options))
            .boxed())
    }
}

/// Returns an object under what its name has behind the first `skipped` bytes.
fn named(meta: ObjectMeta, skipped: usize) -> Option<(String, Object)> {
    let name = meta.location.as_ref().get(skipped..)?;
    let name = name.strip_prefix('/').unwrap_or(name).to_owned();
    let modified = meta.last_modified.timestamp_nanos_opt().unwrap_or_default();
    let since_epoch = Duration::from_nanos(u64::try_from(modified).unwrap_or_default());
    let stamp = match (&meta.e_tag, &meta.version) {
        (Some(etag), _) => etag.clone(),
        (None, Some(version)) => version.clone(),
        (None, None) => format!("{modified}"),
    };
    let object = Object {
        num_bytes: meta.size,
        stamp,
        // A weak one promises nothing about bytes, and servers answer it with a refusal.
        etag: meta.e_tag.filter(|etag| !etag.starts_with("W/")),
        modified: SystemTime::UNIX_EPOCH + since_epoch,
        location: meta.location,
    };
    (!name.is_empty()).then_some((name, object))
}
