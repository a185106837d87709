use std::collections::BTreeMap;

use salver_tensor::{DType, Dim, TensorSpec};

use super::*;

/// Returns a spec called `alias` of the tensor `alias:0`, a vector of floats.
fn spec(alias: &str) -> TensorSpec {
    TensorSpec {
        tensor_name: format!("{alias}:0").into(),
        ..TensorSpec::new(alias, DType::F32, Some(vec![Dim::Dynamic(None)]))
    }
}

fn signature(method_name: &str, inputs: &[&str], outputs: &[&str]) -> Signature {
    let specs = |aliases: &[&str]| aliases.iter().map(|alias| spec(alias)).collect();
    Signature {
        name: "s".into(),
        method_name: method_name.into(),
        inputs: specs(inputs),
        outputs: specs(outputs),
        defaults: BTreeMap::new(),
        changes_state: false,
    }
}

/// How `{inputs} -> {outputs}` is printed.
fn shown(input: &str, output: &str) -> String {
    let map = |field: &str, alias: &str| {
        format!(
            "{field} {{\n  key: \"{alias}\"\n  value {{\n    name: \"{alias}:0\"\n    dtype: DT_FLOAT\n    tensor_shape \
             {{\n      dim {{\n        size: -1\n      }}\n    }}\n  }}\n}}\n"
        )
    };
    format!(
        "{}{}method_name: \"m\"\n",
        map("inputs", input),
        map("outputs", output)
    )
}

/// Inputs and outputs that a signature has.
type Form = (&'static [&'static str], &'static [&'static str]);

fn outputs(method: InferenceMethod, (inputs, outputs): Form) -> Result<Vec<usize>, String> {
    let outputs = method.outputs(false, &signature("m", inputs, outputs));
    outputs.map_err(|error| error.to_string())
}

#[test]
fn answers_are_made_of_the_outputs_that_belong_to_the_question() {
    use InferenceMethod::{Classify, Regress};
    let rows: [(InferenceMethod, Form, &[usize]); 5] = [
        (Classify, (&["inputs"], &["scores"]), &[0]),
        (Classify, (&["inputs"], &["classes"]), &[0]),
        (Classify, (&["inputs"], &["scores", "classes"]), &[1, 0]),
        (Classify, (&["inputs"], &["other", "scores"]), &[1]),
        (Regress, (&["inputs"], &["outputs"]), &[0]),
    ];
    for (method, form, expected) in rows {
        assert_eq!(outputs(method, form).as_deref(), Ok(expected), "{form:?}");
    }
}

#[test]
fn a_signature_must_have_the_form_of_the_question() {
    use InferenceMethod::{Classify, Regress};
    let one_input = "Expected one input Tensor.";
    let no_inputs = "No {} inputs found in SignatureDef: ";
    let rows: [(InferenceMethod, Form, String); 9] = [
        (Classify, (&[], &["scores"]), one_input.to_owned()),
        (Regress, (&["inputs", "x"], &["outputs"]), one_input.to_owned()),
        (
            Classify,
            (&["x"], &[]),
            "Expected one or two output Tensors, found 0".to_owned(),
        ),
        (
            Classify,
            (&["inputs"], &["classes", "scores", "x"]),
            "Expected one or two output Tensors, found 3".to_owned(),
        ),
        (
            Regress,
            (&["inputs"], &["outputs", "x"]),
            "Expected one output Tensor.".to_owned(),
        ),
        (
            Classify,
            (&["x"], &["scores"]),
            no_inputs.replace("{}", "classification") + &shown("x", "scores"),
        ),
        (
            Regress,
            (&["x"], &["outputs"]),
            no_inputs.replace("{}", "regression") + &shown("x", "outputs"),
        ),
        (
            Classify,
            (&["inputs"], &["y"]),
            "Expected classification signature outputs to contain at least one of \"classes\" or \"scores\". Signature \
             was: "
                .to_owned()
                + &shown("inputs", "y"),
        ),
        (
            Regress,
            (&["inputs"], &["y"]),
            "No regression outputs found in SignatureDef: ".to_owned() + &shown("inputs", "y"),
        ),
    ];
    for (method, form, expected) in rows {
        assert_eq!(outputs(method, form), Err(expected), "{form:?}");
    }
}

#[test]
fn method_names_count_only_where_they_are_checked() {
    let regression = signature("tensorflow/serving/regress", &["inputs"], &["scores"]);
    assert!(
        InferenceMethod::Classify
            .outputs(false, &regression)
            .is_ok()
    );
    let error = InferenceMethod::Classify.outputs(true, &regression);
    assert_eq!(
        error.expect_err("checked").to_string(),
        "Expected classification signature method_name to be tensorflow/serving/classify. Was: \
         tensorflow/serving/regress"
    );
    let error = InferenceMethod::Regress.outputs(true, &signature("", &["inputs"], &["outputs"]));
    assert_eq!(
        error.expect_err("checked").to_string(),
        "Expected regression signature method_name to be tensorflow/serving/regress. Was: "
    );
}

fn question(signature: &Arc<Signature>, outputs: &[usize]) -> Question {
    Question {
        method: InferenceMethod::Classify,
        signature: Arc::clone(signature),
        outputs: outputs.to_vec(),
    }
}

#[test]
fn several_questions_are_one_run_of_each_tensor_once() {
    let tensor = |alias: &str, tensor_name: &str| TensorSpec {
        name: alias.into(),
        ..spec(tensor_name)
    };
    let of = |name: &str, input: TensorSpec, outputs: Vec<TensorSpec>| {
        Arc::new(Signature {
            name: name.into(),
            inputs: vec![input],
            outputs,
            ..signature("m", &[], &[])
        })
    };
    let a = of(
        "a",
        tensor("inputs", "rows"),
        vec![tensor("scores", "y2"), tensor("other", "z")],
    );
    let b = of("b", tensor("inputs", "rows"), vec![tensor("outputs", "y1")]);
    let c = of("c", tensor("inputs", "more"), vec![tensor("outputs", "y2")]);

    let (alone, requested) = joint::signature(&[question(&a, &[0])]);
    assert!(Arc::ptr_eq(&alone, &a), "one question goes to its own");
    assert_eq!(requested, [0]);

    let questions = [question(&a, &[0]), question(&b, &[0]), question(&c, &[0])];
    let (joint, requested) = joint::signature(&questions);
    let names = |specs: &[TensorSpec]| {
        let name = |spec: &TensorSpec| spec.tensor_name.to_string();
        specs.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(names(&joint.inputs), ["more:0", "rows:0"]);
    assert_eq!(names(&joint.outputs), ["y1:0", "y2:0"]);
    assert_eq!(requested, [0, 1]);
    assert_eq!(&*joint.name, "a");
}
