use super::*;

fn model(name: &str, version: VersionChoice) -> Model {
    Model {
        name: name.to_owned(),
        version,
    }
}

#[test]
fn reads_every_form_of_path() {
    let latest = || model("m", VersionChoice::Latest);
    let label = || model("m", VersionChoice::Label("stable".to_owned()));
    let rows = [
        (Method::GET, "/v1/models/m", Route::Status(latest())),
        (Method::GET, "/V1/Models/m", Route::Status(latest())),
        (
            Method::GET,
            "/v1/models/m/versions/00000123",
            Route::Status(model("m", VersionChoice::Version(123))),
        ),
        (
            Method::GET,
            "/v1/models/m/labels/stable",
            Route::Status(label()),
        ),
        (
            Method::GET,
            "/v1/models/m/metadata",
            Route::Metadata(latest()),
        ),
        (
            Method::GET,
            "/v1/models/m/labels/stable/metadata",
            Route::Metadata(label()),
        ),
        (
            Method::GET,
            "/v1/models/m/METADATA",
            Route::Status(latest()),
        ),
        (
            Method::GET,
            "/v1/models/labels/metadata",
            Route::Metadata(model("labels", VersionChoice::Latest)),
        ),
        (
            Method::GET,
            "/v1/models/metadata",
            Route::Status(model("metadata", VersionChoice::Latest)),
        ),
        (
            Method::POST,
            "/v1/models/m:predict",
            Route::Predict(latest()),
        ),
        (
            Method::POST,
            "/v1/models/m/labels/stable:predict",
            Route::Predict(label()),
        ),
        (
            Method::POST,
            "/v1/models/a%20b:predict",
            Route::Predict(model("a b", VersionChoice::Latest)),
        ),
        (
            Method::POST,
            "/v1/models/m:classify",
            Route::Infer(latest(), InferenceMethod::Classify),
        ),
        (
            Method::POST,
            "/v1/models/m/versions/2:regress",
            Route::Infer(
                model("m", VersionChoice::Version(2)),
                InferenceMethod::Regress,
            ),
        ),
        (Method::OPTIONS, "/v1/models/m:predict", Route::Options),
        (Method::OPTIONS, "/v1/models/m:predict?x=1", Route::Options),
    ];
    for (method, path, expected) in rows {
        assert_eq!(parse(&method, path).expect(path), expected, "{path}");
    }
}

#[test]
fn refuses_everything_else_in_the_words_clients_know() {
    let rows = [
        (Method::GET, "/v1/models", "Missing model name in request."),
        (
            Method::GET,
            "/v1/models/",
            "Malformed request: GET /v1/models/",
        ),
        (
            Method::GET,
            "/v1/models/m/",
            "Malformed request: GET /v1/models/m/",
        ),
        (
            Method::GET,
            "/v1/models/m?x=1",
            "Malformed request: GET /v1/models/m?x=1",
        ),
        (
            Method::GET,
            "/v1/models/m:predict",
            "Malformed request: GET /v1/models/m:predict",
        ),
        (
            Method::POST,
            "/v1/models/m:PREDICT",
            "Malformed request: POST /v1/models/m:PREDICT",
        ),
        (
            Method::POST,
            "/v1/models/m:predict?x=1",
            "Malformed request: POST /v1/models/m:predict?x=1",
        ),
        (
            Method::POST,
            "/v1/models/m",
            "Malformed request: POST /v1/models/m",
        ),
        (
            Method::PUT,
            "/v1/models/m:predict",
            "Malformed request: PUT /v1/models/m:predict",
        ),
        (
            Method::GET,
            "/v1/models/m/versions/x",
            "Malformed request: GET /v1/models/m/versions/x",
        ),
        (
            Method::HEAD,
            "/v1/models/m",
            "Malformed request: HEAD /v1/models/m",
        ),
        (
            Method::DELETE,
            "/v1/models/m",
            "Malformed request: DELETE /v1/models/m",
        ),
        (Method::GET, "/v1/foo", "Malformed request: GET /v1/foo"),
        (
            Method::GET,
            "/v1/models/m/versions/99999999999999999999",
            "Failed to convert version: 99999999999999999999 to numeric.",
        ),
    ];
    for (method, path, message) in rows {
        assert_eq!(
            parse(&method, path).expect_err(path).to_string(),
            message,
            "{path}"
        );
    }
}

#[test]
fn a_version_of_nobody_is_told_so_where_a_name_may_be_missing() {
    let missing = "Missing model name in request.";
    for path in [
        "/v1/models/versions/3",
        "/v1/models/versions/3/metadata",
        "/v1/models/labels/stable",
        "/v1/models/labels/stable/metadata",
    ] {
        let error = parse(&Method::GET, path).expect_err(path);
        assert_eq!(error.to_string(), missing, "{path}");
    }
    let path = "/v1/models/versions/3:predict";
    let error = parse(&Method::POST, path).expect_err(path);
    assert_eq!(error.to_string(), format!("Malformed request: POST {path}"));
}
