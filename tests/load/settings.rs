//! The settings of the server that decide the figures, as it tells them.

use std::{error::Error, time::Duration};

use harness::{BenchError, client::Client};
use proto::operations::{GetSettingsRequest, Hop, Settings, TransportSecurity};
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::target::Target;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the gateway; the first call of a load, so that what is wrong with the gateway or the key is said at once.
///
/// # Errors
/// When the gateway does not answer or does not know the key; says what to do.
pub async fn ask(target: &Target) -> Result<Settings, BenchError> {
    let client = Client::new(&target.route()?, &target.key)?;
    let request = client.request(GetSettingsRequest {}, Some(TIMEOUT));
    let answer = client.operations.clone().get_settings(request).await;
    match answer.map(|answer| answer.into_inner().settings) {
        Ok(settings) => settings.ok_or_else(|| "the gateway tells no settings".into()),
        Err(status) => Err(complaint(target, &status).into()),
    }
}

fn complaint(target: &Target, status: &Status) -> String {
    let gateway = &target.gateway;
    match status.code() {
        Code::Unauthenticated => {
            format!("the gateway at {gateway} does not know this key: make one with `gateway new-key`")
        }
        Code::PermissionDenied => "the key needs the roles payer-app, merchant and operator".to_owned(),
        Code::Unimplemented => {
            format!("the gateway at {gateway} is older than this program: run the same version of both")
        }
        // A server that says so itself leaves no source behind.
        Code::Unavailable if status.source().is_some() => {
            format!("nobody answers at {gateway} ({}): {}", root(status), target.advice())
        }
        code => format!("the gateway at {gateway} answers {code:?}: {}", status.message()),
    }
}

/// What lies at the bottom of an error, such as a certificate that is not trusted.
fn root(status: &Status) -> String {
    let mut cause: &dyn Error = status;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// What they are, for people: each with its name.
pub fn rows(settings: &Settings) -> Vec<(&'static str, String)> {
    let database = settings.database.clone().unwrap_or_default();
    let ledger = settings.ledger.unwrap_or_default();
    let on = |is_on: bool| if is_on { "on" } else { "OFF" };
    let hops = |security: TransportSecurity| {
        let hops: Vec<String> =
            hops(settings, security).map(|hop| format!("{} → {}", hop.from, hop.to)).collect();
        if hops.is_empty() { "none".to_owned() } else { hops.join(", ") }
    };
    vec![
        ("PostgreSQL", database.version),
        (
            "Durability",
            format!(
                "fsync {}, synchronous_commit {}, full_page_writes {}, data checksums {}",
                on(database.fsync),
                database.synchronous_commit,
                on(database.full_page_writes),
                on(database.data_checksums),
            ),
        ),
        (
            "Ledger",
            format!(
                "{} transaction(s) at once of at most {} commands, {} payments under way at most",
                ledger.writers, ledger.max_batch, ledger.max_under_way
            ),
        ),
        ("Over TLS", hops(TransportSecurity::Tls)),
        ("In plaintext", hops(TransportSecurity::Plaintext)),
        ("Traces", format!("{} of 1,000 calls", settings.traces_per_mille)),
        (
            "Versions",
            format!(
                "gateway {}, platform {}, channel {}",
                settings.gateway_version, settings.platform_version, settings.channel_version
            ),
        ),
    ]
}

/// The same in a few words, for a picture.
pub fn in_short(settings: &Settings) -> String {
    let database = settings.database.clone().unwrap_or_default();
    let safe = database.fsync && database.full_page_writes && database.synchronous_commit != "off";
    let encrypted = hops(settings, TransportSecurity::Tls).count();
    format!(
        "PostgreSQL {} {} · TLS on {encrypted} of {} hops",
        database.version.split(' ').next().unwrap_or_default(),
        if safe { "durable" } else { "NOT DURABLE" },
        settings.hops.len()
    )
}

/// The same for programs.
pub fn json(settings: &Settings) -> Value {
    let database = settings.database.clone().unwrap_or_default();
    let ledger = settings.ledger.unwrap_or_default();
    let hop = |hop: &Hop| {
        let security = hop.security().as_str_name().trim_start_matches("TRANSPORT_SECURITY_");
        json!({"from": hop.from, "to": hop.to, "security": security})
    };
    json!({
        "versions": {
            "gateway": settings.gateway_version,
            "platform": settings.platform_version,
            "channel": settings.channel_version,
        },
        "database": {
            "version": database.version,
            "fsync": database.fsync,
            "synchronous_commit": database.synchronous_commit,
            "full_page_writes": database.full_page_writes,
            "data_checksums": database.data_checksums,
        },
        "ledger": {
            "writers": ledger.writers,
            "max_batch": ledger.max_batch,
            "max_under_way": ledger.max_under_way,
        },
        "hops": settings.hops.iter().map(hop).collect::<Vec<_>>(),
        "traces_per_mille": settings.traces_per_mille,
    })
}

fn hops(settings: &Settings, security: TransportSecurity) -> impl Iterator<Item = &Hop> {
    settings.hops.iter().filter(move |hop| hop.security() == security)
}
