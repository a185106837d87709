//! The functions of TensorFlow's C API that are used, looked up once.

use std::ffi::{c_char, c_int, c_void};

use super::library::OpenError;

/// Declares a type that only the library knows the inside of.
macro_rules! opaque {
    ($($name:ident)*) => {
        $(
            #[repr(C)]
            #[derive(Debug)]
            pub(super) struct $name {
                _private: [u8; 0],
            }
        )*
    };
}

opaque!(TF_Status TF_SessionOptions TF_Graph TF_Session TF_Operation TF_Tensor);

/// Bytes that are handed over, either way.
#[repr(C)]
#[derive(Debug)]
pub(super) struct TF_Buffer {
    pub(super) data: *const c_void,
    pub(super) length: usize,
    pub(super) data_deallocator: Option<unsafe extern "C" fn(*mut c_void, usize)>,
}

/// One output of an operation.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct TF_Output {
    pub(super) oper: *mut TF_Operation,
    pub(super) index: c_int,
}

/// Called when a tensor's memory is not needed any more.
pub(super) type Deallocator = unsafe extern "C" fn(*mut c_void, usize, *mut c_void);

/// Declares the table of functions and how it is filled.
macro_rules! functions {
    ($($name:ident($($argument:ty),* $(,)?) $(-> $result:ty)?;)*) => {
        /// The functions, by the names they have in C.
        #[allow(non_snake_case, reason = "the names are C's")]
        #[derive(Clone, Copy, Debug)]
        pub(super) struct Api {
            $(pub(super) $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Api {
            /// Looks every function up in an open library and in those that it needs.
            pub(super) fn look_up(library: &libloading::os::unix::Library) -> Result<Self, OpenError> {
                Ok(Self {
                    $($name: {
                        // SAFETY: the type is the one that TensorFlow's C header declares for this name; symbols of C
                        // carry none. The library is never closed, so that the pointer stays valid.
                        let symbol = unsafe {
                            library.get::<unsafe extern "C" fn($($argument),*) $(-> $result)?>(
                                concat!(stringify!($name), "\0").as_bytes(),
                            )
                        };
                        *symbol.map_err(|_| OpenError::MissingFunction(stringify!($name)))?
                    },)*
                })
            }
        }
    };
}

functions! {
    TF_Version() -> *const c_char;

    TF_NewStatus() -> *mut TF_Status;
    TF_DeleteStatus(*mut TF_Status);
    TF_GetCode(*const TF_Status) -> c_int;
    TF_Message(*const TF_Status) -> *const c_char;

    TF_NewBuffer() -> *mut TF_Buffer;
    TF_DeleteBuffer(*mut TF_Buffer);

    TF_NewSessionOptions() -> *mut TF_SessionOptions;
    TF_SetConfig(*mut TF_SessionOptions, *const c_void, usize, *mut TF_Status);
    TF_DeleteSessionOptions(*mut TF_SessionOptions);

    TF_NewGraph() -> *mut TF_Graph;
    TF_DeleteGraph(*mut TF_Graph);
    TF_GraphOperationByName(*mut TF_Graph, *const c_char) -> *mut TF_Operation;
    TF_GraphNextOperation(*mut TF_Graph, *mut usize) -> *mut TF_Operation;
    TF_OperationOpType(*mut TF_Operation) -> *const c_char;
    TF_OperationNumOutputs(*mut TF_Operation) -> c_int;
    TF_OperationOutputType(TF_Output) -> c_int;

    TF_LoadSessionFromSavedModel(
        *const TF_SessionOptions,
        *const TF_Buffer,
        *const c_char,
        *const *const c_char,
        c_int,
        *mut TF_Graph,
        *mut TF_Buffer,
        *mut TF_Status,
    ) -> *mut TF_Session;
    TF_CloseSession(*mut TF_Session, *mut TF_Status);
    TF_DeleteSession(*mut TF_Session, *mut TF_Status);
    TF_SessionRun(
        *mut TF_Session,
        *const TF_Buffer,
        *const TF_Output,
        *const *mut TF_Tensor,
        c_int,
        *const TF_Output,
        *mut *mut TF_Tensor,
        c_int,
        *const *const TF_Operation,
        c_int,
        *mut TF_Buffer,
        *mut TF_Status,
    );

    TF_NewTensor(c_int, *const i64, c_int, *mut c_void, usize, Deallocator, *mut c_void) -> *mut TF_Tensor;
    TF_DeleteTensor(*mut TF_Tensor);
    TF_TensorType(*const TF_Tensor) -> c_int;
    TF_NumDims(*const TF_Tensor) -> c_int;
    TF_Dim(*const TF_Tensor, c_int) -> i64;
    TF_TensorByteSize(*const TF_Tensor) -> usize;
    TF_TensorData(*const TF_Tensor) -> *mut c_void;
}
