//! A session: one loaded model, run by many threads at once.

use std::ffi::{CStr, CString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;

use salver_backend::ErrorCode;

use super::Library;
use super::api::{TF_Buffer, TF_Graph, TF_Output, TF_Session, TF_SessionOptions};
use super::status::{Error, Status};

/// Operators that keep a variable in memory that later runs write to.
const REFERENCE_VARIABLES: [&[u8]; 3] = [b"Variable", b"VariableV2", b"TemporaryVariable"];

/// The distance of `tensorflow.DataType`'s references from what they refer to.
const REFERENCE: c_int = 100;

/// How a session is made.
#[derive(Debug)]
pub(crate) struct LoadOptions<'a> {
    /// The folder of `saved_model.pb`.
    pub(crate) dir: &'a Path,
    /// The tags of the graph to load.
    pub(crate) tags: &'a [String],
    /// An encoded `tensorflow.ConfigProto`.
    pub(crate) config: &'a [u8],
    /// Whether the `MetaGraphDef` is wanted, which has the whole graph in it.
    pub(crate) wants_meta_graph: bool,
}

/// A loaded model: graph and variables.
#[derive(Debug)]
pub(crate) struct Session {
    session: NonNull<TF_Session>,
    graph: Graph,
    has_reference_variables: bool,
}

// SAFETY: TensorFlow documents sessions and graphs as usable from many threads at once; both guard themselves by locks.
unsafe impl Send for Session {}
// SAFETY: as above.
unsafe impl Sync for Session {}

impl Session {
    /// Loads a model, its variables, tables and assets, and runs what initialises them. Returns the encoded
    /// `MetaGraphDef`, too, if it is wanted.
    pub(crate) fn load(
        library: &Arc<Library>,
        options: &LoadOptions<'_>,
    ) -> Result<(Self, Option<OwnedBuffer>), Error> {
        let dir = c_string(options.dir.as_os_str().as_bytes())?;
        let tags = options
            .tags
            .iter()
            .map(|tag| c_string(tag.as_bytes()))
            .collect::<Result<Vec<_>, _>>()?;
        let tags: Vec<*const c_char> = tags.iter().map(|tag| tag.as_ptr()).collect();
        let settings = Settings::new(library, options.config)?;
        let graph = Graph::new(library)?;
        let meta_graph = match options.wants_meta_graph {
            true => Some(OwnedBuffer::new(library)?),
            false => None,
        };
        let meta_graph_ptr = meta_graph
            .as_ref()
            .map_or(ptr::null_mut(), |meta_graph| meta_graph.buffer.as_ptr());
        let status = Status::new(library)?;
        // SAFETY: settings, graph and status are alive, and so is the buffer if there is one; the graph is empty; path and
        // tags are strings that end in a zero byte, and there are as many tags as is said.
        let session = unsafe {
            (library.api().TF_LoadSessionFromSavedModel)(
                settings.0.as_ptr(),
                ptr::null(),
                dir.as_ptr(),
                tags.as_ptr(),
                count(tags.len())?,
                graph.as_ptr(),
                meta_graph_ptr,
                status.as_ptr(),
            )
        };
        status.check()?;
        let session = Self {
            session: NonNull::new(session).ok_or_else(Error::no_output)?,
            has_reference_variables: graph.has_reference_variables(),
            graph,
        };
        Ok((session, meta_graph))
    }

    pub(super) fn as_ptr(&self) -> *mut TF_Session {
        self.session.as_ptr()
    }

    pub(super) fn library(&self) -> &Arc<Library> {
        &self.graph.library
    }

    /// Tells whether results may lie in memory that other runs write to.
    pub(super) fn has_reference_variables(&self) -> bool {
        self.has_reference_variables
    }

    /// Returns the number of a tensor's dtype in `tensorflow.DataType`; `None` if the graph has no tensor of this name.
    pub(crate) fn data_type(&self, name: &str) -> Option<c_int> {
        let (operation, index) = parse_name(name);
        let output = self.output(&c_string(operation.as_bytes()).ok()?, index)?;
        // SAFETY: the operation is the graph's, which is alive, and has such an output.
        let data_type = unsafe { (self.library().api().TF_OperationOutputType)(output) };
        // Variables of old graphs are references to what they hold.
        Some(match data_type > REFERENCE {
            true => data_type - REFERENCE,
            false => data_type,
        })
    }

    /// Returns an output of an operation, which is valid as long as this session; `None` if the graph has none.
    pub(super) fn output(&self, operation: &CStr, index: c_int) -> Option<TF_Output> {
        let api = self.library().api();
        // SAFETY: the graph is alive, and the name ends in a zero byte.
        let oper =
            unsafe { (api.TF_GraphOperationByName)(self.graph.as_ptr(), operation.as_ptr()) };
        let oper = NonNull::new(oper)?.as_ptr();
        // SAFETY: the operation is the graph's, which is alive.
        let num_outputs = unsafe { (api.TF_OperationNumOutputs)(oper) };
        (0..num_outputs)
            .contains(&index)
            .then_some(TF_Output { oper, index })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let library = Arc::clone(self.library());
        let Ok(status) = Status::new(&library) else {
            return;
        };
        // SAFETY: made by this library and released once; runs hold the session, so that none is left. The graph, which
        // a session needs until it is gone, is dropped after this. What the status says changes nothing.
        unsafe {
            (library.api().TF_CloseSession)(self.as_ptr(), status.as_ptr());
            (library.api().TF_DeleteSession)(self.as_ptr(), status.as_ptr());
        }
    }
}

/// A graph.
#[derive(Debug)]
struct Graph {
    graph: NonNull<TF_Graph>,
    library: Arc<Library>,
}

impl Graph {
    fn new(library: &Arc<Library>) -> Result<Self, Error> {
        // SAFETY: it takes nothing and makes an object that is released in `drop`.
        let graph = unsafe { (library.api().TF_NewGraph)() };
        Ok(Self {
            graph: NonNull::new(graph).ok_or_else(Error::no_output)?,
            library: Arc::clone(library),
        })
    }

    fn as_ptr(&self) -> *mut TF_Graph {
        self.graph.as_ptr()
    }

    fn has_reference_variables(&self) -> bool {
        let (api, mut position) = (self.library.api(), 0);
        loop {
            // SAFETY: the graph is alive, and the position is 0 or what the library made of it.
            let operation =
                unsafe { (api.TF_GraphNextOperation)(self.as_ptr(), &raw mut position) };
            let Some(operation) = NonNull::new(operation) else {
                return false;
            };
            // SAFETY: the operation is the graph's; its type is a string that ends in a zero byte and lives as long.
            let kind = unsafe { CStr::from_ptr((api.TF_OperationOpType)(operation.as_ptr())) };
            if REFERENCE_VARIABLES.contains(&kind.to_bytes()) {
                return true;
            }
        }
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: made by this library and released once; no session uses it any more.
        unsafe { (self.library.api().TF_DeleteGraph)(self.as_ptr()) }
    }
}

/// A session's settings while it is made.
struct Settings<'a>(NonNull<TF_SessionOptions>, &'a Library);

impl<'a> Settings<'a> {
    fn new(library: &'a Library, config: &[u8]) -> Result<Self, Error> {
        let api = library.api();
        // SAFETY: it takes nothing and makes an object that is released in `drop`.
        let pointer = unsafe { (api.TF_NewSessionOptions)() };
        let settings = Self(NonNull::new(pointer).ok_or_else(Error::no_output)?, library);
        let status = Status::new(library)?;
        // SAFETY: settings and status are alive; the configuration has the length that is passed, and is copied.
        unsafe {
            (api.TF_SetConfig)(
                settings.0.as_ptr(),
                config.as_ptr().cast(),
                config.len(),
                status.as_ptr(),
            );
        }
        status.check()?;
        Ok(settings)
    }
}

impl Drop for Settings<'_> {
    fn drop(&mut self) {
        // SAFETY: made by this library and released once; sessions keep a copy.
        unsafe { (self.1.api().TF_DeleteSessionOptions)(self.0.as_ptr()) }
    }
}

/// Bytes that the library writes.
#[derive(Debug)]
pub(crate) struct OwnedBuffer {
    buffer: NonNull<TF_Buffer>,
    library: Arc<Library>,
}

impl OwnedBuffer {
    fn new(library: &Arc<Library>) -> Result<Self, Error> {
        // SAFETY: it takes nothing and makes an object that is released in `drop`.
        let buffer = unsafe { (library.api().TF_NewBuffer)() };
        Ok(Self {
            buffer: NonNull::new(buffer).ok_or_else(Error::no_output)?,
            library: Arc::clone(library),
        })
    }

    /// Returns what was written.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the buffer is alive, and nobody changes it any more.
        let buffer = unsafe { self.buffer.as_ref() };
        if buffer.data.is_null() {
            return &[];
        }
        // SAFETY: the library says that so many bytes are there, which belong to the buffer.
        unsafe { slice::from_raw_parts(buffer.data.cast(), buffer.length) }
    }
}

impl Drop for OwnedBuffer {
    fn drop(&mut self) {
        // SAFETY: made by this library and released once.
        unsafe { (self.library.api().TF_DeleteBuffer)(self.buffer.as_ptr()) }
    }
}

pub(super) fn c_string(bytes: &[u8]) -> Result<CString, Error> {
    CString::new(bytes).map_err(|_| Error {
        code: ErrorCode::InvalidArgument,
        message: format!(
            "`{}` has a zero byte in it",
            String::from_utf8_lossy(bytes).escape_debug()
        ),
    })
}

/// Returns a length as C takes it.
pub(super) fn count(len: usize) -> Result<c_int, Error> {
    c_int::try_from(len).map_err(|_| Error {
        code: ErrorCode::InvalidArgument,
        message: format!("{len} are too many"),
    })
}

/// Reads a tensor's name: `dense/BiasAdd:0` is the first output of `dense/BiasAdd`, and so is the name alone.
pub(super) fn parse_name(name: &str) -> (&str, c_int) {
    let parts = name
        .rsplit_once(':')
        .and_then(|(operation, index)| Some((operation, index.parse().ok()?)));
    parts.unwrap_or((name, 0))
}

#[cfg(test)]
mod tests {
    use super::parse_name;

    #[test]
    fn names_of_tensors_are_taken_apart() {
        let rows = [
            ("x:0", ("x", 0)),
            ("a/b:12", ("a/b", 12)),
            ("x", ("x", 0)),
            ("x:y", ("x:y", 0)),
            ("x:99999999999", ("x:99999999999", 0)),
            ("", ("", 0)),
        ];
        for (name, expected) in rows {
            assert_eq!(parse_name(name), expected, "{name}");
        }
    }
}
