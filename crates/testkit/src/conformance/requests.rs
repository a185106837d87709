//! What a client gets wrong is an error of its own, never a panic; what it sends is not touched.

use salver_backend::Backend;
use salver_tensor::{DType, Tensor};

use super::{Case, Loaded, Outcome, ensure, ensure_invalid_input};
use crate::{Tiny, Tolerance, models};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "refuses_a_wrong_dtype",
        check: refuses_a_wrong_dtype,
    },
    Case {
        name: "refuses_a_wrong_number_of_inputs",
        check: refuses_a_wrong_number_of_inputs,
    },
    Case {
        name: "refuses_a_shape_that_the_model_fixes",
        check: refuses_a_shape_that_the_model_fixes,
    },
    Case {
        name: "refuses_shapes_that_do_not_go_together",
        check: refuses_shapes_that_do_not_go_together,
    },
    Case {
        name: "refuses_an_index_out_of_range",
        check: refuses_an_index_out_of_range,
    },
    Case {
        name: "refuses_an_unknown_output",
        check: refuses_an_unknown_output,
    },
    Case {
        name: "works_on_after_an_error",
        check: works_on_after_an_error,
    },
    Case {
        name: "leaves_inputs_as_they_are",
        check: leaves_inputs_as_they_are,
    },
];

fn floats(shape: &[usize]) -> Tensor {
    let num_elements: usize = shape.iter().product();
    Tensor::from_vec(
        shape,
        (0..num_elements).map(|idx| idx as f32 - 1.5).collect(),
    )
    .expect("fits")
}

fn refuses_a_wrong_dtype(backend: &dyn Backend) -> Outcome {
    let mut loaded = Loaded::new(backend, Tiny::Mlp)?;
    ensure_invalid_input(
        loaded.run(&[Tensor::from_vec([1, 4], vec![1_i32, 2, 3, 4]).expect("four")]),
    )?;
    ensure_invalid_input(
        loaded.run(&[Tensor::from_vec([1, 4], vec![1.0_f64, 2.0, 3.0, 4.0]).expect("four")]),
    )?;
    ensure_invalid_input(loaded.run(&[models::odd_strings()]))?;
    let mut loaded = Loaded::new(backend, Tiny::Gather)?;
    ensure_invalid_input(loaded.run(&[Tensor::from_vec([1], vec![1_i32]).expect("one")]))
}

fn refuses_a_wrong_number_of_inputs(backend: &dyn Backend) -> Outcome {
    let mut loaded = Loaded::new(backend, Tiny::Add(DType::F32))?;
    ensure_invalid_input(loaded.run(&[]))?;
    ensure_invalid_input(loaded.run(&[floats(&[2])]))?;
    ensure_invalid_input(loaded.run(&[floats(&[2]), floats(&[2]), floats(&[2])]))
}

fn refuses_a_shape_that_the_model_fixes(backend: &dyn Backend) -> Outcome {
    let mut loaded = Loaded::new(backend, Tiny::FixedBatch)?;
    let answer = loaded.answer(&[floats(&[2, 3])])?;
    ensure(
        answer[0]
            .as_slice::<f32>()
            .ok()
            .and_then(|values| values.first().copied())
            == Some(-0.5),
        || "1 is not added".to_owned(),
    )?;
    ensure_invalid_input(loaded.run(&[floats(&[3, 3])]))?;
    ensure_invalid_input(loaded.run(&[floats(&[2, 4])]))?;
    ensure_invalid_input(loaded.run(&[floats(&[6])]))
}

fn refuses_shapes_that_do_not_go_together(backend: &dyn Backend) -> Outcome {
    let mut loaded = Loaded::new(backend, Tiny::Add(DType::F32))?;
    ensure_invalid_input(loaded.run(&[floats(&[2]), floats(&[3])]))
}

fn refuses_an_index_out_of_range(backend: &dyn Backend) -> Outcome {
    let mut loaded = Loaded::new(backend, Tiny::Gather)?;
    ensure_invalid_input(loaded.run(&[Tensor::from_vec([2], vec![0_i64, 4]).expect("two")]))
}

fn refuses_an_unknown_output(backend: &dyn Backend) -> Outcome {
    let mut loaded = Loaded::new(backend, Tiny::HalfPlusTwo)?;
    ensure_invalid_input(loaded.run_for(&[floats(&[2])], &[1]))
}

fn works_on_after_an_error(backend: &dyn Backend) -> Outcome {
    let mut loaded = Loaded::new(backend, Tiny::Add(DType::F32))?;
    for _ in 0..3 {
        ensure_invalid_input(loaded.run(&[floats(&[2]), floats(&[3])]))?;
        loaded.answer(&[floats(&[2]), floats(&[2])])?;
    }
    Ok(())
}

fn leaves_inputs_as_they_are(backend: &dyn Backend) -> Outcome {
    for model in [
        Tiny::MultiOutput,
        Tiny::HalfPlusTwo,
        Tiny::Identity(DType::F32),
    ] {
        let mut loaded = Loaded::new(backend, model)?;
        let x = floats(&[2, 2]);
        let answer = loaded.answer(std::slice::from_ref(&x))?;
        Tolerance::Exact.check(&x, &floats(&[2, 2]))?;
        let again = loaded.answer(std::slice::from_ref(&x))?;
        answer
            .iter()
            .zip(&again)
            .try_for_each(|(first, second)| Tolerance::Exact.check(first, second))?;
    }
    Ok(())
}
