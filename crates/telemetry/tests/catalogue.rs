//! `docs/metrics.md` says what the server exposes, and the server exposes what the page says.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use salver_telemetry::{Kind, LogResult, Metric, Metrics, Phase, ShadowResult, VersionState};

fn page() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         `/metrics` answers in OpenMetrics text, which Prometheus reads. \
         This page is printed from the catalogue in `crates/telemetry`; \
         `UPDATE_GOLDEN=1 cargo test -p salver-telemetry` rewrites it.\n\n\
",
    );
    add_table(&mut page, &Metric::ALL);
    page.push_str(
        "\n## Under TensorFlow Serving's names\n\n\
         Where a `--monitoring_config_file` enables it, a page of the REST port has what TensorFlow Serving counts, as it \
         writes it. Latencies are in microseconds, in buckets of 10 × 1.8ᵏ, those of the queue of 100 × 1.2ᵏ. What of \
         its metrics is not here is not known here.\n\n",
    );
    add_table(&mut page, &Metric::TENSORFLOW);
    page
}

fn add_table(page: &mut String, metrics: &[Metric]) {
    page.push_str("| name | kind | labels | meaning |\n|---|---|---|---|\n");
    for metric in metrics {
        let labels: Vec<_> = metric
            .labels()
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let (name, kind) = (metric.name(), metric.kind().name());
        page.push_str(&format!(
            "| `{name}` | {kind} | {} | {} |\n",
            labels.join(", "),
            metric.help()
        ));
    }
}

#[test]
fn the_documentation_is_the_catalogue() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let page = page();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        golden, page,
        "docs/metrics.md is out of date: run with UPDATE_GOLDEN=1"
    );
}

fn busy() -> Metrics {
    let metrics = Metrics::new("1.2.3");
    let signature = metrics.signature("m", 1, "serving_default");
    signature.observe(Phase::Run, Duration::from_micros(70));
    signature.request_ended("OK");
    signature.request_ended("INVALID_ARGUMENT");
    metrics.set_model_memory("m", 1, 1000);
    metrics.set_model_availability(&[("m".into(), true), ("missing".into(), false)].into());
    metrics.set_version_state("m", 1, Some(VersionState::Available));
    metrics.request_failed("rest", "NOT_FOUND");
    metrics.count_request_log("m", LogResult::Written);
    metrics.set_store_up("s3://bucket/m", true);
    metrics
}

fn has_line(metrics: &Metrics, line: &str) -> bool {
    metrics.encode().lines().any(|found| found == line)
}

#[test]
fn exactly_the_catalogue_is_exposed() {
    let page = busy().encode();
    let exposed: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| match kind {
            "counter" => format!("{name}_total {kind}"),
            "info" => format!("{name}_info {kind}"),
            _ => format!("{name} {kind}"),
        })
        .collect();
    let catalogue: BTreeSet<String> = Metric::ALL
        .iter()
        .map(|metric| format!("{} {}", metric.name(), metric.kind().name()))
        .collect();
    assert_eq!(exposed, catalogue);
    assert!(page.ends_with("# EOF\n"));
}

#[test]
fn names_say_their_unit_and_kind() {
    for metric in Metric::ALL {
        let name = metric.name();
        assert!(name.starts_with("salver_"), "{name}");
        assert_eq!(
            name.ends_with("_total"),
            metric.kind() == Kind::Counter,
            "{name}"
        );
        assert_eq!(
            name.ends_with("_info"),
            metric.kind() == Kind::Info,
            "{name}"
        );
        assert!(!metric.help().ends_with('.'), "{name}");
    }
}

#[test]
fn requests_are_counted_by_signature_and_code() {
    let metrics = busy();
    for line in [
        r#"salver_requests_total{model="m",version="1",signature="serving_default",code="OK"} 1"#,
        r#"salver_requests_total{model="m",version="1",signature="serving_default",code="INVALID_ARGUMENT"} 1"#,
        r#"salver_request_phase_duration_seconds_count{model="m",version="1",signature="serving_default",phase="run"} 1"#,
        r#"salver_failed_requests_total{api="rest",code="NOT_FOUND"} 1"#,
        r#"salver_model_memory_bytes{model="m",version="1"} 1000"#,
        r#"salver_model_versions{state="available"} 1"#,
        r#"salver_build_info{version="1.2.3"} 1"#,
        r#"salver_request_log_records_total{model="m",result="written"} 1"#,
    ] {
        assert!(
            has_line(&metrics, line),
            "no line {line} in\n{}",
            metrics.encode()
        );
    }
}

#[test]
fn one_signature_has_one_set_of_metrics() {
    let metrics = busy();
    metrics
        .signature("m", 1, "serving_default")
        .request_ended("OK");
    let line =
        r#"salver_requests_total{model="m",version="1",signature="serving_default",code="OK"} 2"#;
    assert!(has_line(&metrics, line), "{}", metrics.encode());
}

#[test]
fn an_unloaded_version_leaves_the_page() {
    let metrics = busy();
    let late = metrics.signature("m", 1, "serving_default");
    metrics
        .signature("m", 2, "serving_default")
        .request_ended("OK");
    metrics.remove_version("m", 1);
    late.request_ended("UNAVAILABLE");
    let page = metrics.encode();
    assert!(!page.contains(r#"version="1""#), "{page}");
    assert!(page.contains(r#"model="m",version="2""#), "{page}");
}

#[test]
fn arms_and_shadows_are_counted_while_somebody_holds_them() {
    let metrics = Metrics::new("0");
    let (arm, same) = (metrics.arm("m", "canary"), metrics.arm("m", "canary"));
    arm.request_ended("OK", Duration::from_micros(70));
    same.request_ended("INVALID_ARGUMENT", Duration::from_micros(70));
    assert_eq!([arm.fell_back(), same.fell_back()], [true, false]);
    let shadow = metrics.shadow("m", "next");
    shadow.count(ShadowResult::Dropped);
    for line in [
        r#"salver_arm_requests_total{model="m",arm="canary",code="OK"} 1"#,
        r#"salver_arm_requests_total{model="m",arm="canary",code="INVALID_ARGUMENT"} 1"#,
        r#"salver_arm_request_duration_seconds_count{model="m",arm="canary"} 1"#,
        r#"salver_arm_fallbacks_total{model="m",arm="canary"} 2"#,
        r#"salver_shadow_requests_total{model="m",shadow="next",result="dropped"} 1"#,
        r#"salver_shadow_requests_total{model="m",shadow="next",result="answered"} 0"#,
    ] {
        assert!(
            has_line(&metrics, line),
            "no line {line} in\n{}",
            metrics.encode()
        );
    }
    drop((arm, shadow));
    let page = metrics.encode();
    assert!(page.contains("canary") && !page.contains("next"), "{page}");
    drop(same);
    assert!(!metrics.encode().contains("canary"));
}

#[test]
fn a_version_is_in_one_state_at_a_time() {
    let metrics = busy();
    metrics.set_version_state("m", 1, Some(VersionState::Unloading));
    assert!(has_line(
        &metrics,
        r#"salver_model_versions{state="available"} 0"#
    ));
    assert!(has_line(
        &metrics,
        r#"salver_model_versions{state="unloading"} 1"#
    ));
    metrics.set_version_state("m", 1, None);
    metrics.set_version_state("m", 1, None);
    assert!(has_line(
        &metrics,
        r#"salver_model_versions{state="unloading"} 0"#
    ));
}

#[test]
fn a_request_is_in_flight_until_its_mark_is_dropped() {
    let metrics = Metrics::new("0");
    let mark = metrics.request_started();
    assert!(has_line(&metrics, "salver_inflight_requests 1"));
    drop(mark);
    assert!(has_line(&metrics, "salver_inflight_requests 0"));
}

#[test]
fn label_values_are_escaped() {
    let metrics = Metrics::new("0");
    metrics.signature("a\"b\\c\n", 1, "s").request_ended("OK");
    assert!(
        metrics.encode().contains(r#"model="a\"b\\c\n","#),
        "{}",
        metrics.encode()
    );
}

#[test]
fn models_that_are_not_wanted_any_more_are_forgotten() {
    let metrics = busy();
    assert!(has_line(
        &metrics,
        "salver_model_available{model=\"missing\"} 0"
    ));
    metrics.set_model_availability(&[("m".into(), true)].into());
    assert!(has_line(&metrics, "salver_model_available{model=\"m\"} 1"));
    assert!(!metrics.encode().contains("missing"));
}

#[test]
fn values_are_found_by_the_names_they_are_scraped_by() {
    let names = [
        "salver_requests_total",
        "salver_requests",
        "salver_model_memory_bytes",
        "nonsense",
    ];
    let names: Vec<String> = names.map(str::to_owned).into();
    assert_eq!(busy().first_values(&names), [1, 0, 1000, 0]);
}
