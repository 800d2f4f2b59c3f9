//! Applies writes as the database would: what one of its constraints or triggers refuses fails the test.

use common::id::PaymentId;

use super::{
    super::world::{SUSPENSE_EUR, account},
    Queued, Twin, deposit_key, request_key,
};
use crate::domain::{
    deposit::{Deposit, DepositState},
    ledger::{QueueWrite, Writes},
    limits::Limits,
    payment::{Authorization, Kind, Lease, Payment, State},
    transfer::{Cause, Transfer},
};

impl Twin {
    pub(super) fn save(&mut self, writes: &Writes) {
        for payment in &writes.new_payments {
            self.insert_payment(payment);
        }
        for change in writes.changed_payments.values() {
            let stored = &self.payments[&change.payment.id];
            let found = (stored.state, stored.sequence, stored.is_queued);
            assert_eq!(found, (change.from, change.from_sequence, change.was_queued));
            self.update_payment(&change.payment);
        }
        for (subject, (limits, loaded)) in &writes.limits {
            let stored = self.limits.get_mut(subject).expect("the limits");
            assert_eq!(stored.version, *loaded, "limits have the version that they were loaded with");
            // Not counted on: a batch would count otherwise than its commands one by one.
            *stored = Limits { rules: stored.rules, version: *loaded, ..*limits };
        }
        for deposit in &writes.new_deposits {
            assert_eq!(deposit.decision, None, "deposits_begin_pending");
            let earlier = self.deposits.insert(deposit_key(deposit), deposit.clone());
            assert!(earlier.is_none(), "deposits_request_id_is_unique");
        }
        for deposit in &writes.ended_deposits {
            let was = self.deposits.insert(deposit_key(deposit), deposit.clone()).expect("the deposit");
            assert_eq!(was.decision, None, "deposits_end_once");
            assert_eq!(was, Deposit { decision: None, ..deposit.clone() }, "deposits_identity_immutable");
            let verdict = &deposit.decision.as_ref().expect("deposits_sound").verdict;
            let is_booked = verdict.state() == DepositState::Booked;
            assert!(!is_booked || verdict.by() != Some(&deposit.proposed_by), "deposits_take_two");
        }
        for transfer in &writes.transfers {
            self.insert_transfer(transfer);
        }
        for event in &writes.events {
            let key = (event.payment, event.sequence);
            assert!(self.payments.contains_key(&event.payment));
            assert_eq!(event.state == State::Submitted, event.attempt.is_some(), "{event:?}");
            if let Some(attempt) = event.attempt {
                assert!(attempt.number >= 1 && attempt.valid_until > event.at);
                assert_eq!(attempt.accept_time, event.at);
                let mut earlier = self.events.range((event.payment, i32::MIN)..key);
                let is_repeated =
                    earlier.any(|(_, one)| one.attempt.is_some_and(|one| one.number >= attempt.number));
                assert!(!is_repeated, "{event:?}");
            }
            assert!(self.events.insert(key, event.clone()).is_none(), "payment_events_pkey {key:?}");
        }
        for (payment, write) in &writes.queue {
            self.write_queue(*payment, write);
        }
        for (id, delta) in &writes.deltas {
            let account = self.accounts.get_mut(id).expect("the account");
            let b = &mut account.balances;
            b.debits_pending += delta.debits_pending;
            b.debits_posted += delta.debits_posted;
            b.credits_pending += delta.credits_pending;
            b.credits_posted += delta.credits_posted;
            let sums = [b.debits_pending, b.debits_posted, b.credits_pending, b.credits_posted];
            assert!(sums.into_iter().all(|sum| sum >= 0), "a sum of {id} is negative: {sums:?}");
            assert!(account.may_overdraw || b.available() >= 0, "accounts_not_overdrawn: {id}");
        }
        let payments = &self.payments;
        self.lent.retain(|id| payments[id].state == State::Submitted && !payments[id].is_queued);
        self.save_what_is_rare(writes);
        let changed = writes.changed_payments.values().map(|change| &change.payment);
        for payment in writes.new_payments.iter().chain(changed) {
            self.check_row(&self.payments[&payment.id]);
        }
    }

    fn insert_payment(&mut self, payment: &Payment) {
        let key = request_key(payment);
        assert!(
            self.payments.values().all(|other| request_key(other) != key),
            "payments_request_id_is_unique: {key:?}"
        );
        assert_eq!(payment.sequence, 1);
        assert!(self.payments.insert(payment.id, payment.clone()).is_none(), "payments_pkey {}", payment.id);
    }

    fn update_payment(&mut self, payment: &Payment) {
        let old = self.payments.insert(payment.id, payment.clone()).expect("the payment");
        let (from, to) = (old.state, payment.state);
        assert!(from.may_become(to), "payments_only_legal_changes: {from:?} to {to:?}");
        assert!(payment.sequence > old.sequence);
        // What of an authorization may change; when it expires may not.
        let sums = payment.authorization.map(|sums| Authorization {
            expires_at: old.authorization.expect("an authorization stays one").expires_at,
            ..sums
        });
        let allowed = Payment {
            state: to,
            reason: payment.reason.clone(),
            sequence: payment.sequence,
            is_queued: payment.is_queued,
            updated_at: payment.updated_at,
            authorization: sums,
            ..old
        };
        assert_eq!(*payment, allowed, "payments_identity_immutable");
    }

    /// The checks of a payment's row, and what it refers to.
    fn check_row(&self, payment: &Payment) {
        let is = |kinds: &[Kind]| kinds.contains(&payment.kind);
        let original = payment.original.map(|id| &self.payments[&id]);
        assert_eq!(original.is_some(), is(&[Kind::Capture, Kind::Refund, Kind::Return]));
        assert_eq!(payment.authorization.is_some(), is(&[Kind::Authorization]));
        assert!(payment.amount.minor_units() > 0);
        let needs_reason =
            matches!(payment.state, State::Held | State::Unknown | State::Investigate | State::Failed);
        assert_eq!(payment.reason.is_some(), needs_reason, "payments_reason_when_needed: {payment:?}");
        for account in [payment.payer_account, payment.credit_account] {
            assert!(self.accounts.contains_key(&account));
        }
        if let Some(sums) = payment.authorization {
            let Authorization { held, capturing, captured, .. } = sums;
            assert!(held >= 0 && capturing >= 0 && captured >= 0, "{sums:?}");
            assert!(held + capturing + captured <= payment.amount.minor_units(), "captured at most once");
            assert!(matches!(sums.closing, None | Some(State::Cancelled | State::Expired)));
        }
    }

    fn insert_transfer(&mut self, transfer: &Transfer) {
        assert!(transfer.amount.minor_units() > 0);
        assert_ne!(transfer.debit, transfer.credit, "transfers_two_accounts");
        if let Cause::Deposit(deposit) = transfer.cause {
            let deposit = self.deposits.values().find(|one| one.id == deposit).expect("the deposit");
            let of_it =
                (deposit.state(), deposit.order.amount, deposit.settlement_account, deposit.order.account);
            assert_eq!(of_it, (DepositState::Booked, transfer.amount, transfer.debit, transfer.credit));
        }
        if let Cause::Payment(payment) = transfer.cause {
            let is_late = transfer.debit == account(SUSPENSE_EUR);
            let payment = &self.payments[&payment];
            assert!(payment.state == State::Succeeded || is_late && payment.state.is_final(), "{transfer:?}");
        }
        let earlier = self.transfers.insert(transfer.cause, transfer.clone());
        assert_eq!(earlier, None, "transfers_pkey");
    }

    fn write_queue(&mut self, payment: PaymentId, write: &QueueWrite) {
        match write {
            QueueWrite::Lend(_) => assert!(self.lent.insert(payment)),
            QueueWrite::Enter { work, bank_id, .. } => {
                let queued = Queued { lease: Lease::FIRST, work: *work, bank_id: bank_id.clone() };
                assert_eq!(self.queue.insert(payment, queued), None, "dispatches_pkey");
            }
            QueueWrite::Postpone { token, work, .. } => {
                let queued = self.queue.get_mut(&payment).expect("a place in the queue");
                assert_eq!(queued.lease.token, *token);
                queued.work = *work;
                queued.lease.fruitless = 0;
            }
            QueueWrite::Leave(token) => {
                assert_eq!(self.queue.remove(&payment).map(|queued| queued.lease.token), Some(*token));
            }
        }
    }

    fn save_what_is_rare(&mut self, writes: &Writes) {
        for (payment, (amount, change)) in &writes.refunded {
            let (of, refunded) = self.refundable.entry(*payment).or_insert((*amount, 0));
            *refunded += change;
            assert!((0..=*of).contains(refunded), "refundable_at_most_once: {refunded} of {of}");
        }
        for (payment, proposal) in &writes.proposals {
            assert_ne!(proposal.approved_by.as_ref(), Some(&proposal.proposed_by), "resolutions_take_two");
            let mut of_it = writes.resolution_acts.iter().filter(|act| act.payment == *payment);
            let last = of_it.next_back().expect("who proposed or approved it is on record");
            let approver = proposal.approved_by.as_ref();
            assert_eq!(
                (&last.by, last.is_approval),
                (approver.unwrap_or(&proposal.proposed_by), approver.is_some())
            );
            let earlier = self.proposals.insert(*payment, proposal.clone());
            let approved = earlier.and_then(|earlier| earlier.approved_by);
            assert_eq!(approved, None, "what was approved never changes");
        }
        for alarm in &writes.alarms {
            assert!(self.payments.contains_key(&alarm.payment));
            // A payment's second alarm of a kind is dropped.
            self.alarms.entry((alarm.payment, alarm.kind)).or_insert_with(|| alarm.clone());
        }
    }
}
