//! Writes SavedModels: just enough of the format for tiny models.
//!
//! ```
//! use salver_tensor::DType;
//! use salver_testkit::saved_model::{Attribute, Graph};
//!
//! let bytes = Graph::new()
//!     .input("x", DType::F32, Some(&["batch", "3"]))
//!     .node("Relu", "relu", &["x"], &[("T", Attribute::Type(DType::F32))])
//!     .output("y", "relu:0", DType::F32, Some(&["batch", "3"]))
//!     .to_bytes();
//! assert!(!bytes.is_empty());
//! ```

use salver_tensor::{DType, Tensor};
use salver_wire::Writer;

type Out = Writer<Vec<u8>>;

/// The version of TensorFlow's graphs that is written, which its releases since 2.4 read.
const PRODUCER: u64 = 561;

/// The method of signatures that take and give plain tensors.
const PREDICT: &str = "tensorflow/serving/predict";

/// An attribute of a node.
#[derive(Clone, Debug)]
pub enum Attribute {
    /// A dtype.
    Type(DType),
    /// Dtypes.
    Types(Vec<DType>),
    /// An integer.
    Int(i64),
    /// A switch.
    Bool(bool),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A tensor.
    Tensor(Tensor),
    /// A shape, -1 for any extent; `None` if the rank is open.
    Shape(Option<Vec<i64>>),
    /// Shapes.
    Shapes(Vec<Vec<i64>>),
}

/// A declared input or output.
#[derive(Clone, Debug)]
struct Info {
    alias: String,
    tensor: String,
    /// The dtype's number, or what takes the place of a tensor.
    kind: Kind,
    dims: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Tensor(DType),
    Sparse,
}

/// A way of calling the model.
#[derive(Clone, Debug, Default)]
struct SignatureDef {
    name: String,
    method: String,
    inputs: Vec<Info>,
    outputs: Vec<Info>,
    defaults: Vec<(String, Tensor)>,
}

/// A graph and the SavedModel around it. The signature that is written last is the one that grows.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The nodes' fields of the `GraphDef`.
    nodes: Vec<u8>,
    /// Fields of the `MetaGraphDef` that come after the graph.
    fields: Vec<u8>,
    tags: Vec<String>,
    signatures: Vec<SignatureDef>,
}

impl Default for Graph {
    fn default() -> Self {
        Self::new()
    }
}

impl Graph {
    /// Returns an empty graph with the tag `serve` and the default signature.
    #[must_use]
    pub fn new() -> Self {
        let graph = Self {
            nodes: Vec::new(),
            fields: Vec::new(),
            tags: vec!["serve".to_owned()],
            signatures: Vec::new(),
        };
        graph.signature("serving_default", PREDICT)
    }

    /// Begins another signature: inputs and outputs that are declared from here on are its own. The default one is not
    /// written if it has neither.
    #[must_use]
    pub fn signature(mut self, name: &str, method: &str) -> Self {
        self.signatures.push(SignatureDef {
            name: name.to_owned(),
            method: method.to_owned(),
            ..SignatureDef::default()
        });
        self
    }

    /// Replaces the tags.
    #[must_use]
    pub fn tags(mut self, tags: &[&str]) -> Self {
        self.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        self
    }

    /// Adds an input of any shape to graph and signature; it is declared with extents that are numbers, or names of open
    /// ones, or of unknown rank.
    #[must_use]
    pub fn input(self, name: &str, dtype: DType, dims: Option<&[&str]>) -> Self {
        let shape = ("shape", Attribute::Shape(None));
        self.node(
            "Placeholder",
            name,
            &[],
            &[("dtype", Attribute::Type(dtype)), shape],
        )
        .takes(name, &format!("{name}:0"), dtype, dims)
    }

    /// Declares a tensor of the graph as an input.
    #[must_use]
    pub fn takes(mut self, alias: &str, tensor: &str, dtype: DType, dims: Option<&[&str]>) -> Self {
        let info = info(alias, tensor, Kind::Tensor(dtype), dims);
        self.last().inputs.push(info);
        self
    }

    /// Declares a tensor of the graph as an output.
    #[must_use]
    pub fn output(
        mut self,
        alias: &str,
        tensor: &str,
        dtype: DType,
        dims: Option<&[&str]>,
    ) -> Self {
        let info = info(alias, tensor, Kind::Tensor(dtype), dims);
        self.last().outputs.push(info);
        self
    }

    /// Declares an output that is a sparse tensor.
    #[must_use]
    pub fn sparse_output(mut self, alias: &str, tensor: &str) -> Self {
        let info = info(alias, tensor, Kind::Sparse, None);
        self.last().outputs.push(info);
        self
    }

    /// Says what an input is if a request leaves it out.
    #[must_use]
    pub fn default_of(mut self, alias: &str, value: Tensor) -> Self {
        self.last().defaults.push((alias.to_owned(), value));
        self
    }

    /// Adds a constant.
    #[must_use]
    pub fn constant(self, name: &str, value: &Tensor) -> Self {
        let attributes = [
            ("dtype", Attribute::Type(value.dtype())),
            ("value", Attribute::Tensor(value.clone())),
        ];
        self.node("Const", name, &[], &attributes)
    }

    /// Adds a node.
    #[must_use]
    pub fn node(
        mut self,
        operator: &str,
        name: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> Self {
        let mut graph = Writer::new(std::mem::take(&mut self.nodes));
        graph.nested(1, |node| {
            node.bytes_field(1, name.as_bytes());
            node.bytes_field(2, operator.as_bytes());
            inputs
                .iter()
                .for_each(|input| node.bytes_field(3, input.as_bytes()));
            for (key, value) in attributes {
                entry(node, 5, key, |attribute| write_attribute(attribute, value));
            }
        });
        self.nodes = graph.into_inner();
        self
    }

    /// Names the node that runs once, after the model was loaded.
    #[must_use]
    pub fn initialiser(mut self, node: &str) -> Self {
        self.add(|meta| {
            entry(meta, 4, "saved_model_main_op", |collection| {
                collection.nested(1, |list| list.bytes_field(1, node.as_bytes()));
            });
        });
        self
    }

    /// Adds a file in `assets/`, whose path the loader puts into the place of a tensor.
    #[must_use]
    pub fn asset(mut self, tensor: &str, file: &str) -> Self {
        self.add(|meta| {
            meta.nested(6, |asset| {
                asset.nested(1, |info| info.bytes_field(1, tensor.as_bytes()));
                asset.bytes_field(2, file.as_bytes());
            });
        });
        self
    }

    /// Returns the file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut model = Writer::new(Vec::new());
        model.varint_field(1, 1);
        model.nested(2, |meta| {
            meta.nested(1, |info| {
                self.tags
                    .iter()
                    .for_each(|tag| info.bytes_field(4, tag.as_bytes()));
                info.bytes_field(5, b"2.21.0");
            });
            meta.nested(2, |graph| {
                graph.raw(&self.nodes);
                graph.nested(4, |versions| versions.varint_field(1, PRODUCER));
            });
            let signatures = self
                .signatures
                .iter()
                .filter(|signature| !(signature.inputs.is_empty() && signature.outputs.is_empty()));
            for signature in signatures {
                entry(meta, 5, &signature.name, |out| {
                    write_signature(out, signature)
                });
            }
            meta.raw(&self.fields);
        });
        model.into_inner()
    }

    fn last(&mut self) -> &mut SignatureDef {
        self.signatures.last_mut().expect("there is always one")
    }

    fn add(&mut self, write: impl FnOnce(&mut Out)) {
        let mut meta = Writer::new(std::mem::take(&mut self.fields));
        write(&mut meta);
        self.fields = meta.into_inner();
    }
}

fn info(alias: &str, tensor: &str, kind: Kind, dims: Option<&[&str]>) -> Info {
    let owned = |dims: &[&str]| dims.iter().map(|dim| (*dim).to_owned()).collect();
    Info {
        alias: alias.to_owned(),
        tensor: tensor.to_owned(),
        kind,
        dims: dims.map(owned),
    }
}

/// Writes an entry of a map from names to messages.
fn entry(out: &mut Out, field: u32, key: &str, write: impl FnOnce(&mut Out)) {
    out.nested(field, |entry| {
        entry.bytes_field(1, key.as_bytes());
        entry.nested(2, write);
    });
}

/// Writes the fields of a `SignatureDef`.
fn write_signature(out: &mut Out, signature: &SignatureDef) {
    for (field, infos) in [(1, &signature.inputs), (2, &signature.outputs)] {
        for info in infos {
            entry(out, field, &info.alias, |out| write_info(out, info));
        }
    }
    out.bytes_field(3, signature.method.as_bytes());
    for (alias, value) in &signature.defaults {
        entry(out, 4, alias, |out| write_tensor(out, value));
    }
}

/// Writes the fields of a `TensorInfo`.
fn write_info(out: &mut Out, info: &Info) {
    match info.kind {
        Kind::Tensor(dtype) => {
            out.bytes_field(1, info.tensor.as_bytes());
            out.varint_field(2, number(dtype));
        }
        Kind::Sparse => out.nested(4, |sparse| sparse.bytes_field(1, info.tensor.as_bytes())),
    }
    out.nested(3, |shape| match &info.dims {
        None => shape.varint_field(3, 1),
        Some(dims) => {
            for dim in dims {
                shape.nested(2, |out| match dim.parse::<i64>() {
                    Ok(size) => out.varint_field(1, size.cast_unsigned()),
                    Err(_) => {
                        out.varint_field(1, (-1_i64).cast_unsigned());
                        out.bytes_field(2, dim.as_bytes());
                    }
                });
            }
        }
    });
}

/// Writes the fields of an `AttrValue`.
fn write_attribute(out: &mut Out, value: &Attribute) {
    match value {
        Attribute::Bytes(bytes) => out.bytes_field(2, bytes),
        Attribute::Int(value) => out.varint_field(3, value.cast_unsigned()),
        Attribute::Bool(value) => out.varint_field(5, u64::from(*value)),
        Attribute::Type(dtype) => out.varint_field(6, number(*dtype)),
        Attribute::Shape(shape) => out.nested(7, |out| write_shape(out, shape.as_deref())),
        Attribute::Tensor(tensor) => out.nested(8, |out| write_tensor(out, tensor)),
        Attribute::Types(dtypes) => out.nested(1, |list| {
            dtypes
                .iter()
                .for_each(|dtype| list.varint_field(6, number(*dtype)));
        }),
        Attribute::Shapes(shapes) => out.nested(1, |list| {
            for shape in shapes {
                list.nested(7, |out| write_shape(out, Some(shape)));
            }
        }),
    }
}

/// Writes the fields of a `TensorShapeProto`.
fn write_shape(out: &mut Out, shape: Option<&[i64]>) {
    match shape {
        None => out.varint_field(3, 1),
        Some(extents) => extents.iter().for_each(|extent| {
            out.nested(2, |dim| dim.varint_field(1, extent.cast_unsigned()));
        }),
    }
}

/// Writes the fields of a `TensorProto`.
fn write_tensor(out: &mut Out, tensor: &Tensor) {
    out.varint_field(1, number(tensor.dtype()));
    let extents: Vec<i64> = tensor
        .shape()
        .iter()
        .map(|&extent| i64::try_from(extent).expect("tiny"))
        .collect();
    out.nested(2, |out| write_shape(out, Some(&extents)));
    match tensor.as_bytes() {
        Some(bytes) => out.bytes_field(4, bytes),
        None => tensor
            .as_strings()
            .unwrap_or_default()
            .iter()
            .for_each(|string| out.bytes_field(8, string)),
    }
}

/// A dtype's number in `tensorflow.DataType`.
fn number(dtype: DType) -> u64 {
    match dtype {
        DType::F32 => 1,
        DType::F64 => 2,
        DType::I32 => 3,
        DType::U8 => 4,
        DType::I16 => 5,
        DType::I8 => 6,
        DType::String => 7,
        DType::Complex64 => 8,
        DType::I64 => 9,
        DType::Bool => 10,
        DType::BF16 => 14,
        DType::U16 => 17,
        DType::Complex128 => 18,
        DType::F16 => 19,
        DType::U32 => 22,
        DType::U64 => 23,
    }
}
