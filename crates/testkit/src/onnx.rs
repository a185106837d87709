//! Writes ONNX files: just enough of the format for tiny models.
//!
//! ```
//! use salver_tensor::DType;
//! use salver_testkit::onnx::Graph;
//!
//! let bytes = Graph::new()
//!     .input("x", DType::F32, &["batch", "3"])
//!     .node("Relu", &["x"], &["y"])
//!     .output("y", DType::F32, &["batch", "3"])
//!     .to_bytes();
//! assert!(salver_backend::onnx::parse(&bytes[..], "model.onnx").is_ok());
//! ```

use salver_backend::onnx::ElementType;
use salver_tensor::{DType, Tensor};
use salver_wire::Writer;

type Out = Writer<Vec<u8>>;

/// The version of the file format that is written.
const IR_VERSION: u64 = 8;

/// The version of ONNX's operators that models are written against, unless they say otherwise.
const OPSET: u64 = 16;

/// An attribute of a node.
#[derive(Clone, Debug)]
pub enum Attribute {
    /// An integer.
    Int(i64),
    /// A float.
    Float(f32),
    /// Integers.
    Ints(Vec<i64>),
    /// A tensor.
    Tensor(Tensor),
    /// A subgraph.
    Graph(Graph),
}

/// A graph, and the model around it.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The fields of the `GraphProto`, in the order of the calls.
    fields: Vec<u8>,
    /// The fields of the `ModelProto` that come after the graph.
    model_fields: Vec<u8>,
}

impl Graph {
    /// Returns an empty graph.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an input. An extent that is a number is fixed, any other text names a dynamic one, empty text leaves it
    /// unnamed.
    #[must_use]
    pub fn input(self, name: &str, dtype: DType, dims: &[&str]) -> Self {
        self.value(11, name, dtype, Some(dims))
    }

    /// Adds an input of any rank.
    #[must_use]
    pub fn input_of_any_rank(self, name: &str, dtype: DType) -> Self {
        self.value(11, name, dtype, None)
    }

    /// Adds an output, with extents as in [`Graph::input`].
    #[must_use]
    pub fn output(self, name: &str, dtype: DType, dims: &[&str]) -> Self {
        self.value(12, name, dtype, Some(dims))
    }

    /// Adds an output of any rank.
    #[must_use]
    pub fn output_of_any_rank(self, name: &str, dtype: DType) -> Self {
        self.value(12, name, dtype, None)
    }

    /// Adds an output that is a sequence of tensors.
    #[must_use]
    pub fn sequence_output(mut self, name: &str, dtype: DType) -> Self {
        self.add(12, |info| {
            info.bytes_field(1, name.as_bytes());
            info.nested(2, |kind| {
                kind.nested(4, |sequence| {
                    sequence.nested(1, |inner| tensor_type(inner, dtype, None));
                });
            });
        });
        self
    }

    /// Adds a weight.
    #[must_use]
    pub fn weight(mut self, name: &str, value: &Tensor) -> Self {
        self.add(5, |tensor| write_tensor(tensor, name, value));
        self
    }

    /// Adds a weight whose bytes are in a file beside the model, from `offset` on.
    #[must_use]
    pub fn external_weight(
        mut self,
        name: &str,
        value: &Tensor,
        location: &str,
        offset: u64,
    ) -> Self {
        self.add(5, |tensor| {
            write_tensor_head(tensor, name, value);
            let length = value.as_bytes().map_or(0, bytes::Bytes::len).to_string();
            for (key, value) in [
                ("location", location),
                ("offset", &offset.to_string()),
                ("length", &length),
            ] {
                tensor.nested(13, |entry| {
                    entry.bytes_field(1, key.as_bytes());
                    entry.bytes_field(2, value.as_bytes());
                });
            }
            tensor.varint_field(14, 1);
        });
        self
    }

    /// Adds a node without attributes.
    #[must_use]
    pub fn node(self, operator: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        self.node_with(operator, inputs, outputs, &[])
    }

    /// Adds a node.
    #[must_use]
    pub fn node_with(
        self,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> Self {
        self.node_of("", operator, inputs, outputs, attributes)
    }

    /// Adds a node of another domain than ONNX's own.
    #[must_use]
    pub fn node_of(
        mut self,
        domain: &str,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> Self {
        self.add(1, |node| {
            inputs
                .iter()
                .for_each(|input| node.bytes_field(1, input.as_bytes()));
            outputs
                .iter()
                .for_each(|output| node.bytes_field(2, output.as_bytes()));
            node.bytes_field(4, operator.as_bytes());
            for (name, value) in attributes {
                node.nested(5, |attribute| write_attribute(attribute, name, value));
            }
            if !domain.is_empty() {
                node.bytes_field(7, domain.as_bytes());
            }
        });
        self
    }

    /// Adds the import of another operator set.
    #[must_use]
    pub fn opset(mut self, domain: &str, version: u64) -> Self {
        let mut model = Writer::new(std::mem::take(&mut self.model_fields));
        model.nested(8, |opset| {
            opset.bytes_field(1, domain.as_bytes());
            opset.varint_field(2, version);
        });
        self.model_fields = model.into_inner();
        self
    }

    /// Adds a property.
    #[must_use]
    pub fn property(mut self, key: &str, value: &str) -> Self {
        let mut model = Writer::new(std::mem::take(&mut self.model_fields));
        model.nested(14, |entry| {
            entry.bytes_field(1, key.as_bytes());
            entry.bytes_field(2, value.as_bytes());
        });
        self.model_fields = model.into_inner();
        self
    }

    /// Returns the file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut model = Writer::new(Vec::new());
        model.varint_field(1, IR_VERSION);
        model.bytes_field(2, b"salver-testkit");
        model.nested(7, |graph| self.write(graph));
        model.nested(8, |opset| opset.varint_field(2, OPSET));
        model.raw(&self.model_fields);
        model.into_inner()
    }

    fn write(&self, graph: &mut Out) {
        graph.raw(&self.fields);
        graph.bytes_field(2, b"test");
    }

    fn value(mut self, field: u32, name: &str, dtype: DType, dims: Option<&[&str]>) -> Self {
        self.add(field, |info| {
            info.bytes_field(1, name.as_bytes());
            info.nested(2, |kind| tensor_type(kind, dtype, dims));
        });
        self
    }

    fn add(&mut self, field: u32, write: impl FnOnce(&mut Out)) {
        let mut graph = Writer::new(std::mem::take(&mut self.fields));
        graph.nested(field, write);
        self.fields = graph.into_inner();
    }
}

/// Writes the fields of a `TypeProto`.
fn tensor_type(kind: &mut Out, dtype: DType, dims: Option<&[&str]>) {
    kind.nested(1, |tensor| {
        tensor.varint_field(1, number(dtype));
        let Some(dims) = dims else { return };
        tensor.nested(2, |shape| {
            for dim in dims {
                shape.nested(1, |extent| match dim.parse::<u64>() {
                    Ok(fixed) => extent.varint_field(1, fixed),
                    Err(_) if dim.is_empty() => {}
                    Err(_) => extent.bytes_field(2, dim.as_bytes()),
                });
            }
        });
    });
}

fn write_tensor_head(tensor: &mut Out, name: &str, value: &Tensor) {
    for &extent in value.shape().iter() {
        tensor.varint_field(1, extent as u64);
    }
    tensor.varint_field(2, number(value.dtype()));
    tensor.bytes_field(8, name.as_bytes());
}

/// Writes the fields of a `TensorProto`.
fn write_tensor(tensor: &mut Out, name: &str, value: &Tensor) {
    write_tensor_head(tensor, name, value);
    match value.as_bytes() {
        Some(bytes) => tensor.bytes_field(9, bytes),
        None => value
            .as_strings()
            .unwrap_or_default()
            .iter()
            .for_each(|string| tensor.bytes_field(6, string)),
    }
}

/// Writes the fields of an `AttributeProto`.
fn write_attribute(attribute: &mut Out, name: &str, value: &Attribute) {
    attribute.bytes_field(1, name.as_bytes());
    let kind = match value {
        Attribute::Float(value) => {
            attribute.fixed32_field(2, value.to_bits());
            1
        }
        Attribute::Int(value) => {
            attribute.varint_field(3, value.cast_unsigned());
            2
        }
        Attribute::Tensor(value) => {
            attribute.nested(5, |tensor| write_tensor(tensor, "", value));
            4
        }
        Attribute::Graph(graph) => {
            attribute.nested(6, |inner| graph.write(inner));
            5
        }
        Attribute::Ints(values) => {
            values
                .iter()
                .for_each(|value| attribute.varint_field(8, value.cast_unsigned()));
            7
        }
    };
    attribute.varint_field(20, kind);
}

fn number(dtype: DType) -> u64 {
    u64::from(ElementType::of(dtype).0.cast_unsigned())
}
