use super::*;

const METADATA: &str = r#"{
  "model_spec": {"name": "m", "signature_name": "", "version": "123"},
  "metadata": {"signature_def": {"signature_def": {
    "serving_default": {
      "inputs": {"x": {"dtype": "DT_FLOAT", "name": "x:0",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}, {"size": "8", "name": ""}], "unknown_rank": false}}},
      "outputs": {"y": {"dtype": "DT_INT64", "name": "y:0", "tensor_shape": {"dim": [], "unknown_rank": true}}},
      "method_name": "tensorflow/serving/predict", "defaults": {}}}}}}"#;

#[test]
fn metadata_is_read_from_its_json_form() {
    let answer: MetadataAnswer = serde_json::from_str(METADATA).unwrap();
    let metadata = Metadata::try_from(answer).unwrap();
    assert_eq!(metadata.version, 123);
    let signature = metadata.signature("").unwrap();
    assert_eq!(signature.inputs[0].to_string(), "f32[-1,8]");
    assert_eq!(signature.outputs[0].to_string(), "i64[?]");
    let error = metadata.signature("other").unwrap_err().to_string();
    assert_eq!(
        error,
        "the model has no signature `other`; it has serving_default"
    );
}

#[test]
fn status_is_read_from_its_json_form() {
    let body = r#"{"model_version_status": [{"version": "2", "state": "END",
        "status": {"error_code": "INTERNAL", "error_message": "broken"}}]}"#;
    let answer: StatusAnswer = serde_json::from_str(body).unwrap();
    let states: Result<Vec<_>, _> = answer
        .model_version_status
        .into_iter()
        .map(VersionAnswer::into_state)
        .collect();
    let expected = VersionState {
        version: 2,
        state: "END".to_owned(),
        error_message: "broken".to_owned(),
    };
    assert_eq!(states.unwrap(), [expected]);
}

#[test]
fn models_have_their_paths() {
    let model = |name: &str, version| ModelRef {
        name: name.to_owned(),
        version,
    };
    let rows = [
        (model("m", VersionChoice::Latest), "/v1/models/m"),
        (
            model("a b%", VersionChoice::Version(2)),
            "/v1/models/a%20b%25/versions/2",
        ),
        (
            model("m-1.x", VersionChoice::Label("é".to_owned())),
            "/v1/models/m-1.x/labels/%C3%A9",
        ),
    ];
    for (model, path) in rows {
        assert_eq!(path_of(&model), path);
    }
}

#[test]
fn addresses_are_checked_before_anything_is_sent() {
    let base = |url| RestClient::new(url, Duration::from_secs(1)).map(|client| client.base);
    assert_eq!(base("http://h:1/").unwrap(), "http://h:1");
    assert_eq!(base("h:1").unwrap(), "http://h:1");
    assert_eq!(base("http://h:1/prefix/v1").unwrap(), "http://h:1/prefix");
    assert_eq!(base("https://h:1/").unwrap(), "https://h:1");
    for wrong in ["grpc://h", "http://", "http://a b"] {
        assert!(
            matches!(base(wrong), Err(ClientError::Address { .. })),
            "{wrong}"
        );
    }
}

#[test]
fn errors_are_told_in_the_server_s_words() {
    assert_eq!(
        message_of(b"{\"error\": \"Servable not found\"}"),
        "Servable not found"
    );
    assert_eq!(
        message_of(b"<h1>Bad gateway</h1>\n"),
        "<h1>Bad gateway</h1>"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_what_to_start() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let client = RestClient::new(&format!("http://{free}"), Duration::from_secs(5)).unwrap();
    let error = client.status("m").await.unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot reach http://{free}: ")),
        "{error}"
    );
    assert!(error.ends_with("`salver serve DIR` starts one"), "{error}");
}
