//! Where and how it was measured.

use harness::{BenchError, client::Client, machine::Machine, system::System};
use proto::operations::{GetSettingsRequest, TransportSecurity};
use serde::Serialize;
use sqlx::PgPool;

use crate::{rounds::Pace, tpcb};

/// Where and how it was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// The machine, PostgreSQL and the build.
    #[serde(flatten)]
    pub machine: Machine,
    /// Rialto's hops that are encrypted; nobody else's are.
    pub tls: Vec<String>,
    /// What is logged and traced.
    pub telemetry: &'static str,
    /// Rounds; fewer for the numbers in flight beside that of record.
    pub rounds: usize,
    /// How long each phase is measured, in seconds.
    pub seconds: u64,
    /// Calls in flight, the number of record first.
    pub in_flight: Vec<usize>,
    /// What stands for TPC-B; empty if there was no pgbench.
    pub tpcb: String,
}

impl Settings {
    /// Asks the machine and PostgreSQL; `scale` is TPC-B's, none if it is not measured.
    ///
    /// # Errors
    /// When PostgreSQL or the gateway does not answer.
    pub async fn read(
        pace: &Pace,
        scale: Option<u32>,
        database: &PgPool,
        rialto: &System,
    ) -> Result<Self, BenchError> {
        let tpcb =
            |scale| format!("pgbench TPC-B, scale {scale}, {} clients, prepared statements", tpcb::CLIENTS);
        Ok(Self {
            machine: Machine::read(database).await?,
            tls: encrypted_hops(rialto).await?,
            telemetry: "default: one line a payment and service, no traces exported",
            rounds: pace.rounds,
            seconds: pace.lasts.as_secs(),
            in_flight: pace.in_flight.clone(),
            tpcb: scale.map(tpcb).unwrap_or_default(),
        })
    }

    /// One line for each, for people.
    pub fn lines(&self) -> Vec<String> {
        let in_flight: Vec<String> = self.in_flight.iter().map(usize::to_string).collect();
        let mut lines = self.machine.lines();
        lines.extend([
            format!("Rialto's TLS: {}; the others have none", self.tls.join(", ")),
            format!("telemetry {}", self.telemetry),
            format!(
                "{} rounds of {} s each, {} in flight; everyone shares the cores, the load included",
                self.rounds,
                self.seconds,
                in_flight.join(", ")
            ),
        ]);
        if self.tpcb.is_empty() {
            lines.push("TPC-B left out: no pgbench (Debian has it in its package postgresql)".to_owned());
        } else {
            lines.push(self.tpcb.clone());
        }
        lines
    }
}

async fn encrypted_hops(rialto: &System) -> Result<Vec<String>, BenchError> {
    let client = Client::new(&rialto.gateway()?, rialto.credential(0))?;
    let request = client.request(GetSettingsRequest {}, None);
    let settings = client.operations.clone().get_settings(request).await?.into_inner().settings;
    let hops = settings.ok_or("the gateway tells no settings")?.hops;
    let encrypted = hops.iter().filter(|hop| hop.security() == TransportSecurity::Tls);
    Ok(encrypted.map(|hop| format!("{} → {}", hop.from, hop.to)).collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::Settings;

    /// Those of some machine.
    pub(crate) fn some() -> Settings {
        Settings {
            machine: harness::machine::Machine::default(),
            tls: vec!["gateway → platform".to_owned()],
            telemetry: "default",
            rounds: 2,
            seconds: 1,
            in_flight: vec![256, 1_024],
            tpcb: String::new(),
        }
    }

    #[test]
    fn what_was_left_out_is_said() {
        let lines = some().lines().join("\n");
        assert!(lines.contains("no pgbench"), "{lines}");
    }
}
