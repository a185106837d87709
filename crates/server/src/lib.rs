//! The model server: gRPC, REST and admin in front of a [`Manager`](salver_servable::Manager).
//!
//! ```text
//! bytes ─► byte budget ─► protocol (decode) ─► lookup (handle) ─► executor ─► protocol (encode) ─► bytes
//! ```
//!
//! Owns sockets, time-outs, admission, the table of status codes, and the order of shutting down. Does not own models
//! (`servable`, `repository`), wire forms (`protocol`), threads that run models (`batching`), arguments or the
//! environment (`cli`).
//!
//! Read in this order: [`Server`] binds and runs; `connection` speaks HTTP on one socket; `app` sends a request to
//! `grpc`, `rest` or `admin`; `infer` is the one line that all of them share, `inference` what the calls that take
//! `tensorflow.Example` do before and after it; `split` chooses among the versions of one name; `status` maps every failure to a code.

mod access_log;
mod admin;
mod admission;
mod app;
mod body;
mod channel;
mod config;
mod connection;
mod context;
mod grpc;
mod infer;
mod inference;
mod listen;
mod prometheus;
mod reload;
mod request_log;
mod response;
mod rest;
mod server;
mod split;
mod status;
mod tasks;
mod tls;
mod trace;
mod warmup;
mod work;

pub use channel::{ChannelArgumentError, ChannelArguments, ChannelConfig};
pub use config::{Listen, ServerConfig};
pub use infer::load_error_code;
pub use listen::{BindError, SocketError};
pub use reload::{Reload, ReloadError, ServedBy, ServedModel};
pub use request_log::{RequestLogError, RequestLogs};
pub use salver_protocol::config::LoggingConfig;
pub use server::{Addresses, Server, Services};
pub use split::{SplitSource, Splits};
pub use status::{Code, ServeError};
pub use tls::{TlsConfig, TlsError, TlsHandle};
pub use warmup::WarmupRequests;
