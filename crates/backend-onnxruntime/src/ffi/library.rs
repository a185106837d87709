//! The shared library: opening it, its version, its errors and its log.

use std::ffi::{CStr, c_char, c_void};
use std::fmt;
use std::path::Path;
use std::ptr::{self, NonNull};

use ort_sys::{
    ORT_API_VERSION, OrtAllocatorType, OrtApi, OrtApiBase, OrtEnv, OrtErrorCode, OrtLoggingLevel,
    OrtMemType, OrtMemoryInfo, OrtStatusPtr,
};

use super::Error;

/// An open library with its environment. Never closed: its threads and exit handlers would outlive its code.
pub(crate) struct Library {
    api: &'static OrtApi,
    env: NonNull<OrtEnv>,
    /// Says of a tensor's memory that it is plain memory.
    memory_info: NonNull<OrtMemoryInfo>,
    version: String,
}

// SAFETY: the function table is immutable, and ONNX Runtime documents environment and memory descriptions as usable
// from any thread; nothing here is changed after `open`.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

/// Why a library cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenError {
    /// The system's loader refuses it.
    #[error("it cannot be opened: {0}")]
    Loader(String),
    /// It opens, but is something else.
    #[error("it is not ONNX Runtime: it has no OrtGetApiBase")]
    NotOnnxRuntime,
    /// It is older than the functions that are used.
    #[error("it is version {version}, and 1.{ORT_API_VERSION} or later is needed")]
    TooOld {
        /// The library's version.
        version: String,
    },
    /// It opens, but does not start.
    #[error("it does not start: {0}")]
    Start(String),
}

impl Library {
    /// Opens a library and starts its environment.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        // SAFETY: loading runs the library's initialisers. The path was given by the operator or is a file that was
        // checked against known hashes when it was installed.
        let library = unsafe { libloading::Library::new(path) }
            .map_err(|error| OpenError::Loader(error.to_string()))?;
        // SAFETY: this is the type that ONNX Runtime's C header declares for this name.
        let get_base = unsafe {
            library.get::<unsafe extern "system" fn() -> *const OrtApiBase>(b"OrtGetApiBase\0")
        };
        let get_base = get_base.map_err(|_| OpenError::NotOnnxRuntime)?;
        // SAFETY: it takes no arguments and returns a pointer to a static, or null.
        let base = unsafe { get_base().as_ref() }.ok_or(OpenError::NotOnnxRuntime)?;
        // SAFETY: it returns a static string that ends in a zero byte.
        let version = unsafe { CStr::from_ptr((base.GetVersionString)()) }
            .to_string_lossy()
            .into_owned();
        // Asked first, because an older library complains on the program's error output.
        if minor(&version) < Some(ORT_API_VERSION) {
            return Err(OpenError::TooOld { version });
        }
        // SAFETY: any number may be asked for; the table is static, and null if the library is older than it.
        let api = unsafe { (base.GetApi)(ORT_API_VERSION).as_ref() };
        let Some(api) = api else {
            return Err(OpenError::TooOld { version });
        };
        // From here on its code stays, so that `api` is valid for ever.
        std::mem::forget(library);
        Self::start(api, version).map_err(|error| OpenError::Start(error.message))
    }

    fn start(api: &'static OrtApi, version: String) -> Result<Self, Error> {
        let (mut env, mut memory_info) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the function matches the type that is asked for and lives as long as the program; the name is a
        // static string; `env` is written before it is read.
        let status = unsafe {
            (api.CreateEnvWithCustomLogger)(
                log,
                ptr::null_mut(),
                OrtLoggingLevel::ORT_LOGGING_LEVEL_WARNING,
                c"salver".as_ptr(),
                &raw mut env,
            )
        };
        check(api, status)?;
        let env = non_null(env)?;
        // SAFETY: the environment was just made.
        check(api, unsafe { (api.DisableTelemetryEvents)(env.as_ptr()) })?;
        let (allocator, memory) = (
            OrtAllocatorType::OrtDeviceAllocator,
            OrtMemType::OrtMemTypeDefault,
        );
        // SAFETY: `memory_info` is written before it is read.
        check(api, unsafe {
            (api.CreateCpuMemoryInfo)(allocator, memory, &raw mut memory_info)
        })?;
        Ok(Self {
            api,
            env,
            memory_info: non_null(memory_info)?,
            version,
        })
    }

    /// Returns the library's own version, such as `1.31.1`.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    pub(super) fn api(&self) -> &'static OrtApi {
        self.api
    }

    pub(super) fn env(&self) -> *const OrtEnv {
        self.env.as_ptr()
    }

    pub(super) fn memory_info(&self) -> *const OrtMemoryInfo {
        self.memory_info.as_ptr()
    }

    /// Turns a status into a result and releases it.
    pub(super) fn check(&self, status: OrtStatusPtr) -> Result<(), Error> {
        check(self.api, status)
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Returns the second number of a version: `1.31.1` is release 31.
fn minor(version: &str) -> Option<u32> {
    version.split('.').nth(1)?.parse().ok()
}

fn check(api: &OrtApi, status: OrtStatusPtr) -> Result<(), Error> {
    let Some(status) = NonNull::new(status.0) else {
        return Ok(());
    };
    // SAFETY: the status is not null, was returned by this library and is released exactly once, after its message,
    // which it owns, is copied.
    unsafe {
        let code = (api.GetErrorCode)(status.as_ptr());
        let message = CStr::from_ptr((api.GetErrorMessage)(status.as_ptr()))
            .to_string_lossy()
            .into_owned();
        (api.ReleaseStatus)(status.as_ptr());
        Err(Error { code, message })
    }
}

/// What a call gave that succeeded; null would be against the library's own contract.
pub(super) fn non_null<T>(pointer: *mut T) -> Result<NonNull<T>, Error> {
    let message = "ONNX Runtime returned nothing".to_owned();
    NonNull::new(pointer).ok_or(Error {
        code: OrtErrorCode::ORT_FAIL,
        message,
    })
}

/// Passes the library's messages on to the program's log.
unsafe extern "system" fn log(
    _param: *mut c_void,
    severity: OrtLoggingLevel,
    _category: *const c_char,
    _log_id: *const c_char,
    _location: *const c_char,
    message: *const c_char,
) {
    if message.is_null() {
        return;
    }
    // SAFETY: the library passes a string that ends in a zero byte and lives during the call.
    let message = unsafe { CStr::from_ptr(message) }.to_string_lossy();
    match severity {
        OrtLoggingLevel::ORT_LOGGING_LEVEL_ERROR | OrtLoggingLevel::ORT_LOGGING_LEVEL_FATAL => {
            tracing::warn!(target: "onnxruntime", "{message}");
        }
        _ => tracing::debug!(target: "onnxruntime", "{message}"),
    }
}
