//! The protobuf forms, by way of generated messages: they are small and rare.

use std::collections::BTreeMap;

use bytes::BytesMut;
use prost::Message;
use salver_proto::tensorflow::serving::model_spec::VersionChoice;
use salver_proto::tensorflow::serving::{
    GetModelMetadataResponse, GetModelStatusResponse, ModelSpec, ModelVersionStatus,
    SignatureDefMap, StatusProto,
};
use salver_proto::tensorflow::tensor_info::Encoding;
use salver_proto::tensorflow::tensor_shape_proto::Dim as DimProto;
use salver_proto::tensorflow::{SignatureDef, TensorInfo, TensorProto, TensorShapeProto};
use salver_tensor::{Dim, Tensor, TensorSpec};

use super::{SignatureView, VersionState};
use crate::tensor_proto::{TensorStyle, data_type, encode};

/// The only key of the metadata there is.
const SIGNATURE_DEF: &str = "signature_def";

/// What `google.protobuf.Any` says about a `SignatureDefMap` inside it.
const SIGNATURE_DEF_MAP_URL: &str = "type.googleapis.com/tensorflow.serving.SignatureDefMap";

/// Appends a `GetModelMetadataResponse`.
pub fn encode_metadata(
    name: &str,
    version: i64,
    signatures: &[SignatureView<'_>],
    out: &mut BytesMut,
) {
    let signature_def = signatures
        .iter()
        .map(|view| (view.name.to_owned(), signature(view)))
        .collect();
    let map = SignatureDefMap { signature_def };
    let any = prost_types::Any {
        type_url: SIGNATURE_DEF_MAP_URL.to_owned(),
        value: map.encode_to_vec(),
    };
    let response = GetModelMetadataResponse {
        model_spec: Some(ModelSpec {
            name: name.to_owned(),
            signature_name: String::new(),
            version_choice: Some(VersionChoice::Version(version)),
        }),
        metadata: BTreeMap::from([(SIGNATURE_DEF.to_owned(), any)]),
    };
    append(&response, out);
}

/// Appends a `GetModelStatusResponse`, versions in the order given (the newest first, by custom).
pub fn encode_status(versions: &[VersionState], out: &mut BytesMut) {
    let status = |version: &VersionState| ModelVersionStatus {
        version: version.version,
        state: version.state,
        status: Some(StatusProto {
            error_code: version.error_code,
            error_message: version.error_message.clone(),
        }),
    };
    append(
        &GetModelStatusResponse {
            model_version_status: versions.iter().map(status).collect(),
        },
        out,
    );
}

fn append(message: &impl Message, out: &mut BytesMut) {
    out.reserve(message.encoded_len());
    message.encode(out).expect("room was made for the message");
}

fn signature(view: &SignatureView<'_>) -> SignatureDef {
    SignatureDef {
        inputs: infos(view.inputs),
        outputs: infos(view.outputs),
        method_name: view.method_name.to_owned(),
        defaults: view
            .defaults
            .iter()
            .map(|(alias, tensor)| (alias.to_string(), tensor_proto(tensor)))
            .collect(),
    }
}

/// Returns a tensor as its message, with the list of its dtype.
pub(super) fn tensor_proto(tensor: &Tensor) -> TensorProto {
    let mut bytes = BytesMut::new();
    encode(tensor, TensorStyle::Fields, &mut bytes);
    TensorProto::decode(bytes).expect("what was encoded can be decoded")
}

fn infos(specs: &[TensorSpec]) -> BTreeMap<String, TensorInfo> {
    let info = |spec: &TensorSpec| TensorInfo {
        encoding: Some(Encoding::Name(spec.tensor_name.to_string())),
        dtype: data_type(spec.dtype),
        tensor_shape: Some(shape(spec)),
    };
    specs
        .iter()
        .map(|spec| (spec.name.to_string(), info(spec)))
        .collect()
}

fn shape(spec: &TensorSpec) -> TensorShapeProto {
    let dims = spec.dims.as_deref().unwrap_or_default();
    let dim = dims
        .iter()
        .map(|dim| DimProto {
            size: size(dim),
            name: String::new(),
        })
        .collect();
    TensorShapeProto {
        dim,
        unknown_rank: spec.dims.is_none(),
    }
}

/// Returns an extent as declarations have it: -1 where it is open.
pub(super) fn size(dim: &Dim) -> i64 {
    match dim {
        Dim::Fixed(extent) => i64::try_from(*extent).unwrap_or(i64::MAX),
        Dim::Dynamic(_) => -1,
    }
}
