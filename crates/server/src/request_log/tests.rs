use std::fs;
use std::time::Duration;

use salver_protocol::config::{CustomLogging, TaskSampling};

use super::*;
use crate::status::Code;

fn config(collector: &str, prefix: &str, sampling_rate: f64) -> LoggingConfig {
    LoggingConfig {
        collector: collector.to_owned(),
        filename_prefix: prefix.to_owned(),
        sampling_rate,
        ..LoggingConfig::default()
    }
}

fn logs(metrics: &Metrics, config: &LoggingConfig) -> RequestLogs {
    let logs = RequestLogs::new(metrics.clone());
    logs.set([("m", config)]).expect("a good configuration");
    logs
}

#[test]
fn what_cannot_be_followed_is_refused_with_what_can() {
    let custom = LoggingConfig {
        custom: Some(CustomLogging {
            type_url: "t".to_owned(),
            value: Vec::new(),
        }),
        ..config("", "p", 1.0)
    };
    let rows = [
        (
            config("kafka", "p", 1.0),
            "No request-logger-creator provided for type `kafka` of model m; the types are `tfrecord` and `jsonl`",
        ),
        (
            custom,
            "No request-logger-creator provided for the custom_logging_config of model m; leave it out",
        ),
        (
            config("jsonl", "", 1.0),
            "logging_config of model m has no log_collector_config.filename_prefix; say how its files begin, such as \
             /var/log/salver/m",
        ),
        (
            config("", "p", 1.5),
            "logging_config of model m has sampling_rate 1.5; wanted is a share from 0 to 1",
        ),
        (
            config("", "p", f64::NAN),
            "logging_config of model m has sampling_rate NaN; wanted is a share from 0 to 1",
        ),
    ];
    for (config, expected) in rows {
        let error = RequestLogs::check([("m", &config)]).expect_err(expected);
        assert_eq!(error.to_string(), expected);
    }
    for collector in ["", "tfrecord", "jsonl"] {
        assert!(RequestLogs::check([("m", &config(collector, "p", 0.5))]).is_ok());
    }
}

#[test]
fn a_request_is_logged_as_often_as_was_asked() {
    let rows = [
        (0.0, [false, false, false]),
        (0.25, [true, false, false]),
        (0.75, [true, true, false]),
        (1.0, [true, true, true]),
    ];
    for (rate, expected) in rows {
        let log = ModelLog::new("m", &config("", "p", rate)).expect("good");
        let drawn = [0, u64::MAX / 2, u64::MAX].map(|lot| log.draws(lot));
        assert_eq!(drawn, expected, "{rate}");
    }
}

#[test]
fn a_share_for_every_server_goes_before_the_usual_one() {
    let task = |place: &str, task_idx, sampling_rate| TaskSampling {
        place: place.to_owned(),
        task_idx,
        sampling_rate,
    };
    let config = LoggingConfig {
        task_sampling: vec![
            task("aa", None, 0.1),
            task("", Some(3), 0.2),
            task("", None, 0.3),
        ],
        ..config("", "p", 1.0)
    };
    let log = ModelLog::new("m", &config).expect("good");
    assert_eq!(log.sampling_rate, 0.3);
}

#[test]
fn only_models_that_are_configured_are_logged() {
    let dir = tempfile::tempdir().expect("a folder");
    let prefix = dir.path().join("m").display().to_string();
    let logs = logs(&Metrics::new("0"), &config("jsonl", &prefix, 1.0));
    assert!(logs.draw("m", || 0).is_some());
    assert!(logs.draw("other", || 0).is_none());
    logs.set_model("other", Some(&config("jsonl", &prefix, 1.0)))
        .expect("good");
    logs.set_model("m", None).expect("good");
    assert!(logs.draw("m", || 0).is_none());
    assert!(logs.draw("other", || 0).is_some());
    logs.set([]).expect("good");
    assert!(
        logs.draw("other", || unreachable!("no lots are drawn at rest"))
            .is_none()
    );
}

fn failed_entry(log: Arc<ModelLog>, error: &str) -> Entry {
    Entry {
        log,
        time: Duration::from_millis(1_700_000_000_500),
        latency: Duration::from_micros(250),
        entrypoint: "grpc",
        request_id: "r-1".to_owned(),
        code: Code::InvalidArgument,
        error: Some(error.to_owned()),
        exchange: None,
    }
}

/// Logs so many requests that failed, and waits until they are written.
async fn log_failures(metrics: &Metrics, config: &LoggingConfig, count: usize) {
    let logs = logs(metrics, config);
    for _ in 0..count {
        let log = logs.draw("m", || 0).expect("every request");
        logs.push(failed_entry(log, "no \"x\""));
    }
    logs.stop().await;
}

#[tokio::test]
async fn what_was_logged_is_in_the_file_when_the_server_ends() {
    let dir = tempfile::tempdir().expect("a folder");
    let prefix = dir.path().join("logs/m").display().to_string();
    let metrics = Metrics::new("0");
    log_failures(&metrics, &config("jsonl", &prefix, 1.0), 3).await;
    let files: Vec<_> = fs::read_dir(dir.path().join("logs"))
        .expect("made")
        .collect();
    let [Ok(file)] = &files[..] else {
        panic!("{files:?}");
    };
    let name = file.file_name().into_string().expect("text");
    assert!(
        name.starts_with("m-2") && name.ends_with("-1.jsonl"),
        "{name}"
    );
    let line = r#"{"time":"2023-11-14T22:13:20.500000Z","model":"m","entrypoint":"grpc","request_id":"r-1","status":"INVALID_ARGUMENT","error":"no \"x\"","latency_micros":250}"#;
    let text = fs::read_to_string(file.path()).expect("readable");
    assert_eq!(text.lines().collect::<Vec<_>>(), [line; 3]);
    let counted = r#"salver_request_log_records_total{model="m",result="written"} 3"#;
    assert!(metrics.encode().contains(counted), "{}", metrics.encode());
}

#[tokio::test]
async fn records_are_of_requests_that_succeeded() {
    let dir = tempfile::tempdir().expect("a folder");
    let prefix = dir.path().join("m").display().to_string();
    let metrics = Metrics::new("0");
    log_failures(&metrics, &config("tfrecord", &prefix, 1.0), 3).await;
    assert_eq!(fs::read_dir(dir.path()).expect("there").count(), 0);
    assert!(!metrics.encode().contains(r#"result="written""#));
}

#[tokio::test]
async fn a_log_that_cannot_be_written_is_counted_and_hurts_nobody() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("file"), "").expect("writable");
    let prefix = dir.path().join("file/m").display().to_string();
    let metrics = Metrics::new("0");
    log_failures(&metrics, &config("jsonl", &prefix, 1.0), 3).await;
    let counted = r#"salver_request_log_records_total{model="m",result="failed"} 3"#;
    assert!(metrics.encode().contains(counted), "{}", metrics.encode());
    let counted =
        r#":tensorflow:serving:request_log_count{model_name="m",status_code="UNAVAILABLE"} 3"#;
    assert!(metrics.encode_tensorflow().contains(counted));
}
