//! The database's URL, which may name several hosts as libpq does: `postgres://user:secret@db1:5432,db2:5432/rialto?…`.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

/// What a URL looks like.
const FORM: &str = "postgres://user:secret@host:5432/database";

/// The URL's parameter that says what a server must be good for; sqlx does not know it.
const ATTRIBUTES: &str = "target_session_attrs";

/// The parameters that sqlx knows: it would ignore any other, which may matter.
const KNOWN: [&str; 19] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    ATTRIBUTES,
    "user",
];

/// What a URL says.
#[derive(Debug)]
pub(super) struct Url {
    /// How each of the hosts is reached, in the URL's order.
    pub(super) hosts: Vec<PgConnectOptions>,
    /// Whether it says that the server must accept writes.
    pub(super) must_write: bool,
}

/// Reads a URL.
///
/// # Errors
/// Everything that is wrong with it. No text of it is shown but the names of hosts and of parameters that PostgreSQL knows, since anything else
/// may be part of its secret.
pub(super) fn read(url: &str) -> Result<Url, Vec<String>> {
    let no_url = || vec![format!("expected a URL such as {FORM} (it is not shown)")];
    let rest = ["postgres://", "postgresql://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let rest = rest.ok_or_else(no_url)?;
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    let mut problems = Vec::new();
    let parameters: Vec<&str> = query.split('&').filter(|parameter| !parameter.is_empty()).collect();
    let (own, others): (Vec<&str>, Vec<&str>) =
        parameters.into_iter().partition(|parameter| name(parameter) == ATTRIBUTES);
    for parameter in &others {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if !KNOWN.contains(&name) && !name.starts_with("options[") {
            problems.push(format!("has a parameter that is not one of {}", KNOWN.join(", ")));
        } else if matches!(name, "host" | "hostaddr" | "port") && is_list(value) {
            problems.push(format!("{name}: several hosts stand before the path, e.g. db1:5432,db2:5432"));
        }
    }
    let must_write = own.iter().all(|parameter| matches!(value(parameter), "read-write" | "primary"));
    if !must_write {
        problems.push(format!("{ATTRIBUTES}: expected read-write or primary, since the platform writes"));
    }
    let hosts: Vec<&str> = hosts.split(',').collect();
    if hosts.len() > 1 && own.is_empty() {
        problems.push(format!(
            "several hosts need {ATTRIBUTES}=read-write, so that one that accepts writes is taken"
        ));
    }
    let query = if others.is_empty() { String::new() } else { format!("?{}", others.join("&")) };
    let user = if user.is_empty() { String::new() } else { format!("{user}@") };
    let mut found = Vec::new();
    for (place, host) in (1..).zip(&hosts) {
        if let Err(problem) = check_host(host, place, hosts.len()) {
            problems.push(problem);
        } else if hosts[..place - 1].contains(host) {
            problems.push(format!("host {place}: {host} is there twice"));
        } else {
            let options = PgConnectOptions::from_str(&format!("postgres://{user}{host}{path}{query}"));
            found.push(options.map(without_brackets));
        }
    }
    if problems.is_empty() && found.iter().any(Result::is_err) {
        return Err(no_url());
    }
    let hosts: Vec<_> = found.into_iter().flatten().collect();
    if problems.is_empty() { Ok(Url { hosts, must_write: !own.is_empty() }) } else { Err(problems) }
}

/// An IPv6 address as who looks it up knows it.
fn without_brackets(options: PgConnectOptions) -> PgConnectOptions {
    let inner = options.get_host().strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match inner.map(str::to_owned) {
        Some(inner) => options.host(&inner),
        None => options,
    }
}

fn name(parameter: &str) -> &str {
    parameter.split('=').next().unwrap_or_default()
}

fn value(parameter: &str) -> &str {
    parameter.split_once('=').map_or("", |(_, value)| value)
}

/// Whether a parameter's value is a list; a comma may be encoded.
fn is_list(value: &str) -> bool {
    value.contains(',') || value.to_ascii_lowercase().contains("%2c")
}

/// One host of several may not be left out, and its port must be one.
fn check_host(host: &str, place: usize, hosts: usize) -> Result<(), String> {
    if hosts == 1 {
        return Ok(());
    }
    let name_ends = host.rfind(']').map_or(0, |end| end + 1);
    let (name, port) = match host.get(name_ends..).and_then(|rest| rest.rfind(':')) {
        Some(colon) => (host.get(..name_ends + colon), host.get(name_ends + colon + 1..)),
        None => (Some(host), None),
    };
    if name.is_none_or(str::is_empty) {
        return Err(format!("host {place} has no name"));
    }
    match port {
        Some(port) if port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(()),
        None => Ok(()),
        Some(_) => Err(format!("host {place}: its port is no number from 1 to 65535")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(url: &str) -> Vec<(String, u16)> {
        read(url).unwrap().hosts.iter().map(|host| (host.get_host().to_owned(), host.get_port())).collect()
    }

    #[test]
    fn one_host_or_several_are_read() {
        let one = read("postgres://rialto:secret@db:5433/rialto?sslmode=verify-full").unwrap();
        assert!(!one.must_write && one.hosts.len() == 1);
        let url = "postgresql://rialto:se%40cret@db1,[::1]:5433,db3:5434/rialto?sslmode=verify-full&target_session_attrs=read-write";
        let several = read(url).unwrap();
        assert!(several.must_write);
        assert_eq!(hosts(url)[1..], [("::1".to_owned(), 5433), ("db3".to_owned(), 5434)]);
        for host in &several.hosts {
            assert_eq!(host.get_database(), Some("rialto"));
            assert_eq!(host.get_username(), "rialto");
            assert!(matches!(host.get_ssl_mode(), sqlx::postgres::PgSslMode::VerifyFull));
        }
        assert!(read("postgres://db/rialto?target_session_attrs=primary").unwrap().must_write);
        assert_eq!(read("postgres:///rialto?host=/run/postgresql").unwrap().hosts.len(), 1);
    }

    #[test]
    fn every_problem_is_named_and_no_secret_shown() {
        let cases: [(&str, &[&str]); 9] = [
            ("mysql://u:hush@db/rialto", &["expected a URL"]),
            ("postgres://u:hush@db:port/rialto", &["expected a URL"]),
            ("postgres://u:hush@db1,db2/rialto", &["need target_session_attrs=read-write"]),
            ("postgres://u:hush@db/rialto?target_session_attrs=any", &["expected read-write or primary"]),
            (
                "postgres://u:hush@db1,,db3:0/rialto?target_session_attrs=standby",
                &["host 2 has no name", "host 3: its port", "expected read-write"],
            ),
            (
                "postgres://u:hush@db1:5432,db1:5432/r?target_session_attrs=read-write",
                &["db1:5432 is there twice"],
            ),
            ("postgres://u:hush@db/rialto?host=db1,db2", &["host: several hosts stand before the path"]),
            ("postgres://u:hush@db/rialto?port=1%2C2", &["port: several hosts stand before the path"]),
            // An unescaped question mark in the secret makes its rest a parameter.
            ("postgres://u:a?hush=b@db/rialto", &["has a parameter that is not one of"]),
        ];
        for (url, wanted) in cases {
            let problems = read(url).unwrap_err();
            for part in wanted {
                assert!(problems.iter().any(|problem| problem.contains(part)), "{part} in {problems:?}");
            }
            assert!(problems.iter().all(|problem| !problem.contains("hush")), "{problems:?}");
            assert_eq!(problems.len(), wanted.len(), "{problems:?}");
        }
    }
}
