//! A `TensorProto` in protobuf's JSON form, every list of it written out.

use std::fmt::Display;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use salver_tensor::Tensor;

use super::pretty::Pretty;
use super::protobuf::tensor_proto;
use crate::json::{double_text, single_text};
use crate::tensor_proto::data_type_name;

/// Writes a tensor as the member `key`.
pub(super) fn write(json: &mut Pretty, key: &str, tensor: &Tensor) {
    let proto = tensor_proto(tensor);
    json.object(Some(key), |json| {
        json.string("dtype", data_type_name(tensor.dtype()));
        json.object(Some("tensor_shape"), |json| {
            json.array("dim", |json| {
                for extent in tensor.shape().iter() {
                    json.object(None, |json| {
                        json.string("size", &extent.to_string());
                        json.string("name", "");
                    });
                }
            });
            json.raw("unknown_rank", "false");
        });
        json.raw("version_number", &proto.version_number.to_string());
        json.string("tensor_content", &STANDARD.encode(&proto.tensor_content));
        list(json, "float_val", &proto.float_val, |&value| {
            float(single_text(value))
        });
        list(json, "double_val", &proto.double_val, |&value| {
            float(double_text(value))
        });
        list(json, "int_val", &proto.int_val, plain);
        list(json, "string_val", &proto.string_val, |value| {
            quoted(&STANDARD.encode(value))
        });
        list(json, "scomplex_val", &proto.scomplex_val, |&value| {
            float(single_text(value))
        });
        list(json, "int64_val", &proto.int64_val, quoted);
        list(json, "bool_val", &proto.bool_val, plain);
        list(json, "dcomplex_val", &proto.dcomplex_val, |&value| {
            float(double_text(value))
        });
        list(json, "half_val", &proto.half_val, plain);
        json.array("resource_handle_val", |_| {});
        json.array("variant_val", |_| {});
        list(json, "uint32_val", &proto.uint32_val, plain);
        list(json, "uint64_val", &proto.uint64_val, quoted);
        json.string("float8_val", "");
    });
}

fn list<T>(json: &mut Pretty, key: &str, values: &[T], text: impl Fn(&T) -> String) {
    json.array(key, |json| {
        values.iter().for_each(|value| json.element(&text(value)));
    });
}

fn plain<T: Display>(value: &T) -> String {
    value.to_string()
}

fn quoted<T: Display>(value: &T) -> String {
    format!("\"{value}\"")
}

/// Whole numbers have no point here, and what is no number is a string.
fn float(text: String) -> String {
    match text.strip_suffix(".0") {
        Some(whole) => whole.to_owned(),
        None if text.ends_with(|last: char| last.is_ascii_digit()) => text,
        None => quoted(&text),
    }
}
