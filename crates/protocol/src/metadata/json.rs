//! The JSON forms.

use salver_proto::tensorflow::error::Code;
use salver_proto::tensorflow::serving::model_version_status::State;
use salver_tensor::TensorSpec;

use super::pretty::Pretty;
use super::protobuf::size;
use super::{SignatureView, VersionState, tensor_json};
use crate::tensor_proto::data_type_name;

/// Returns a model's signatures as `GET /v1/models/NAME/metadata` answers: two documents of protobuf's own form, put
/// together by hand.
#[must_use]
pub fn metadata_json(name: &str, version: i64, signatures: &[SignatureView<'_>]) -> String {
    let mut spec = Pretty::default();
    spec.object(None, |json| {
        json.string("name", name);
        json.string("version", &version.to_string());
        json.string("signature_name", "");
    });
    let mut map = Pretty::default();
    map.object(None, |json| {
        json.object(Some("signature_def"), |json| {
            signatures.iter().for_each(|view| signature(json, view));
        });
    });
    // The metadata's key and the map's own field happen to have one name.
    format!(
        "{{\n\"model_spec\":{},\n\"metadata\": {{\"signature_def\": {}}}\n}}\n",
        spec.finish(),
        map.finish()
    )
}

/// Returns the states of a model's versions as `GET /v1/models/NAME` answers.
#[must_use]
pub fn status_json(versions: &[VersionState]) -> String {
    let mut json = Pretty::default();
    json.object(None, |json| {
        json.array("model_version_status", |json| {
            for version in versions {
                json.object(None, |json| {
                    json.string("version", &version.version.to_string());
                    let state = State::try_from(version.state).ok();
                    json.enumerator(
                        "state",
                        state.as_ref().map(State::as_str_name),
                        version.state,
                    );
                    json.object(Some("status"), |json| {
                        let code = Code::try_from(version.error_code).ok();
                        json.enumerator(
                            "error_code",
                            code.as_ref().map(Code::as_str_name),
                            version.error_code,
                        );
                        json.string("error_message", &version.error_message);
                    });
                });
            }
        });
    });
    json.finish()
}

fn signature(json: &mut Pretty, view: &SignatureView<'_>) {
    json.object(Some(view.name), |json| {
        json.object(Some("inputs"), |json| {
            view.inputs.iter().for_each(|spec| tensor_info(json, spec))
        });
        json.object(Some("outputs"), |json| {
            view.outputs.iter().for_each(|spec| tensor_info(json, spec))
        });
        json.string("method_name", view.method_name);
        json.object(Some("defaults"), |json| {
            for (alias, tensor) in view.defaults {
                tensor_json::write(json, alias, tensor);
            }
        });
    });
}

fn tensor_info(json: &mut Pretty, spec: &TensorSpec) {
    json.object(Some(&spec.name), |json| {
        json.string("name", &spec.tensor_name);
        json.string("dtype", data_type_name(spec.dtype));
        json.object(Some("tensor_shape"), |json| {
            json.array("dim", |json| {
                for dim in spec.dims.as_deref().unwrap_or_default() {
                    json.object(None, |json| {
                        json.string("size", &size(dim).to_string());
                        json.string("name", "");
                    });
                }
            });
            json.raw(
                "unknown_rank",
                if spec.dims.is_none() { "true" } else { "false" },
            );
        });
    });
}
