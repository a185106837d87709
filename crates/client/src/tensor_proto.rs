//! Tensors as messages of the gRPC API.

use prost::Message;
use salver_proto::tensorflow::tensor_shape_proto::Dim;
use salver_proto::tensorflow::{TensorProto, TensorShapeProto};
use salver_protocol::tensor_proto;
use salver_tensor::{DType, Tensor};

use crate::ClientError;

/// More than any message can hold, but a list of one element may stand for a large tensor.
const MAX_TENSOR_BYTES: usize = u32::MAX as usize;

/// Turns a tensor into a message that shares its memory.
pub(crate) fn encode(tensor: &Tensor) -> TensorProto {
    let dim = |&extent: &usize| Dim {
        size: extent as i64,
        ..Default::default()
    };
    let shape = TensorShapeProto {
        dim: tensor.shape().iter().map(dim).collect(),
        unknown_rank: false,
    };
    TensorProto {
        dtype: tensor_proto::data_type(tensor.dtype()),
        tensor_shape: Some(shape),
        tensor_content: tensor.as_bytes().cloned().unwrap_or_default(),
        string_val: tensor.as_strings().unwrap_or_default().to_vec(),
        ..Default::default()
    }
}

/// Turns a message into a tensor, by the very rules that the server reads requests by.
pub(crate) fn decode(message: &TensorProto) -> Result<Tensor, ClientError> {
    tensor_proto::decode(&message.encode_to_vec()[..], MAX_TENSOR_BYTES)
        .map_err(ClientError::answer)
}

/// Returns the dtype of a number in `tensorflow.DataType`.
pub(crate) fn dtype_of(data_type: i32) -> Option<DType> {
    tensor_proto::dtype_of(data_type)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_is_sent_is_read_back() {
        let rows = [
            Tensor::from_vec([2, 2], vec![1.0_f32, -2.0, 3.5, f32::INFINITY]).unwrap(),
            Tensor::from_vec([], vec![i64::MIN]).unwrap(),
            Tensor::from_vec([0, 3], Vec::<u8>::new()).unwrap(),
            Tensor::from_bools([2], &[true, false]).unwrap(),
            Tensor::from_strings(
                [2],
                vec![Bytes::from_static(b"a"), Bytes::from_static(&[0xff])],
            )
            .unwrap(),
        ];
        for tensor in rows {
            assert!(decode(&encode(&tensor)).unwrap() == tensor, "{tensor:?}");
        }
    }

    #[test]
    fn typed_lists_are_read_too() {
        let shape = TensorShapeProto {
            dim: vec![Dim {
                size: 3,
                ..Default::default()
            }],
            unknown_rank: false,
        };
        let message = TensorProto {
            dtype: tensor_proto::data_type(DType::F32),
            tensor_shape: Some(shape),
            float_val: vec![2.5, 3.0],
            ..Default::default()
        };
        assert_eq!(
            decode(&message).unwrap().as_slice::<f32>().unwrap(),
            [2.5, 3.0, 3.0]
        );
    }
}
