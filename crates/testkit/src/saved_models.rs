//! The models of [`crate::models`] as the bytes of a `saved_model.pb`.

use salver_tensor::{DType, Tensor};

use crate::models::mlp_weights;
use crate::saved_model::{Attribute, Graph};

/// The attribute that most operators have.
fn of(dtype: DType) -> (&'static str, Attribute) {
    ("T", Attribute::Type(dtype))
}

const FLOAT: DType = DType::F32;

/// `y = 0.5 x + 2`: `f32`, of any rank.
#[must_use]
pub fn half_plus_two() -> Vec<u8> {
    let scalar = |value: f32| Tensor::from_vec([0; 0], vec![value]).expect("a scalar");
    Graph::new()
        .input("x", FLOAT, None)
        .constant("a", &scalar(0.5))
        .constant("b", &scalar(2.0))
        .node("Mul", "half", &["x", "a"], &[of(FLOAT)])
        .node("AddV2", "y", &["half", "b"], &[of(FLOAT)])
        .output("y", "y:0", FLOAT, None)
        .to_bytes()
}

/// `y = x` of any dtype and rank.
#[must_use]
pub fn identity(dtype: DType) -> Vec<u8> {
    Graph::new()
        .input("x", dtype, None)
        .node("Identity", "y", &["x"], &[of(dtype)])
        .output("y", "y:0", dtype, None)
        .to_bytes()
}

/// `c = a + b` of one dtype, one axis each, which need not be of one length.
#[must_use]
pub fn add(dtype: DType) -> Vec<u8> {
    Graph::new()
        .input("a", dtype, Some(&["n"]))
        .input("b", dtype, Some(&["m"]))
        .node("AddV2", "c", &["a", "b"], &[of(dtype)])
        .output("c", "c:0", dtype, Some(&["k"]))
        .to_bytes()
}

/// Three outputs of `x: f32[batch, 2]`: `relu`, `sum: f32[batch]`, `negative`.
#[must_use]
pub fn multi_output() -> Vec<u8> {
    let index = ("Tidx", Attribute::Type(DType::I32));
    let keep = ("keep_dims", Attribute::Bool(false));
    Graph::new()
        .input("x", FLOAT, Some(&["batch", "2"]))
        .constant("axes", &Tensor::from_vec([1], vec![1_i32]).expect("fits"))
        .node("Relu", "relu", &["x"], &[of(FLOAT)])
        .node("Sum", "sum", &["x", "axes"], &[of(FLOAT), index, keep])
        .node("Neg", "negative", &["x"], &[of(FLOAT)])
        .output("relu", "relu:0", FLOAT, Some(&["batch", "2"]))
        .output("sum", "sum:0", FLOAT, Some(&["batch"]))
        .output("negative", "negative:0", FLOAT, Some(&["batch", "2"]))
        .to_bytes()
}

/// Rows of a table `f32[4, 2]` whose row `i` is `[i, 10 i]`: `rows = table[ids]` with `ids: i64[n]`.
#[must_use]
pub fn gather() -> Vec<u8> {
    let table = (0..4_u8)
        .flat_map(|row| [f32::from(row), 10.0 * f32::from(row)])
        .collect();
    let types = [
        ("Tparams", Attribute::Type(FLOAT)),
        ("Tindices", Attribute::Type(DType::I64)),
    ];
    Graph::new()
        .input("ids", DType::I64, Some(&["n"]))
        .constant("table", &Tensor::from_vec([4, 2], table).expect("fits"))
        .node("Gather", "rows", &["table", "ids"], &types)
        .output("rows", "rows:0", FLOAT, Some(&["n", "2"]))
        .to_bytes()
}

/// `not = !x` of any rank.
#[must_use]
pub fn not() -> Vec<u8> {
    Graph::new()
        .input("x", DType::Bool, None)
        .node("LogicalNot", "not", &["x"], &[])
        .output("not", "not:0", DType::Bool, None)
        .to_bytes()
}

/// `y = x + 1` with `x: f32[2, 3]` and no other shape.
#[must_use]
pub fn fixed_batch() -> Vec<u8> {
    let shape = ("shape", Attribute::Shape(Some(vec![2, 3])));
    Graph::new()
        .input("x", FLOAT, Some(&["2", "3"]))
        .constant(
            "one",
            &Tensor::from_vec([0; 0], vec![1.0_f32]).expect("a scalar"),
        )
        .node("EnsureShape", "shaped", &["x"], &[of(FLOAT), shape])
        .node("AddV2", "y", &["shaped", "one"], &[of(FLOAT)])
        .output("y", "y:0", FLOAT, Some(&["2", "3"]))
        .to_bytes()
}

/// A network with one hidden layer: `probs = softmax(relu(x W0 + b0) W1 + b1)`, `x: f32[batch, 4]`.
#[must_use]
pub fn mlp() -> Vec<u8> {
    let [w0, b0, w1, b1] = mlp_weights();
    Graph::new()
        .input("x", FLOAT, Some(&["batch", "4"]))
        .constant("w0", &w0)
        .constant("b0", &b0)
        .constant("w1", &w1)
        .constant("b1", &b1)
        .node("MatMul", "p0", &["x", "w0"], &[of(FLOAT)])
        .node("BiasAdd", "h0", &["p0", "b0"], &[of(FLOAT)])
        .node("Relu", "h1", &["h0"], &[of(FLOAT)])
        .node("MatMul", "p1", &["h1", "w1"], &[of(FLOAT)])
        .node("BiasAdd", "logits", &["p1", "b1"], &[of(FLOAT)])
        .node("Softmax", "probs", &["logits"], &[of(FLOAT)])
        .output("probs", "probs:0", FLOAT, Some(&["batch", "3"]))
        .to_bytes()
}

/// A model with an operator that no engine has.
#[must_use]
pub fn unknown_operator() -> Vec<u8> {
    Graph::new()
        .input("x", FLOAT, None)
        .node("Divine", "y", &["x"], &[])
        .output("y", "y:0", FLOAT, None)
        .to_bytes()
}

/// A model that gives its input and a weight, with nothing computed: `x` is `x`, `w` is `f32[2]`.
#[must_use]
pub fn passthrough() -> Vec<u8> {
    Graph::new()
        .input("x", FLOAT, Some(&["n"]))
        .constant(
            "w",
            &Tensor::from_vec([2], vec![3.0_f32, 4.0]).expect("fits"),
        )
        .node("Neg", "y", &["x"], &[of(FLOAT)])
        .output("x", "x:0", FLOAT, Some(&["n"]))
        .output("w", "w:0", FLOAT, Some(&["2"]))
        .output("y", "y:0", FLOAT, Some(&["n"]))
        .to_bytes()
}

/// A model whose answer is a sparse tensor, which cannot be served.
#[must_use]
pub fn sparse_output() -> Vec<u8> {
    Graph::new()
        .input("x", FLOAT, Some(&["n"]))
        .node("Identity", "y", &["x"], &[of(FLOAT)])
        .sparse_output("y", "y:0")
        .to_bytes()
}
