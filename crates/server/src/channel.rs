//! What one gRPC connection may do, and gRPC's own names for it.

use std::time::Duration;

/// Streams of one connection at once.
const MAX_STREAMS: u32 = 256;
/// All headers of one request together.
const MAX_HEADER_BYTES: u32 = 64 << 10;
/// Silence after which an HTTP/2 peer is asked whether it is there, and how long it may take to answer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// What never comes, and can still be added to a moment.
const FOR_EVER: Duration = Duration::from_millis(i32::MAX as u64);

/// Limits of each gRPC connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelConfig {
    /// How long requests in flight may go on once the connection has reached its greatest age; `None` for ever.
    pub max_connection_age_grace: Option<Duration>,
    /// The time without a request after which the connection is asked to close; `None` for never.
    pub max_connection_idle: Option<Duration>,
    /// Requests at once.
    pub max_concurrent_streams: u32,
    /// Silence after which the peer is asked whether it is there; `None` for never.
    pub keepalive_interval: Option<Duration>,
    /// How long the peer may take to answer that.
    pub keepalive_timeout: Duration,
    /// The largest request message; `None` for whatever the budget of bytes in flight has room for.
    pub max_message_bytes: Option<u64>,
    /// All headers of one request together.
    pub max_header_bytes: u32,
    /// Whether other processes may listen on the gRPC port too, the system spreading connections over them.
    pub is_port_shared: bool,
}

impl Default for ChannelConfig {
    fn default() -> Self {
        Self {
            max_connection_age_grace: None,
            max_connection_idle: None,
            max_concurrent_streams: MAX_STREAMS,
            keepalive_interval: Some(KEEPALIVE_INTERVAL),
            keepalive_timeout: KEEPALIVE_TIMEOUT,
            max_message_bytes: None,
            max_header_bytes: MAX_HEADER_BYTES,
            is_port_shared: false,
        }
    }
}

/// Settings under gRPC's names, `grpc.max_connection_age_ms=2000,grpc.max_concurrent_streams=100`, as
/// `--grpc_channel_arguments` has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelArguments {
    /// The age at which a connection is asked to close, if that was set.
    pub max_connection_age: Option<Duration>,
    /// Everything else that was set, and the defaults.
    pub config: ChannelConfig,
    /// One sentence for each argument that changes nothing.
    pub notes: Vec<String>,
}

/// An argument is not of the form `name=value`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected name=value, separated by commas, got `{argument}`")]
pub struct ChannelArgumentError {
    /// The argument.
    pub argument: String,
}

impl ChannelArguments {
    /// Reads settings: a value is a number if it can be one, a later setting wins, and what gRPC allows that has no
    /// meaning here becomes a note.
    ///
    /// # Errors
    /// [`ChannelArgumentError`] names the first argument without a name or a value.
    pub fn parse(text: &str) -> Result<Self, ChannelArgumentError> {
        let mut arguments = Self::default();
        let stated = text.split(',').map(str::trim);
        for argument in stated.filter(|argument| !argument.is_empty()) {
            let Some((name, value)) = argument
                .split_once('=')
                .filter(|(name, value)| !name.is_empty() && !value.is_empty())
            else {
                return Err(ChannelArgumentError {
                    argument: argument.to_owned(),
                });
            };
            arguments.set(name, value);
        }
        Ok(arguments)
    }

    fn set(&mut self, name: &str, value: &str) {
        let Ok(number) = value.parse::<i32>() else {
            self.note(name, format_args!("is the text `{value}`"));
            return;
        };
        match name {
            "grpc.max_connection_age_ms" => self.max_connection_age = millis(number),
            "grpc.max_connection_age_grace_ms" => {
                self.config.max_connection_age_grace = millis(number);
            }
            "grpc.max_connection_idle_ms" => self.config.max_connection_idle = millis(number),
            "grpc.keepalive_time_ms" => self.config.keepalive_interval = millis(number),
            "grpc.keepalive_timeout_ms" => {
                self.config.keepalive_timeout = millis(number).unwrap_or(FOR_EVER);
            }
            "grpc.max_concurrent_streams" => {
                self.config.max_concurrent_streams = positive(number).unwrap_or(u32::MAX);
            }
            "grpc.max_receive_message_length" => {
                self.config.max_message_bytes = u64::try_from(number).ok();
            }
            "grpc.max_metadata_size" | "grpc.absolute_max_metadata_size" => {
                self.config.max_header_bytes = positive(number).unwrap_or(MAX_HEADER_BYTES);
            }
            "grpc.so_reuseport" => self.config.is_port_shared = number != 0,
            "grpc.so_reuseaddr" if number != 0 => {}
            _ => self.note(name, format_args!("is set to {number}")),
        }
    }

    fn note(&mut self, name: &str, what: std::fmt::Arguments<'_>) {
        self.notes
            .push(format!("{name} {what}, which changes nothing here"));
    }
}

/// Reads milliseconds; the largest number is gRPC's word for never, and less than 1 makes no sense.
fn millis(number: i32) -> Option<Duration> {
    positive(number)
        .filter(|_| number != i32::MAX)
        .map(|millis| Duration::from_millis(millis.into()))
}

fn positive(number: i32) -> Option<u32> {
    u32::try_from(number).ok().filter(|&number| number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ChannelArguments {
        ChannelArguments::parse(text).expect(text)
    }

    fn config(change: impl FnOnce(&mut ChannelConfig)) -> ChannelArguments {
        let mut arguments = ChannelArguments::default();
        change(&mut arguments.config);
        arguments
    }

    #[test]
    fn each_argument_that_has_a_meaning_sets_it() {
        let millis = |millis| Some(Duration::from_millis(millis));
        let rows = [
            ("", ChannelArguments::default()),
            (
                "grpc.max_connection_age_ms=2000",
                ChannelArguments {
                    max_connection_age: millis(2000),
                    ..ChannelArguments::default()
                },
            ),
            (
                "grpc.max_connection_age_ms=2147483647",
                ChannelArguments::default(),
            ),
            (
                "grpc.max_connection_age_grace_ms=5",
                config(|channel| channel.max_connection_age_grace = millis(5)),
            ),
            (
                "grpc.max_connection_idle_ms=6",
                config(|channel| channel.max_connection_idle = millis(6)),
            ),
            (
                "grpc.keepalive_time_ms=7, grpc.keepalive_timeout_ms=8",
                config(|channel| {
                    channel.keepalive_interval = millis(7);
                    channel.keepalive_timeout = Duration::from_millis(8);
                }),
            ),
            (
                "grpc.keepalive_time_ms=2147483647",
                config(|channel| channel.keepalive_interval = None),
            ),
            (
                "grpc.max_concurrent_streams=1,grpc.max_concurrent_streams=9",
                config(|channel| channel.max_concurrent_streams = 9),
            ),
            (
                "grpc.max_receive_message_length=1024",
                config(|channel| channel.max_message_bytes = Some(1024)),
            ),
            (
                "grpc.max_receive_message_length=-1",
                ChannelArguments::default(),
            ),
            (
                "grpc.max_metadata_size=8192",
                config(|channel| channel.max_header_bytes = 8192),
            ),
            (
                "grpc.so_reuseport=1,grpc.so_reuseaddr=1",
                config(|channel| channel.is_port_shared = true),
            ),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn what_has_no_meaning_is_told_and_does_no_harm() {
        let arguments =
            parse("grpc.max_connection_age_ms=2000,grpc.lb_policy_name=grpclb,grpc.foo=1");
        assert_eq!(
            arguments.max_connection_age,
            Some(Duration::from_millis(2000))
        );
        assert_eq!(arguments.config, ChannelConfig::default());
        let expected = [
            "grpc.lb_policy_name is the text `grpclb`, which changes nothing here",
            "grpc.foo is set to 1, which changes nothing here",
        ];
        assert_eq!(arguments.notes, expected);
    }

    #[test]
    fn an_argument_without_a_name_or_a_value_is_a_mistake() {
        for wrong in ["grpc.foo", "grpc.foo=", "=1", "grpc.a=1,b"] {
            assert!(ChannelArguments::parse(wrong).is_err(), "{wrong}");
        }
    }
}
