//! Answers are right: for any batch, any order of outputs, alone and at once.

use std::sync::Arc;
use std::thread;

use salver_backend::{Backend, ModelFormat};
use salver_tensor::{DType, Dim, Tensor, batch};

use super::{Case, Failure, Loaded, Outcome, ensure, loaded};
use crate::{Tiny, Tolerance, models};

/// Engines add up in different orders.
const SUMS: Tolerance = Tolerance::Close {
    rtol: 1e-5,
    atol: 1e-6,
};

const NUM_THREADS: usize = 4;
const RUNS_PER_THREAD: usize = 50;
const NUM_RELOADS: usize = 20;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "declares_what_the_file_declares",
        check: declares_what_the_file_declares,
    },
    Case {
        name: "takes_any_shape_where_none_is_declared",
        check: takes_any_shape_where_none_is_declared,
    },
    Case {
        name: "takes_any_batch",
        check: takes_any_batch,
    },
    Case {
        name: "takes_a_batch_of_no_rows",
        check: takes_a_batch_of_no_rows,
    },
    Case {
        name: "looks_rows_up",
        check: looks_rows_up,
    },
    Case {
        name: "adds_integers",
        check: adds_integers,
    },
    Case {
        name: "gives_the_outputs_asked_for_in_their_order",
        check: gives_the_outputs_asked_for_in_their_order,
    },
    Case {
        name: "gives_inputs_and_weights_as_outputs",
        check: gives_inputs_and_weights_as_outputs,
    },
    Case {
        name: "outputs_outlive_the_model",
        check: outputs_outlive_the_model,
    },
    Case {
        name: "instances_run_at_once",
        check: instances_run_at_once,
    },
    Case {
        name: "loads_and_unloads_again_and_again",
        check: loads_and_unloads_again_and_again,
    },
];

fn declares_what_the_file_declares(backend: &dyn Backend) -> Outcome {
    let loaded = Loaded::new(backend, Tiny::MultiOutput)?;
    let signature = &loaded.signature;
    ensure(&*signature.name == "serving_default", || {
        format!("signature is named {}", signature.name)
    })?;
    let batch = Dim::Dynamic(Some("batch".into()));
    ensure(
        signature.inputs[0].dims == Some(vec![batch.clone(), Dim::Fixed(2)]),
        || format!("declared as {}", signature.inputs[0]),
    )?;
    let names: Vec<_> = signature.outputs.iter().map(|spec| &*spec.name).collect();
    let expected = match loaded::format(backend) {
        // A map, which has no order of its own.
        ModelFormat::SavedModel => ["negative", "relu", "sum"],
        _ => ["relu", "sum", "negative"],
    };
    ensure(names == expected, || format!("outputs are {names:?}"))?;
    let sum = &signature.outputs[loaded.output("sum")?];
    ensure(sum.dims == Some(vec![batch]), || {
        format!("declared as {sum}")
    })
}

fn takes_any_shape_where_none_is_declared(backend: &dyn Backend) -> Outcome {
    let mut loaded = Loaded::new(backend, Tiny::HalfPlusTwo)?;
    for shape in [vec![3], vec![3, 1], vec![1, 3, 1]] {
        let x = Tensor::from_vec(shape.clone(), vec![1.0_f32, 2.0, 5.0]).expect("three");
        let y = Tensor::from_vec(shape, vec![2.5_f32, 3.0, 4.5]).expect("three");
        Tolerance::Exact.check(&loaded.answer(&[x])?[0], &y)?;
    }
    let x = Tensor::from_vec([0; 0], vec![1.0_f32]).expect("one");
    let y = Tensor::from_vec([0; 0], vec![2.5_f32]).expect("one");
    Ok(Tolerance::Exact.check(&loaded.answer(&[x])?[0], &y)?)
}

fn takes_any_batch(backend: &dyn Backend) -> Outcome {
    let mut loaded = Loaded::new(backend, Tiny::Mlp)?;
    let mut rows = Vec::new();
    for num_rows in [1, 2, 7, 1, 33] {
        let x = mlp_rows(num_rows, num_rows);
        let answer = loaded.answer(std::slice::from_ref(&x))?.remove(0);
        SUMS.check(&answer, &models::mlp_expected(&x))?;
        rows.push((x, answer));
    }
    let (inputs, answers): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    let together = loaded.answer(&[batch::concat(&inputs).expect("rows fit")])?;
    Ok(SUMS.check(&together[0], &batch::concat(&answers).expect("rows fit"))?)
}

fn takes_a_batch_of_no_rows(backend: &dyn Backend) -> Outcome {
    let mut loaded = Loaded::new(backend, Tiny::Mlp)?;
    let answer = loaded.answer(&[mlp_rows(0, 0)])?;
    Tolerance::Exact.check(
        &answer[0],
        &Tensor::from_vec::<f32>([0, 3], Vec::new()).expect("none"),
    )?;
    let mut loaded = Loaded::new(backend, Tiny::HalfPlusTwo)?;
    let none = Tensor::from_vec::<f32>([0], Vec::new()).expect("none");
    let answer = loaded.answer(std::slice::from_ref(&none))?;
    Ok(Tolerance::Exact.check(&answer[0], &none)?)
}

fn looks_rows_up(backend: &dyn Backend) -> Outcome {
    let mut loaded = Loaded::new(backend, Tiny::Gather)?;
    let ids = Tensor::from_vec([3], vec![3_i64, 0, 1]).expect("three");
    let rows = Tensor::from_vec([3, 2], vec![3.0_f32, 30.0, 0.0, 0.0, 1.0, 10.0]).expect("six");
    Ok(Tolerance::Exact.check(&loaded.answer(&[ids])?[0], &rows)?)
}

fn adds_integers(backend: &dyn Backend) -> Outcome {
    let mut loaded = Loaded::new(backend, Tiny::Add(DType::I64))?;
    let [a, b, c] =
        [vec![1_i64, -2], vec![40, 2], vec![41, 0]].map(|v| Tensor::from_vec([2], v).expect("two"));
    Tolerance::Exact.check(&loaded.answer(&[a, b])?[0], &c)?;
    let mut loaded = Loaded::new(backend, Tiny::Add(DType::I32))?;
    let [a, b, c] =
        [vec![1_i32, -2], vec![40, 2], vec![41, 0]].map(|v| Tensor::from_vec([2], v).expect("two"));
    Ok(Tolerance::Exact.check(&loaded.answer(&[a, b])?[0], &c)?)
}

fn gives_the_outputs_asked_for_in_their_order(backend: &dyn Backend) -> Outcome {
    let mut loaded = Loaded::new(backend, Tiny::MultiOutput)?;
    let x = Tensor::from_vec([2, 2], vec![1.0_f32, -2.0, 3.0, 4.0]).expect("four");
    let relu = Tensor::from_vec([2, 2], vec![1.0_f32, 0.0, 3.0, 4.0]).expect("four");
    let sum = Tensor::from_vec([2], vec![-1.0_f32, 7.0]).expect("two");
    let negative = Tensor::from_vec([2, 2], vec![-1.0_f32, 2.0, -3.0, -4.0]).expect("four");
    let mut expected = [("relu", relu), ("sum", sum), ("negative", negative)];
    expected.sort_by_key(|(name, _)| loaded.signature.output_idx(name));
    for outputs in [&[0, 1, 2][..], &[2, 0], &[1], &[2], &[]] {
        let answer = loaded
            .run_for(std::slice::from_ref(&x), outputs)
            .map_err(|error| error.to_string())?;
        ensure(answer.len() == outputs.len(), || {
            format!("{} outputs for {outputs:?}", answer.len())
        })?;
        for (tensor, &output) in answer.iter().zip(outputs) {
            Tolerance::Exact.check(tensor, &expected[output].1)?;
        }
    }
    Ok(())
}

fn gives_inputs_and_weights_as_outputs(backend: &dyn Backend) -> Outcome {
    let mut loaded = Loaded::new(backend, Tiny::Passthrough)?;
    let x = Tensor::from_vec([2], vec![1.0_f32, -2.0]).expect("two");
    let answer = loaded.answer(std::slice::from_ref(&x))?;
    let [x_idx, w_idx, y_idx] = [
        loaded.output("x")?,
        loaded.output("w")?,
        loaded.output("y")?,
    ];
    drop(loaded);
    Tolerance::Exact.check(&answer[x_idx], &x)?;
    // What the answer holds is its own, also when the request is gone and its memory used for something else.
    drop(x);
    let reused: Vec<_> = (0..64)
        .map(|_| Tensor::from_vec([2], vec![9.0_f32, 9.0]).expect("two"))
        .collect();
    Tolerance::Exact.check(
        &answer[x_idx],
        &Tensor::from_vec([2], vec![1.0_f32, -2.0]).expect("two"),
    )?;
    drop(reused);
    Tolerance::Exact.check(
        &answer[w_idx],
        &Tensor::from_vec([2], vec![3.0_f32, 4.0]).expect("two"),
    )?;
    Ok(Tolerance::Exact.check(
        &answer[y_idx],
        &Tensor::from_vec([2], vec![-1.0_f32, 2.0]).expect("two"),
    )?)
}

fn outputs_outlive_the_model(backend: &dyn Backend) -> Outcome {
    let mut loaded = Loaded::new(backend, Tiny::Mlp)?;
    let x = mlp_rows(5, 1);
    let answer = loaded.answer(std::slice::from_ref(&x))?;
    drop(loaded);
    Ok(SUMS.check(&answer[0], &models::mlp_expected(&x))?)
}

fn instances_run_at_once(backend: &dyn Backend) -> Outcome {
    let loaded = Loaded::new(backend, Tiny::Mlp)?;
    let check = |seed: usize| -> Outcome {
        let mut instance = loaded.model.instance().map_err(|error| error.to_string())?;
        for run in 0..RUNS_PER_THREAD {
            let x = mlp_rows(1 + (seed + run) % 5, seed * RUNS_PER_THREAD + run);
            let answer = loaded::run(
                &mut *instance,
                &loaded.signature,
                std::slice::from_ref(&x),
                &[0],
            )
            .map_err(|error| error.to_string())?;
            SUMS.check(&answer[0], &models::mlp_expected(&x))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..NUM_THREADS)
            .map(|seed| scope.spawn(move || check(seed)))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(Failure::Wrong("a run panicked".to_owned())))
        })
    })
}

fn loads_and_unloads_again_and_again(backend: &dyn Backend) -> Outcome {
    for round in 0..NUM_RELOADS {
        let mut loaded = Loaded::new(backend, Tiny::Mlp)?;
        let x = mlp_rows(2, round);
        SUMS.check(
            &loaded.answer(std::slice::from_ref(&x))?[0],
            &models::mlp_expected(&x),
        )?;
        // An instance keeps what it needs, whatever becomes of the model.
        let Loaded {
            model,
            signature,
            mut instance,
        } = loaded;
        drop(model);
        let signature = Arc::clone(&signature);
        let answer = loaded::run(&mut *instance, &signature, std::slice::from_ref(&x), &[0]);
        SUMS.check(
            &answer.map_err(|error| error.to_string())?[0],
            &models::mlp_expected(&x),
        )?;
    }
    Ok(())
}

fn mlp_rows(num_rows: usize, seed: usize) -> Tensor {
    let width = models::MLP_WIDTHS[0];
    let value = |idx: usize| ((seed * 29 + idx * 17) % 41) as f32 / 10.0 - 2.0;
    Tensor::from_vec(
        [num_rows, width],
        (0..num_rows * width).map(value).collect(),
    )
    .expect("fits")
}
