//! Settings: read from flags and environment, checked all together, with every problem reported at once.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use tonic::transport::Uri;

use crate::text;

/// What is wrong with the settings: all of it.
#[derive(Debug, thiserror::Error)]
#[error("{} in the settings:\n{}", plural(.0.len()), .0.iter().map(|p| format!("  - {p}")).collect::<Vec<_>>().join("\n"))]
pub struct SettingsError(Vec<String>);

fn plural(count: usize) -> String {
    if count == 1 { "1 problem".to_owned() } else { format!("{count} problems") }
}

/// Collects what is wrong with the settings while they are read.
///
/// Each reader returns `None` and notes the problem when a value can't be used; [`Problems::finish`] then builds the
/// configuration only if there was none.
#[derive(Debug, Default)]
pub struct Problems(Vec<String>);

impl Problems {
    /// No problem so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that the setting `flag` (its long name, without `--`) is wrong.
    pub fn add(&mut self, flag: &str, what: impl fmt::Display) {
        self.add_free(format_args!("{}: {what}", names(flag)));
    }

    /// Notes a problem that is not one setting's. What several find is said once.
    pub fn add_free(&mut self, what: impl fmt::Display) {
        let what = what.to_string().split('\n').map(text::printable).collect::<Vec<_>>().join("\n");
        if !self.0.contains(&what) {
            self.0.push(what);
        }
    }

    /// Reads any value that knows how to be read; `kind` says what is expected, with an example.
    pub fn parse<T: FromStr>(&mut self, flag: &str, value: &str, kind: &str) -> Option<T> {
        let parsed = value.parse().ok();
        if parsed.is_none() {
            self.add(flag, format_args!("expected {kind}, got {value:?}"));
        }
        parsed
    }

    /// Reads an address to listen on, e.g. `127.0.0.1:8080`; port 0 lets the system choose.
    pub fn address(&mut self, flag: &str, value: &str) -> Option<SocketAddr> {
        self.parse(flag, value, "an IP address and port such as 127.0.0.1:8080")
    }

    /// Reads a URL of a gRPC server, e.g. `http://127.0.0.1:8081`.
    pub fn url(&mut self, flag: &str, value: &str) -> Option<Uri> {
        let uri: Option<Uri> = value.parse().ok();
        match uri {
            Some(uri) if matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() => {
                Some(uri)
            }
            _ => {
                self.add(flag, format_args!("expected a URL such as http://127.0.0.1:8081, got {value:?}"));
                None
            }
        }
    }

    /// Reads a participant's name.
    pub fn participant(&mut self, flag: &str, value: &str) -> Option<String> {
        match text::participant(value) {
            Ok(()) => Some(value.to_owned()),
            Err(complaint) => {
                self.add(flag, format_args!("{complaint}, got {value:?}"));
                None
            }
        }
    }

    /// Reads a duration with its unit, e.g. `500ms`, `30s`, within the bounds.
    pub fn duration(&mut self, flag: &str, value: &str, min: Duration, max: Duration) -> Option<Duration> {
        match humantime::parse_duration(value) {
            Ok(duration) if (min..=max).contains(&duration) => Some(duration),
            Ok(_) => {
                self.add(flag, format_args!("must be from {min:?} to {max:?}, got {value:?}"));
                None
            }
            Err(_) => {
                self.add(
                    flag,
                    format_args!("expected a duration with its unit such as 500ms or 30s, got {value:?}"),
                );
                None
            }
        }
    }

    /// Reads a whole number within the bounds.
    pub fn number<T>(&mut self, flag: &str, value: &str, min: T, max: T) -> Option<T>
    where
        T: FromStr + PartialOrd + fmt::Display,
    {
        match value.parse() {
            Ok(number) if min <= number && number <= max => Some(number),
            _ => {
                self.add(flag, format_args!("expected a whole number from {min} to {max}, got {value:?}"));
                None
            }
        }
    }

    /// Demands a value that has no default.
    pub fn required<'a, T: ?Sized>(&mut self, flag: &str, value: Option<&'a T>, what: &str) -> Option<&'a T> {
        if value.is_none() {
            self.add(flag, format_args!("missing: {what}"));
        }
        value
    }

    /// Reads a secret from the environment or from a file (one of both, never a flag: arguments are visible to every
    /// user of the machine). One line feed at the file's end is not part of it.
    pub fn secret(&mut self, name: &str, value: Option<&str>, file: Option<&PathBuf>) -> Option<Secret> {
        let secret = match (value, file) {
            (Some(_), Some(_)) => Err("set in the environment and as a file: keep one".to_owned()),
            (None, None) => Err(format!("missing: set {} or --{name}-file", environment_name(name))),
            (Some(value), None) => Ok(value.to_owned()),
            (None, Some(path)) => std::fs::read_to_string(path)
                .map(|text| text.strip_suffix('\n').unwrap_or(&text).to_owned())
                .map_err(|error| format!("cannot read {}: {error}", path.display())),
        };
        match secret {
            Ok(secret) if secret.is_empty() => {
                self.add_free(format_args!("{name}: is empty"));
                None
            }
            Ok(secret) => Some(Secret(secret)),
            Err(problem) => {
                self.add_free(format_args!("{name}: {problem}"));
                None
            }
        }
    }

    /// Builds the configuration, unless there was a problem. `build` gets what the readers returned, behind `?`.
    pub fn finish<T>(self, build: impl FnOnce() -> Option<T>) -> Result<T, SettingsError> {
        if !self.0.is_empty() {
            return Err(SettingsError(self.0));
        }
        build().ok_or_else(|| {
            SettingsError(vec!["a setting was not read: this is a defect, report it".to_owned()])
        })
    }
}

fn environment_name(flag: &str) -> String {
    format!("RIALTO_{}", flag.to_uppercase().replace('-', "_"))
}

fn names(flag: &str) -> String {
    format!("--{flag} (or {})", environment_name(flag))
}

/// A value that must not be printed: shows as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a value into care.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_reported_together_and_secrets_never() {
        let mut problems = Problems::new();
        let listen = problems.address("listen", "localhost");
        problems.duration("drain-timeout", "5", Duration::ZERO, Duration::from_secs(60));
        problems.duration("drain-timeout", "5h", Duration::ZERO, Duration::from_secs(60));
        problems.number::<u32>("max-streams", "1O", 1, 100);
        problems.number::<u32>("max-streams", "0", 1, 100);
        problems.url("platform", "127.0.0.1:1");
        problems.url("platform", "127.0.0.1:1");
        problems.secret("database-url", Some("postgres://u:hush@h/d"), Some(&PathBuf::from("/nowhere")));
        problems.secret("token", None, None);
        problems.add_free("banks.toml:1: \u{1b}[2J\u{202E}: unknown key");
        let error = problems.finish(|| listen).expect_err("nine problems").to_string();
        assert!(error.starts_with("9 problems"), "{error}");
        for part in [
            "\\u{1b}[2J\\u{202e}",
            "--listen (or RIALTO_LISTEN)",
            "such as 500ms",
            "\"1O\"",
            "from 1 to 100",
            "http://",
            "keep one",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
        assert!(!error.contains("hush"));
        assert_eq!(format!("{:?}", Secret::new("hush")), "***");
    }
}
