//! What people do when machines cannot know.

use common::{
    fault::{Fault, Violation},
    id::PaymentId,
    text,
};
use proto::{
    convert,
    operations::{
        GetSettingsResponse, LedgerSettings, ListAlarmsRequest, ListAlarmsResponse, Resolution,
        ResolvePaymentRequest, ResolvePaymentResponse, Settings,
    },
    platform::reply,
};

use super::{Commands, Done};
use crate::{
    broker::Broker, config::Config, directory::Bank, domain::ledger::Finding, flow::intake::Caller, wire,
};

/// The settings that the platform knows without asking anybody.
pub fn own_settings(config: &Config) -> Settings {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Settings {
        platform_version: env!("CARGO_PKG_VERSION").to_owned(),
        ledger: Some(LedgerSettings {
            writers: count(config.book.writers),
            max_batch: count(config.book.max_batch),
            max_under_way: count(config.limits.max_under_way),
        }),
        hops: [
            ("channel", Some(config.channel.is_encrypted())),
            ("broker", config.broker.as_ref().map(Broker::is_encrypted)),
        ]
        .into_iter()
        .filter_map(|(to, is_encrypted)| Some(convert::hop("platform", to, is_encrypted?)))
        .collect(),
        ..Settings::default()
    }
}

impl Commands {
    pub(super) async fn resolve_payment(&self, caller: &Caller, request: ResolvePaymentRequest) -> Done {
        if caller.deadline.is_too_short() {
            return Err(Fault::deadline_too_short());
        }
        let mut violations = Vec::new();
        let id = convert::id("payment", &request.payment, "pay_", PaymentId::parse, &mut violations);
        let succeeded = match request.resolution() {
            Resolution::Succeeded => true,
            Resolution::Failed => false,
            Resolution::Unspecified => {
                violations.push(Violation::new("resolution", "must be a resolution"));
                false
            }
        };
        if let Err(complaint) = text::readable(&request.evidence_reference, 140) {
            violations.push(Violation::new("evidence_reference", complaint));
        }
        if caller.actor.is_empty() {
            violations.push(Violation::new("actor", "the command must say whose credential it was"));
        }
        let id = id.filter(|_| violations.is_empty()).ok_or_else(|| Fault::invalid(violations))?;
        let finding = Finding { succeeded, evidence_reference: request.evidence_reference };
        let (payment, awaits_approval) = self.flow.resolve(caller, id, finding).await?;
        let payment = Some(wire::payment(&payment));
        Ok((reply::Result::ResolvePayment(ResolvePaymentResponse { payment, awaits_approval }), false))
    }

    pub(super) async fn list_alarms(&self, caller: &Caller, request: ListAlarmsRequest) -> Done {
        let list = format!("{}/alarms", caller.participant);
        let page = self.page(&list, request.page_size, &request.page_token, Vec::new())?;
        let mut alarms = self.flow.store().alarms(&caller.participant, page.before, page.size + 1).await?;
        let next_page_token = self.next(&list, &page, &mut alarms, |(id, _)| id.uuid());
        let alarms = alarms.iter().map(wire::alarm).collect();
        Ok((reply::Result::ListAlarms(ListAlarmsResponse { alarms, next_page_token }), false))
    }

    pub(super) async fn get_settings(&self) -> Done {
        let Settings { platform_version, ledger, mut hops, .. } = self.own_settings.clone();
        let durability = self.flow.store().durability().await?;
        hops.push(convert::hop("platform", "postgresql", durability.is_encrypted));
        let directory = self.flow.directory();
        let to_bank = |bank: &Bank| convert::hop("channel", &bank.id, bank.is_encrypted);
        hops.extend(directory.all().iter().map(|bank| to_bank(bank)));
        let settings = Settings {
            platform_version,
            ledger,
            hops,
            channel_version: directory.channel_version(),
            database: Some(wire::database(&durability)),
            ..Settings::default()
        };
        Ok((reply::Result::GetSettings(GetSettingsResponse { settings: Some(settings) }), false))
    }
}
