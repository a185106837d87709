//! Every dtype goes in and comes out as it is declared.

use bytes::Bytes;
use salver_backend::{Backend, BackendError};
use salver_tensor::{DType, Tensor};

use super::{Case, Failure, Loaded, Outcome, ensure};
use crate::{Tiny, Tolerance, models};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "identity_bool",
        check: |backend| identity(backend, DType::Bool),
    },
    Case {
        name: "identity_u8",
        check: |backend| identity(backend, DType::U8),
    },
    Case {
        name: "identity_u16",
        check: |backend| identity(backend, DType::U16),
    },
    Case {
        name: "identity_u32",
        check: |backend| identity(backend, DType::U32),
    },
    Case {
        name: "identity_u64",
        check: |backend| identity(backend, DType::U64),
    },
    Case {
        name: "identity_i8",
        check: |backend| identity(backend, DType::I8),
    },
    Case {
        name: "identity_i16",
        check: |backend| identity(backend, DType::I16),
    },
    Case {
        name: "identity_i32",
        check: |backend| identity(backend, DType::I32),
    },
    Case {
        name: "identity_i64",
        check: |backend| identity(backend, DType::I64),
    },
    Case {
        name: "identity_f16",
        check: |backend| identity(backend, DType::F16),
    },
    Case {
        name: "identity_bf16",
        check: |backend| identity(backend, DType::BF16),
    },
    Case {
        name: "identity_f32",
        check: |backend| identity(backend, DType::F32),
    },
    Case {
        name: "identity_f64",
        check: |backend| identity(backend, DType::F64),
    },
    Case {
        name: "identity_complex64",
        check: |backend| identity(backend, DType::Complex64),
    },
    Case {
        name: "identity_complex128",
        check: |backend| identity(backend, DType::Complex128),
    },
    Case {
        name: "identity_string",
        check: |backend| identity(backend, DType::String),
    },
    Case {
        name: "wide_integers_are_never_narrowed",
        check: wide_integers_are_never_narrowed,
    },
    Case {
        name: "booleans_come_out_as_zero_and_one",
        check: booleans_come_out_as_zero_and_one,
    },
];

fn identity(backend: &dyn Backend, dtype: DType) -> Outcome {
    let mut loaded = Loaded::new(backend, Tiny::Identity(dtype))?;
    let (input, output) = (&loaded.signature.inputs[0], &loaded.signature.outputs[0]);
    ensure((input.dtype, output.dtype) == (dtype, dtype), || {
        format!("declared as {input} and {output}")
    })?;
    for x in samples(dtype) {
        let answer = loaded.answer(std::slice::from_ref(&x))?;
        Tolerance::Exact.check(&answer[0], &x)?;
    }
    Ok(())
}

/// Tensors of a dtype: several ranks, a scalar, values of every kind, none at all.
fn samples(dtype: DType) -> Vec<Tensor> {
    let Some(size) = dtype.size() else {
        let one = Tensor::from_strings([0; 0], vec![Bytes::from_static(b"one")]).expect("one");
        let none = Tensor::from_strings([0, 2], Vec::new()).expect("none");
        return vec![models::odd_strings(), one, none];
    };
    [vec![2, 3], vec![1], vec![], vec![0, 4], vec![1, 1, 2, 2, 1]]
        .into_iter()
        .map(|shape| {
            let num_elements: usize = shape.iter().product();
            let bytes: Vec<u8> = (0..num_elements)
                .flat_map(|idx| element(dtype, size, idx))
                .collect();
            Tensor::from_bytes(dtype, shape, bytes.into()).expect("so many bytes")
        })
        .collect()
}

/// Returns the bytes of one element: any bits, but for the values that a narrower engine may refuse.
fn element(dtype: DType, size: usize, idx: usize) -> Vec<u8> {
    match dtype {
        DType::Bool => vec![(idx % 2) as u8],
        DType::I64 => [i64::from(i32::MIN), -1, 0, i64::from(i32::MAX)][idx % 4]
            .to_le_bytes()
            .to_vec(),
        DType::F32 => [f32::INFINITY, -0.0, f32::MIN_POSITIVE / 2.0, f32::MAX][idx % 4]
            .to_le_bytes()
            .to_vec(),
        _ => (0..size)
            .map(|byte| (idx * 97 + byte * 31) as u8 | 1)
            .collect(),
    }
}

fn wide_integers_are_never_narrowed(backend: &dyn Backend) -> Outcome {
    let mut loaded = Loaded::new(backend, Tiny::Identity(DType::I64))?;
    for wide in [
        i64::MAX,
        i64::MIN,
        i64::from(i32::MAX) + 1,
        i64::from(i32::MIN) - 1,
    ] {
        let x = Tensor::from_vec([3], vec![1, wide, 3]).expect("three");
        match loaded.run(std::slice::from_ref(&x)) {
            Ok(answer) => Tolerance::Exact.check(&answer[0], &x)?,
            Err(BackendError::InvalidInput { message }) => {
                let names_all = ["`x`", "1", &wide.to_string()]
                    .iter()
                    .all(|part| message.contains(part));
                ensure(names_all, || {
                    format!("does not name input, index and value: {message}")
                })?;
            }
            Err(other) => {
                return Err(Failure::Wrong(format!(
                    "expected the value or InvalidInput, got {other:?}"
                )));
            }
        }
    }
    Ok(())
}

fn booleans_come_out_as_zero_and_one(backend: &dyn Backend) -> Outcome {
    let mut loaded = Loaded::new(backend, Tiny::Not)?;
    let x = Tensor::from_bools([2, 2], &[true, false, false, true]).expect("four");
    let answer = loaded.answer(&[x])?;
    let expected = Tensor::from_bools([2, 2], &[false, true, true, false]).expect("four");
    Ok(Tolerance::Exact.check(&answer[0], &expected)?)
}
