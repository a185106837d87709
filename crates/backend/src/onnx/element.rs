//! ONNX's element types.

use std::fmt;

use salver_tensor::DType;

/// An element type by its number in the file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElementType(pub i32);

/// Numbers, names and dtypes. Types without a dtype exist in files but not in requests.
const TYPES: [(i32, &str, Option<DType>); 25] = [
    (1, "float", Some(DType::F32)),
    (2, "uint8", Some(DType::U8)),
    (3, "int8", Some(DType::I8)),
    (4, "uint16", Some(DType::U16)),
    (5, "int16", Some(DType::I16)),
    (6, "int32", Some(DType::I32)),
    (7, "int64", Some(DType::I64)),
    (8, "string", Some(DType::String)),
    (9, "bool", Some(DType::Bool)),
    (10, "float16", Some(DType::F16)),
    (11, "double", Some(DType::F64)),
    (12, "uint32", Some(DType::U32)),
    (13, "uint64", Some(DType::U64)),
    (14, "complex64", Some(DType::Complex64)),
    (15, "complex128", Some(DType::Complex128)),
    (16, "bfloat16", Some(DType::BF16)),
    (17, "float8e4m3fn", None),
    (18, "float8e4m3fnuz", None),
    (19, "float8e5m2", None),
    (20, "float8e5m2fnuz", None),
    (21, "uint4", None),
    (22, "int4", None),
    (23, "float4e2m1", None),
    (24, "float8e8m0", None),
    (25, "uint2", None),
];

impl ElementType {
    /// Returns the element type of a dtype; every dtype has one.
    #[must_use]
    pub fn of(dtype: DType) -> Self {
        let known = TYPES.iter().find(|(_, _, known)| *known == Some(dtype));
        Self(known.map_or(0, |&(number, _, _)| number))
    }

    /// Returns the dtype, or `None` if requests have no form for it.
    #[must_use]
    pub fn dtype(self) -> Option<DType> {
        self.entry().and_then(|(_, _, dtype)| *dtype)
    }

    fn entry(self) -> Option<&'static (i32, &'static str, Option<DType>)> {
        TYPES.iter().find(|&&(number, _, _)| number == self.0)
    }
}

/// Writes ONNX's own name: `float`, `int64`.
impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry() {
            Some((_, name, _)) => f.write_str(name),
            None => write!(f, "element type {}", self.0),
        }
    }
}
