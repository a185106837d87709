//! Settings of TensorFlow's sessions: `ConfigProto`, and `PlatformConfigMap` around it.

use std::collections::BTreeMap;

use prost::Message;
use salver_proto::tensorflow::ConfigProto;
use salver_proto::tensorflow::rewriter_config::Toggle;
use salver_proto::tensorflow::serving::{
    PlatformConfigMap, SavedModelBundleSourceAdapterConfig, SessionBundleConfig,
};

use super::batching::{self, BatchingParameters};
use super::text::{self, TextError};

const PLATFORMS: &str = "tensorflow.serving.PlatformConfigMap";
const ADAPTER: &str = "tensorflow.serving.SavedModelBundleSourceAdapterConfig";

/// What flags say about sessions, over what a file says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SessionOverrides {
    /// Threads within one operation.
    pub intra_op_parallelism: Option<u32>,
    /// Operations at once.
    pub inter_op_parallelism: Option<u32>,
    /// The share of a GPU's memory that the process takes, 0 to 1.
    pub gpu_memory_fraction: Option<f64>,
    /// Whether arithmetic is done in bfloat16 where it can be.
    pub is_bfloat16: bool,
}

/// Settings of TensorFlow's sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionSettings {
    /// An encoded `ConfigProto`; empty for the default.
    pub encoded: Vec<u8>,
    /// Threads within one operation, if it says how many.
    pub intra_op_parallelism: Option<u32>,
    /// Operations at once, if it says how many.
    pub inter_op_parallelism: Option<u32>,
}

/// How models of one platform are loaded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlatformConfig {
    /// Its sessions.
    pub session: SessionSettings,
    /// How requests are joined; `None` if they are not.
    pub batching: Option<BatchingParameters>,
    /// Whether each version may hold batching parameters of its own.
    pub has_model_batching: bool,
    /// The tags of the graph to load; empty for the default.
    pub tags: Vec<String>,
    /// Whether warm-up requests are replayed.
    pub has_warmup: bool,
    /// How often each is replayed, if that is said.
    pub num_warmup_iterations: Option<i32>,
    /// Whether `model.tflite` goes before `saved_model.pb`.
    pub prefers_tflite: bool,
}

/// Reads the text of a `tensorflow_session_config_file`, and puts flags over it.
///
/// # Errors
/// [`TextError`].
pub fn parse_session(
    text: &str,
    overrides: &SessionOverrides,
) -> Result<SessionSettings, TextError> {
    let config: ConfigProto = text::parse("tensorflow.ConfigProto", text)?;
    Ok(settings(config, overrides))
}

/// Reads the text of a `platform_config_file`: platforms by the names that models use.
///
/// # Errors
/// [`TextError`], also for a platform of which it is not said how TensorFlow loads its models.
pub fn parse_platforms(text: &str) -> Result<BTreeMap<String, PlatformConfig>, TextError> {
    let map: PlatformConfigMap = text::parse(PLATFORMS, text)?;
    let mut platforms = BTreeMap::new();
    for (name, platform) in map.platform_configs {
        let adapter = platform.source_adapter_config.unwrap_or_default();
        let config = read_adapter(&adapter).map_err(|reason| TextError {
            message: PLATFORMS,
            line: 1,
            column: 1,
            reason: format!("platform `{name}`: {reason}"),
        })?;
        platforms.insert(name, config);
    }
    Ok(platforms)
}

fn read_adapter(adapter: &prost_types::Any) -> Result<PlatformConfig, String> {
    let message = adapter.type_url.rsplit('/').next().unwrap_or_default();
    if message != ADAPTER {
        return Err(format!(
            "expected source_adapter_config {{ [type.googleapis.com/{ADAPTER}] {{ .. }} }}, found `{message}`"
        ));
    }
    let config = SavedModelBundleSourceAdapterConfig::decode(adapter.value.as_slice())
        .map_err(|error| error.to_string())?;
    Ok(read_bundle(config.legacy_config.unwrap_or_default()))
}

fn read_bundle(bundle: SessionBundleConfig) -> PlatformConfig {
    let overrides = SessionOverrides {
        is_bfloat16: bundle.mixed_precision == "bfloat16",
        ..SessionOverrides::default()
    };
    let session = bundle.session_config.unwrap_or_default();
    PlatformConfig {
        session: settings(session, &overrides),
        batching: bundle.batching_parameters.map(batching::read),
        has_model_batching: bundle.enable_per_model_batching_params,
        tags: bundle.saved_model_tags,
        has_warmup: bundle.enable_model_warmup,
        num_warmup_iterations: bundle
            .model_warmup_options
            .and_then(|options| options.num_request_iterations),
        prefers_tflite: bundle.prefer_tflite_model,
    }
}

fn settings(mut config: ConfigProto, overrides: &SessionOverrides) -> SessionSettings {
    let threads = |threads: u32| i32::try_from(threads).unwrap_or(i32::MAX);
    if let Some(intra) = overrides.intra_op_parallelism {
        config.intra_op_parallelism_threads = threads(intra);
    }
    if let Some(inter) = overrides.inter_op_parallelism {
        config.inter_op_parallelism_threads = threads(inter);
    }
    if let Some(fraction) = overrides.gpu_memory_fraction {
        let gpu = config.gpu_options.get_or_insert_default();
        gpu.per_process_gpu_memory_fraction = fraction;
    }
    if overrides.is_bfloat16 {
        let graph = config.graph_options.get_or_insert_default();
        let rewrite = graph.rewrite_options.get_or_insert_default();
        rewrite.auto_mixed_precision_onednn_bfloat16 = Toggle::On.into();
    }
    // 0 leaves it to TensorFlow; less than 0 means something only to it, and stays in the message.
    let stated = |threads: i32| u32::try_from(threads).ok().filter(|&threads| threads > 0);
    SessionSettings {
        intra_op_parallelism: stated(config.intra_op_parallelism_threads),
        inter_op_parallelism: stated(config.inter_op_parallelism_threads),
        encoded: config.encode_to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file_where_they_say_something() {
        let text = "intra_op_parallelism_threads: 2 inter_op_parallelism_threads: 3\n\
                    gpu_options { allow_growth: true }";
        let overrides = SessionOverrides {
            intra_op_parallelism: Some(8),
            gpu_memory_fraction: Some(0.5),
            is_bfloat16: true,
            ..SessionOverrides::default()
        };
        let settings = parse_session(text, &overrides).expect("a right file");
        let stated = (settings.intra_op_parallelism, settings.inter_op_parallelism);
        assert_eq!(stated, (Some(8), Some(3)));
        let config = ConfigProto::decode(settings.encoded.as_slice()).expect("what was encoded");
        assert_eq!(config.intra_op_parallelism_threads, 8);
        assert_eq!(config.inter_op_parallelism_threads, 3);
        let gpu = config.gpu_options.expect("options of GPUs");
        assert!(gpu.allow_growth);
        assert_eq!(
            gpu.per_process_gpu_memory_fraction.to_bits(),
            0.5_f64.to_bits()
        );
        assert!(config.graph_options.is_some());
        assert_eq!(
            parse_session("", &SessionOverrides::default()),
            Ok(SessionSettings::default())
        );
    }

    #[test]
    fn platforms_hold_the_settings_of_bundles() {
        let text = r#"
            platform_configs {
              key: "tensorflow"
              value {
                source_adapter_config {
                  [type.googleapis.com/tensorflow.serving.SavedModelBundleSourceAdapterConfig] {
                    legacy_config {
                      session_config { intra_op_parallelism_threads: 4 }
                      batching_parameters { max_batch_size { value: 8 } }
                      saved_model_tags: "serve", saved_model_tags: "gpu"
                      enable_model_warmup: true
                      model_warmup_options { num_request_iterations { value: 3 } }
                    }
                  }
                }
              }
            }"#;
        let platforms = parse_platforms(text).expect("what people write");
        let platform = &platforms["tensorflow"];
        assert_eq!(platform.tags, ["serve", "gpu"]);
        assert_eq!(
            platform
                .batching
                .as_ref()
                .and_then(|batching| batching.max_batch_size),
            Some(8)
        );
        assert_eq!(
            (platform.has_warmup, platform.num_warmup_iterations),
            (true, Some(3))
        );
        let session =
            ConfigProto::decode(platform.session.encoded.as_slice()).expect("an encoded message");
        assert_eq!(session.intra_op_parallelism_threads, 4);
    }

    #[test]
    fn a_platform_that_is_not_tensorflow_s_is_named() {
        let error =
            parse_platforms("platform_configs { key: 'mine' value {} }").expect_err("no adapter");
        assert!(
            error.to_string().contains("platform `mine`: expected"),
            "{error}"
        );
    }
}
