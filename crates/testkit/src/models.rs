//! Tiny models, as the bytes of a `model.onnx`.

use bytes::Bytes;
use salver_tensor::{DType, Tensor};

use crate::onnx::{Attribute, Graph};

/// The width of [`mlp`]'s input, hidden layer and output.
pub const MLP_WIDTHS: [usize; 3] = [4, 8, 3];

/// `y = 0.5 x + 2`: `f32`, of any rank.
#[must_use]
pub fn half_plus_two() -> Vec<u8> {
    x_half_plus(2.0).to_bytes()
}

/// `y = 0.5 x + 3`: tells one version from another.
#[must_use]
pub fn half_plus_three() -> Vec<u8> {
    x_half_plus(3.0).to_bytes()
}

fn x_half_plus(offset: f32) -> Graph {
    Graph::new()
        .input_of_any_rank("x", DType::F32)
        .weight("a", &scalar(0.5))
        .weight("b", &scalar(offset))
        .node("Mul", &["x", "a"], &["half"])
        .node("Add", &["half", "b"], &["y"])
        .output_of_any_rank("y", DType::F32)
}

/// `y = x` of any dtype and rank.
#[must_use]
pub fn identity(dtype: DType) -> Vec<u8> {
    Graph::new()
        .input_of_any_rank("x", dtype)
        .node("Identity", &["x"], &["y"])
        .output_of_any_rank("y", dtype)
        .to_bytes()
}

/// `y = relu(relu(… x …))`, so many operators one after the other: `f32`, of any rank.
#[must_use]
pub fn chain(num_operators: usize) -> Vec<u8> {
    let name = |operator_idx: usize| match operator_idx {
        0 => "x".to_owned(),
        last if last == num_operators => "y".to_owned(),
        inner => format!("t{inner}"),
    };
    (0..num_operators)
        .fold(
            Graph::new().input_of_any_rank("x", DType::F32),
            |graph, idx| graph.node("Relu", &[&name(idx)], &[&name(idx + 1)]),
        )
        .output_of_any_rank("y", DType::F32)
        .to_bytes()
}

/// `c = a + b` of one dtype, one axis each, which need not be of one length.
#[must_use]
pub fn add(dtype: DType) -> Vec<u8> {
    Graph::new()
        .input("a", dtype, &["n"])
        .input("b", dtype, &["m"])
        .node("Add", &["a", "b"], &["c"])
        .output("c", dtype, &["k"])
        .to_bytes()
}

/// Three outputs of `x: f32[batch, 2]`, declared in this order: `relu`, `sum: f32[batch]`, `negative`.
#[must_use]
pub fn multi_output() -> Vec<u8> {
    let keep = ("keepdims", Attribute::Int(0));
    Graph::new()
        .input("x", DType::F32, &["batch", "2"])
        .weight("axes", &Tensor::from_vec([1], vec![1_i64]).expect("fits"))
        .node("Relu", &["x"], &["relu"])
        .node_with("ReduceSum", &["x", "axes"], &["sum"], &[keep])
        .node("Neg", &["x"], &["negative"])
        .output("relu", DType::F32, &["batch", "2"])
        .output("sum", DType::F32, &["batch"])
        .output("negative", DType::F32, &["batch", "2"])
        .to_bytes()
}

/// Rows of a table `f32[4, 2]` whose row `i` is `[i, 10 i]`: `rows = table[ids]` with `ids: i64[n]`.
#[must_use]
pub fn gather() -> Vec<u8> {
    let table = (0..4_u8)
        .flat_map(|row| [f32::from(row), 10.0 * f32::from(row)])
        .collect();
    Graph::new()
        .input("ids", DType::I64, &["n"])
        .weight("table", &Tensor::from_vec([4, 2], table).expect("fits"))
        .node("Gather", &["table", "ids"], &["rows"])
        .output("rows", DType::F32, &["n", "2"])
        .to_bytes()
}

/// The sums of rows of so many tables `f32[1024, 1024]` of ones, 4 MiB each: `rows = table_0[ids] + table_1[ids] …` with
/// `ids: i64[n]`.
#[must_use]
pub fn tables(num_tables: usize) -> Vec<u8> {
    const LEN: usize = 1024;
    let mut graph = Graph::new().input("ids", DType::I64, &["n"]);
    for idx in 0..num_tables {
        let table = Tensor::from_vec([LEN, LEN], vec![1.0_f32; LEN * LEN]).expect("fits");
        let (name, rows) = (format!("table_{idx}"), format!("rows_{idx}"));
        graph = graph
            .weight(&name, &table)
            .node("Gather", &[&name, "ids"], &[&rows]);
        if idx > 0 {
            let (before, sum) = (format!("sum_{}", idx - 1), format!("sum_{idx}"));
            graph = graph.node("Add", &[&before, &rows], &[&sum]);
        } else {
            graph = graph.node("Identity", &[&rows], &["sum_0"]);
        }
    }
    let sum = format!("sum_{}", num_tables - 1);
    graph
        .node("Identity", &[&sum], &["rows"])
        .output("rows", DType::F32, &["n", "1024"])
        .to_bytes()
}

/// `not = !x` of any rank.
#[must_use]
pub fn not() -> Vec<u8> {
    Graph::new()
        .input_of_any_rank("x", DType::Bool)
        .node("Not", &["x"], &["not"])
        .output_of_any_rank("not", DType::Bool)
        .to_bytes()
}

/// `y = x + 1` with `x: f32[2, 3]` and no other shape.
#[must_use]
pub fn fixed_batch() -> Vec<u8> {
    Graph::new()
        .input("x", DType::F32, &["2", "3"])
        .weight("one", &scalar(1.0))
        .node("Add", &["x", "one"], &["y"])
        .output("y", DType::F32, &["2", "3"])
        .to_bytes()
}

/// A network with one hidden layer: `probs = softmax(relu(x W0 + b0) W1 + b1)`, `x: f32[batch, 4]`.
#[must_use]
pub fn mlp() -> Vec<u8> {
    let [w0, b0, w1, b1] = mlp_weights();
    mlp_graph(|graph| {
        graph
            .weight("w0", &w0)
            .weight("b0", &b0)
            .weight("w1", &w1)
            .weight("b1", &b1)
    })
}

/// [`mlp`] with its matrices in a file beside it; returns the model and that file's bytes.
#[must_use]
pub fn external_mlp(location: &str) -> (Vec<u8>, Vec<u8>) {
    let [w0, b0, w1, b1] = mlp_weights();
    let bytes = |tensor: &Tensor| tensor.as_bytes().expect("numbers").to_vec();
    let second = bytes(&w0).len() as u64;
    let model = mlp_graph(|graph| {
        graph
            .external_weight("w0", &w0, location, 0)
            .weight("b0", &b0)
            .external_weight("w1", &w1, location, second)
            .weight("b1", &b1)
    });
    (model, [bytes(&w0), bytes(&w1)].concat())
}

fn mlp_graph(weights: impl FnOnce(Graph) -> Graph) -> Vec<u8> {
    weights(Graph::new().input("x", DType::F32, &["batch", "4"]))
        .node("Gemm", &["x", "w0", "b0"], &["h0"])
        .node("Relu", &["h0"], &["h1"])
        .node("Gemm", &["h1", "w1", "b1"], &["logits"])
        .node_with(
            "Softmax",
            &["logits"],
            &["probs"],
            &[("axis", Attribute::Int(-1))],
        )
        .output("probs", DType::F32, &["batch", "3"])
        .to_bytes()
}

/// Returns what [`mlp`] answers for rows of four numbers, computed here in double precision.
///
/// # Panics
/// If `x` is not `f32[batch, 4]`.
#[must_use]
pub fn mlp_expected(x: &Tensor) -> Tensor {
    let weights = mlp_weights();
    let rows = x
        .as_slice::<f32>()
        .expect("f32")
        .chunks_exact(MLP_WIDTHS[0]);
    let mut probs = Vec::new();
    for row in rows {
        let row: Vec<f64> = row.iter().map(|&value| f64::from(value)).collect();
        let hidden = dense(&row, &weights[0], &weights[1])
            .into_iter()
            .map(|sum| sum.max(0.0));
        let logits = dense(&hidden.collect::<Vec<_>>(), &weights[2], &weights[3]);
        let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
        probs.extend(logits.iter().map(|logit| (logit.exp() / total) as f32));
    }
    Tensor::from_vec([x.shape()[0], MLP_WIDTHS[2]], probs).expect("one row each")
}

/// Returns `x W + b`.
fn dense(x: &[f64], weights: &Tensor, bias: &Tensor) -> Vec<f64> {
    let num_outputs = bias.num_elements();
    let weights = weights.as_slice::<f32>().expect("f32");
    let bias = bias.as_slice::<f32>().expect("f32");
    let column = |output: usize| {
        x.iter()
            .enumerate()
            .map(move |(input, x)| x * f64::from(weights[input * num_outputs + output]))
            .sum::<f64>()
    };
    (0..num_outputs)
        .map(|output| column(output) + f64::from(bias[output]))
        .collect()
}

pub(crate) fn mlp_weights() -> [Tensor; 4] {
    let [inputs, hidden, outputs] = MLP_WIDTHS;
    [
        ramp(&[inputs, hidden]),
        ramp(&[hidden]),
        ramp(&[hidden, outputs]),
        ramp(&[outputs]),
    ]
}

/// Numbers between -1 and 1 that do not repeat soon.
fn ramp(shape: &[usize]) -> Tensor {
    let num: usize = shape.iter().product();
    let value = |idx: usize| (((idx * 37 + 11) % 64) as f32 - 32.0) / 32.0;
    Tensor::from_vec(shape, (0..num).map(value).collect()).expect("fits")
}

/// A model with an operator that no engine has.
#[must_use]
pub fn unknown_operator() -> Vec<u8> {
    Graph::new()
        .opset("com.example", 1)
        .input_of_any_rank("x", DType::F32)
        .node_of("com.example", "Divine", &["x"], &["y"], &[])
        .output_of_any_rank("y", DType::F32)
        .to_bytes()
}

/// A model that gives its input and a weight, with nothing computed: `x` is `x`, `w` is `f32[2]`.
#[must_use]
pub fn passthrough() -> Vec<u8> {
    Graph::new()
        .input("x", DType::F32, &["n"])
        .weight(
            "w",
            &Tensor::from_vec([2], vec![3.0_f32, 4.0]).expect("fits"),
        )
        .node("Neg", &["x"], &["y"])
        .output("x", DType::F32, &["n"])
        .output("w", DType::F32, &["2"])
        .output("y", DType::F32, &["n"])
        .to_bytes()
}

/// A model whose answer is a sequence of tensors, which cannot be served.
#[must_use]
pub fn sequence_output() -> Vec<u8> {
    Graph::new()
        .input("x", DType::F32, &["n"])
        .node("SequenceConstruct", &["x"], &["y"])
        .sequence_output("y", DType::F32)
        .to_bytes()
}

/// Strings as they are: empty, with a zero byte, not ASCII.
#[must_use]
pub fn odd_strings() -> Tensor {
    let strings =
        ["", "a\0b", "snö", "plain"].map(|string| Bytes::copy_from_slice(string.as_bytes()));
    Tensor::from_strings([2, 2], strings.to_vec()).expect("four")
}

fn scalar(value: f32) -> Tensor {
    Tensor::from_vec([0; 0], vec![value]).expect("a scalar has one element")
}
