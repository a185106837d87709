use salver_tensor::DType;

use super::*;

fn dims(extents: &[i64]) -> Option<Vec<Dim>> {
    Some(
        extents
            .iter()
            .map(|&extent| usize::try_from(extent).map_or(Dim::Dynamic(None), Dim::Fixed))
            .collect(),
    )
}

#[test]
fn inputs_are_zeros_of_the_declared_shape() {
    let specs = [
        TensorSpec::new("x", DType::F32, dims(&[-1, 3, -1])),
        TensorSpec::new("s", DType::String, dims(&[2])),
        TensorSpec::new("b", DType::Bool, dims(&[])),
        TensorSpec::new("e", DType::I64, dims(&[0])),
    ];
    let inputs = made_up_inputs(&specs).unwrap();
    assert_eq!(
        inputs[0],
        Tensor::from_vec([1, 3, 1], vec![0.0_f32; 3]).unwrap()
    );
    assert_eq!(
        inputs[1],
        Tensor::from_strings([2], vec![Bytes::new(); 2]).unwrap()
    );
    assert_eq!(inputs[2], Tensor::from_bools([], &[false]).unwrap());
    assert_eq!(inputs[3].num_elements(), 0);
}

#[test]
fn inputs_of_unknown_rank_or_unusual_size_are_not_made_up() {
    let rows = [
        vec![TensorSpec::new("x", DType::F32, None)],
        vec![TensorSpec::new("x", DType::F64, dims(&[1 << 40]))],
        vec![TensorSpec::new("x", DType::U8, dims(&[i64::MAX, i64::MAX]))],
        vec![TensorSpec::new("x", DType::String, dims(&[1 << 40]))],
        // Each by itself would do.
        vec![TensorSpec::new("x", DType::U8, dims(&[100 << 20])); 2],
    ];
    for specs in rows {
        assert_eq!(made_up_inputs(&specs), None, "{specs:?}");
    }
}
