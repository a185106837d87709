//! A signature as protobuf's text form, which messages show.

use std::fmt::Write as _;

use salver_tensor::TensorSpec;

use super::SignatureView;
use super::protobuf::size;
use crate::tensor_proto::data_type_name;

/// Returns a `SignatureDef` as protobuf prints one for people.
#[must_use]
pub fn debug_string(view: &SignatureView<'_>) -> String {
    let mut text = Text::default();
    for (field, specs) in [("inputs", view.inputs), ("outputs", view.outputs)] {
        let mut specs: Vec<&TensorSpec> = specs.iter().collect();
        specs.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        for spec in specs {
            text.message(field, |text| {
                text.string("key", &spec.name);
                text.message("value", |text| tensor_info(text, spec));
            });
        }
    }
    if !view.method_name.is_empty() {
        text.string("method_name", view.method_name);
    }
    text.out
}

fn tensor_info(text: &mut Text, spec: &TensorSpec) {
    text.string("name", &spec.tensor_name);
    text.line("dtype", data_type_name(spec.dtype));
    text.message("tensor_shape", |text| match &spec.dims {
        Some(dims) => {
            for dim in dims {
                text.message("dim", |text| text.line("size", &size(dim).to_string()));
            }
        }
        None => text.line("unknown_rank", "true"),
    });
}

/// Writes a line for each field, two spaces deeper inside messages.
#[derive(Default)]
struct Text {
    out: String,
    depth: usize,
}

impl Text {
    fn message(&mut self, field: &str, fields: impl FnOnce(&mut Self)) {
        self.indent();
        self.out.push_str(field);
        self.out.push_str(" {\n");
        self.depth += 1;
        fields(self);
        self.depth -= 1;
        self.indent();
        self.out.push_str("}\n");
    }

    fn line(&mut self, field: &str, value: &str) {
        self.indent();
        writeln!(self.out, "{field}: {value}").expect("a string takes everything");
    }

    fn string(&mut self, field: &str, value: &str) {
        let value = value.escape_default();
        self.line(field, &format!("\"{value}\""));
    }

    fn indent(&mut self) {
        self.out.extend(std::iter::repeat_n("  ", self.depth));
    }
}
