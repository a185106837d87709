use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use salver_servable::VersionChoice;

use super::*;

fn parse(text: &str) -> Result<ModelSettings, Vec<String>> {
    parse::parse(Path::new("a/model.toml"), text)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn count(count: usize) -> Option<NonZeroUsize> {
    Some(NonZeroUsize::new(count).unwrap())
}

#[test]
fn reads_every_setting() {
    let text = r#"
        engine = "rten"
        instances = 2
        threads = 0x4
        queue_capacity = 1_000
        max_wait_micros = 250_000
        versions = { latest = 3 }
        [labels]
        stable = 1
        canary = 2
        [batching]
        max_batch_size = 32
        max_execution_batch_size = 16
        batch_timeout_micros = 500
        max_enqueued_batches = 10
        allowed_batch_sizes = [1, 8, 16]
        pad_variable_length_inputs = true
        [request_log]
        type = "jsonl"
        filename_prefix = "/logs/a"
        sampling_rate = 0.25
        [split]
        key = "user-id"
        shadows = [{ name = "next", version = 3, percent = 0.5 }]
        [[split.arms]]
        name = "stable"
        label = "stable"
        weight = 70
        [[split.arms]]
        name = "canary"
        model = "b"
        header = { name = "user-group", value = "the canaries" }
    "#;
    let settings = parse(text).unwrap();
    let expected = ModelSettings {
        engine: Some("rten".to_owned()),
        instances: count(2),
        threads: count(4),
        queue_capacity: count(1000),
        max_wait: Some(Duration::from_millis(250)),
        batching: Some(BatchingSettings::On(Box::new(BatchingConfig {
            max_batch_size: NonZeroUsize::new(32).unwrap(),
            max_execution_batch_size: count(16),
            delay: Duration::from_micros(500),
            max_enqueued_batches: count(10),
            allowed_batch_sizes: vec![1, 8, 16],
            pad_variable_length_inputs: true,
            max_joined_rows: None,
            min_joined_rows: 0,
        }))),
        version_policy: Some(VersionPolicyConfig::Latest(NonZeroUsize::new(3).unwrap())),
        labels: [("stable".to_owned(), 1), ("canary".to_owned(), 2)].into(),
        request_log: Some(RequestLogSettings {
            form: "jsonl".to_owned(),
            filename_prefix: "/logs/a".to_owned(),
            sampling_rate: SamplingRate::new(0.25).unwrap(),
        }),
        split: Some(Box::new(split())),
    };
    assert_eq!(settings, expected);
    assert_eq!(parse("").unwrap(), ModelSettings::default());
    let off = parse("batching = false").unwrap().batching;
    assert_eq!(off, Some(BatchingSettings::Off));
    let auto = parse("batching = \"auto\"").unwrap().batching;
    assert_eq!(auto, Some(BatchingSettings::Auto));
}

fn split() -> Split {
    let target = |model: Option<&str>, version| Target {
        model: model.map(Into::into),
        version,
    };
    Split {
        key: Some("user-id".to_owned()),
        arms: vec![
            Arm {
                name: "stable".into(),
                target: target(None, VersionChoice::Label("stable".to_owned())),
                weight: 70,
                header: None,
            },
            Arm {
                name: "canary".into(),
                target: target(Some("b"), VersionChoice::Latest),
                weight: 0,
                header: Some(HeaderMatch {
                    name: "user-group".to_owned(),
                    value: "the canaries".to_owned(),
                }),
            },
        ],
        shadows: vec![Shadow {
            name: "next".into(),
            target: target(None, VersionChoice::Version(3)),
            percent: Percent::new(0.5).unwrap(),
        }],
    }
}

#[test]
fn every_mistake_in_a_split_is_told_with_its_line() {
    let text = "\
[split]
key = \"user id\"
colour = 1
[[split.arms]]
version = 1
label = \"a\"
weight = -1
[[split.arms]]
name = \"a b\"
wieght = 3
[[split.arms]]
name = \"c\"
version = \"2\"
header = { name = \"\", valu = \"x\" }
[[split.shadows]]
name = \"c\"
version = 3
percent = 101
";
    let expected = [
        "2: `split.key`: expected what a header may hold, of at most 128 bytes, got string \"user id\"",
        "3: unknown key `colour`; known keys: key, arms, shadows",
        "7: `split.arms[0].weight`: expected a whole number from 0 to 1000000, got integer -1",
        "4: `split.arms[0]` lacks `name`; add name = \"canary\"",
        "4: `split.arms[0]` has both `version` and `label`; keep one of them",
        "9: `split.arms[1].name`: expected a name of letters, digits, `-`, `_` and `.`, of at most 128 bytes, got string \"a b\"",
        "10: unknown key `wieght`; did you mean `weight`?",
        "8: `split.arms[1]` lacks `version`; add version = 2, label = \"stable\" or model = \"other\"",
        "8: `split.arms[1]` lacks `weight`; add weight = 50, or a header",
        "13: `split.arms[2].version`: expected a version number, got string \"2\"",
        "14: `split.arms[2].header.name`: expected what a header may hold, of at most 128 bytes, got string \"\"",
        "14: unknown key `valu`; did you mean `value`?",
        "14: `split.arms[2].header` lacks `value`; add value = \"canary\"",
        "15: `split.shadows[0].name`: `c` is taken; give every arm and shadow a name of its own",
        "18: `split.shadows[0].percent`: expected a number from 0 to 100, got integer 101",
    ];
    let told = parse(text).unwrap_err();
    let told: Vec<_> = told
        .iter()
        .map(|problem| problem.strip_prefix("a/model.toml:").unwrap())
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn other_splits_that_make_no_sense_are_refused() {
    let arms = |num_arms: usize| {
        let arm = |idx| format!("{{ name = \"{idx}\", version = 1, weight = 1 }}");
        let arms: Vec<_> = (0..num_arms).map(arm).collect();
        format!("split = {{ arms = [{}] }}", arms.join(", "))
    };
    parse(&arms(32)).unwrap();
    let rows = [
        (
            "split = 1",
            "`split`: expected a table of `arms`, `shadows` and `key`, got integer 1",
        ),
        (
            "[split]",
            "`split` lacks `arms`; name at least one arm or one shadow",
        ),
        (
            "split = { arms = 1 }",
            "`split.arms`: expected a list of 1 to 32 tables, got integer 1",
        ),
        (
            "split = { arms = [] }",
            "`split.arms`: expected a list of 1 to 32 tables, got 0",
        ),
        (
            &arms(33),
            "`split.arms`: expected a list of 1 to 32 tables, got 33",
        ),
        (
            "split = { arms = [1] }",
            "`split.arms[0]`: expected a table, got integer 1",
        ),
        (
            "split = { arms = [{ name = 'a', version = 1, weight = 0 }] }",
            "the weights of `split.arms` are all 0; give a weight to the arm of requests without a header",
        ),
        (
            "split = { shadows = [{ name = 'a', model = 'm', percent = nan }] }",
            "`split.shadows[0].percent`: expected a number from 0 to 100, got float nan",
        ),
        (
            "split = { shadows = [{ name = 'a', model = 'm' }] }",
            "`split.shadows[0]` lacks `percent`; add percent = 10",
        ),
    ];
    for (text, expected) in rows {
        let told = parse(text).unwrap_err();
        assert!(
            told.len() == 1 && told[0].ends_with(expected),
            "{text}: {told:?}"
        );
    }
}

#[test]
fn a_split_is_read_by_itself() {
    let text = "split = { shadows = [{ name = 'a', model = 'm', percent = 1 }] }";
    assert_eq!(parse_split(text).unwrap().shadows.len(), 1);
    assert_eq!(parse_split("split = []").unwrap_err().len(), 1);
}

#[test]
fn mistakes_in_batching_are_told() {
    let rows = [
        (
            "batching = true",
            "`batching`: expected false, \"auto\" or a table with `max_batch_size`, got boolean true",
        ),
        (
            "[batching]\nbatch_timeout_micros = 1",
            "`batching` lacks `max_batch_size`; add max_batch_size = 32, the rows that are run together at most",
        ),
        (
            "[batching]\nmax_batch_size = 0",
            "`batching.max_batch_size`: expected a whole number of at least 1, got integer 0",
        ),
        (
            "[batching]\nmax_batch_size = 8\nmax_batchsize = 8",
            "unknown key `max_batchsize`; did you mean `max_batch_size`?",
        ),
        (
            "[batching]\nmax_batch_size = 8\nallowed_batch_sizes = [1, 4]",
            "the last of `batching.allowed_batch_sizes` is not the largest batch; end the list with 8",
        ),
        (
            "[batching]\nmax_batch_size = 8\nallowed_batch_sizes = [4, 1, 8]",
            "`batching.allowed_batch_sizes`: expected a list of ascending numbers of rows, got array [4, 1, 8]",
        ),
        (
            "[batching]\nmax_batch_size = 8\nmax_execution_batch_size = 9",
            "`batching.max_execution_batch_size` is more than `max_batch_size`; use at most 8",
        ),
        (
            "[batching]\nmax_batch_size = 8\nbatch_timeout_micros = -1",
            "`batching.batch_timeout_micros`: expected microseconds from 0 to 60000000, got integer -1",
        ),
    ];
    for (text, expected) in rows {
        let problems = parse(text).unwrap_err();
        assert!(
            problems.iter().any(|problem| problem.ends_with(expected)),
            "{text}: {problems:?}"
        );
    }
}

#[test]
fn mistakes_in_a_request_log_are_told() {
    let rows: [(&str, &[&str]); 5] = [
        (
            "request_log = true",
            &[
                "`request_log`: expected a table of `filename_prefix`, `sampling_rate` and `type`, got boolean true",
            ],
        ),
        (
            "[request_log]\ntype = 'kafka'\nfilename_prefix = 'p'\nsampling_rate = 1",
            &["there is no request log of type `kafka`; use one of: tfrecord, jsonl"],
        ),
        (
            "request_log = { sampling_rat = 1 }",
            &[
                "unknown key `sampling_rat`; did you mean `sampling_rate`?",
                "`request_log` lacks `filename_prefix`; add filename_prefix = \"/var/log/salver/NAME\"",
                "`request_log` lacks `sampling_rate`; add sampling_rate = 0.01",
            ],
        ),
        (
            "request_log = { filename_prefix = 'p', sampling_rate = 1.5 }",
            &["`request_log.sampling_rate`: expected a share from 0 to 1, got float 1.5"],
        ),
        (
            "request_log = { filename_prefix = 'p', sampling_rate = nan }",
            &["`request_log.sampling_rate`: expected a share from 0 to 1, got float nan"],
        ),
    ];
    for (text, expected) in rows {
        let told = parse(text).unwrap_err();
        let is_each = told.len() == expected.len()
            && told
                .iter()
                .zip(expected)
                .all(|(told, expected)| told.ends_with(expected));
        assert!(is_each, "{text}: {told:#?}");
    }
}

#[test]
fn the_example_of_the_documentation_is_right() {
    let text: String = include_str!("../settings.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! "))
        .skip_while(|line| *line != "```toml")
        .skip(1)
        .take_while(|line| *line != "```")
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(text.contains("[labels]"), "{text}");
    parse(&text).unwrap();
}

#[test]
fn reads_every_form_of_a_version_policy() {
    let latest = |num| VersionPolicyConfig::Latest(NonZeroUsize::new(num).unwrap());
    let rows = [
        (r#""latest""#, latest(1)),
        ("{ latest = 2 }", latest(2)),
        (r#""all""#, VersionPolicyConfig::All),
        ("[3, 1]", VersionPolicyConfig::Specific(vec![3, 1])),
    ];
    for (text, expected) in rows {
        let settings = parse(&format!("versions = {text}")).unwrap();
        assert_eq!(settings.version_policy, Some(expected), "{text}");
    }
}

#[test]
fn every_mistake_of_a_file_is_told_with_its_line() {
    let text = "\
enginee = \"rten\"
instances = 0
threads = \"four\"
queue_capacity = 1.5
colour = 1

versions = { newest = 2 }
engine = \"\"

[labels]
stable = \"1\"
\"a/b\" = 1
";
    let expected = [
        "a/model.toml:1: unknown key `enginee`; did you mean `engine`?",
        "a/model.toml:2: `instances`: expected a whole number of at least 1, got integer 0",
        "a/model.toml:3: `threads`: expected a whole number of at least 1, got string \"four\"",
        "a/model.toml:4: `queue_capacity`: expected a whole number of at least 1, got float 1.5",
        "a/model.toml:5: unknown key `colour`; known keys: engine, instances, threads, queue_capacity, max_wait_micros, batching, versions, labels, request_log, split",
        "a/model.toml:7: `versions` is not understood: { newest = 2 }; use \"latest\", \"all\", { latest = 2 } or a list such as [1, 3]",
        "a/model.toml:8: `engine`: expected a string, got string \"\"",
        "a/model.toml:11: `labels.stable`: expected a version number, got string \"1\"",
        "a/model.toml:12: label `a/b` cannot stand in a request's path; use letters, digits, `-` and `_`",
    ];
    assert_eq!(parse(text).unwrap_err(), expected);
}

#[test]
fn counts_that_the_machine_cannot_give_are_refused_with_the_most_it_can() {
    let rows = [
        ("instances", 1_024),
        ("threads", 1_024),
        ("queue_capacity", 65_536),
    ];
    for (key, max) in rows {
        parse(&format!("{key} = {max}")).unwrap();
        for too_many in [max + 1, 1_000_000_000_000, i64::MAX] {
            let expected =
                format!("a/model.toml:2: `{key}`: {too_many} is too many; use at most {max}");
            assert_eq!(
                parse(&format!("\n{key} = {too_many}")).unwrap_err(),
                [expected]
            );
        }
    }
}

#[test]
fn bad_syntax_is_told_with_its_line() {
    for (text, line) in [
        ("a = 1\nengine = \"rten\nthreads = 2\n", 2),
        ("\n\n= 3", 3),
        ("[labels", 1),
    ] {
        let problems = parse(text).unwrap_err();
        let prefix = format!("a/model.toml:{line}: ");
        assert!(problems[0].starts_with(&prefix), "{text:?}: {problems:?}");
    }
}

#[test]
fn other_forms_of_wrong_values_are_refused() {
    for text in [
        "versions = []",
        "versions = [1, \"2\"]",
        "versions = { latest = 0 }",
        "versions = { latest = 1, all = true }",
        "versions = 3",
        "versions = \"newest\"",
        "labels = 1",
        "engine = 1",
        "instances = -1",
        "instances = 99999999999999999999",
    ] {
        assert_eq!(parse(text).unwrap_err().len(), 1, "{text}");
    }
}

#[test]
fn suggests_only_what_is_close() {
    let rows = [
        ("engin", Some("engine")),
        ("instance", Some("instances")),
        ("thread", Some("threads")),
        ("queue_capacitiy", Some("queue_capacity")),
        ("version", Some("versions")),
        ("lable", Some("labels")),
        ("xyz", None),
        ("", None),
    ];
    for (word, expected) in rows {
        let known = [
            "engine",
            "instances",
            "threads",
            "queue_capacity",
            "versions",
            "labels",
        ];
        assert_eq!(parse::closest(word, &known), expected, "{word}");
    }
}

#[test]
fn chooses_versions() {
    let latest = |num| VersionPolicyConfig::Latest(NonZeroUsize::new(num).unwrap());
    let rows: [(VersionPolicyConfig, &[i64], &[i64]); 7] = [
        (latest(1), &[1, 3, 2], &[3]),
        (latest(2), &[1, 3, 2], &[2, 3]),
        (latest(5), &[1, 3], &[1, 3]),
        (latest(1), &[], &[]),
        (VersionPolicyConfig::All, &[2, 1], &[1, 2]),
        (VersionPolicyConfig::Specific(vec![3, 9]), &[1, 2, 3], &[3]),
        (VersionPolicyConfig::Specific(vec![9]), &[1], &[]),
    ];
    for (policy, versions, expected) in rows {
        assert_eq!(
            policy.choose(versions),
            expected,
            "{policy:?} of {versions:?}"
        );
    }
}

#[test]
fn a_model_goes_before_the_server_and_the_server_before_the_built_in_defaults() {
    let model = ModelSettings {
        instances: count(2),
        ..ModelSettings::default()
    };
    let server = ModelSettings {
        instances: count(8),
        engine: Some("rten".to_owned()),
        ..ModelSettings::default()
    };
    let settings = model.or(&server);
    assert_eq!(
        (settings.instances, settings.engine.as_deref()),
        (count(2), Some("rten"))
    );
    assert_eq!(settings.queue_capacity(), DEFAULT_QUEUE_CAPACITY);
    assert_eq!(
        settings
            .model_config(&ModelConfig::default())
            .num_instances
            .get(),
        2
    );
}
