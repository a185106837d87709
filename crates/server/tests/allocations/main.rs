//! What requests cost in memory between the socket and the engine, counted by the allocator.
//!
//! One binary with one test: the count is of the whole process, so nothing else may run in it. The client is bytes that
//! were made beforehand, written by a thread that allocates nothing while the count is on.

#![expect(clippy::print_stdout, reason = "the counts are recorded by hand")]

mod http1;
#[path = "../support/http2.rs"]
mod http2;
#[path = "../support/in_process.rs"]
mod in_process;
mod sink;

use std::alloc::System;

use bytes::BytesMut;
use salver_protocol::predict::encode_request;
use salver_protocol::tensor_proto::TensorStyle;
use salver_protocol::{ModelSpec, VersionChoice};
use salver_tensor::Tensor;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use crate::in_process::Server;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A 224×224 picture of three channels in single precision: 602,112 bytes.
const PICTURE: [usize; 4] = [1, 224, 224, 3];
const PATH: &str = "/tensorflow.serving.PredictionService/Predict";
/// Calls that are counted; the least counts, because the connection's buffers grow at chance moments.
const NUM_CALLS: u32 = 5;
const NUM_SMALL_CALLS: u32 = 200;

/// What a small request allocates from its first byte to the last of its answer:
/// a rise of a twentieth fails, and who brings one down writes the new count here.
const SMALL: [(&str, usize); 2] = [("gRPC", 40), ("REST", 28)];

#[test]
fn requests_allocate_no_more_than_they_did() {
    let server = sink::serve();
    a_picture_is_allocated_at_most_twice_between_socket_and_engine(&server);
    small_requests_allocate_as_often_as_is_recorded(&server);
}

fn small_requests_allocate_as_often_as_is_recorded(server: &Server) {
    let small = Tensor::from_vec([1, 3], vec![1.0_f32, 2.0, 5.0]).expect("fits");
    let message = message(&small, TensorStyle::Content);
    let mut answer = vec![0_u8; 64 * 1024];
    let mut http2 = http2::Client::connect(server.addresses.grpc.expect("gRPC is on"));
    let calls: Vec<_> = (0..=NUM_SMALL_CALLS)
        .map(|call_idx| http2::grpc_call(call_idx, PATH, &message, 16 * 1024))
        .collect();
    let mut calls = calls.iter();
    let by_grpc = least_count(|| {
        let call = calls.next().expect("as many as are asked for");
        assert!(http2.call(call, &mut answer) > 5, "the sink answers");
    });
    let mut http1 = http1::Client::connect(server.addresses.rest.expect("REST is on"));
    let body = br#"{"instances":[[1.0,2.0,5.0]]}"#;
    let request = http1::post("/v1/models/sink:predict", body);
    let by_rest = least_count(|| http1.call(&request));
    for ((api, recorded), actual) in SMALL.into_iter().zip([by_grpc, by_rest]) {
        println!("{api}: {actual} allocations for a small request, {recorded} recorded");
        assert!(
            actual * 20 <= recorded * 21,
            "{api}: {actual} allocations for a small request, {recorded} before"
        );
        assert!(
            actual * 21 >= recorded * 20,
            "{api}: {actual} allocations for a small request, {recorded} before: record the new count"
        );
    }
}

/// Returns how often the process allocates for one call, after a first one that is not counted.
fn least_count(mut call: impl FnMut()) -> usize {
    call();
    let counts = (0..NUM_SMALL_CALLS).map(|_| {
        let region = Region::new(ALLOCATOR);
        call();
        region.change().allocations
    });
    counts.min().expect("several calls")
}

fn a_picture_is_allocated_at_most_twice_between_socket_and_engine(server: &Server) {
    let payload_bytes = PICTURE.iter().product::<usize>() * size_of::<f32>();
    for style in [TensorStyle::Content, TensorStyle::Fields] {
        for frame_bytes in [16 * 1024, 200 * 1024] {
            let ratio = least_allocated(server, style, frame_bytes) as f64 / payload_bytes as f64;
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
fn least_allocated(server: &Server, style: TensorStyle, frame_bytes: usize) -> usize {
    let message = picture(style);
    let calls: Vec<Vec<u8>> = (0..=NUM_CALLS)
        .map(|call_idx| http2::grpc_call(call_idx, PATH, &message, frame_bytes))
        .collect();
    let mut client = http2::Client::connect(server.addresses.grpc.expect("gRPC is on"));
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
    message(
        &Tensor::from_vec(PICTURE, vec![0.5_f32; len]).expect("fits"),
        style,
    )
}

fn message(input: &Tensor, style: TensorStyle) -> BytesMut {
    let model = ModelSpec {
        name: sink::MODEL.to_owned(),
        version: VersionChoice::Latest,
        signature_name: String::new(),
    };
    let mut message = BytesMut::new();
    encode_request(&model, &[(sink::INPUT, input)], &[], style, &mut message);
    message
}
