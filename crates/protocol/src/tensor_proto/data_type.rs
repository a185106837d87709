//! TensorFlow's numbers and words for element types.

use salver_tensor::DType;

/// One row for each dtype: its number in `tensorflow.DataType`, its name there, and the word of messages.
const TABLE: [(DType, i32, &str, &str); 16] = [
    (DType::F32, 1, "DT_FLOAT", "float"),
    (DType::F64, 2, "DT_DOUBLE", "double"),
    (DType::I32, 3, "DT_INT32", "int32"),
    (DType::U8, 4, "DT_UINT8", "uint8"),
    (DType::I16, 5, "DT_INT16", "int16"),
    (DType::I8, 6, "DT_INT8", "int8"),
    (DType::String, 7, "DT_STRING", "string"),
    (DType::Complex64, 8, "DT_COMPLEX64", "complex64"),
    (DType::I64, 9, "DT_INT64", "int64"),
    (DType::Bool, 10, "DT_BOOL", "bool"),
    (DType::BF16, 14, "DT_BFLOAT16", "bfloat16"),
    (DType::U16, 17, "DT_UINT16", "uint16"),
    (DType::Complex128, 18, "DT_COMPLEX128", "complex128"),
    (DType::F16, 19, "DT_HALF", "half"),
    (DType::U32, 22, "DT_UINT32", "uint32"),
    (DType::U64, 23, "DT_UINT64", "uint64"),
];

fn row(dtype: DType) -> (i32, &'static str, &'static str) {
    let row = TABLE
        .iter()
        .find(|row| row.0 == dtype)
        .expect("the table has a row for each dtype");
    (row.1, row.2, row.3)
}

/// Returns a dtype's number in `tensorflow.DataType`.
#[must_use]
pub fn data_type(dtype: DType) -> i32 {
    row(dtype).0
}

/// Returns a dtype's name in `tensorflow.DataType`: `DT_FLOAT`.
#[must_use]
pub fn data_type_name(dtype: DType) -> &'static str {
    row(dtype).1
}

/// Returns TensorFlow's word for a dtype, as its messages have it: `float`, `int64`, `string`.
#[must_use]
pub fn dtype_word(dtype: DType) -> &'static str {
    row(dtype).2
}

/// Returns the dtype of a number in `tensorflow.DataType`, or `None` for those that are not served: quantized,
/// 8-bit and smaller floats, 4-bit and smaller integers, resources and variants.
#[must_use]
pub fn dtype_of(data_type: i32) -> Option<DType> {
    TABLE.iter().find(|row| row.1 == data_type).map(|row| row.0)
}

#[cfg(test)]
mod tests {
    use salver_proto::tensorflow::DataType;

    use super::*;

    #[test]
    fn the_table_agrees_with_the_proto_file() {
        for dtype in DType::ALL {
            let number = data_type(dtype);
            let known = DataType::try_from(number).expect("in the proto file");
            assert_eq!(known.as_str_name(), data_type_name(dtype));
            assert_eq!(
                data_type_name(dtype),
                format!("DT_{}", dtype_word(dtype).to_uppercase())
            );
            assert_eq!(dtype_of(number), Some(dtype));
        }
        assert_eq!(dtype_of(0), None);
        assert_eq!(dtype_of(20), None);
        assert_eq!(dtype_of(-1), None);
        assert_eq!(dtype_of(101), None);
    }
}
