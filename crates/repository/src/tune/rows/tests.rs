use super::*;

const ANY: Dim = Dim::Dynamic(None);

fn signature(inputs: Vec<TensorSpec>) -> Arc<Signature> {
    Arc::new(Signature::serving_default(inputs, Vec::new()))
}

fn spec(dtype: DType, dims: &[Dim]) -> TensorSpec {
    TensorSpec::new("x", dtype, Some(dims.to_vec()))
}

fn tensor(shape: [usize; 2], values: &[f32]) -> Tensor {
    Tensor::from_vec(shape, values.to_vec()).unwrap()
}

#[test]
fn a_row_is_the_same_whatever_is_beside_it() {
    for dtype in DType::ALL
        .into_iter()
        .filter(|dtype| *dtype != DType::String)
    {
        let signature = signature(vec![
            spec(dtype, &[ANY, Dim::Fixed(9)]),
            spec(DType::F32, &[ANY]),
        ]);
        let rows = Rows::of(&signature).unwrap();
        assert!(rows.has_batch_axis);
        let together = rows.make(1, 2).unwrap();
        for (input_idx, input) in together.iter().enumerate() {
            let parts = batch::split(input, &[1, 1]).unwrap();
            assert_eq!(parts[0], rows.make(1, 1).unwrap()[input_idx], "{dtype}");
            assert_eq!(parts[1], rows.make(2, 1).unwrap()[input_idx], "{dtype}");
            assert_ne!(parts[0], parts[1], "{dtype}");
        }
    }
}

#[test]
fn what_is_not_declared_or_too_large_is_not_made_up() {
    let rows = [
        vec![TensorSpec::new("x", DType::F32, None)],
        vec![spec(DType::String, &[ANY])],
        vec![spec(DType::F32, &[ANY, ANY])],
        vec![spec(DType::F32, &[ANY, Dim::Fixed(MAX_BYTES)])],
        vec![spec(DType::F32, &[ANY, Dim::Fixed(usize::MAX)])],
    ];
    for inputs in rows {
        assert!(Rows::of(&signature(inputs.clone())).is_none(), "{inputs:?}");
    }
    let signature = signature(vec![spec(DType::U8, &[ANY, Dim::Fixed(MAX_BYTES)])]);
    let rows = Rows::of(&signature).unwrap();
    assert!(rows.make(0, 1).is_some());
    assert!(rows.make(0, 2).is_none());
}

#[test]
fn inputs_without_a_batch_axis_are_made_up_as_declared() {
    let inputs = vec![spec(DType::F32, &[Dim::Fixed(2)]), spec(DType::I64, &[])];
    let signature = signature(inputs);
    let rows = Rows::of(&signature).unwrap();
    assert!(!rows.has_batch_axis);
    let inputs = rows.make(0, 1).unwrap();
    assert_eq!(inputs[0].shape(), &Shape::from([2]));
    assert_eq!(inputs[1].shape(), &Shape::scalar());
}

#[test]
fn rows_are_independent_if_they_come_out_as_alone_and_differ() {
    let alone = |rows: [f32; 3]| rows.map(|value| vec![tensor([1, 2], &[value, 100.0])]);
    let joined = |rows: [f32; 3]| {
        let [first, second, third] = rows;
        vec![tensor([3, 2], &[first, 100.0, second, 100.0, third, 100.0])]
    };
    let cases = [
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], true),
        // Rounding, beside an output of a hundred.
        ([1.0, 2.0, 3.0], [1.004, 2.0, 2.996], true),
        ([1.0, 2.0, 3.0], [1.01, 2.0, 3.0], false),
        ([1.0, f32::NAN, 3.0], [1.0, f32::NAN, 3.0], true),
        ([1.0, 2.0, 3.0], [1.0, 3.0, 2.0], false),
        ([1.0, 2.0, 3.0], [0.5, 1.0, 1.5], false),
        ([1.0, 2.0, 3.0], [1.0, f32::NAN, 3.0], false),
        // They may depend on each other in what cannot be seen.
        ([2.0, 2.0, 2.0], [2.0, 2.0, 2.0], false),
    ];
    for (rows, together, expected) in cases {
        assert_eq!(
            are_independent(&joined(together), &alone(rows)),
            expected,
            "{rows:?} and {together:?}"
        );
    }
    // What another output tells is no news of one that is alike in all rows.
    let with_flag = |rows: [f32; 3]| {
        let flag = tensor([1, 2], &[1.0, 1.0]);
        alone(rows).map(|row| [row, vec![flag.clone()]].concat())
    };
    let flags = tensor([3, 2], &[1.0; 6]);
    let together = [joined([1.0, 2.0, 3.0]), vec![flags]].concat();
    assert!(!are_independent(&together, &with_flag([1.0, 2.0, 3.0])));
    // As many outputs as rows, but not by row.
    let flat = vec![tensor([1, 6], &[1.0, 100.0, 2.0, 100.0, 3.0, 100.0])];
    assert!(!are_independent(&flat, &alone([1.0, 2.0, 3.0])));
    assert!(!are_independent(&[], &[vec![], vec![], vec![]]));
}
