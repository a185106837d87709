//! The JSON forms.

use salver_proto::tensorflow::error::Code;
use salver_proto::tensorflow::serving::model_version_status::State;
use salver_tensor::TensorSpec;

use super::protobuf::size;
use super::{SignatureView, VersionState};
use crate::tensor_proto::data_type_name;

/// Returns a model's signatures as `GET /v1/models/NAME/metadata` answers.
#[must_use]
pub fn metadata_json(name: &str, version: i64, signatures: &[SignatureView<'_>]) -> String {
    let mut json = Pretty::default();
    json.object(None, |json| {
        json.object(Some("model_spec"), |json| {
            json.string("name", name);
            json.string("signature_name", "");
            json.string("version", &version.to_string());
        });
        // The metadata's key and the map's own field happen to have one name.
        json.object(Some("metadata"), |json| {
            json.object(Some("signature_def"), |json| {
                json.object(Some("signature_def"), |json| {
                    signatures.iter().for_each(|view| signature(json, view));
                });
            });
        });
    });
    json.finish()
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
        json.object(Some("defaults"), |_| {});
    });
}

fn tensor_info(json: &mut Pretty, spec: &TensorSpec) {
    json.object(Some(&spec.name), |json| {
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
        json.string("name", &spec.tensor_name);
    });
}

/// Writes JSON with one member to a line, one space deeper for each level.
#[derive(Debug, Default)]
struct Pretty {
    text: String,
    depth: usize,
    /// Whether the current object or array has a member already.
    has_members: bool,
}

impl Pretty {
    fn object(&mut self, key: Option<&str>, members: impl FnOnce(&mut Self)) {
        self.nested(key, ['{', '}'], members);
    }

    fn array(&mut self, key: &str, elements: impl FnOnce(&mut Self)) {
        self.nested(Some(key), ['[', ']'], elements);
    }

    fn nested(
        &mut self,
        key: Option<&str>,
        [open, close]: [char; 2],
        members: impl FnOnce(&mut Self),
    ) {
        self.member(key);
        self.text.push(open);
        self.depth += 1;
        self.has_members = false;
        members(self);
        self.depth -= 1;
        if self.has_members {
            self.new_line();
        }
        self.text.push(close);
        self.has_members = true;
    }

    fn string(&mut self, key: &str, value: &str) {
        self.member(Some(key));
        self.quoted(value);
    }

    /// Writes an enum's value: its name, or its number where it has none.
    fn enumerator(&mut self, key: &str, name: Option<&str>, number: i32) {
        match name {
            Some(name) => self.string(key, name),
            None => self.raw(key, &number.to_string()),
        }
    }

    fn raw(&mut self, key: &str, value: &str) {
        self.member(Some(key));
        self.text.push_str(value);
    }

    /// Begins a member: comma, line, key.
    fn member(&mut self, key: Option<&str>) {
        if self.has_members {
            self.text.push(',');
        }
        if self.depth > 0 {
            self.new_line();
        }
        if let Some(key) = key {
            self.quoted(key);
            self.text.push_str(": ");
        }
        self.has_members = true;
    }

    fn new_line(&mut self) {
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n(' ', self.depth));
    }

    fn quoted(&mut self, value: &str) {
        self.text.push('"');
        for character in value.chars() {
            match character {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                control if u32::from(control) < 0x20 || control == '\u{7f}' => {
                    self.text
                        .push_str(&format!("\\u{:04x}", u32::from(control)));
                }
                other => self.text.push(other),
            }
        }
        self.text.push('"');
    }

    fn finish(mut self) -> String {
        self.text.push('\n');
        self.text
    }
}
