//! Limits of money, counted anew from the list of payments.

use common::order::{LimitRule, LimitSubject};

use super::{Known, Model};
use crate::domain::{
    ledger::Pay,
    limits::{Exceeded, Window},
    payment::{Kind, State},
    refusal::Refusal,
};

const HOUR_S: u64 = 60 * 60;
const DAY_S: u64 = 24 * HOUR_S;

impl Model {
    /// The limit that a payment would exceed.
    pub(super) fn exceeded(&self, pay: &Pay) -> Option<Refusal> {
        let amount = pay.order.amount.minor_units();
        self.limits_of(pay).into_iter().find_map(|subject| {
            let rules = self.limits[&subject];
            let too_much = |window, length_s, rule: LimitRule| {
                let (sum, number) = self.used(&subject, length_s);
                if rule.minor_units.is_some_and(|most| sum + amount > most) {
                    return Some(Exceeded::Sum(window));
                }
                rule.payments.is_some_and(|most| number + 1 > most).then_some(Exceeded::Number(window))
            };
            let exceeded = match rules.payment_minor_units {
                Some(most) if amount > most => Some(Exceeded::Payment),
                _ => too_much(Window::Hour, HOUR_S, rules.hour)
                    .or_else(|| too_much(Window::Day, DAY_S, rules.day)),
            };
            exceeded.map(|exceeded| Refusal::limit(&subject, exceeded))
        })
    }

    /// Whose limits a payment is counted in.
    pub(super) fn limits_of(&self, pay: &Pay) -> Vec<LimitSubject> {
        let account = LimitSubject::Account(pay.order.payer_account);
        let currency = pay.order.amount.currency();
        let participant = LimitSubject::Participant(pay.request.participant.clone(), currency);
        [account, participant].into_iter().filter(|subject| self.limits.contains_key(subject)).collect()
    }

    /// What the payments of the present window come to, and how many they are, without those that ended unpaid.
    fn used(&self, subject: &LimitSubject, length_s: u64) -> (i64, i64) {
        let counts = |known: &&Known| {
            let is_unpaid = matches!(self.state(known), State::Failed | State::Cancelled | State::Expired);
            known.counted.contains(subject)
                && known.made_at_s / length_s == self.now_s / length_s
                && matches!(known.kind, Kind::Payment | Kind::Authorization)
                && !is_unpaid
        };
        let uses = |known: &Known| match known.kind {
            Kind::Authorization => self.held(known) + self.capturing(known) + self.captured(known),
            _ => known.minor_units,
        };
        let counted = || self.payments.values().filter(counts);
        (counted().map(uses).sum(), counted().count().try_into().unwrap_or(i64::MAX))
    }

    /// What each subject has used in this hour and in this day.
    pub fn all_used(&self) -> impl Iterator<Item = (&LimitSubject, [(i64, i64); 2])> {
        self.limits.keys().map(|subject| (subject, [self.used(subject, HOUR_S), self.used(subject, DAY_S)]))
    }
}
