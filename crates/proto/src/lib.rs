//! The messages and services that Salver speaks, as generated from the `.proto` files beside this crate.
//!
//! Packages, services, messages, fields and numbers are those of TensorFlow and TensorFlow Serving, so their clients
//! work unchanged; only what Salver uses is there, and unknown fields are skipped as protobuf demands. No logic.
//! `bytes` fields are [`bytes::Bytes`], maps are ordered, `google.protobuf.Int64Value` is an `i64`.

/// Package `tensorflow`: tensors, signatures, examples.
#[allow(
    clippy::all,
    missing_docs,
    unreachable_pub,
    reason = "generated code follows its generator's style"
)]
pub mod tensorflow {
    tonic::include_proto!("tensorflow");

    /// Package `tensorflow.error`: the canonical codes.
    pub mod error {
        tonic::include_proto!("tensorflow.error");
    }

    /// Package `tensorflow.profiler`: recordings.
    pub mod profiler {
        tonic::include_proto!("tensorflow.profiler");
    }

    /// Package `tensorflow.serving`: the services and their messages.
    pub mod serving {
        tonic::include_proto!("tensorflow.serving");
    }
}

/// The encoded `google.protobuf.FileDescriptorSet` of all files, imports included, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[cfg(test)]
mod tests;
