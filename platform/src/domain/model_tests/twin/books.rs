//! The ledger's invariants, recomputed from the transfers and the payments.

use std::collections::BTreeMap;

use common::{
    id::{AccountId, PaymentId},
    money::Currency,
};

use super::{Queued, Twin};
use crate::domain::{
    deposit::DepositState,
    payment::{Kind, Payment, State, Work},
    transfer::Cause,
};

/// Whether a payment of its own, not an authorization, holds its money.
fn is_under_way(payment: &Payment) -> bool {
    matches!(payment.state, State::Held | State::Submitted | State::Unknown | State::Investigate)
}

impl Twin {
    /// Checks every invariant.
    pub(super) fn check(&self) {
        self.check_sums();
        self.check_moves();
        self.check_parts();
        self.check_queue();
        self.check_history();
    }

    /// Stored sums are those of the transfers and of what payments under way or authorized hold, and money is conserved.
    fn check_sums(&self) {
        let mut sums: BTreeMap<AccountId, [i128; 4]> = BTreeMap::new();
        for transfer in self.transfers.values() {
            let amount = i128::from(transfer.amount.minor_units());
            sums.entry(transfer.debit).or_default()[1] += amount;
            sums.entry(transfer.credit).or_default()[3] += amount;
            let is_house = self.accounts[&transfer.credit].may_overdraw;
            assert_eq!(is_house, transfer.credit_is_house, "{transfer:?}");
        }
        for payment in self.payments.values() {
            let held = match payment.authorization {
                Some(sums) => sums.held,
                None if is_under_way(payment) => payment.amount.minor_units(),
                None => 0,
            };
            sums.entry(payment.payer_account).or_default()[0] += i128::from(held);
            sums.entry(payment.credit_account).or_default()[2] += i128::from(held);
        }
        let mut currencies: BTreeMap<Currency, [i128; 4]> = BTreeMap::new();
        for account in self.accounts.values() {
            let b = &account.balances;
            let stored =
                [b.debits_pending, b.debits_posted, b.credits_pending, b.credits_posted].map(i128::from);
            let recomputed = sums.get(&account.id).copied().unwrap_or_default();
            assert_eq!(stored, recomputed, "stored sums of {}", account.id);
            let total = currencies.entry(account.currency).or_default();
            for (total, sum) in total.iter_mut().zip(stored) {
                *total += sum;
            }
        }
        for (currency, [debits_pending, debits_posted, credits_pending, credits_posted]) in currencies {
            let debits = (debits_pending, debits_posted);
            assert_eq!(debits, (credits_pending, credits_posted), "{currency} is conserved");
        }
    }

    /// What has moved is what has succeeded, and what was paid late.
    fn check_moves(&self) {
        let mut moved: BTreeMap<PaymentId, (AccountId, AccountId, i64)> = BTreeMap::new();
        for transfer in self.transfers.values() {
            if let Cause::Payment(payment) = transfer.cause {
                let amount = transfer.amount.minor_units();
                moved.insert(payment, (transfer.debit, transfer.credit, amount));
            }
        }
        for payment in self.payments.values() {
            let is_return =
                |other: &&Payment| other.kind == Kind::Return && other.original == Some(payment.id);
            let taken_back = self.payments.values().find(is_return);
            let is_paid = payment.state == State::Succeeded && payment.kind != Kind::Authorization;
            let debit =
                is_paid.then_some(payment.payer_account).or(taken_back.map(|back| back.credit_account));
            let wanted = debit.map(|debit| (debit, payment.credit_account, payment.amount.minor_units()));
            assert_eq!(moved.remove(&payment.id), wanted, "the transfer of {payment:?}");
        }
        assert_eq!(moved, BTreeMap::new(), "transfers of no payment");
        for deposit in self.deposits.values() {
            let is_booked = deposit.state() == DepositState::Booked;
            assert_eq!(self.transfers.contains_key(&Cause::Deposit(deposit.id)), is_booked, "{deposit:?}");
        }
    }

    /// Captures never exceed what was authorized, nor refunds what was paid.
    fn check_parts(&self) {
        for payment in self.payments.values() {
            let children = || self.payments.values().filter(|child| child.original == Some(payment.id));
            let sum = |kind: Kind, counts: fn(&Payment) -> bool| -> i64 {
                let counted = children().filter(|child| child.kind == kind && counts(child));
                counted.map(|child| child.amount.minor_units()).sum()
            };
            let succeeded = |child: &Payment| child.state == State::Succeeded;
            let amount = payment.amount.minor_units();
            if let Some(sums) = payment.authorization {
                assert_eq!(sums.captured, sum(Kind::Capture, succeeded));
                assert_eq!(sums.capturing, sum(Kind::Capture, is_under_way));
                let is_open = payment.state == State::Authorized && sums.closing.is_none();
                let free = if is_open { amount - sums.capturing - sums.captured } else { 0 };
                assert_eq!(sums.held, free, "{payment:?}");
                // One that the ledger refused never held anything.
                let state =
                    if sums.held == 0 && payment.sequence == 1 { State::Failed } else { sums.state() };
                assert_eq!(payment.state, state);
            }
            let refunds = sum(Kind::Refund, succeeded) + sum(Kind::Refund, is_under_way);
            let on_record = self.refundable.get(&payment.id).copied().unwrap_or((amount, 0));
            assert_eq!(on_record, (amount, refunds), "refunds of {}", payment.id);
            assert!(refunds <= amount);
            let is_paid = payment.state == State::Succeeded;
            assert!(refunds == 0 || is_paid && matches!(payment.kind, Kind::Payment | Kind::Capture));
        }
    }

    /// Exactly the work that must exist is in the queue.
    fn check_queue(&self) {
        let work = |payment: &Payment| match payment.state {
            State::Held => Some(Work::Send),
            State::Submitted | State::Unknown => Some(Work::Enquire),
            State::Authorized => {
                payment.authorization.is_some_and(|sums| sums.closing.is_none()).then_some(Work::Expire)
            }
            _ => None,
        };
        let is_lent = |payment: &Payment| payment.state == State::Submitted && !payment.is_queued;
        let lent = self.payments.values().filter(|payment| is_lent(payment)).map(|payment| payment.id);
        assert_eq!(self.lent, lent.collect(), "first leases");
        let queued = self.payments.values().filter(|payment| payment.is_queued).map(|payment| payment.id);
        assert_eq!(self.queue.keys().copied().collect::<Vec<_>>(), queued.collect::<Vec<_>>());
        let wanted = self.payments.values().filter(|payment| !is_lent(payment)).filter_map(|payment| {
            let work = work(payment)?;
            Some((payment.id, work, payment.bank_id.as_ref().filter(|_| work != Work::Expire)))
        });
        let row = |(id, queued): (&PaymentId, &Queued)| (*id, queued.work, queued.bank_id.clone());
        let queue: Vec<_> = self.queue.iter().map(row).collect();
        let wanted: Vec<_> = wanted.map(|(id, work, bank)| (id, work, bank.cloned())).collect();
        assert_eq!(queue, wanted, "the queue of work");
    }

    /// A payment's history has no gaps, each of its steps is allowed, and it ends with the payment's state.
    fn check_history(&self) {
        for payment in self.payments.values() {
            let events: Vec<_> = self
                .events
                .range((payment.id, i32::MIN)..=(payment.id, i32::MAX))
                .map(|(_, event)| event)
                .collect();
            let sequence: Vec<_> = events.iter().map(|event| event.sequence).collect();
            assert_eq!(sequence, (1..=payment.sequence).collect::<Vec<_>>());
            assert_eq!(events.last().map(|event| event.state), Some(payment.state));
            for step in events.windows(2) {
                assert!(step[0].state.may_become(step[1].state), "{:?} to {:?}", step[0], step[1]);
            }
        }
    }
}
