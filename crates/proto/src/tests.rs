use prost::Message;
use prost_types::FileDescriptorSet;

use super::*;

fn descriptors() -> FileDescriptorSet {
    FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("build.rs wrote it")
}

#[test]
fn reflection_sees_upstream_file_names_and_every_import() {
    let files = descriptors().file;
    let names: Vec<&str> = files.iter().map(|file| file.name()).collect();
    for expected in [
        "tensorflow/core/framework/tensor.proto",
        "tensorflow_serving/apis/model_service.proto",
        "tensorflow_serving/apis/prediction_service.proto",
        "google/protobuf/any.proto",
    ] {
        assert!(
            names.contains(&expected),
            "{expected} is missing in {names:?}"
        );
    }
    for import in files.iter().flat_map(|file| &file.dependency) {
        assert!(
            names.contains(&import.as_str()),
            "{import} is imported but missing"
        );
    }
}

#[test]
fn services_have_their_methods() {
    let files = descriptors().file;
    let services = files.iter().flat_map(|file| &file.service);
    let methods: Vec<String> = services
        .flat_map(|service| {
            service
                .method
                .iter()
                .map(|method| format!("{}/{}", service.name(), method.name()))
        })
        .collect();
    assert_eq!(
        methods,
        [
            "PredictionService/Classify",
            "PredictionService/Regress",
            "PredictionService/Predict",
            "PredictionService/MultiInference",
            "PredictionService/GetModelMetadata",
            "ModelService/GetModelStatus",
            "ModelService/HandleReloadConfigRequest",
            "ProfilerService/Profile",
            "ProfilerService/Terminate",
        ]
    );
}

#[test]
fn maps_are_written_in_order() {
    let labels = [("b", 2), ("a", 1)].map(|(label, version)| (label.to_owned(), version));
    let config = tensorflow::serving::ModelConfig {
        version_labels: labels.into(),
        ..Default::default()
    };
    assert_eq!(
        config.encode_to_vec(),
        b"\x42\x05\x0a\x01a\x10\x01\x42\x05\x0a\x01b\x10\x02"
    );
}
