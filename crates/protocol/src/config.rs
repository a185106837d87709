//! What TensorFlow Serving is configured by: files in protobuf's text format, and `ReloadConfigRequest`.
//!
//! ```text
//! text ─► descriptors of `proto` ─► generated message ─► plain struct
//! ```
//!
//! Everything here is small and rare, so it goes by way of descriptors and generated messages. What comes out are plain
//! structs; what the values mean, and which files there are, is the matter of whoever reads them.

mod batching;
mod logging;
mod models;
mod reload;
mod server_files;
mod session;
mod text;

pub use batching::{BatchingError, BatchingParameters};
pub use logging::{CustomLogging, LoggingConfig, TaskSampling};
pub use models::{
    ConfigError, ModelConfig, ModelsFile, TENSORFLOW_PLATFORM, VersionPolicy, parse_models,
    print_models,
};
pub use reload::{ReloadRequest, decode_reload, encode_reload_response};
pub use server_files::{MonitoringConfig, SslConfig, parse_monitoring, parse_ssl};
pub use session::{
    PlatformConfig, SessionOverrides, SessionSettings, parse_platforms, parse_session,
};
pub use text::TextError;

pub use batching::parse_batching;
