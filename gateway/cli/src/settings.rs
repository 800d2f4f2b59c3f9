//! Where the gateway is, and who calls it: flags and variables before a profile of a file.

use std::{
    collections::BTreeMap,
    env,
    fmt::Display,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use common::{rpc_client::Route, settings::Secret};
use serde::Deserialize;

use crate::{
    failure::Failure,
    screen::{Rows, Screen},
};

/// The profile that is used when none is named.
const DEFAULT: &str = "default";

/// Where the gateway is, and who calls it.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Gateway")]
pub struct ConnectionArgs {
    /// The profile to use; `default`, if there is such a one, when none is named.
    #[arg(long, global = true, env = "RIALTO_PROFILE", value_name = "NAME")]
    profile: Option<String>,
    /// The file of profiles, in place of ~/.config/rialto/config.toml.
    #[arg(long, global = true, env = "RIALTO_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The gateway's address, HOST:PORT.
    #[arg(long, global = true, env = "RIALTO_GATEWAY", value_name = "HOST:PORT")]
    gateway: Option<String>,
    /// The CA that the gateway's certificate comes from (PEM); a system's own bundle of CAs is such a file, too.
    #[arg(long, global = true, env = "RIALTO_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Speak without TLS, so that whoever is between reads the key and all else. Only to a gateway on this machine.
    #[arg(long, global = true, env = "RIALTO_INSECURE_GATEWAY")]
    insecure_gateway: bool,
    /// The file with the API key (mode 0600). Or set RIALTO_API_KEY; a key is no flag, since everybody on a machine sees those.
    #[arg(long, global = true, env = "RIALTO_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// What a process is told beside its arguments.
#[derive(Debug, Default)]
pub struct Environment {
    /// The API key (`RIALTO_API_KEY`).
    pub api_key: Option<Secret>,
    /// Where a person's settings are (`$XDG_CONFIG_HOME`, or `$HOME/.config`).
    pub settings_folder: Option<PathBuf>,
}

impl Environment {
    /// What this process was told.
    pub fn of_process() -> Self {
        let folder = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            api_key: env::var("RIALTO_API_KEY").ok().filter(|key| !key.is_empty()).map(Secret::new),
            settings_folder: folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config"))),
        }
    }
}

/// How to call the gateway.
#[derive(Debug)]
pub struct Connection {
    /// Where it is.
    pub route: Route,
    /// Who calls.
    pub api_key: Secret,
}

#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
struct Profiles {
    #[serde(default)]
    profiles: BTreeMap<String, Profile>,
}

#[derive(Deserialize, Debug, Default, Clone)]
#[serde(deny_unknown_fields)]
struct Profile {
    gateway: Option<String>,
    ca: Option<PathBuf>,
    #[serde(default)]
    insecure_gateway: bool,
    key_file: Option<PathBuf>,
}

impl ConnectionArgs {
    /// How to call the gateway, by all of them together.
    ///
    /// # Errors
    /// What is missing or wrong, all of it.
    pub fn read(&self, environment: &Environment) -> Result<Connection, Failure> {
        let profile = self.chosen(self.profiles(environment)?)?;
        let mut problems = Vec::new();
        let route = self.route(&profile).map_err(|problem| problems.push(problem));
        let api_key = self.api_key(&profile, environment).map_err(|problem| problems.push(problem));
        match (route, api_key) {
            (Ok(route), Ok(api_key)) => Ok(Connection { route, api_key }),
            _ => Err(Failure::Usage(problems)),
        }
    }

    /// Shows the profiles; of their keys only whether they can be used.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn show_profiles(&self, environment: &Environment, screen: &Screen) -> Result<(), Failure> {
        let profiles = self.profiles(environment)?.profiles;
        let path = |path: &Option<PathBuf>| {
            path.as_ref().map_or_else(String::new, |path| path.display().to_string())
        };
        let rows = profiles.iter().map(|(name, profile)| {
            let key = profile.key_file.as_deref().map_or_else(String::new, |file| match read_key(file) {
                Ok(_) => "***".to_owned(),
                Err(problem) => problem,
            });
            let ca = if profile.insecure_gateway { "none: insecure".to_owned() } else { path(&profile.ca) };
            [name.clone(), profile.gateway.clone().unwrap_or_default(), ca, path(&profile.key_file), key]
        });
        screen.rows(Rows::below(["PROFILE", "GATEWAY", "CA", "KEY FILE", "KEY"], rows))
    }

    fn chosen(&self, profiles: Profiles) -> Result<Profile, Failure> {
        let name = self.profile.as_deref().unwrap_or(DEFAULT);
        match (profiles.profiles.get(name), &self.profile) {
            (Some(profile), _) => Ok(profile.clone()),
            (None, None) => Ok(Profile::default()),
            (None, Some(_)) => {
                let known: Vec<_> = profiles.profiles.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "there are none".to_owned() } else { known.join(", ") };
                Err(Failure::usage(format!(
                    "--profile (or RIALTO_PROFILE): there is no {name:?}, but: {known}"
                )))
            }
        }
    }

    fn route(&self, profile: &Profile) -> Result<Route, String> {
        let address = self.gateway.as_ref().or(profile.gateway.as_ref()).ok_or(
            "--gateway (or RIALTO_GATEWAY, or `gateway` in a profile): missing: where the gateway is, e.g. 127.0.0.1:8443",
        )?;
        if address.contains('/') {
            return Err(format!(
                "--gateway (or RIALTO_GATEWAY): expected HOST:PORT without https://, got {address:?}"
            ));
        }
        let ca = self.ca.as_ref().or(profile.ca.as_ref().filter(|_| !self.insecure_gateway));
        match (ca, self.insecure_gateway || profile.insecure_gateway && self.ca.is_none()) {
            (Some(_), true) => Err("--insecure-gateway: there is a CA as well: keep one of them".to_owned()),
            (None, false) => Err(
                "--ca (or RIALTO_CA, or `ca` in a profile): missing: the CA (PEM) that the gateway's certificate comes from".to_owned(),
            ),
            (ca, _) => Route::to(address, ca.cloned()).map_err(|problem| format!("--gateway, --ca: {problem}")),
        }
    }

    fn api_key(&self, profile: &Profile, environment: &Environment) -> Result<Secret, String> {
        match (&environment.api_key, &self.key_file) {
            (Some(_), Some(_)) => {
                Err("--key-file: RIALTO_API_KEY is set as well: keep one of them".to_owned())
            }
            (Some(key), None) => Ok(key.clone()),
            (None, Some(file)) => {
                read_key(file).map_err(|problem| format!("--key-file: {}: {problem}", file.display()))
            }
            (None, None) => match &profile.key_file {
                Some(file) => {
                    read_key(file).map_err(|problem| format!("key_file: {}: {problem}", file.display()))
                }
                None => {
                    Err("the API key: missing: set RIALTO_API_KEY, --key-file, or `key_file` in a profile"
                        .to_owned())
                }
            },
        }
    }

    fn profiles(&self, environment: &Environment) -> Result<Profiles, Failure> {
        let usual = environment.settings_folder.as_ref().map(|folder| folder.join("rialto/config.toml"));
        let Some(file) = self.config.clone().or(usual) else { return Ok(Profiles::default()) };
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.config.is_none() => {
                return Ok(Profiles::default());
            }
            Err(error) => return Err(Failure::usage(format!("cannot read {}: {error}", file.display()))),
        };
        let mut profiles = parse(&text, &file.display())?;
        let folder = file.parent().unwrap_or(Path::new("."));
        for profile in profiles.profiles.values_mut() {
            for path in [&mut profile.ca, &mut profile.key_file].into_iter().flatten() {
                *path = folder.join(&path);
            }
        }
        Ok(profiles)
    }
}

/// The line is named and not shown: somebody may have written a key into it.
fn parse(text: &str, file: &impl Display) -> Result<Profiles, Failure> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or_else(String::new, |before| format!(":{}", before.matches('\n').count() + 1));
        Failure::usage(format!("{file}{line}: {}", error.message()))
    })
}

/// The key of a file that nobody else may read. One line feed at the file's end is not part of it.
fn read_key(file: &Path) -> Result<Secret, String> {
    let cannot = |error: io::Error| format!("cannot be read: {error}");
    let mode = fs::metadata(file).map_err(cannot)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!("others may read it (mode {:04o}): chmod 600 it", mode & 0o7777));
    }
    let text = fs::read_to_string(file).map_err(cannot)?;
    let key = text.strip_suffix('\n').unwrap_or(&text);
    if key.is_empty() { Err("is empty".to_owned()) } else { Ok(Secret::new(key)) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        connection: ConnectionArgs,
    }

    /// A folder with a file of profiles and a key.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str, profiles: &str, key_mode: u32) -> Self {
            let folder = env::temp_dir().join(format!("rialto-{name}-{}", std::process::id()));
            fs::create_dir_all(folder.join("rialto")).unwrap();
            fs::write(folder.join("rialto/config.toml"), profiles).unwrap();
            let key = folder.join("rialto/api.key");
            fs::write(&key, "rk_canary\n").unwrap();
            fs::set_permissions(&key, fs::Permissions::from_mode(key_mode)).unwrap();
            Self(folder)
        }

        fn read(&self, key: Option<&str>, flags: &[&str]) -> Result<Connection, String> {
            let line = Line::parse_from([&["rialto"], flags].concat());
            let environment =
                Environment { api_key: key.map(Secret::new), settings_folder: Some(self.0.clone()) };
            line.connection.read(&environment).map_err(|failure| failure.to_string())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const PROFILES: &str = "[profiles.default]\ngateway = \"127.0.0.1:1\"\ninsecure_gateway = true\nkey_file = \"api.key\"\n\
                            [profiles.bare]\ngateway = \"127.0.0.1:2\"\n";

    #[test]
    fn flags_go_before_variables_and_variables_before_the_profile() {
        let folder = Folder::new("order", PROFILES, 0o600);
        let found = folder.read(None, &[]).unwrap();
        assert_eq!(found.api_key.expose(), "rk_canary");
        assert!(!found.route.is_encrypted());
        assert_eq!(folder.read(Some("rk_other"), &[]).unwrap().api_key.expose(), "rk_other");
        let both = folder.read(Some("rk_other"), &["--key-file", "/nowhere"]).unwrap_err();
        assert!(both.contains("keep one of them") && !both.contains("rk_other"), "{both}");
    }

    #[test]
    fn everything_that_is_missing_is_said_at_once() {
        let folder = Folder::new("missing", PROFILES, 0o600);
        let said = folder.read(None, &["--profile", "bare"]).unwrap_err();
        assert!(said.contains("--ca (or RIALTO_CA") && said.contains("the API key: missing"), "{said}");
        let said = folder.read(None, &["--profile", "none"]).unwrap_err();
        assert!(said.contains("there is no \"none\", but: bare, default"), "{said}");
        let said = folder.read(None, &["--gateway", "https://h:1"]).unwrap_err();
        assert!(said.contains("without https://"), "{said}");
        let said = folder.read(None, &["--ca", "/nowhere"]).unwrap_err();
        assert!(said.contains("/nowhere"), "{said}");
    }

    #[test]
    fn a_key_that_others_may_read_is_not_used() {
        for mode in [0o640, 0o604, 0o644, 0o620] {
            let folder = Folder::new("mode", PROFILES, mode);
            let said = folder.read(None, &[]).unwrap_err();
            assert!(said.contains(&format!("others may read it (mode {mode:04o})")), "{said}");
            assert!(!said.contains("canary"), "{said}");
        }
    }

    #[test]
    fn a_bad_file_is_told_by_key_and_line_without_what_stands_there() {
        let folder = Folder::new("bad", "[profiles.default]\n\nkey = \"rk_canary\"\n", 0o600);
        let said = folder.read(None, &[]).unwrap_err();
        assert!(said.contains("config.toml:3: unknown field `key`"), "{said}");
        assert!(!said.contains("canary"), "{said}");
    }
}
