//! Whom a call asks, as generated code has it.

use salver_proto::tensorflow::serving::ModelSpec;
use salver_proto::tensorflow::serving::model_spec::VersionChoice as Choice;
use salver_protocol::VersionChoice;

/// Returns the name and the version that a `ModelSpec` asks for.
pub(super) fn read(spec: ModelSpec) -> (String, VersionChoice) {
    let version = match spec.version_choice {
        None => VersionChoice::Latest,
        Some(Choice::Version(version)) => VersionChoice::Version(version),
        Some(Choice::VersionLabel(label)) => VersionChoice::Label(label),
    };
    (spec.name, version)
}
