use proptest::prelude::*;

use super::*;
use crate::config::{CustomLogging, TaskSampling, decode_reload};

fn models(text: &str) -> Vec<ModelConfig> {
    match parse_models(text) {
        Ok(ModelsFile::List(models)) => models,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_whole_list_is_read() {
    let text = r#"
        model_config_list {
          config {
            name: 'half_plus_two',
            base_path: "/models/half_plus_two"
            model_platform: "tensorflow"
            model_version_policy { specific { versions: 1 versions: 2 } }
            version_labels { key: "stable" value: 1 }
            version_labels { key: "canary" value: 2 }
          }
          config {
            name: "other"; base_path: "s3://bucket/other"; model_type: TENSORFLOW
            model_version_policy: { latest: { num_versions: 2 } }
            logging_config {
              log_collector_config { type: "file" filename_prefix: "/logs/other" }
              sampling_config { sampling_rate: 0.25 }
            }
          }
        }"#;
    let list = models(text);
    assert_eq!(list.len(), 2);
    assert_eq!(list[0].versions, VersionPolicy::Specific(vec![1, 2]));
    assert_eq!(list[0].labels["canary"], 2);
    assert_eq!(list[1].versions, VersionPolicy::Latest(2));
    assert_eq!(
        (list[1].platform.as_str(), list[1].base_path.as_str()),
        ("tensorflow", "s3://bucket/other")
    );
    let logging = list[1].logging.as_ref().expect("logging is configured");
    assert_eq!(
        (logging.collector.as_str(), logging.filename_prefix.as_str()),
        ("file", "/logs/other")
    );
}

#[test]
fn nothing_is_not_an_empty_list() {
    assert_eq!(parse_models("# later\n"), Ok(ModelsFile::Nothing));
    assert_eq!(
        parse_models("model_config_list {}"),
        Ok(ModelsFile::List(Vec::new()))
    );
}

#[test]
fn what_cannot_be_meant_is_refused_in_tensorflow_serving_s_words() {
    let rows = [
        (
            "model_config_list { config { name: 'm' model_type: TENSORFLOW model_platform: 'tensorflow' } }",
            "Illegal setting both ModelServerConfig::model_type (deprecated) and \
             ModelServerConfig::model_platform, model name is m",
        ),
        (
            "model_config_list { config { name: 'm' model_type: OTHER } }",
            "ModelServerConfig::model_type choice 2 not supported.",
        ),
        (
            "custom_model_config {}",
            "custom_model_config is not supported; list the models in model_config_list",
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(parse_models(text).expect_err(text).to_string(), expected);
    }
}

#[test]
fn a_request_without_a_list_is_told_from_one_with_an_empty_list() {
    // Field 1 of the request is the configuration, field 1 of that the list.
    let rows: [(&[u8], Option<usize>); 3] = [
        (b"", None),
        (b"\x0a\x00", None),
        (b"\x0a\x02\x0a\x00", Some(0)),
    ];
    for (message, expected) in rows {
        let request = decode_reload(message).expect("a message");
        assert_eq!(
            request.models.map(|models| models.len()),
            expected,
            "{message:?}"
        );
    }
    assert!(decode_reload(&b"\xff"[..]).is_err());
}

fn logging() -> impl Strategy<Value = LoggingConfig> {
    let task = ("[a-z]{0,3}", any::<Option<i32>>(), 0.0..1.0).prop_map(
        |(place, task_idx, sampling_rate)| TaskSampling {
            place,
            task_idx,
            sampling_rate,
        },
    );
    let custom = proptest::option::of(Just(CustomLogging {
        type_url: "type.googleapis.com/tensorflow.serving.SSLConfig".to_owned(),
        value: b"\x20\x01".to_vec(),
    }));
    let rest = (any::<i32>(), custom, proptest::collection::vec(task, 0..2));
    (any::<String>(), any::<String>(), 0.0..1.0, rest).prop_map(
        |(collector, filename_prefix, sampling_rate, (attributes, custom, task_sampling))| {
            LoggingConfig {
                collector,
                filename_prefix,
                sampling_rate,
                task_sampling,
                attributes,
                custom,
            }
        },
    )
}

fn model() -> impl Strategy<Value = ModelConfig> {
    let versions = prop_oneof![
        Just(VersionPolicy::Default),
        any::<u32>().prop_map(VersionPolicy::Latest),
        Just(VersionPolicy::All),
        proptest::collection::vec(any::<i64>(), 0..4).prop_map(VersionPolicy::Specific),
    ];
    let labels = proptest::collection::btree_map(any::<String>(), any::<i64>(), 0..4);
    (
        any::<String>(),
        any::<String>(),
        "[a-z]{1,8}",
        versions,
        labels,
        proptest::option::of(logging()),
    )
        .prop_map(
            |(name, base_path, platform, versions, labels, logging)| ModelConfig {
                name,
                base_path,
                platform,
                versions,
                labels,
                logging,
            },
        )
}

proptest! {
    #[test]
    fn what_is_printed_can_be_read_back(list in proptest::collection::vec(model(), 0..4)) {
        let text = print_models(&list);
        prop_assert_eq!(parse_models(&text), Ok(ModelsFile::List(list)), "{}", text);
    }

    #[test]
    fn no_text_is_too_strange(text in "[a-z_{}<>\\[\\]:;,'\"#\\\\\n 0-9.-]{0,200}") {
        // Only that it returns.
        drop(parse_models(&text));
    }
}
