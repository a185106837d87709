//! Values as people write them: durations, sizes, ports, switches.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::time::Duration;

use salver_server::Listen;
use salver_telemetry::logging::LogFormat;

/// What was wanted instead of what was given.
pub(crate) type Expected = String;

pub(crate) fn duration(text: &str) -> Result<Duration, Expected> {
    let expected = || "a duration of 0 or more: seconds, or a number with ms, s, m or h".to_owned();
    let (number, unit) = split_unit(text);
    let seconds_per_unit = match unit {
        "" | "s" => 1.0,
        "us" => 1e-6,
        "ms" => 1e-3,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(expected()),
    };
    let number: f64 = number.parse().map_err(|_| expected())?;
    Duration::try_from_secs_f64(number * seconds_per_unit).map_err(|_| expected())
}

pub(crate) fn bytes(text: &str) -> Result<u64, Expected> {
    let expected =
        || "a size of 1 or more: bytes, or a number with KiB, MiB, GiB, kB, MB or GB".to_owned();
    let (number, unit) = split_unit(text);
    let bytes_per_unit: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err(expected()),
    };
    let number: u64 = number.parse().map_err(|_| expected())?;
    number
        .checked_mul(bytes_per_unit)
        .filter(|&bytes| bytes > 0)
        .ok_or_else(expected)
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let unit_len = text
        .chars()
        .rev()
        .take_while(char::is_ascii_alphabetic)
        .count();
    let (number, unit) = text.split_at(text.len() - unit_len);
    (number.trim_end(), unit)
}

pub(crate) fn listen(text: &str) -> Result<Listen, Expected> {
    if text == "auto" {
        return Ok(Listen::Auto);
    }
    match text.parse() {
        Ok(0) => Ok(Listen::Off),
        Ok(port) => Ok(Listen::Port(port)),
        Err(_) => Err("a port from 1 to 65535, auto for a free one, or 0 for none".to_owned()),
    }
}

pub(crate) fn host(text: &str) -> Result<IpAddr, Expected> {
    if text == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    let unbracketed = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    unbracketed
        .parse()
        .map_err(|_| "an IP address of this machine, such as 0.0.0.0, 127.0.0.1 or ::".to_owned())
}

pub(crate) fn count(text: &str) -> Result<NonZeroUsize, Expected> {
    text.parse()
        .map_err(|_| "a whole number of 1 or more".to_owned())
}

pub(crate) fn whole<T: std::str::FromStr>(text: &str) -> Result<T, Expected> {
    text.parse()
        .map_err(|_| "a whole number of 0 or more".to_owned())
}

pub(crate) fn switch(text: &str) -> Result<bool, Expected> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}

pub(crate) fn log_format(text: &str) -> Result<LogFormat, Expected> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        "auto" => Ok(LogFormat::Auto),
        _ => Err("text, json or auto".to_owned()),
    }
}

/// How often something is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looks {
    Every(Duration),
    Once,
    Never,
}

/// Reads how often to look at something: seconds, 0 for once, less for never.
pub(crate) fn looks(text: &str) -> Result<Looks, Expected> {
    let expected = || "a number of seconds, or 0 to look once".to_owned();
    let seconds: f64 = text.parse().map_err(|_| expected())?;
    if seconds < 0.0 {
        return Ok(Looks::Never);
    }
    let interval = Duration::try_from_secs_f64(seconds).map_err(|_| expected())?;
    match interval.is_zero() {
        true => Ok(Looks::Once),
        false => Ok(Looks::Every(interval)),
    }
}

/// Reads the time between two tries; TensorFlow Serving takes less than 0 as none.
pub(crate) fn retry_interval(text: &str) -> Result<Duration, Expected> {
    let micros: i64 = text
        .parse()
        .map_err(|_| "a whole number of microseconds".to_owned())?;
    Ok(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
}

pub(crate) fn text(text: &str) -> Result<String, Expected> {
    match text.is_empty() {
        true => Err("something that is not empty".to_owned()),
        false => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_or_have_a_unit() {
        let rows = [
            ("30", Some(30_000)),
            ("0", Some(0)),
            ("1.5", Some(1500)),
            ("500ms", Some(500)),
            ("2 m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("-1", None),
            ("1d", None),
            ("", None),
            ("s", None),
            ("NaN", None),
            ("1e30h", None),
        ];
        for (text, millis) in rows {
            assert_eq!(
                duration(text).ok(),
                millis.map(Duration::from_millis),
                "{text:?}"
            );
        }
    }

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        let rows = [
            ("1", Some(1)),
            ("64KiB", Some(65536)),
            ("64 kB", Some(64000)),
            ("2g", Some(2 << 30)),
            ("0", None),
            ("-1", None),
            ("1.5GB", None),
            ("99999999999GiB", None),
            ("1é", None),
        ];
        for (text, expected) in rows {
            assert_eq!(bytes(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn ports_are_numbers_auto_or_off() {
        let rows = [
            ("8500", Some(Listen::Port(8500))),
            ("0", Some(Listen::Off)),
            ("auto", Some(Listen::Auto)),
            ("65536", None),
            ("-1", None),
            ("http", None),
        ];
        for (text, expected) in rows {
            assert_eq!(listen(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn hosts_are_addresses() {
        let rows = [
            ("0.0.0.0", Some("0.0.0.0")),
            ("localhost", Some("127.0.0.1")),
            ("::", Some("::")),
            ("[::1]", Some("::1")),
            ("example.org", None),
        ];
        for (text, expected) in rows {
            assert_eq!(
                host(text).ok(),
                expected.map(|address| address.parse().unwrap()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn looks_are_taken_every_so_often_once_or_never() {
        let every = |millis| Some(Looks::Every(Duration::from_millis(millis)));
        let rows = [
            ("1", every(1000)),
            ("0.05", every(50)),
            ("0", Some(Looks::Once)),
            ("-1", Some(Looks::Never)),
            ("often", None),
            ("NaN", None),
            ("1e300", None),
        ];
        for (text, expected) in rows {
            assert_eq!(looks(text).ok(), expected, "{text:?}");
        }
    }
}
