//! The suite that every backend passes.

use salver_testkit::conformance;

use crate::fixture;

#[test]
fn conforms() {
    if let Some(backend) = fixture::backend() {
        conformance::run(backend, &[]);
    }
}
