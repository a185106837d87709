//! A session: one loaded model, run by many threads at once.

use std::ffi::{CStr, CString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use ort_sys::{
    ExecutionMode, GraphOptimizationLevel, OrtErrorCode, OrtSession, OrtSessionOptions, OrtValue,
};

use super::library::non_null;
use super::{Error, Library, Value};

/// How a session is made.
#[derive(Debug)]
pub(crate) struct SessionOptions<'a> {
    /// The model file.
    pub(crate) model: &'a Path,
    /// The files of weights beside it: the name by which the model calls each, and what is in it.
    pub(crate) external: Vec<(String, Vec<u8>)>,
    /// How many threads one run may use, the caller's included.
    pub(crate) num_threads: usize,
    /// Whether threads without work wait busily while a run goes on. Fastest as long as there is one run at a time.
    pub(crate) is_spinning: bool,
    /// The names of the graph's inputs and outputs, in the order that runs use.
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
}

/// A loaded model.
#[derive(Debug)]
pub(crate) struct Session {
    library: Arc<Library>,
    session: NonNull<OrtSession>,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
}

// SAFETY: ONNX Runtime documents a session's `Run` as safe to call from many threads at once; it is the only call made
// after the session exists, and nothing else here changes.
unsafe impl Send for Session {}
// SAFETY: as above.
unsafe impl Sync for Session {}

impl Session {
    /// Loads a model. The weights are in the session's own memory afterwards; no file is in use any more.
    pub(crate) fn new(library: &Arc<Library>, options: &SessionOptions<'_>) -> Result<Self, Error> {
        let names = |names: &[String]| {
            names
                .iter()
                .map(|name| c_string(name))
                .collect::<Result<Vec<_>, _>>()
        };
        let (inputs, outputs) = (names(&options.inputs)?, names(&options.outputs)?);
        let path = path_string(options.model)?;
        let settings = Settings::new(library, options)?;
        let mut session = ptr::null_mut();
        // SAFETY: environment and settings are alive, the path is a string that ends in a zero byte, and `session` is
        // written before it is read.
        let status = unsafe {
            (library.api().CreateSession)(
                library.env(),
                path.as_ptr(),
                settings.0.as_ptr(),
                &raw mut session,
            )
        };
        library.check(status)?;
        Ok(Self {
            library: Arc::clone(library),
            session: non_null(session)?,
            inputs,
            outputs,
        })
    }

    pub(crate) fn library(&self) -> &Arc<Library> {
        &self.library
    }

    /// Runs the model on one value for each input; returns the outputs of these indices.
    ///
    /// The results may share memory with the inputs (where the graph passes one through) and with this session.
    pub(crate) fn run<'a>(
        self: &Arc<Self>,
        inputs: &[Value<'a>],
        outputs: &[usize],
    ) -> Result<Vec<Value<'a>>, Error> {
        let wrong_count = || Error {
            code: OrtErrorCode::ORT_INVALID_ARGUMENT,
            message: format!(
                "expected {} inputs, got {}",
                self.inputs.len(),
                inputs.len()
            ),
        };
        if inputs.len() != self.inputs.len()
            || outputs.iter().any(|&output| output >= self.outputs.len())
        {
            return Err(wrong_count());
        }
        let input_names: Vec<*const c_char> =
            self.inputs.iter().map(|name| name.as_ptr()).collect();
        let output_names: Vec<*const c_char> = outputs
            .iter()
            .map(|&output| self.outputs[output].as_ptr())
            .collect();
        let input_values: Vec<*const OrtValue> = inputs
            .iter()
            .map(|value| value.as_ptr().cast_const())
            .collect();
        let mut results: Vec<*mut OrtValue> = vec![ptr::null_mut(); outputs.len()];
        // SAFETY: all arrays have the lengths that are passed, their strings and values are alive during the call, and
        // ONNX Runtime does not write to inputs. `results` holds nulls, so that it allocates the outputs.
        let status = unsafe {
            (self.library.api().Run)(
                self.session.as_ptr(),
                ptr::null(),
                input_names.as_ptr(),
                input_values.as_ptr(),
                input_values.len(),
                output_names.as_ptr(),
                output_names.len(),
                results.as_mut_ptr(),
            )
        };
        // Taken over before the status is looked at, so that none is lost.
        let values: Vec<_> = results.into_iter().filter_map(NonNull::new).collect();
        let values: Vec<_> = values
            .into_iter()
            .map(|value| Value::from_run(self, value))
            .collect();
        self.library.check(status)?;
        if values.len() != outputs.len() {
            let message = "ONNX Runtime left an output out".to_owned();
            return Err(Error {
                code: OrtErrorCode::ORT_FAIL,
                message,
            });
        }
        Ok(values)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: made by this library and released once; runs and results hold the session, so none is left.
        unsafe { (self.library.api().ReleaseSession)(self.session.as_ptr()) }
    }
}

/// A session's settings while it is made.
struct Settings<'a>(NonNull<OrtSessionOptions>, &'a Library);

impl<'a> Settings<'a> {
    fn new(library: &'a Library, options: &SessionOptions<'_>) -> Result<Self, Error> {
        let (api, mut pointer) = (library.api(), ptr::null_mut());
        // SAFETY: `pointer` is written before it is read.
        library.check(unsafe { (api.CreateSessionOptions)(&raw mut pointer) })?;
        let settings = Self(non_null(pointer)?, library);
        let pointer = settings.0.as_ptr();
        let num_threads = c_int::try_from(options.num_threads).unwrap_or(c_int::MAX);
        // SAFETY: the options were just made and are alive; the values are plain numbers and enums.
        unsafe {
            library.check((api.SetSessionGraphOptimizationLevel)(
                pointer,
                GraphOptimizationLevel::ORT_ENABLE_ALL,
            ))?;
            library.check((api.SetSessionExecutionMode)(
                pointer,
                ExecutionMode::ORT_SEQUENTIAL,
            ))?;
            library.check((api.SetInterOpNumThreads)(pointer, 1))?;
            library.check((api.SetIntraOpNumThreads)(pointer, num_threads))?;
            // A pattern would be kept for every shape that ever came, and saves nothing that can be measured.
            library.check((api.DisableMemPattern)(pointer))?;
        }
        for (key, value) in if options.is_spinning {
            SPINNING
        } else {
            SLEEPING
        } {
            // SAFETY: the strings are static and end in a zero byte; the library copies them.
            library.check(unsafe {
                (api.AddSessionConfigEntry)(pointer, key.as_ptr(), value.as_ptr())
            })?;
        }
        settings.add_external(options)?;
        Ok(settings)
    }

    /// Hands weights over that lie beside the model. ONNX Runtime would map the files and read them later, and a file
    /// that is overwritten in place would end the process.
    fn add_external(&self, options: &SessionOptions<'_>) -> Result<(), Error> {
        if options.external.is_empty() {
            return Ok(());
        }
        let names = options
            .external
            .iter()
            .map(|(name, _)| c_string(name))
            .collect::<Result<Vec<_>, _>>()?;
        let names: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        let buffers: Vec<*mut c_char> = options
            .external
            .iter()
            .map(|(_, bytes)| bytes.as_ptr().cast_mut().cast())
            .collect();
        let lengths: Vec<usize> = options
            .external
            .iter()
            .map(|(_, bytes)| bytes.len())
            .collect();
        // SAFETY: three arrays of the length that is passed. Names are copied; the buffers are only read, and stay
        // until the session, which copies out of them, is made: they belong to `options`.
        let status = unsafe {
            (self.1.api().AddExternalInitializersFromMemory)(
                self.0.as_ptr(),
                names.as_ptr(),
                buffers.as_ptr(),
                lengths.as_ptr(),
                names.len(),
            )
        };
        self.1.check(status)
    }
}

impl Drop for Settings<'_> {
    fn drop(&mut self) {
        // SAFETY: made by this library and released once; sessions keep a copy.
        unsafe { (self.1.api().ReleaseSessionOptions)(self.0.as_ptr()) }
    }
}

type Entry = (&'static CStr, &'static CStr);

/// Threads wait busily during a run, and sleep as soon as none goes on.
const SPINNING: [Entry; 2] = [
    (c"session.intra_op.allow_spinning", c"1"),
    (c"session.force_spinning_stop", c"1"),
];

/// Threads that wait for work sleep at once.
const SLEEPING: [Entry; 2] = [
    (c"session.intra_op.allow_spinning", c"0"),
    (c"session.force_spinning_stop", c"0"),
];

/// The system's own bytes of a path, which need not be UTF-8.
fn path_string(path: &Path) -> Result<CString, Error> {
    let message = "the path has a zero byte in it".to_owned();
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Error {
        code: OrtErrorCode::ORT_NO_SUCHFILE,
        message,
    })
}

fn c_string(text: &str) -> Result<CString, Error> {
    let message = format!("`{}` has a zero byte in it", text.escape_debug());
    CString::new(text).map_err(|_| Error {
        code: OrtErrorCode::ORT_INVALID_ARGUMENT,
        message,
    })
}
