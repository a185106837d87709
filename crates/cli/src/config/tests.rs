use clap::Parser;
use salver_telemetry::logging::LogFormat;

use super::*;
use crate::args::{Cli, Command};

const MACHINE: Machine = Machine {
    num_cores: NonZeroUsize::new(2).unwrap(),
    memory_bytes: 1 << 30,
};

fn resolve(line: &str, env: &[(&str, &str)]) -> Result<ServeConfig, Vec<Mistake>> {
    let words = ["salver", "serve"]
        .into_iter()
        .chain(line.split_whitespace());
    let Command::Serve(args) = Cli::try_parse_from(words)
        .expect("a line that parses")
        .command
    else {
        unreachable!("the command is serve")
    };
    let env = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    serve(&args, &env, Style::Own, &MACHINE)
}

fn config(line: &str) -> ServeConfig {
    resolve(line, &[]).unwrap_or_else(|mistakes| panic!("{line}: {mistakes:?}"))
}

fn settings_at_fault(line: &str, env: &[(&str, &str)]) -> Vec<String> {
    let mistakes = resolve(line, env).expect_err(line);
    mistakes
        .into_iter()
        .map(|mistake| mistake.setting)
        .collect()
}

#[test]
fn a_folder_is_served_with_both_apis_and_safe_limits() {
    let config = config("models");
    assert_eq!(config.models, ModelsAt::Dir("models".into()));
    assert_eq!(
        (config.server.grpc, config.server.rest),
        (Listen::Port(8500), Listen::Port(8501))
    );
    assert_eq!(
        (config.server.single, config.server.admin),
        (Listen::Off, Listen::Off)
    );
    assert_eq!(config.server.host.to_string(), "0.0.0.0");
    assert_eq!(config.server.max_inflight_bytes, 512 << 20);
    assert_eq!(config.server.max_inflated_bytes, 100 << 20);
    assert_eq!(config.server.max_connection_age, None);
    assert_eq!(config.server.drain_timeout, Duration::from_secs(25));
    assert_eq!(config.looks, Looks::Every(Duration::from_secs(1)));
    assert_eq!(config.load.max_num_load_retries, 5);
    assert_eq!(config.load.load_retry_interval, Duration::from_secs(60));
    assert_eq!(config.load.num_load_threads.get(), 2);
    assert_eq!(config.num_io_threads.get(), 2);
    assert_eq!(config.log, LogConfig::default());
    assert!(!config.server.access_log);
}

#[test]
fn a_base_path_is_served_as_tensorflow_model_server_would() {
    let config = config("--port=8500 --model_base_path=/models/half --model_name=half");
    assert_eq!(
        config.models,
        ModelsAt::BasePath {
            name: "half".to_owned(),
            path: "/models/half".into()
        }
    );
    assert_eq!(
        (config.server.grpc, config.server.rest),
        (Listen::Port(8500), Listen::Off)
    );
    let unnamed = self::config("--model_base_path /models/half --rest_api_port 8501");
    assert_eq!(
        unnamed.models,
        ModelsAt::BasePath {
            name: "default".to_owned(),
            path: "/models/half".into()
        }
    );
    assert_eq!(unnamed.server.rest, Listen::Port(8501));
}

#[test]
fn flags_take_a_value_after_a_space_or_an_equals_sign_and_the_last_one_wins() {
    let rows = [
        "models --port 9000",
        "models --port=9000",
        "models --port=1 --port 9000",
        "--port 1 models --port=9000",
    ];
    for line in rows {
        assert_eq!(config(line).server.grpc, Listen::Port(9000), "{line}");
    }
    assert!(config("models --access-log").server.access_log);
    assert!(
        !config("models --access-log --access-log=false")
            .server
            .access_log
    );
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_default() {
    let env = [
        ("SALVER_PORT", "9000"),
        ("SALVER_MODELS", "elsewhere"),
        ("SALVER_LOG_FORMAT", "json"),
    ];
    let from_env = resolve("", &env).expect("a whole configuration");
    assert_eq!(from_env.models, ModelsAt::Dir("elsewhere".into()));
    assert_eq!(from_env.server.grpc, Listen::Port(9000));
    assert_eq!(from_env.log.format, LogFormat::Json);
    let typed =
        resolve("models --port auto --log-format=text", &env).expect("a whole configuration");
    assert_eq!(typed.models, ModelsAt::Dir("models".into()));
    assert_eq!(typed.server.grpc, Listen::Auto);
    assert_eq!(typed.log.format, LogFormat::Text);
}

#[test]
fn variables_that_kubernetes_sets_for_a_service_named_salver_are_not_ours() {
    let env = [
        ("SALVER_PORT", "tcp://10.96.0.12:8500"),
        ("SALVER_SERVICE_HOST", "10.96.0.12"),
    ];
    assert_eq!(
        resolve("models", &env).expect("no mistake").server.grpc,
        Listen::Port(8500)
    );
}

#[test]
fn every_mistake_is_reported_at_once() {
    let line =
        "--port http --rest_api_port 70000 --header-timeout soon --model_name a/b --io-threads 0";
    let at_fault = settings_at_fault(line, &[("SALVER_MAX_INFLIGHT_BYTES", "lots")]);
    let expected = [
        "--model_name",
        "DIR",
        "--port",
        "--rest_api_port",
        "SALVER_MAX_INFLIGHT_BYTES",
        "--header-timeout",
        "--io-threads",
    ];
    assert_eq!(at_fault, expected);
}

#[test]
fn ports_must_differ_and_one_api_must_be_on() {
    let rows = [
        ("models --port 8501", "--rest_api_port"),
        ("models --admin_port 8500", "--admin_port"),
        ("models --single_port 80 --admin_port 80", "--admin_port"),
        ("models --port 0 --rest_api_port 0", "--port"),
    ];
    for (line, setting) in rows {
        assert_eq!(settings_at_fault(line, &[]), [setting], "{line}");
    }
    let automatic = config("models --port auto --rest_api_port auto --admin_port auto");
    assert_eq!(automatic.server.admin, Listen::Auto);
}

#[test]
fn a_single_port_replaces_the_other_two() {
    let config = config("models --single_port 8080");
    assert_eq!(
        (config.server.grpc, config.server.rest),
        (Listen::Off, Listen::Off)
    );
    assert_eq!(config.server.single, Listen::Port(8080));
}

#[test]
fn mistakes_say_what_was_wanted_and_what_was_got() {
    let mistakes = resolve("models --host nowhere", &[]).expect_err("a wrong host");
    let expected = "--host: expected an IP address of this machine, such as 0.0.0.0, 127.0.0.1 or ::, got `nowhere`";
    assert_eq!(mistakes[0].to_string(), expected);
}

#[test]
fn engines_are_found_by_variable_then_cache_then_home() {
    type Variables = [(&'static str, &'static str)];
    let rows: [(&Variables, Option<&str>); 5] = [
        (
            &[("SALVER_ENGINE_DIR", "/e"), ("SALVER_CACHE_DIR", "/c")],
            Some("/e"),
        ),
        (
            &[
                ("SALVER_CACHE_DIR", "/c"),
                ("XDG_CACHE_HOME", "/x"),
                ("HOME", "/h"),
            ],
            Some("/c"),
        ),
        (
            &[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")],
            Some("/x/salver"),
        ),
        (&[("HOME", "/h")], Some("/h/.cache/salver")),
        (&[], None),
    ];
    for (env, dir) in rows {
        let env = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(engines(&env).dir, dir.map(PathBuf::from), "{env:?}");
    }
}

#[test]
fn a_list_goes_before_a_base_path_and_what_was_typed_before_what_was_set() {
    let list = |file: &str, millis: Option<u64>| ModelsAt::List {
        file: file.into(),
        poll_interval: millis.map(Duration::from_millis),
    };
    let both = config(
        "--model_base_path=/m --model_config_file=/c --model_config_file_poll_wait_seconds=0.5",
    );
    assert_eq!(both.models, list("/c", Some(500)));
    assert_eq!(both.server.rest, Listen::Off);
    let empty = config("--model_base_path=/m --model_config_file=");
    assert!(
        matches!(empty.models, ModelsAt::BasePath { .. }),
        "{:?}",
        empty.models
    );
    let env = [
        ("SALVER_MODEL_CONFIG_FILE", "/c"),
        ("SALVER_MODEL_BASE_PATH", "/m"),
        ("SALVER_MODELS", "models"),
    ];
    let set = resolve("", &env).expect("a whole configuration");
    assert_eq!(set.models, list("/c", None));
    let typed = resolve("models", &env).expect("a whole configuration");
    assert_eq!(typed.models, ModelsAt::Dir("models".into()));
}

#[test]
fn the_command_line_of_the_upstream_test_is_understood() {
    let config = config(
        "--port=9000 --rest_api_port=9001 --rest_api_timeout_in_ms=5000 --grpc_socket_path=/tmp/x.sock \
         --model_name=default --model_base_path=/m --prefer_tflite_model=true \
         --model_config_file_poll_wait_seconds=0 \
         --grpc_channel_arguments=grpc.max_connection_age_ms=2000,grpc.lb_policy_name=grpclb,grpc.so_reuseaddr=1",
    );
    assert_eq!(config.server.rest_timeout, Duration::from_secs(5));
    assert_eq!(config.server.grpc_socket, Some("/tmp/x.sock".into()));
    assert_eq!(
        config.server.max_connection_age,
        Some(Duration::from_secs(2))
    );
    let remarks = config.tensorflow.remarks.join("\n");
    assert!(
        remarks.contains("--prefer_tflite_model is read and checked, but"),
        "{remarks}"
    );
    assert!(remarks.contains("grpc.lb_policy_name"), "{remarks}");
}

#[test]
fn flags_without_meaning_are_remarked_upon_once_if_they_ask_for_something() {
    let asked =
        config("models --flush_filesystem_caches=false --grpc_max_threads=4 --skip_initialize_tpu");
    assert_eq!(
        asked.tensorflow.remarks.len(),
        3,
        "{:?}",
        asked.tensorflow.remarks
    );
    let unasked = config(
        "models --flush_filesystem_caches --enable_batching=false --tensorflow_session_parallelism=0",
    );
    assert_eq!(unasked.tensorflow.remarks, [""; 0]);
}

#[test]
fn flags_of_tensorflow_serving_that_do_not_go_together_are_refused_in_its_words() {
    let rows = [
        (
            "--batching_parameters_file=/b",
            "server_options.batching_parameters_file is set without setting server_options.enable_batching to true.",
        ),
        (
            "--use_alts_credentials --ssl_config_file=/s",
            "Either use_alts_credentials must be false or ssl_config_file must be empty.",
        ),
        (
            "--tensorflow_session_parallelism=1 --tensorflow_intra_op_parallelism=1 \
             --tensorflow_inter_op_parallelism=1",
            "You cannot configure all.",
        ),
        (
            "--use_alts_credentials",
            "ALTS works within Google's own network only",
        ),
        (
            "--port=0",
            "At least one of server_options.grpc_port or server_options.grpc_socket_path must be set.",
        ),
        (
            "--enable_batching=maybe",
            "expected true or false, got `maybe`",
        ),
        (
            "--grpc_max_threads=many",
            "expected a whole number, got `many`",
        ),
        (
            "--per_process_gpu_memory_fraction=2",
            "expected a share from 0 to 1, got `2`",
        ),
        (
            "--mixed_precision=float16",
            "expected bfloat16, the only one there is, got `float16`",
        ),
        (
            "--grpc_channel_arguments=alone",
            "expected KEY=VALUE, separated by commas, got `alone`",
        ),
    ];
    for (flags, expected) in rows {
        let mistakes = resolve(&format!("--model_base_path=/m {flags}"), &[]).expect_err(flags);
        assert_eq!(mistakes.len(), 1, "{flags}: {mistakes:?}");
        assert!(
            mistakes[0].to_string().contains(expected),
            "{flags}: {mistakes:?}"
        );
    }
}

#[test]
fn one_port_for_both_apis_leaves_rest_out_as_tensorflow_s_server_does() {
    let same = config("--model_base_path=/m --port=8500 --rest_api_port=8500");
    assert_eq!(
        (same.server.grpc, same.server.rest),
        (Listen::Port(8500), Listen::Off)
    );
    assert!(same.tensorflow.remarks[0].ends_with("Skipped exporting HTTP/REST API."));
}

#[test]
fn folders_that_are_never_looked_at_are_for_tensorflow_s_server_alone() {
    let line = "--file_system_poll_wait_seconds=-1";
    assert_eq!(
        settings_at_fault(&format!("models {line}"), &[]),
        ["--file_system_poll_wait_seconds"]
    );
    assert_eq!(
        config(&format!("--model_base_path=/m {line}")).looks,
        Looks::Never
    );
}

#[test]
fn sessions_take_their_threads_from_either_flag() {
    let rows = [
        ("--tensorflow_session_parallelism=4", (Some(4), Some(4))),
        ("--tensorflow_intra_op_parallelism=2", (Some(2), None)),
        (
            "--tensorflow_intra_op_parallelism=2 --tensorflow_inter_op_parallelism=3",
            (Some(2), Some(3)),
        ),
        ("--tensorflow_session_parallelism=0", (None, None)),
    ];
    for (flags, expected) in rows {
        let session = config(&format!("models {flags}")).tensorflow.session;
        assert_eq!(
            (session.intra_op_parallelism, session.inter_op_parallelism),
            expected,
            "{flags}"
        );
    }
}

#[test]
fn the_start_of_a_base_path_fails_as_tensorflow_model_server_would() {
    let env = Env::from([("SALVER_MODEL_BASE_PATH".to_owned(), "/m".to_owned())]);
    let with_dir = ServeArgs {
        dir: Some("models".into()),
        ..ServeArgs::default()
    };
    let with_base_path = ServeArgs {
        model_base_path: Some("/m".to_owned()),
        ..ServeArgs::default()
    };
    assert!(is_tf_style(&with_base_path, &Env::new()));
    assert!(is_tf_style(&ServeArgs::default(), &env));
    assert!(!is_tf_style(&with_dir, &env));
}

#[test]
fn rest_is_secured_by_certificates_that_are_named() {
    assert_eq!(
        settings_at_fault("models --rest_api_ssl", &[]),
        ["--rest_api_ssl"]
    );
    let secured = config("models --rest_api_ssl --ssl_config_file=/etc/salver/ssl.cfg");
    assert!(secured.server.has_rest_tls);
    assert_eq!(
        secured.tensorflow.files.ssl,
        Some("/etc/salver/ssl.cfg".into())
    );
}

#[test]
fn stores_are_looked_at_less_often_unless_the_pace_is_chosen() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let rows = [
        ("models", &[][..], seconds(10)),
        ("models --file_system_poll_wait_seconds=2", &[], seconds(2)),
        ("models --file_system_poll_wait_seconds=0", &[], None),
        (
            "models",
            &[("SALVER_FILE_SYSTEM_POLL_WAIT_SECONDS", "1")],
            seconds(1),
        ),
    ];
    for (line, env, expected) in rows {
        let stores = resolve(line, env).expect(line).stores;
        assert_eq!(stores.poll_interval, expected, "{line} {env:?}");
    }
}

#[test]
fn stores_get_the_settings_of_clouds_and_the_folder_of_caches() {
    let env = [
        ("AWS_REGION", "here"),
        ("SALVER_CACHE_DIR", "/c"),
        ("SALVER_ENGINE_DIR", "/e"),
    ];
    let stores = resolve("models", &env).unwrap().stores;
    assert_eq!(stores.cache_dir, Some("/c".into()));
    let names: Vec<_> = stores.options.0.keys().map(String::as_str).collect();
    assert_eq!(names, ["AWS_REGION"]);
}
