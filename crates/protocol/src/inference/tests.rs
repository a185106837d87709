//! Rows in and results out, against the generated messages.

use bytes::{Buf, Bytes, BytesMut};
use proptest::prelude::*;
use prost::Message as _;
use salver_proto::tensorflow::feature::Kind;
use salver_proto::tensorflow::serving as proto;
use salver_proto::tensorflow::{Example, Feature, Features, FloatList};
use salver_tensor::{DType, Tensor};

use super::*;
use crate::rope::Rope;
use crate::{ModelSpec, VersionChoice};

fn example(name: &str, value: f32) -> Example {
    let list = FloatList { value: vec![value] };
    let feature = Feature {
        kind: Some(Kind::FloatList(list)),
    };
    Example {
        features: Some(Features {
            feature: [(name.to_owned(), feature)].into(),
        }),
    }
}

fn list(values: &[f32]) -> proto::Input {
    let examples = values.iter().map(|&value| example("x", value)).collect();
    proto::Input {
        kind: Some(proto::input::Kind::ExampleList(proto::ExampleList {
            examples,
        })),
    }
}

fn with_context(values: &[f32], context: Option<f32>) -> proto::Input {
    let examples = values.iter().map(|&value| example("x", value)).collect();
    let context = context.map(|value| example("c", value));
    proto::Input {
        kind: Some(proto::input::Kind::ExampleListWithContext(
            proto::ExampleListWithContext { examples, context },
        )),
    }
}

fn request(input: proto::Input) -> proto::ClassificationRequest {
    proto::ClassificationRequest {
        model_spec: Some(proto::ModelSpec {
            name: "m".to_owned(),
            signature_name: "s".to_owned(),
            version_choice: None,
        }),
        input: Some(input),
    }
}

/// Cuts a message into frames of this size.
fn rope(message: &[u8], frame: usize) -> Rope {
    message
        .chunks(frame.max(1))
        .map(Bytes::copy_from_slice)
        .collect()
}

/// Decodes, and parses what the model would be given.
fn rows(message: &[u8], frame: usize) -> Vec<Example> {
    let request = decode_request(rope(message, frame)).expect("a request");
    let (len, num_bytes) = (request.examples.len(), request.examples.tensor_bytes());
    let tensor = request.examples.into_tensor();
    assert_eq!(tensor.shape()[..], [len]);
    assert_eq!(tensor.num_bytes(), num_bytes, "what was announced");
    let strings = tensor.as_strings().expect("strings");
    let parse = |row: &Bytes| Example::decode(row.clone()).expect("an example");
    strings.iter().map(parse).collect()
}

/// The rows that generated code sees in a request.
fn expected(request: proto::ClassificationRequest) -> Vec<Example> {
    match request.input.and_then(|input| input.kind) {
        None => vec![],
        Some(proto::input::Kind::ExampleList(list)) => list.examples,
        Some(proto::input::Kind::ExampleListWithContext(list)) => {
            let context = list.context.unwrap_or_default();
            let merge = |row: Example| {
                let mut merged = context.clone();
                merged
                    .merge(&row.encode_to_vec()[..])
                    .expect("encoded just now");
                merged
            };
            list.examples.into_iter().map(merge).collect()
        }
    }
}

fn inputs() -> impl Strategy<Value = proto::Input> {
    let values = prop::collection::vec(-9.0_f32..9.0, 0..6);
    let context = prop::option::of(0.0_f32..9.0);
    (values, context, any::<bool>()).prop_map(|(values, context, is_plain)| match is_plain {
        true => list(&values),
        false => with_context(&values, context),
    })
}

proptest! {
    /// Protobuf joins messages by putting one behind the other: the same must come of it here.
    #[test]
    fn rows_are_those_that_generated_code_sees(
        parts in prop::collection::vec(inputs(), 1..4),
        frame in 1_usize..64,
    ) {
        let message: Vec<u8> = parts
            .into_iter()
            .flat_map(|input| request(input).encode_to_vec())
            .collect();
        let whole = proto::ClassificationRequest::decode(&message[..]).expect("encoded just now");
        prop_assert_eq!(rows(&message, frame), expected(whole));
    }

    #[test]
    fn random_bytes_never_panic(message in prop::collection::vec(any::<u8>(), 0..200), frame in 1_usize..20) {
        if let Ok(request) = decode_request(rope(&message, frame)) {
            let num_bytes = request.examples.tensor_bytes();
            prop_assert_eq!(request.examples.into_tensor().num_bytes(), num_bytes);
        }
        drop(decode_multi(rope(&message, frame)));
    }

    #[test]
    fn broken_requests_never_panic(input in inputs(), edits in prop::collection::vec(any::<(usize, u8)>(), 1..4)) {
        let mut message = request(input).encode_to_vec();
        for (place, byte) in edits {
            let place = place % message.len();
            message[place] = byte;
        }
        if let Ok(request) = decode_request(rope(&message, 16)) {
            let num_bytes = request.examples.tensor_bytes();
            prop_assert_eq!(request.examples.into_tensor().num_bytes(), num_bytes);
        }
    }

    #[test]
    fn requests_that_are_written_are_read_by_generated_code(
        values in prop::collection::vec(any::<u32>().prop_map(|bits| bits as f32), 0..5),
    ) {
        let spec = ModelSpec {
            name: "m".to_owned(),
            version: VersionChoice::Latest,
            signature_name: "s".to_owned(),
        };
        let examples = values.iter().map(|&value| example("x", value).encode_to_vec().into());
        let rows: Vec<Bytes> = examples.collect();

        let mut message = BytesMut::new();
        encode_request(&spec, &rows, &mut message);
        let expected = request(list(&values));
        prop_assert_eq!(proto::ClassificationRequest::decode(&message[..]).expect("written"), expected);

        let mut message = BytesMut::new();
        let task = Task {
            model: Some(spec),
            method_name: "q".to_owned(),
        };
        encode_multi_request(&[task], &rows, &mut message);
        let expected = proto::MultiInferenceRequest {
            tasks: vec![proto::InferenceTask {
                model_spec: request(list(&[])).model_spec,
                method_name: "q".to_owned(),
            }],
            input: Some(list(&values)),
        };
        prop_assert_eq!(proto::MultiInferenceRequest::decode(&message[..]).expect("written"), expected);
    }

    #[test]
    fn answers_are_read_by_generated_code(
        labels in prop::option::of(prop::collection::vec("[a-zé]{0,4}", 6)),
        scores in prop::option::of(prop::collection::vec(any::<u32>().prop_map(f32::from_bits), 6)),
        num_rows in prop::sample::select(vec![1_usize, 2, 3, 6]),
    ) {
        let num_classes = 6 / num_rows;
        let shape = [num_rows, num_classes];
        let classes = labels.as_ref().map(|labels| {
            let labels = labels.iter().map(|label| Bytes::from(label.clone())).collect();
            Tensor::from_strings(shape, labels).expect("six")
        });
        let scores = scores.map(|scores| Tensor::from_vec(shape, scores).expect("six"));
        let results = Classifications::new(classes.as_ref(), scores.as_ref(), num_rows).expect("of the right form");
        let rows = match classes.is_some() || scores.is_some() {
            true => num_classes,
            false => 0,
        };
        let mut bytes = BytesMut::new();
        encode_response(&ECHO, &Results::Classifications(results), &mut bytes);
        let response = proto::ClassificationResponse::decode(bytes).expect("legal");
        let result = response.result.expect("set");
        prop_assert_eq!(result.classifications.len(), num_rows);
        for (row_idx, row) in result.classifications.iter().enumerate() {
            prop_assert_eq!(row.classes.len(), rows);
            for (class_idx, class) in row.classes.iter().enumerate() {
                let idx = row_idx * num_classes + class_idx;
                let label = labels.as_ref().map_or("", |labels| &labels[idx]);
                let score = scores.as_ref().map_or(0.0, |scores| scores.as_slice::<f32>().expect("floats")[idx]);
                prop_assert_eq!(&class.label, label);
                prop_assert_eq!(class.score.to_bits(), score.to_bits());
            }
        }
    }
}

const ECHO: ModelSpecEcho<'static> = ModelSpecEcho {
    name: "m",
    version: 123,
    signature_name: "s",
};

#[test]
fn the_model_is_read_beside_the_rows() {
    let message = request(list(&[1.0])).encode_to_vec();
    let decoded = decode_request(rope(&message, 3)).expect("a request");
    let model = ModelSpec {
        name: "m".to_owned(),
        version: VersionChoice::Latest,
        signature_name: "s".to_owned(),
    };
    assert_eq!(decoded.model, Some(model));
    assert!(
        decode_request(Rope::default())
            .expect("empty")
            .examples
            .is_empty()
    );
}

#[test]
fn rows_in_one_frame_are_not_copied() {
    let message = Bytes::from(request(list(&[1.0, 2.0])).encode_to_vec());
    let decoded = decode_request(Rope::from(message.clone())).expect("a request");
    let tensor = decoded.examples.into_tensor();
    let within = message.as_ptr_range();
    for row in tensor.as_strings().expect("strings") {
        assert!(within.contains(&row.as_ptr()));
    }
}

#[test]
fn rows_of_a_form_that_was_given_up_take_no_memory() {
    let empty_rows = [0x0a, 0].repeat(100_000);
    let mut message = Vec::new();
    let mut writer = salver_wire::Writer::new(&mut message);
    writer.nested(2, |input| input.bytes_field(1, &empty_rows));
    let others = request(with_context(&[1.0], Some(2.0))).encode_to_vec();
    message.extend_from_slice(&others);
    let decoded = decode_request(rope(&message, 1000)).expect("a request");
    assert_eq!(decoded.examples.len(), 1);
    assert_eq!(
        rows(&message, 1000),
        expected(request(with_context(&[1.0], Some(2.0))))
    );
}

#[test]
fn what_rows_have_in_common_counts_for_each_of_them() {
    let input = with_context(&[1.0; 1000], Some(2.0));
    let decoded = decode_request(rope(&request(input).encode_to_vec(), 77)).expect("a request");
    let (context, row) = (
        example("c", 2.0).encoded_len(),
        example("x", 1.0).encoded_len(),
    );
    assert_eq!(
        decoded.examples.tensor_bytes(),
        1000 * (size_of::<Bytes>() + context + row)
    );
}

#[test]
fn several_questions_are_read_and_answered_in_order() {
    let task = |signature: &str, method: &str| proto::InferenceTask {
        model_spec: Some(proto::ModelSpec {
            name: "m".to_owned(),
            signature_name: signature.to_owned(),
            version_choice: None,
        }),
        method_name: method.to_owned(),
    };
    let request = proto::MultiInferenceRequest {
        tasks: vec![task("a", "tensorflow/serving/regress"), task("b", "other")],
        input: Some(list(&[1.0, 2.0])),
    };
    let decoded = decode_multi(rope(&request.encode_to_vec(), 5)).expect("a request");
    let methods: Vec<_> = decoded
        .tasks
        .iter()
        .map(|task| &*task.method_name)
        .collect();
    assert_eq!(methods, ["tensorflow/serving/regress", "other"]);
    assert_eq!(decoded.examples.len(), 2);

    let values = Tensor::from_vec([2, 1], vec![0.0_f32, 1.5]).expect("two");
    let scores = Tensor::from_vec([2, 1], vec![0.5_f32, 1.5]).expect("two");
    let answers = [
        (
            ECHO,
            Results::Regressions(Regressions::new(&values, 2).expect("values")),
        ),
        (
            ModelSpecEcho {
                signature_name: "t",
                ..ECHO
            },
            Results::Classifications(Classifications::new(None, Some(&scores), 2).expect("scores")),
        ),
    ];
    let mut bytes = BytesMut::new();
    encode_multi(&answers, &mut bytes);
    let response = proto::MultiInferenceResponse::decode(bytes.chunk()).expect("legal");
    assert_eq!(
        response.encode_to_vec(),
        bytes,
        "as generated code writes it"
    );
    let [first, second] = &response.results[..] else {
        panic!("two results");
    };
    assert_eq!(first.model_spec.as_ref().expect("set").signature_name, "s");
    assert_eq!(second.model_spec.as_ref().expect("set").signature_name, "t");
    let Some(proto::inference_result::Result::RegressionResult(result)) = &first.result else {
        panic!("values");
    };
    let values: Vec<f32> = result.regressions.iter().map(|row| row.value).collect();
    assert_eq!(values, [0.0, 1.5]);
}

#[test]
fn too_many_tasks_are_refused() {
    let message = [0x0a, 0].repeat(MAX_ENTRIES + 1);
    assert_eq!(
        decode_multi(rope(&message, 4096)).expect_err("too many"),
        DecodeError::TooManyEntries { max: MAX_ENTRIES }
    );
}

#[test]
fn outputs_of_another_form_are_no_answer() {
    let floats = |shape: &[usize]| {
        let len = shape.iter().product();
        Tensor::from_vec(shape.to_vec(), vec![0.5_f32; len]).expect("of that shape")
    };
    let strings = |shape: &[usize]| {
        let len = shape.iter().product();
        Tensor::from_strings(shape.to_vec(), vec![Bytes::new(); len]).expect("of that shape")
    };
    let longs = Tensor::from_vec([2, 1], vec![1_i64, 2]).expect("two");
    let classify = |classes: Option<&Tensor>, scores: Option<&Tensor>| {
        Classifications::new(classes, scores, 2)
            .expect_err("refused")
            .to_string()
    };
    let regress = |outputs: &Tensor| {
        Regressions::new(outputs, 2)
            .expect_err("refused")
            .to_string()
    };
    assert_eq!(longs.dtype(), DType::I64);
    let rows = [
        (
            classify(Some(&strings(&[2])), None),
            "Expected Tensor shape: [batch_size num_classes] but got [2]",
        ),
        (
            classify(Some(&longs), None),
            "Expected classes Tensor of DT_STRING. Got: DT_INT64",
        ),
        (
            classify(Some(&strings(&[3, 1])), None),
            "Expected classes output batch size of 2. Got: 3",
        ),
        (
            classify(None, Some(&floats(&[2, 1, 1]))),
            "Expected Tensor shape: [batch_size num_classes] but got [2,1,1]",
        ),
        (
            classify(None, Some(&longs)),
            "Expected scores Tensor of DT_FLOAT. Got: DT_INT64",
        ),
        (
            classify(None, Some(&floats(&[1, 2]))),
            "Expected scores output batch size of 2. Got: 1",
        ),
        (
            classify(Some(&strings(&[2, 3])), Some(&floats(&[2, 1]))),
            "Tensors class and score should match in dim_size(1). Got 3 vs. 1",
        ),
        (
            regress(&floats(&[])),
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got []",
        ),
        (
            regress(&floats(&[2, 2])),
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,2]",
        ),
        (
            regress(&floats(&[3])),
            "Input batch size did not match output batch size: 2 vs. 3",
        ),
        (
            regress(&longs),
            "Expected output Tensor of DT_FLOAT.  Got: DT_INT64",
        ),
    ];
    for (actual, expected) in rows {
        assert_eq!(actual, expected);
    }
}
