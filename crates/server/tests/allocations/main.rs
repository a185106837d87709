//! What a gRPC picture costs in memory between the socket and the engine, counted by the allocator.
//!
//! One binary with one test: the count is of the whole process, so nothing else may run in it. The client is bytes that
//! were made beforehand, written by a thread that allocates nothing while the count is on.

mod http2;
mod sink;

use std::alloc::System;

use bytes::BytesMut;
use salver_protocol::predict::encode_request;
use salver_protocol::tensor_proto::TensorStyle;
use salver_protocol::{ModelSpec, VersionChoice};
use salver_tensor::Tensor;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A 224×224 picture of three channels in single precision: 602,112 bytes.
const PICTURE: [usize; 4] = [1, 224, 224, 3];
const PATH: &str = "/tensorflow.serving.PredictionService/Predict";
/// Calls that are counted; the least counts, because the connection's buffers grow at chance moments.
const NUM_CALLS: u32 = 5;

#[test]
fn a_picture_is_allocated_at_most_twice_between_socket_and_engine() {
    let payload_bytes = PICTURE.iter().product::<usize>() * size_of::<f32>();
    let server = sink::Server::start();
    for style in [TensorStyle::Content, TensorStyle::Fields] {
        for frame_bytes in [16 * 1024, 200 * 1024] {
            let ratio = least_allocated(&server, style, frame_bytes) as f64 / payload_bytes as f64;
            println!("{style:?} in frames of {frame_bytes} bytes: {ratio:.3} times the payload");
            assert!(
                ratio <= 2.1,
                "{style:?} in frames of {frame_bytes} bytes: {ratio} times the payload"
            );
            assert!(
                ratio >= 1.0,
                "the count cannot be right: {ratio} times the payload"
            );
        }
    }
}

/// Returns the bytes allocated for one call.
fn least_allocated(server: &sink::Server, style: TensorStyle, frame_bytes: usize) -> usize {
    let message = picture(style);
    let calls: Vec<Vec<u8>> = (0..=NUM_CALLS)
        .map(|call_idx| http2::grpc_call(call_idx, PATH, &message, frame_bytes))
        .collect();
    let mut client = http2::Client::connect(server.address);
    let mut answer = vec![0_u8; 64 * 1024];
    // What is made once is not counted: the connection's buffers, the model's first run.
    assert!(
        client.call(&calls[0], &mut answer) > 5,
        "the sink answers with a tensor"
    );
    let allocated = calls[1..].iter().map(|call| {
        let region = Region::new(ALLOCATOR);
        client.call(call, &mut answer);
        let change = region.change();
        change.bytes_allocated
    });
    allocated.min().expect("several calls")
}

fn picture(style: TensorStyle) -> BytesMut {
    let len = PICTURE.iter().product();
    let picture = Tensor::from_vec(PICTURE, vec![0.5_f32; len]).expect("fits");
    let model = ModelSpec {
        name: sink::MODEL.to_owned(),
        version: VersionChoice::Latest,
        signature_name: String::new(),
    };
    let mut message = BytesMut::new();
    encode_request(&model, &[(sink::INPUT, &picture)], &[], style, &mut message);
    message
}
