//! A store in memory that fails when it is told to.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// A store in memory, in front of which something may be out of order.
#[derive(Debug)]
pub(super) struct Shaky {
    pub(super) inner: InMemory,
    lists: AtomicBool,
    num_gets: AtomicUsize,
}

impl Default for Shaky {
    fn default() -> Self {
        Self {
            inner: InMemory::new(),
            lists: AtomicBool::new(true),
            num_gets: AtomicUsize::new(usize::MAX),
        }
    }
}

impl Shaky {
    pub(super) fn set_lists(&self, lists: bool) {
        self.lists.store(lists, Ordering::Relaxed);
    }

    /// Lets so many downloads succeed from now on.
    pub(super) fn set_num_gets(&self, num_gets: usize) {
        self.num_gets.store(num_gets, Ordering::Relaxed);
    }
}

fn out_of_order() -> Error {
    Error::Generic {
        store: "shaky",
        source: "out of order".into(),
    }
}

impl fmt::Display for Shaky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("shaky")
    }
}

#[async_trait]
impl ObjectStore for Shaky {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let take = |left: usize| left.checked_sub(1);
        match self
            .num_gets
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        {
            Ok(_) => self.inner.get_opts(location, options).await,
            Err(_) => Err(out_of_order()),
        }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.lists.load(Ordering::Relaxed) {
            true => self.inner.list(prefix),
            // Part of a listing is none.
            false => self
                .inner
                .list(prefix)
                .take(1)
                .chain(stream::once(async { Err(out_of_order()) }))
                .boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
