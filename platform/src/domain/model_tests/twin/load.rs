//! What the store loads for a batch of commands: no more than it says, so that a rule which needs more is found out.

use std::collections::BTreeSet;

use common::{
    id::{AccountId, DepositId, PaymentId},
    order::PayeeAccount,
    text::HOUSE,
};

use super::{Twin, request_key};
use crate::domain::{
    deposit::Deposit,
    ledger::{Command, RequestKey, Snapshot, return_request_id},
    payment::{Evidence, Kind, Lease, State},
};

/// What commands name.
#[derive(Default)]
struct Named {
    requests: BTreeSet<RequestKey>,
    ibans: BTreeSet<String>,
    arrivals: BTreeSet<RequestKey>,
    deposits: BTreeSet<DepositId>,
    payments: BTreeSet<PaymentId>,
    accounts: BTreeSet<AccountId>,
    attempts: BTreeSet<PaymentId>,
    refunded: BTreeSet<PaymentId>,
    resolved: BTreeSet<PaymentId>,
}

impl Named {
    fn add(&mut self, command: &Command) {
        match command {
            Command::Pay(pay) => {
                self.requests.insert(pay.request.key());
                self.accounts.insert(pay.order.payer_account);
                self.accounts.extend(pay.bank.iter().map(|bank| bank.settlement_account));
                match &pay.order.payee.account {
                    PayeeAccount::Ledger(account) => drop(self.accounts.insert(*account)),
                    PayeeAccount::Iban(iban, _) => drop(self.ibans.insert(iban.as_str().to_owned())),
                    PayeeAccount::Number(..) => {}
                }
            }
            Command::Capture(capture) => {
                self.requests.insert(capture.request.key());
                self.payments.insert(capture.payment);
            }
            Command::Refund(refund) => {
                self.requests.insert(refund.request.key());
                self.payments.insert(refund.payment);
                self.attempts.insert(refund.payment);
                self.refunded.insert(refund.payment);
            }
            Command::Cancel(cancel) => {
                self.payments.extend([cancel.payment].into_iter().chain(cancel.original))
            }
            Command::Expire(expire) => drop(self.payments.insert(expire.payment)),
            Command::Submit(submit) => {
                self.payments.extend([submit.payment].into_iter().chain(submit.original));
                self.attempts.extend([submit.payment].into_iter().chain(submit.original));
            }
            Command::Conclude(conclude) => {
                self.payments.extend([conclude.payment].into_iter().chain(conclude.original));
            }
            Command::Resolve(resolve) => {
                self.payments.extend([resolve.payment].into_iter().chain(resolve.original));
                self.resolved.insert(resolve.payment);
            }
            Command::Deposit(arrival) => {
                self.accounts.extend([arrival.order.account, arrival.settlement_account]);
                self.arrivals.insert((arrival.participant.clone(), arrival.order.request_id.clone()));
            }
            Command::DecideDeposit(decide) => {
                self.accounts.extend(decide.accounts);
                self.deposits.insert(decide.deposit);
            }
        }
    }
}

impl Twin {
    pub fn load(&self, commands: &[Command]) -> Snapshot {
        let mut named = Named::default();
        for command in commands {
            named.add(command);
        }
        let mut snapshot = Snapshot::default();
        let with_iban =
            self.accounts.values().filter_map(|account| Some((account.iban.clone()?, account.id)));
        snapshot.accounts_by_iban = with_iban.filter(|(iban, _)| named.ibans.contains(iban)).collect();
        let deposits = self.deposits.iter();
        for (key, deposit) in
            deposits.filter(|(key, one)| named.arrivals.contains(*key) || named.deposits.contains(&one.id))
        {
            snapshot.deposit_requests.insert(key.clone(), deposit.id);
            snapshot.deposits.insert(deposit.id, deposit.clone());
        }
        for (participant, _) in &named.arrivals {
            let pending = |one: &&Deposit| one.participant == *participant && one.decision.is_none();
            let pending = self.deposits.values().filter(pending).count();
            snapshot.pending_deposits.insert(participant.clone(), pending);
        }
        for payment in named.payments.iter().filter_map(|id| self.payments.get(id)) {
            let queued = self.queue.get(&payment.id).map(|queued| queued.lease);
            let lease = queued.or_else(|| self.lent.contains(&payment.id).then_some(Lease::FIRST));
            named.accounts.extend([payment.payer_account, payment.credit_account]);
            // How much is refunded of what a refund gives back.
            named.refunded.extend(payment.original.filter(|_| payment.kind == Kind::Refund));
            snapshot.payments.insert(payment.id, (payment.clone(), lease));
        }
        named.accounts.extend(snapshot.accounts_by_iban.values());
        named.requests.extend(commands.iter().filter_map(|command| self.late_return(command)));
        let asked = self.payments.values().map(|payment| (request_key(payment), payment.clone()));
        snapshot.payment_requests = asked.filter(|(key, _)| named.requests.contains(key)).collect();
        let newest = |id: &PaymentId| {
            let events = self.events.range((*id, i32::MIN)..=(*id, i32::MAX));
            events.rev().find_map(|(_, event)| event.attempt).map(|attempt| (*id, attempt))
        };
        snapshot.attempts = named.attempts.iter().filter_map(newest).collect();
        let refunded = |id: &PaymentId| self.refundable.get(id).map(|(_, refunded)| (*id, *refunded));
        snapshot.refunded = named.refunded.iter().filter_map(refunded).collect();
        let proposed = |id: &PaymentId| self.proposals.get(id).map(|proposal| (*id, proposal.clone()));
        snapshot.proposals = named.resolved.iter().filter_map(proposed).collect();
        let accounts = named.accounts.iter().filter_map(|id| self.accounts.get(id));
        snapshot.accounts = accounts.map(|account| (account.id, account.clone())).collect();
        let limited = snapshot.limited(commands);
        let limits = self.limits.iter().filter(|(subject, _)| limited.contains(*subject));
        snapshot.limits = limits.map(|(subject, limits)| (subject.clone(), *limits)).collect();
        snapshot
    }

    /// The request of the return that a late success asks for, if the command is one.
    fn late_return(&self, command: &Command) -> Option<RequestKey> {
        let Command::Conclude(conclude) = command else { return None };
        let Evidence::Accepted { .. } = conclude.evidence else { return None };
        let payment = self.payments.get(&conclude.payment)?;
        let unpaid = matches!(payment.state, State::Failed | State::Cancelled | State::Expired);
        unpaid.then(|| (HOUSE.to_owned(), return_request_id(payment.id)))
    }
}
