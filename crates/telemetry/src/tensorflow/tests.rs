use super::*;
use crate::tensorflow::page::general;
use crate::{Kind, LogResult, Metric, Metrics};

fn busy() -> Metrics {
    let metrics = Metrics::new("0");
    let signature = metrics.signature("m", 1, "serving_default");
    let model = signature.model();
    let micros = Duration::from_micros;
    model.request_ended(Call::GrpcPredict, "OK", micros(10));
    model.request_ended(Call::RestPredict, "OK", micros(1_234_567));
    model.request_ended(Call::RestPredict, "INVALID_ARGUMENT", micros(7));
    model.observe_runtime(Api::Predict, Duration::from_micros(9));
    model.observe_runtime(Api::MultiInference, Duration::from_micros(5));
    model.observe_examples(3);
    metrics.unresolved_request_ended("nowhere\"\\", Call::RestOther, "NOT_FOUND", micros(1));
    metrics.unresolved_request_ended("", Call::RestOther, "INVALID_ARGUMENT", micros(1));
    metrics.load_ended("/models/m/1", true, Duration::from_millis(2));
    metrics.load_ended("/models/m/2", false, Duration::from_millis(3));
    metrics.warmed_up("/models/m/1", "OK", Duration::from_secs(3600), 2);
    metrics.count_request_log("m", LogResult::Dropped);
    let runs = metrics.runs("m", 1);
    runs.request_came(2, 3);
    runs.request_came(2, 2);
    runs.request_left_queue(micros(100));
    runs.request_left_queue(micros(99));
    runs.batch_ran(5, 8);
    runs.batch_ran(8, 8);
    metrics
}

/// Returns the lines of one metric.
fn lines(page: &str, name: &str) -> Vec<String> {
    let of_metric = |line: &&str| {
        let line = line.strip_prefix("# TYPE ").unwrap_or(line);
        let rest = line.strip_prefix(name).unwrap_or("x");
        rest.starts_with(['{', ' '])
            || ["_bucket{", "_sum{", "_count{"]
                .iter()
                .any(|part| rest.starts_with(part))
    };
    page.lines().filter(of_metric).map(str::to_owned).collect()
}

#[test]
fn counters_are_written_as_tensorflow_serving_does() {
    let page = busy().encode_tensorflow();
    let rows: [(&str, &[&str]); 9] = [
        (
            ":tensorflow:serving:request_count",
            &[
                "# TYPE :tensorflow:serving:request_count counter",
                r#":tensorflow:serving:request_count{model_name="",status="INVALID_ARGUMENT"} 1"#,
                r#":tensorflow:serving:request_count{model_name="m",status="INVALID_ARGUMENT"} 1"#,
                r#":tensorflow:serving:request_count{model_name="m",status="OK"} 2"#,
                r#":tensorflow:serving:request_count{model_name="nowhere\"\\",status="NOT_FOUND"} 1"#,
            ],
        ),
        (
            ":tensorflow:core:graph_runs",
            &[
                "# TYPE :tensorflow:core:graph_runs counter",
                ":tensorflow:core:graph_runs{} 2",
            ],
        ),
        (
            ":tensorflow:core:direct_session_runs",
            &[
                "# TYPE :tensorflow:core:direct_session_runs counter",
                ":tensorflow:core:direct_session_runs{} 2",
            ],
        ),
        (
            ":tensorflow:core:graph_run_time_usecs",
            &[
                "# TYPE :tensorflow:core:graph_run_time_usecs counter",
                ":tensorflow:core:graph_run_time_usecs{} 14",
            ],
        ),
        (
            ":tensorflow:cc:saved_model:load_attempt_count",
            &[
                "# TYPE :tensorflow:cc:saved_model:load_attempt_count counter",
                r#":tensorflow:cc:saved_model:load_attempt_count{model_path="/models/m/1",status="success"} 1"#,
                r#":tensorflow:cc:saved_model:load_attempt_count{model_path="/models/m/2",status="fail"} 1"#,
            ],
        ),
        (
            ":tensorflow:cc:saved_model:load_latency",
            &[
                "# TYPE :tensorflow:cc:saved_model:load_latency counter",
                r#":tensorflow:cc:saved_model:load_latency{model_path="/models/m/1"} 2000"#,
                r#":tensorflow:cc:saved_model:load_latency{model_path="/models/m/2"} 3000"#,
            ],
        ),
        (
            ":tensorflow:serving:model_warmup_records_read",
            &[
                "# TYPE :tensorflow:serving:model_warmup_records_read counter",
                r#":tensorflow:serving:model_warmup_records_read{model_path="/models/m/1",status="OK"} 2"#,
            ],
        ),
        (
            ":tensorflow:serving:request_example_count_total",
            &[
                "# TYPE :tensorflow:serving:request_example_count_total counter",
                r#":tensorflow:serving:request_example_count_total{model="m"} 3"#,
            ],
        ),
        (
            ":tensorflow:serving:request_log_count",
            &[
                "# TYPE :tensorflow:serving:request_log_count counter",
                r#":tensorflow:serving:request_log_count{model_name="m",status_code="RESOURCE_EXHAUSTED"} 1"#,
            ],
        ),
    ];
    for (name, expected) in rows {
        assert_eq!(lines(&page, name), expected);
    }
}

#[test]
fn histograms_are_written_as_tensorflow_serving_does() {
    let page = busy().encode_tensorflow();
    let latency = lines(&page, ":tensorflow:serving:request_latency");
    assert_eq!(
        latency.len(),
        1 + 2 * (33 + 1 + 2),
        "every bucket has its line"
    );
    let labels = r#"model_name="m",API="predict",entrypoint="REST""#;
    for line in [
        "# TYPE :tensorflow:serving:request_latency histogram".to_owned(),
        r#":tensorflow:serving:request_latency_bucket{model_name="m",API="Predict",entrypoint="GRPC",le="10"} 0"#.to_owned(),
        r#":tensorflow:serving:request_latency_bucket{model_name="m",API="Predict",entrypoint="GRPC",le="18"} 1"#.to_owned(),
        format!(r#":tensorflow:serving:request_latency_bucket{{{labels},le="708235"}} 0"#),
        format!(r#":tensorflow:serving:request_latency_bucket{{{labels},le="1.27482e+06"}} 1"#),
        format!(r#":tensorflow:serving:request_latency_bucket{{{labels},le="1.47476e+09"}} 1"#),
        format!(r#":tensorflow:serving:request_latency_bucket{{{labels},le="+Inf"}} 1"#),
        format!(r#":tensorflow:serving:request_latency_sum{{{labels}}} 1.23457e+06"#),
        format!(r#":tensorflow:serving:request_latency_count{{{labels}}} 1"#),
    ] {
        assert!(latency.contains(&line), "no line {line} in\n{page}");
    }
    let runtime = lines(&page, ":tensorflow:serving:runtime_latency");
    assert_eq!(runtime.len(), 1 + 33 + 1 + 2, "MultiInference has none");
    let first = r#":tensorflow:serving:runtime_latency_bucket{model_name="m",API="Predict",runtime="TF1",le="10"} 1"#;
    assert_eq!(runtime[1], first);
    let examples = lines(&page, ":tensorflow:serving:request_example_counts");
    assert_eq!(examples.len(), 1 + 15 + 1 + 2);
    assert_eq!(
        examples[3..5],
        [
            r#":tensorflow:serving:request_example_counts_bucket{model="m",le="4"} 1"#,
            r#":tensorflow:serving:request_example_counts_bucket{model="m",le="8"} 1"#
        ]
    );
}

#[test]
fn every_metric_has_its_type_even_before_it_counts() {
    let metrics = Metrics::new("0");
    let expected: Vec<String> = Metric::TENSORFLOW
        .iter()
        .map(|metric| format!("# TYPE {} {}", metric.name(), metric.kind().name()))
        .collect();
    let page = metrics.encode_tensorflow();
    assert_eq!(page.lines().collect::<Vec<_>>(), expected);
    assert!(page.ends_with('\n'));
}

#[test]
fn metrics_stand_in_the_order_of_their_names() {
    assert!(Metric::TENSORFLOW.is_sorted_by_key(|metric| metric.stem()));
    for metric in Metric::TENSORFLOW {
        assert!(metric.stem().starts_with("/tensorflow/"), "{metric:?}");
        assert!(matches!(metric.kind(), Kind::Counter | Kind::Histogram));
    }
}

#[test]
fn the_first_value_is_asked_for_by_name() {
    let metrics = busy();
    let rows = [
        ("/tensorflow/serving/request_count", Some(1)),
        ("/tensorflow/core/graph_runs", Some(2)),
        ("/tensorflow/serving/request_latency", Some(0)),
        ("/tensorflow/serving/no_such_metric", None),
        (":tensorflow:core:graph_runs", None),
        ("", None),
    ];
    for (name, expected) in rows {
        assert_eq!(metrics.value_of(name), expected, "{name}");
    }
    let idle = Metrics::new("0");
    assert_eq!(idle.value_of("/tensorflow/core/graph_runs"), Some(0));
}

#[test]
fn an_unloaded_path_leaves_the_page() {
    let metrics = busy();
    metrics.remove_path("/models/m/1");
    let page = metrics.encode_tensorflow();
    assert!(!page.contains("/models/m/1"), "{page}");
    assert!(page.contains("/models/m/2"), "{page}");
}

#[test]
fn names_that_clients_make_up_are_bounded() {
    let metrics = Metrics::new("0");
    for idx in 0..MAX_NAMES + 500 {
        let name = format!("m{idx}");
        metrics.unresolved_request_ended(&name, Call::GrpcPredict, "NOT_FOUND", Duration::ZERO);
    }
    let page = metrics.encode_tensorflow();
    let counts = lines(&page, ":tensorflow:serving:request_count");
    assert_eq!(counts.len(), 1 + MAX_NAMES + 1);
    assert_eq!(
        counts[1],
        r#":tensorflow:serving:request_count{model_name="",status="NOT_FOUND"} 500"#
    );
}

#[test]
fn numbers_have_six_significant_digits() {
    let rows = [
        (0.0, "0"),
        (10.0, "10"),
        (32.4, "32.4"),
        (104.976, "104.976"),
        (188.956_800_000_000_02, "188.957"),
        (121_439.531, "121440"),
        (999_999.5, "1e+06"),
        (1_234_567.0, "1.23457e+06"),
        (1e15, "1e+15"),
        (0.0001, "0.0001"),
        (0.000_012_5, "1.25e-05"),
    ];
    for (value, expected) in rows {
        assert_eq!(general(value), expected);
    }
}

#[test]
fn batches_are_counted_as_tensorflow_serving_does() {
    let page = busy().encode_tensorflow();
    let rows: [(&str, usize, &[&str]); 4] = [
        (
            "input_batch_size",
            14,
            &[
                r#"_bucket{le="2"} 0"#,
                r#"_bucket{le="4"} 4"#,
                "_sum{} 10",
                "_count{} 4",
            ],
        ),
        (
            "processed_batch_size",
            14,
            &[r#"_bucket{le="8"} 0"#, r#"_bucket{le="16"} 2"#, "_sum{} 16"],
        ),
        (
            "padding_size",
            14,
            &[
                r#"_bucket{execution_batch_size="8",le="1"} 1"#,
                r#"_bucket{execution_batch_size="8",le="4"} 2"#,
                r#"_sum{execution_batch_size="8"} 3"#,
            ],
        ),
        (
            "queuing_latency",
            52,
            &[
                r#"_bucket{thread_pool_name="",le="100"} 1"#,
                r#"_bucket{thread_pool_name="",le="120"} 2"#,
                r#"_sum{thread_pool_name=""} 199"#,
            ],
        ),
    ];
    for (metric, num_limits, expected) in rows {
        let name = format!(":tensorflow:serving:batching_session:{metric}");
        let lines = lines(&page, &name);
        assert_eq!(lines.len(), 1 + num_limits + 1 + 2, "{metric}");
        for line in expected {
            let line = format!("{name}{line}");
            assert!(lines.contains(&line), "no line {line} in\n{lines:#?}");
        }
    }
    assert!(page.contains("\n:tensorflow:serving:batching_session:wrapped_run_count{} 2\n"));
}
