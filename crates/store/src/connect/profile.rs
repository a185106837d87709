//! AWS's own files, `~/.aws/credentials` and `~/.aws/config`: what the environment leaves open is taken from a profile.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::Options;

/// The keys of a profile that count, with the variables that come before them.
const KEYS: [(&str, &str); 5] = [
    ("aws_access_key_id", "AWS_ACCESS_KEY_ID"),
    ("aws_secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    ("aws_session_token", "AWS_SESSION_TOKEN"),
    ("region", "AWS_REGION"),
    ("endpoint_url", "AWS_ENDPOINT_URL"),
];

/// Variables by which a machine or container is given a role: whoever sets one wants that and no stored key.
const ROLES: [&str; 4] = [
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
];

/// Returns the settings with what a profile adds to them.
pub(super) fn complete(options: &Options) -> Options {
    let profile = options.get("AWS_PROFILE").unwrap_or("default");
    let mut found = BTreeMap::new();
    for (variable, name) in [
        ("AWS_CONFIG_FILE", "config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
    ] {
        let named = options.get(variable).map(PathBuf::from);
        let home = || Some(PathBuf::from(options.get("HOME")?).join(".aws").join(name));
        let text = named
            .or_else(home)
            .and_then(|path| std::fs::read_to_string(path).ok());
        found.extend(section(&text.unwrap_or_default(), profile));
    }
    merge(options, &found)
}

fn merge(options: &Options, profile: &BTreeMap<String, String>) -> Options {
    let mut options = options.clone();
    let is_set = |name: &&str| options.get(name).is_some();
    // A key of one place never goes with the secret of another.
    let has_keys = options.get("AWS_ACCESS_KEY_ID").is_some() || ROLES.iter().any(is_set);
    let has_region =
        options.get("AWS_REGION").is_some() || options.get("AWS_DEFAULT_REGION").is_some();
    let has_endpoint = ["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"]
        .iter()
        .any(is_set);
    for (key, variable) in KEYS {
        let has = match variable {
            "AWS_REGION" => has_region,
            "AWS_ENDPOINT_URL" => has_endpoint,
            _ => has_keys,
        };
        if let (false, Some(value)) = (has, profile.get(key)) {
            options.0.insert(variable.to_owned(), value.clone());
        }
    }
    options
}

/// Reads one profile: `[NAME]`, or `[profile NAME]` as `config` has it.
fn section(text: &str, profile: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let mut is_wanted = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(name) = trimmed
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next())
        {
            let name = name.trim();
            is_wanted = name.strip_prefix("profile ").map_or(name, str::trim) == profile;
        } else if let Some((key, value)) = trimmed.split_once('=')
            // What is indented belongs to the setting above it.
            && is_wanted && !line.starts_with([' ', '\t', '#', ';'])
        {
            values.insert(key.trim().to_owned(), value.trim().to_owned());
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
[default]
aws_access_key_id = one
aws_secret_access_key=two
# aws_session_token = three
s3 =
  region = nested

[profile dev]
region = eu-west-1
aws_access_key_id = three
";

    fn options(pairs: &[(&str, &str)]) -> Options {
        let pairs = pairs
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()));
        Options(pairs.collect())
    }

    #[test]
    fn a_profile_is_read_by_its_name() {
        let of = |profile| section(FILE, profile).into_iter().collect::<Vec<_>>();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            of("default"),
            [
                pair("aws_access_key_id", "one"),
                pair("aws_secret_access_key", "two"),
                pair("s3", "")
            ]
        );
        assert_eq!(
            of("dev"),
            [
                pair("aws_access_key_id", "three"),
                pair("region", "eu-west-1")
            ]
        );
        assert_eq!(of("other"), []);
    }

    #[test]
    fn the_environment_comes_first_and_keys_are_not_mixed() {
        let profile = section(
            "[default]\naws_access_key_id=k\naws_secret_access_key=s\naws_session_token=t\nregion=r\nendpoint_url=e",
            "default",
        );
        type Row<'a> = (&'a [(&'a str, &'a str)], [Option<&'a str>; 5]);
        let rows: [Row<'_>; 4] = [
            (&[], [Some("k"), Some("s"), Some("t"), Some("r"), Some("e")]),
            (
                &[
                    ("AWS_ACCESS_KEY_ID", "mine"),
                    ("AWS_SECRET_ACCESS_KEY", "own"),
                ],
                [Some("mine"), Some("own"), None, Some("r"), Some("e")],
            ),
            (
                &[
                    ("AWS_WEB_IDENTITY_TOKEN_FILE", "f"),
                    ("AWS_DEFAULT_REGION", "d"),
                ],
                [None, None, None, None, Some("e")],
            ),
            (
                &[("AWS_ENDPOINT", "mine")],
                [Some("k"), Some("s"), Some("t"), Some("r"), None],
            ),
        ];
        for (pairs, expected) in rows {
            let merged = merge(&options(pairs), &profile);
            let got = KEYS.map(|(_, variable)| merged.get(variable).map(str::to_owned));
            assert_eq!(
                got,
                expected.map(|value| value.map(str::to_owned)),
                "{pairs:?}"
            );
        }
    }
}
