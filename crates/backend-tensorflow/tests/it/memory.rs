//! Numbers are shared with TensorFlow, not copied, where its alignment lets them.

use bytes::Bytes;
use salver_tensor::{AlignedVec, DType, Tensor};
use salver_testkit::saved_model::{Attribute, Graph};

use crate::fixture::load;

/// Enough that no small buffer is in play.
const NUM_ELEMENTS: usize = 100_000;

fn identity() -> Graph {
    Graph::new()
        .input("x", DType::F32, None)
        .node(
            "Identity",
            "y",
            &["x"],
            &[("T", Attribute::Type(DType::F32))],
        )
        .output("y", "y:0", DType::F32, None)
}

fn address(tensor: &Tensor) -> usize {
    tensor.as_bytes().expect("numbers").as_ptr().addr()
}

#[test]
fn aligned_numbers_are_not_copied_either_way() {
    let Some(mut loaded) = load(&identity()) else {
        return;
    };
    let x = Tensor::from_aligned([NUM_ELEMENTS], AlignedVec::<f32>::zeroed(NUM_ELEMENTS));
    let x = x.expect("fits");
    let outputs = loaded.run("", std::slice::from_ref(&x)).expect("it runs");
    assert_eq!(address(&outputs[0]), address(&x));

    // Rows of a larger batch lie where they lie.
    let bytes = AlignedVec::<f32>::zeroed(NUM_ELEMENTS + 1).into_bytes();
    let rows = Tensor::from_bytes(DType::F32, [NUM_ELEMENTS], bytes.slice(4..)).expect("fits");
    let outputs = loaded
        .run("", std::slice::from_ref(&rows))
        .expect("it runs");
    assert_ne!(address(&outputs[0]), address(&rows));
    assert_eq!(outputs[0], rows);
}

#[test]
fn inputs_are_given_back_after_the_run() {
    let Some(mut loaded) = load(&identity()) else {
        return;
    };
    let owner = std::sync::Arc::new(());
    let bytes = Bytes::from_owner(Owned {
        bytes: AlignedVec::<f32>::zeroed(NUM_ELEMENTS).into_bytes(),
        _owner: std::sync::Arc::clone(&owner),
    });
    let x = Tensor::from_bytes(DType::F32, [NUM_ELEMENTS], bytes).expect("fits");
    let outputs = loaded.run("", &[x]).expect("it runs");
    // The answer is the request's memory here, so that it lives as long as the answer does.
    assert_eq!(std::sync::Arc::strong_count(&owner), 2);
    drop(outputs);
    assert_eq!(std::sync::Arc::strong_count(&owner), 1);
}

/// Memory that tells when it is dropped.
struct Owned {
    bytes: Bytes,
    _owner: std::sync::Arc<()>,
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
