use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use salver_protocol::inference::ResultError;
use salver_servable::LookupError;

use super::*;

/// One of each failure of the calls that take rows.
fn one_of_each_inference() -> Vec<ServeError> {
    let s = || "s".to_owned();
    let shown = || "inputs { ... }".to_owned();
    let errors = [
        InferenceError::NoSignature(s()),
        InferenceError::NoTaskSignature(s()),
        InferenceError::MethodName {
            noun: "classification",
            expected: "tensorflow/serving/classify",
            actual: "m".to_owned(),
        },
        InferenceError::NumInputs,
        InferenceError::NumClasses(3),
        InferenceError::NumValues,
        InferenceError::NoInputs {
            noun: "regression",
            signature: shown(),
        },
        InferenceError::NoClasses(shown()),
        InferenceError::NoValues(shown()),
        InferenceError::NoExamples,
        InferenceError::TaskWithoutModel,
        InferenceError::SeveralModels,
        InferenceError::DuplicateSignature(s()),
        InferenceError::UnsupportedMethod("m".to_owned()),
        InferenceError::Result(ResultError::NumValues {
            expected: 2,
            actual: 1,
        }),
    ];
    errors.map(ServeError::Inference).into()
}

/// One of each failure, with values that show where they go.
fn one_of_each() -> Vec<ServeError> {
    let x = || "x".to_owned();
    let m = || "m".to_owned();
    let backend = |error| ServeError::Execute(ExecuteError::Backend(error));
    vec![
        ServeError::MissingModelSpec,
        ServeError::MissingModelName,
        ServeError::Lookup(LookupError::UnknownModel { name: m() }),
        ServeError::Lookup(LookupError::UnknownVersion {
            name: m(),
            version: 99,
        }),
        ServeError::Lookup(LookupError::UnknownLabel {
            name: m(),
            label: "canary".to_owned(),
        }),
        ServeError::NoArm {
            model: m(),
            arms: "stable (version 1), canary (version 2)".to_owned(),
        },
        ServeError::UnknownSignature(x()),
        ServeError::PredictMethodName {
            known: "tensorflow/serving/predict, ...".to_owned(),
            actual: "m".to_owned(),
        },
        ServeError::InputCount {
            num_sent: 0,
            num_wanted: 1,
            sent: String::new(),
            wanted: x(),
            extra: String::new(),
            missing: x(),
        },
        ServeError::InputAlias {
            alias: x(),
            feed: "x:0".to_owned(),
            sent: "z".to_owned(),
            defaults: String::new(),
        },
        ServeError::InputDType {
            arg_idx: 0,
            expected: "float",
            actual: "string",
        },
        ServeError::UnusedInputs {
            used: x(),
            sent: "x,z".to_owned(),
        },
        ServeError::TensorProto {
            input: x(),
            reason: "a reason".to_owned(),
        },
        ServeError::TensorTooLarge {
            input: x(),
            max_bytes: 1000,
        },
        ServeError::UnknownOutput {
            alias: "z".to_owned(),
            known: "y".to_owned(),
        },
        ServeError::DuplicateOutput("y".to_owned()),
        ServeError::MissingMetadataField,
        ServeError::UnknownMetadataField("foo".to_owned()),
        ServeError::NoStatus(m()),
        ServeError::NoVersions {
            name: m(),
            reason: "its base path does not exist".to_owned(),
        },
        ServeError::LabelsNotReady("stable".to_owned()),
        ServeError::NoVersionStatus {
            name: m(),
            version: 99,
        },
        ServeError::Json(JsonError::InvalidArgument(
            "what is wrong with the body".to_owned(),
        )),
        ServeError::Json(JsonError::Unimplemented(
            "a dtype that JSON cannot carry".to_owned(),
        )),
        ServeError::Protobuf {
            message: "tensorflow.serving.PredictRequest",
            reason: "a reason".to_owned(),
        },
        ServeError::MalformedRequest("GET /v1/foo".to_owned()),
        ServeError::MissingNameInPath,
        ServeError::VersionInPath("99999999999999999999".to_owned()),
        ServeError::UnknownPriority("urgent".to_owned()),
        ServeError::NoSuchPage("GET /foo: no such page".to_owned()),
        ServeError::Unimplemented("unknown method /a.B/C".to_owned()),
        ServeError::NoRoom {
            inflight_bytes: 900,
            limit_bytes: 1000,
        },
        ServeError::ModelShare {
            held_bytes: 600,
            free_bytes: 300,
        },
        ServeError::TooLarge { limit_bytes: 1000 },
        ServeError::BodyTimeout,
        ServeError::BodyBroken("3 of 5 announced bytes came".to_owned()),
        ServeError::BadCompression("a reason".to_owned()),
        ServeError::Deadline,
        ServeError::TraceRunning,
        ServeError::Execute(ExecuteError::QueueFull { capacity: 100 }),
        ServeError::Execute(ExecuteError::DeadlineExceeded {
            waited_in_queue: true,
        }),
        ServeError::Execute(ExecuteError::DeadlineExceeded {
            waited_in_queue: false,
        }),
        ServeError::Execute(ExecuteError::BatchQueueFull {
            num_batches: 10,
            max_batches: 10,
        }),
        ServeError::Execute(ExecuteError::TooManyRows {
            num_rows: 1001,
            max_rows: 1000,
        }),
        ServeError::Execute(ExecuteError::BatchQueueTimeout),
        ServeError::Execute(ExecuteError::WouldBeLate {
            wait: Duration::from_millis(250),
        }),
        ServeError::Execute(ExecuteError::Stopped),
        backend(BackendError::InvalidInput {
            message: "what the engine says of the input".to_owned(),
        }),
        backend(BackendError::Model {
            code: ErrorCode::NotFound,
            message: "what the model's kernel says, under the kernel's own code".to_owned(),
        }),
        backend(BackendError::Engine {
            platform: "rten",
            message: "secret".to_owned(),
        }),
        backend(BackendError::Panicked { platform: "rten" }),
        ServeError::Reload(ReloadError::NotAList),
        ServeError::Reload(ReloadError::Duplicate(m())),
        ServeError::Reload(ReloadError::RelativePath {
            name: m(),
            base_path: "p".to_owned(),
        }),
        ServeError::Reload(ReloadError::BasePath(
            "`s3://` names no bucket; wanted is s3://BUCKET/PATH".to_owned(),
        )),
        ServeError::Reload(ReloadError::UnsupportedPlatform {
            name: m(),
            platform: "p".to_owned(),
        }),
        ServeError::Reload(ReloadError::PlatformChanged {
            name: m(),
            before: "tensorflow".to_owned(),
            platform: "p".to_owned(),
        }),
        ServeError::Reload(ReloadError::LabelUnavailable {
            name: m(),
            version: 2,
        }),
        ServeError::Reload(ReloadError::NotAvailable(
            "1 model(s) did not become available".to_owned(),
        )),
        ServeError::Reload(ReloadError::Unknown(m())),
        ServeError::Reload(ReloadError::Name("a/b".to_owned())),
        ServeError::Reload(ReloadError::InFolder(m())),
        ServeError::Reload(ReloadError::InFile),
        ServeError::Reload(ReloadError::RequestLog(
            "No request-logger-creator provided for type `t` of model m; ...".to_owned(),
        )),
        ServeError::Reload(ReloadError::Unsupported),
        ServeError::Internal("secret".to_owned()),
    ]
}

#[test]
fn the_table_of_errors_is_documented() {
    let mut page = String::from(
        "# Errors\n\n<!-- Written by `UPDATE_GOLDEN=1 cargo test -p salver-server`; CI fails if it is stale. -->\n\n\
         Every failure of a request has one canonical code, which each API sends in its own form: gRPC as\n\
         `grpc-status` and `grpc-message`, REST as the HTTP status and `{\"error\": \"…\"}`.\n\n\
         | code | HTTP | message, with example values |\n|---|---|---|\n",
    );
    for error in one_of_each().into_iter().chain(one_of_each_inference()) {
        let (code, message) = (error.code(), error.to_string().replace('|', "\\|"));
        let http = error.http().as_u16();
        writeln!(
            page,
            "| {} ({}) | {http} | `{message}` |",
            code.name(),
            code.number()
        )
        .expect("to a string");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &page).expect("docs can be written");
    }
    let on_disk = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        on_disk == page,
        "docs/errors.md is stale; run UPDATE_GOLDEN=1 cargo test -p salver-server"
    );
}

#[test]
fn what_only_the_log_may_say_is_not_in_the_message() {
    for error in one_of_each() {
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
