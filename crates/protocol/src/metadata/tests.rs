use bytes::BytesMut;
use prost::Message;
use salver_proto::tensorflow::serving as proto;
use salver_tensor::{DType, Dim};

use super::*;

fn specs() -> (Vec<TensorSpec>, Vec<TensorSpec>) {
    let mut x = TensorSpec::new(
        "x",
        DType::F32,
        Some(vec![Dim::Dynamic(Some("batch".into())), Dim::Fixed(1)]),
    );
    x.tensor_name = "x:0".into();
    (
        vec![x],
        vec![TensorSpec::new("y \"quoted\"", DType::String, None)],
    )
}

const METADATA: &str = r#"{
"model_spec":{
 "name": "default",
 "version": "123",
 "signature_name": ""
}
,
"metadata": {"signature_def": {
 "signature_def": {
  "serving_default": {
   "inputs": {
    "x": {
     "name": "x:0",
     "dtype": "DT_FLOAT",
     "tensor_shape": {
      "dim": [
       {
        "size": "-1",
        "name": ""
       },
       {
        "size": "1",
        "name": ""
       }
      ],
      "unknown_rank": false
     }
    }
   },
   "outputs": {
    "y \"quoted\"": {
     "name": "y \"quoted\"",
     "dtype": "DT_STRING",
     "tensor_shape": {
      "dim": [],
      "unknown_rank": true
     }
    }
   },
   "method_name": "tensorflow/serving/predict",
   "defaults": {}
  }
 }
}
}
}
"#;

#[test]
fn metadata_as_json() {
    let (inputs, outputs) = specs();
    let view = SignatureView {
        name: "serving_default",
        method_name: "tensorflow/serving/predict",
        inputs: &inputs,
        outputs: &outputs,
        defaults: &BTreeMap::new(),
    };
    assert_eq!(metadata_json("default", 123, &[view]), METADATA);
}

#[test]
fn metadata_as_protobuf() {
    let (inputs, outputs) = specs();
    let view = SignatureView {
        name: "s",
        method_name: "m",
        inputs: &inputs,
        outputs: &outputs,
        defaults: &BTreeMap::new(),
    };
    let mut bytes = BytesMut::new();
    encode_metadata("default", 123, &[view], &mut bytes);
    let response = proto::GetModelMetadataResponse::decode(bytes).expect("legal");
    let spec = response.model_spec.expect("set");
    assert_eq!(spec.name, "default");
    assert_eq!(
        spec.version_choice,
        Some(proto::model_spec::VersionChoice::Version(123))
    );
    let any = &response.metadata["signature_def"];
    assert_eq!(
        any.type_url,
        "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    );
    let map = proto::SignatureDefMap::decode(&any.value[..]).expect("legal");
    let signature = &map.signature_def["s"];
    assert_eq!(signature.method_name, "m");
    let shape = signature.inputs["x"].tensor_shape.as_ref().expect("set");
    assert_eq!(
        shape.dim.iter().map(|dim| dim.size).collect::<Vec<_>>(),
        [-1, 1]
    );
    assert!(!shape.unknown_rank);
    assert!(
        signature.outputs["y \"quoted\""]
            .tensor_shape
            .as_ref()
            .expect("set")
            .unknown_rank
    );
}

fn states() -> Vec<VersionState> {
    let failed = "line 1\nline \"2\"\u{1}\\".to_owned();
    vec![
        VersionState {
            version: i64::MAX,
            state: 30,
            error_code: 0,
            error_message: String::new(),
        },
        VersionState {
            version: 1,
            state: 50,
            error_code: 13,
            error_message: failed,
        },
        VersionState {
            version: 0,
            state: 7,
            error_code: 99,
            error_message: String::new(),
        },
    ]
}

const STATUS: &str = r#"{
 "model_version_status": [
  {
   "version": "9223372036854775807",
   "state": "AVAILABLE",
   "status": {
    "error_code": "OK",
    "error_message": ""
   }
  },
  {
   "version": "1",
   "state": "END",
   "status": {
    "error_code": "INTERNAL",
    "error_message": "line 1\nline \"2\"\u0001\\"
   }
  },
  {
   "version": "0",
   "state": 7,
   "status": {
    "error_code": 99,
    "error_message": ""
   }
  }
 ]
}
"#;

#[test]
fn status_as_json() {
    assert_eq!(status_json(&states()), STATUS);
    assert_eq!(status_json(&[]), "{\n \"model_version_status\": []\n}\n");
    serde_json::from_str::<serde_json::Value>(STATUS).expect("strict JSON");
}

#[test]
fn status_as_protobuf() {
    let mut bytes = BytesMut::new();
    encode_status(&states(), &mut bytes);
    let response = proto::GetModelStatusResponse::decode(bytes).expect("legal");
    let version = &response.model_version_status[1];
    assert_eq!((version.version, version.state), (1, 50));
    let status = version.status.as_ref().expect("set");
    assert_eq!(
        (status.error_code, status.error_message.as_str()),
        (13, "line 1\nline \"2\"\u{1}\\")
    );
}

#[test]
fn defaults_are_told() {
    let (inputs, outputs) = specs();
    let floats = Tensor::from_vec([3], vec![1.0_f32, 0.5, f32::NAN]).expect("three");
    let longs = Tensor::from_vec([], vec![7_i64]).expect("one");
    let text = Tensor::from_strings([1], vec!["a".into()]).expect("one");
    let defaults = [("f", floats), ("l", longs), ("t", text)];
    let defaults = defaults
        .into_iter()
        .map(|(alias, tensor)| (alias.into(), tensor))
        .collect();
    let view = SignatureView {
        name: "s",
        method_name: "m",
        inputs: &inputs,
        outputs: &outputs,
        defaults: &defaults,
    };
    let json = metadata_json("default", 1, &[view]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("strict JSON");
    let told = &json["metadata"]["signature_def"]["signature_def"]["s"]["defaults"];
    assert_eq!(told["f"]["dtype"], "DT_FLOAT");
    assert_eq!(told["f"]["tensor_shape"]["dim"][0]["size"], "3");
    assert_eq!(told["f"]["float_val"], serde_json::json!([1, 0.5, "NaN"]));
    assert_eq!(told["l"]["int64_val"], serde_json::json!(["7"]));
    assert_eq!(told["t"]["string_val"], serde_json::json!(["YQ=="]));
    assert_eq!(told["t"]["float_val"], serde_json::json!([]));

    let mut bytes = BytesMut::new();
    encode_metadata("default", 1, &[view], &mut bytes);
    let response = proto::GetModelMetadataResponse::decode(bytes).expect("legal");
    let map = &response.metadata["signature_def"].value;
    let map = proto::SignatureDefMap::decode(&map[..]).expect("legal");
    assert_eq!(map.signature_def["s"].defaults["l"].int64_val, [7]);
}
