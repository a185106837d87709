//! Ready-made requests: a line for each model that works when it is pasted into a shell.

use std::fmt::Write;

use salver_tensor::{DType, Dim, TensorSpec};

use crate::picture::Layout;

/// Bodies of more elements than this do not fit a line.
const MAX_ELEMENTS: usize = 32;

/// Where a server can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// REST at `http://localhost:8501`.
    Rest(String),
    /// gRPC at `localhost:8500`, or `https://localhost:8500`.
    Grpc(String),
}

/// Returns a command that asks a model for a prediction.
pub(crate) fn command(api: &Api, model: &str, inputs: &[TensorSpec]) -> String {
    match (api, body(inputs)) {
        (Api::Rest(url), Some(body)) => {
            let authority = authority(url, "--cacert");
            format!("curl {authority}-d '{body}' {url}/v1/models/{model}:predict")
        }
        (Api::Rest(url), None) => match url.as_str() {
            "http://localhost:8501" => format!("salver predict {model} {}", input_words(inputs)),
            _ => format!(
                "salver predict --url {url} {}{model} {}",
                authority(url, "--ca"),
                input_words(inputs)
            ),
        },
        (Api::Grpc(address), Some(body)) => {
            let authority = authority(address, "--ca");
            format!("salver predict --grpc {address} {authority}{model} --json '{body}'")
        }
        (Api::Grpc(address), None) => format!(
            "salver predict --grpc {address} {}{model} {}",
            authority(address, "--ca"),
            input_words(inputs)
        ),
    }
}

/// Returns the flag that says whom to trust, where that matters.
fn authority(address: &str, flag: &str) -> String {
    match address.starts_with("https://") {
        true => format!("{flag} CA.pem "),
        false => String::new(),
    }
}

/// Names what to give to `salver predict`: a picture if the model takes one.
fn input_words(inputs: &[TensorSpec]) -> &'static str {
    let takes_picture = matches!(inputs, [input] if is_picture(input));
    if takes_picture {
        "PICTURE.png"
    } else {
        "--json - < REQUEST.json"
    }
}

/// Tells whether an input is surely a picture; a row of numbers could be one too, but rarely is.
fn is_picture(input: &TensorSpec) -> bool {
    input.dims.as_ref().is_some_and(|dims| dims.len() > 2) && Layout::of(input).is_ok()
}

/// Returns a request body of zeros, dynamic extents being 1, if it fits a line and JSON has a form for the dtypes.
fn body(inputs: &[TensorSpec]) -> Option<String> {
    let extents: Vec<Vec<usize>> = inputs.iter().map(extents).collect();
    let num_elements: usize = extents
        .iter()
        .map(|extents| extents.iter().product::<usize>())
        .sum();
    if inputs.is_empty() || num_elements > MAX_ELEMENTS {
        return None;
    }
    let zeros: Option<Vec<&str>> = inputs.iter().map(|input| zero(input.dtype)).collect();
    let zeros = zeros?;
    let has_rows = extents.iter().all(|extents| extents.first() == Some(&1));
    let mut body = String::from(if has_rows {
        "{\"instances\": ["
    } else {
        "{\"inputs\": "
    });
    if inputs.len() > 1 {
        body.push('{');
    }
    for (idx, ((input, extents), zero)) in inputs.iter().zip(&extents).zip(zeros).enumerate() {
        if inputs.len() > 1 {
            let comma = if idx > 0 { ", " } else { "" };
            let name = serde_json::Value::from(&*input.name);
            write!(body, "{comma}{name}: ").expect("a string takes everything");
        }
        write_zeros(
            if has_rows { &extents[1..] } else { extents },
            zero,
            &mut body,
        );
    }
    if inputs.len() > 1 {
        body.push('}');
    }
    body.push_str(if has_rows { "]}" } else { "}" });
    // A quote in a name would end the shell's own.
    (!body.contains('\'')).then_some(body)
}

fn extents(input: &TensorSpec) -> Vec<usize> {
    let Some(dims) = &input.dims else {
        return vec![1];
    };
    let extent = |dim: &Dim| match dim {
        Dim::Fixed(extent) => *extent,
        Dim::Dynamic(_) => 1,
    };
    dims.iter().map(extent).collect()
}

fn zero(dtype: DType) -> Option<&'static str> {
    Some(match dtype {
        DType::F32 | DType::F64 => "0.0",
        DType::Bool => "false",
        DType::String => "\"\"",
        DType::U8 | DType::U32 | DType::U64 | DType::I8 | DType::I16 | DType::I32 | DType::I64 => {
            "0"
        }
        DType::U16 | DType::F16 | DType::BF16 | DType::Complex64 | DType::Complex128 => {
            return None;
        }
    })
}

fn write_zeros(extents: &[usize], zero: &str, out: &mut String) {
    let Some((&extent, inner)) = extents.split_first() else {
        out.push_str(zero);
        return;
    };
    out.push('[');
    for idx in 0..extent {
        if idx > 0 {
            out.push_str(", ");
        }
        write_zeros(inner, zero, out);
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, dtype: DType, extents: &[i64]) -> TensorSpec {
        let dim = |&extent: &i64| usize::try_from(extent).map_or(Dim::Dynamic(None), Dim::Fixed);
        TensorSpec::new(name, dtype, Some(extents.iter().map(dim).collect()))
    }

    #[test]
    fn bodies_are_zeros_of_the_declared_shape() {
        let x = |extents: &[i64]| spec("x", DType::F32, extents);
        let rows = [
            (vec![x(&[-1])], Some("{\"instances\": [0.0]}")),
            (vec![x(&[-1, 1])], Some("{\"instances\": [[0.0]]}")),
            (vec![x(&[1, 2])], Some("{\"instances\": [[0.0, 0.0]]}")),
            (vec![x(&[2])], Some("{\"inputs\": [0.0, 0.0]}")),
            (vec![x(&[])], Some("{\"inputs\": 0.0}")),
            (
                vec![TensorSpec::new("x", DType::I64, None)],
                Some("{\"instances\": [0]}"),
            ),
            (
                vec![x(&[-1, 2]), spec("s", DType::String, &[-1])],
                Some("{\"instances\": [{\"x\": [0.0, 0.0], \"s\": \"\"}]}"),
            ),
            (
                vec![x(&[-1]), spec("n", DType::I32, &[])],
                Some("{\"inputs\": {\"x\": [0.0], \"n\": 0}}"),
            ),
            (vec![x(&[-1, 224, 224, 3])], None),
            (vec![spec("x", DType::F16, &[-1])], None),
            (vec![spec("it's", DType::F32, &[]), x(&[])], None),
            (vec![], None),
        ];
        for (inputs, expected) in rows {
            assert_eq!(body(&inputs).as_deref(), expected, "{inputs:?}");
        }
    }

    #[test]
    fn inputs_that_do_not_fit_a_line_point_to_the_command() {
        let picture = [spec("image", DType::F32, &[-1, 224, 224, 3])];
        let row = [spec("x", DType::F32, &[-1, 500])];
        let rest = Api::Rest("http://localhost:8501".to_owned());
        let elsewhere = Api::Rest("http://localhost:9000".to_owned());
        let grpc = Api::Grpc("localhost:8500".to_owned());
        assert_eq!(
            command(&rest, "m", &picture),
            "salver predict m PICTURE.png"
        );
        assert_eq!(
            command(&elsewhere, "m", &picture),
            "salver predict --url http://localhost:9000 m PICTURE.png"
        );
        assert_eq!(
            command(&grpc, "m", &row),
            "salver predict --grpc localhost:8500 m --json - < REQUEST.json"
        );
    }

    #[test]
    fn small_inputs_give_a_whole_line() {
        let x = [spec("x", DType::F32, &[-1])];
        let rest = Api::Rest("http://localhost:8501".to_owned());
        let expected =
            "curl -d '{\"instances\": [0.0]}' http://localhost:8501/v1/models/half:predict";
        assert_eq!(command(&rest, "half", &x), expected);
        let secure = Api::Rest("https://localhost:8501".to_owned());
        let expected = "curl --cacert CA.pem -d '{\"instances\": [0.0]}' \
                        https://localhost:8501/v1/models/half:predict";
        assert_eq!(command(&secure, "half", &x), expected);
        let grpc = Api::Grpc("localhost:8500".to_owned());
        let expected = "salver predict --grpc localhost:8500 half --json '{\"instances\": [0.0]}'";
        assert_eq!(command(&grpc, "half", &x), expected);
    }
}
