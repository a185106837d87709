//! The operators that rten has.
//!
//! rten itself tells only by failing to load; this list lets a model be refused by its header. A test loads a node of
//! each, so the list cannot drift from the engine.

use salver_backend::onnx::Operator;

/// Operators of ONNX's own domain, sorted.
pub(crate) const ONNX: &[&str] = &[
    "Abs",
    "Acos",
    "Acosh",
    "Add",
    "And",
    "ArgMax",
    "ArgMin",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "Attention",
    "AveragePool",
    "BatchNormalization",
    "BitCast",
    "Cast",
    "CastLike",
    "Ceil",
    "Clip",
    "Concat",
    "ConcatFromSequence",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "Cos",
    "Cosh",
    "CumSum",
    "DepthToSpace",
    "DequantizeLinear",
    "Div",
    "Dropout",
    "DynamicQuantizeLinear",
    "Einsum",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "EyeLike",
    "Flatten",
    "Floor",
    "GRU",
    "Gather",
    "GatherElements",
    "GatherND",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Greater",
    "GreaterOrEqual",
    "GridSample",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "If",
    "InstanceNormalization",
    "IsInf",
    "IsNaN",
    "LSTM",
    "LayerNormalization",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "LogSoftmax",
    "Loop",
    "LpNormalization",
    "MatMul",
    "MatMulInteger",
    "Max",
    "MaxPool",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Multinomial",
    "Neg",
    "NonMaxSuppression",
    "NonZero",
    "Not",
    "OneHot",
    "Or",
    "PRelu",
    "Pad",
    "Pow",
    "QuantizeLinear",
    "RMSNormalization",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Range",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Resize",
    "ReverseSequence",
    "RotaryEmbedding",
    "Round",
    "Scatter",
    "ScatterElements",
    "ScatterND",
    "SequenceAt",
    "SequenceConstruct",
    "SequenceEmpty",
    "SequenceErase",
    "SequenceInsert",
    "SequenceLength",
    "Shape",
    "Sigmoid",
    "Sign",
    "SimplifiedLayerNormalization",
    "Sin",
    "Sinh",
    "Size",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "Split",
    "SplitToSequence",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Swish",
    "Tan",
    "Tanh",
    "Tile",
    "TopK",
    "Transpose",
    "Trilu",
    "Unsqueeze",
    "Upsample",
    "Where",
    "Xor",
];

/// Operators of `com.microsoft`, sorted.
pub(crate) const MICROSOFT: &[&str] = &[
    "BiasGelu",
    "DynamicQuantizeLSTM",
    "FastGelu",
    "Gelu",
    "GroupQueryAttention",
    "MatMulNBits",
    "MultiHeadAttention",
    "QuickGelu",
    "RotaryEmbedding",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
];

/// Tells whether rten has an operator, in some version.
pub(crate) fn has(operator: &Operator) -> bool {
    let names = match operator.domain.as_str() {
        "" => ONNX,
        "com.microsoft" => MICROSOFT,
        _ => return false,
    };
    names.binary_search(&operator.name.as_str()).is_ok()
}

#[cfg(test)]
mod tests {
    use salver_backend::ModelFiles;
    use salver_backend::onnx::Operator;
    use salver_tensor::DType;
    use salver_testkit::ModelFolder;
    use salver_testkit::onnx::Graph;

    use super::*;

    /// Asks the engine itself; that a node lacks inputs and attributes is another complaint.
    fn engine_has(domain: &str, name: &str) -> bool {
        let bytes = Graph::new()
            .opset(domain, 1)
            .input_of_any_rank("x", DType::F32)
            .node_of(domain, name, &["x"], &["y"], &[])
            .output_of_any_rank("y", DType::F32)
            .to_bytes();
        let folder = ModelFolder::with_model(&bytes);
        let ModelFiles { main, .. } = folder.files();
        match rten::Model::load_file(main) {
            Ok(_) => true,
            Err(error) => !error.to_string().contains("not enabled"),
        }
    }

    #[test]
    fn the_list_is_what_the_engine_has() {
        for (domain, names) in [("", ONNX), ("com.microsoft", MICROSOFT)] {
            assert!(names.is_sorted());
            for name in names {
                let operator = Operator {
                    domain: domain.to_owned(),
                    name: (*name).to_owned(),
                };
                assert!(has(&operator));
                // Constants are values, not operators, and the engine takes them apart without asking.
                assert!(
                    *name == "Constant" || engine_has(domain, name),
                    "{operator}"
                );
            }
        }
        for (domain, name) in [
            ("", "STFT"),
            ("", "Scan"),
            ("ai.onnx.ml", "Scaler"),
            ("com.microsoft", "QAttention"),
        ] {
            let operator = Operator {
                domain: domain.to_owned(),
                name: name.to_owned(),
            };
            assert!(!has(&operator) && !engine_has(domain, name), "{operator}");
        }
    }
}
