//! The store's twin in memory: loads what the store would load, and applies writes as the database would, constraints
//! included.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{SystemTime, UNIX_EPOCH},
};

use common::{
    id::{AccountId, PaymentId, TransferId},
    money::Currency,
    order::PayeeAccount,
};

use crate::domain::{
    account::Account,
    ledger::{Command, Deposit, Event, Outcome, QueueWrite, RequestKey, Snapshot, Writes, decide},
    payment::{Lease, Payment, State},
    transfer::{Transfer, TransferKind},
};

/// When everything happens.
pub const NOW: SystemTime = UNIX_EPOCH;

/// The tables.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Twin {
    pub accounts: BTreeMap<AccountId, Account>,
    pub payments: BTreeMap<PaymentId, Payment>,
    pub queue: BTreeMap<PaymentId, Lease>,
    pub deposits: BTreeMap<RequestKey, Deposit>,
    pub transfers: BTreeMap<TransferId, Transfer>,
    pub events: Vec<Event>,
    pub attempts: BTreeSet<(PaymentId, i32)>,
}

impl Twin {
    /// One batch: load, decide, save, and check the books.
    pub fn commit(&mut self, commands: &[Command]) -> (Vec<Outcome>, Writes) {
        let (outcomes, writes) = decide(self.load(commands), commands, NOW);
        assert_eq!(outcomes.len(), commands.len());
        self.save(&writes);
        self.check();
        (outcomes, writes)
    }

    /// A batch of one.
    pub fn commit_one(&mut self, command: Command) -> Outcome {
        self.commit(&[command]).0.remove(0)
    }

    fn load(&self, commands: &[Command]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let mut wanted = BTreeSet::new();
        for command in commands {
            match command {
                Command::Pay(pay) => {
                    wanted.insert(pay.order.payer_account);
                    wanted.extend(pay.bank.iter().map(|bank| bank.settlement_account));
                    match &pay.order.payee.account {
                        PayeeAccount::Ledger(account) => drop(wanted.insert(*account)),
                        PayeeAccount::Iban(iban, _) => {
                            let holder =
                                self.accounts.values().find(|a| a.iban.as_deref() == Some(iban.as_str()));
                            if let Some(account) = holder {
                                wanted.insert(account.id);
                                snapshot.accounts_by_iban.insert(iban.as_str().to_owned(), account.id);
                            }
                        }
                        PayeeAccount::Number(..) => {}
                    }
                    let key = pay.request.key();
                    if let Some(payment) = self.payments.values().find(|payment| request_key(payment) == key)
                    {
                        snapshot.payment_requests.insert(key, payment.clone());
                    }
                }
                Command::Conclude(conclude) => {
                    if let Some(payment) = self.payments.get(&conclude.payment) {
                        wanted.extend([payment.payer_account, payment.credit_account]);
                        let lease = self.queue.get(&payment.id).copied();
                        snapshot.payments.insert(payment.id, (payment.clone(), lease));
                    }
                }
                Command::Capture(_)
                | Command::Cancel(_)
                | Command::Expire(_)
                | Command::Refund(_)
                | Command::Submit(_)
                | Command::Resolve(_) => unreachable!("not yet"),
                Command::Deposit(arrival) => {
                    wanted.extend([arrival.order.account, arrival.settlement_account]);
                    let key = (arrival.participant.clone(), arrival.order.request_id.clone());
                    if let Some(deposit) = self.deposits.get(&key) {
                        snapshot.deposit_requests.insert(key, deposit.clone());
                    }
                }
            }
        }
        let wanted = wanted.into_iter().filter_map(|id| self.accounts.get(&id));
        snapshot.accounts = wanted.map(|account| (account.id, account.clone())).collect();
        snapshot
    }

    fn save(&mut self, writes: &Writes) {
        for payment in &writes.new_payments {
            let key = request_key(payment);
            assert!(self.payments.values().all(|other| request_key(other) != key), "two payments of {key:?}");
            assert!(self.payments.insert(payment.id, payment.clone()).is_none());
            assert_eq!(payment.sequence, 1);
        }
        for payment in writes.changed_payments.values() {
            let old = self.payments.insert(payment.id, payment.clone()).expect("the payment");
            assert!(old.state.may_become(payment.state), "{:?} to {:?}", old.state, payment.state);
            assert!(payment.sequence > old.sequence);
            let identity = Payment {
                state: old.state,
                reason: old.reason.clone(),
                sequence: old.sequence,
                updated_at: old.updated_at,
                ..payment.clone()
            };
            assert_eq!(identity, old, "only state, reason, sequence and time of change may change");
        }
        for deposit in &writes.deposits {
            let key = (deposit.participant.clone(), deposit.order.request_id.clone());
            assert!(self.deposits.insert(key, deposit.clone()).is_none());
        }
        for transfer in &writes.transfers {
            let ended =
                self.transfers.values().find(|other| other.hold.is_some() && other.hold == transfer.hold);
            assert_eq!(ended, None, "a hold ends once");
            assert!(
                self.transfers.insert(transfer.id, transfer.clone()).is_none(),
                "two transfers of one number"
            );
        }
        for event in &writes.events {
            let payment = &self.payments[&event.payment];
            assert!(event.sequence <= payment.sequence);
            self.events.push(event.clone());
        }
        for (payment, attempt) in &writes.attempts {
            assert!(self.attempts.insert((*payment, attempt.number)));
        }
        for (payment, write) in &writes.queue {
            match write {
                QueueWrite::Enter { .. } => {
                    assert_eq!(self.queue.insert(*payment, Lease::FIRST), None);
                }
                QueueWrite::Postpone { token, .. } => assert_eq!(self.queue[payment].token, *token),
                QueueWrite::Leave(token) => {
                    assert_eq!(self.queue.remove(payment).map(|lease| lease.token), Some(*token));
                }
            }
        }
        for (id, delta) in &writes.deltas {
            let balances = &mut self.accounts.get_mut(id).expect("the account").balances;
            balances.debits_pending += delta.debits_pending;
            balances.debits_posted += delta.debits_posted;
            balances.credits_pending += delta.credits_pending;
            balances.credits_posted += delta.credits_posted;
        }
    }

    /// The ledger's invariants.
    fn check(&self) {
        let mut sums: BTreeMap<AccountId, [i128; 4]> = BTreeMap::new();
        for transfer in self.transfers.values() {
            let (pending, posted) = transfer.kind.effect();
            let amount = i128::from(transfer.amount.minor_units());
            assert!(amount > 0 && transfer.debit != transfer.credit);
            let debit = sums.entry(transfer.debit).or_default();
            debit[0] += i128::from(pending) * amount;
            debit[1] += i128::from(posted) * amount;
            let credit = sums.entry(transfer.credit).or_default();
            credit[2] += i128::from(pending) * amount;
            credit[3] += i128::from(posted) * amount;
        }
        let mut currencies: BTreeMap<Currency, [i128; 4]> = BTreeMap::new();
        for account in self.accounts.values() {
            let b = &account.balances;
            let stored =
                [b.debits_pending, b.debits_posted, b.credits_pending, b.credits_posted].map(i128::from);
            assert_eq!(
                stored,
                sums.get(&account.id).copied().unwrap_or_default(),
                "stored sums of {}",
                account.id
            );
            assert!(stored.iter().all(|sum| *sum >= 0));
            assert!(account.may_overdraw || b.available() >= 0, "{} is overdrawn", account.id);
            let total = currencies.entry(account.currency).or_default();
            for (total, sum) in total.iter_mut().zip(stored) {
                *total += sum;
            }
        }
        for (currency, [debits_pending, debits_posted, credits_pending, credits_posted]) in currencies {
            assert_eq!(
                (debits_pending, debits_posted),
                (credits_pending, credits_posted),
                "{currency} is conserved"
            );
        }
        let ended: BTreeSet<_> = self.transfers.values().filter_map(|transfer| transfer.hold).collect();
        let open =
            |transfer: &&Transfer| transfer.kind == TransferKind::Hold && !ended.contains(&transfer.id);
        let held: BTreeMap<_, _> = self.transfers.values().filter(open).map(|t| (t.id, t.amount)).collect();
        let is_under_way = |payment: &&Payment| matches!(payment.state, State::Submitted | State::Unknown);
        let under_way: Vec<_> = self.payments.values().filter(is_under_way).collect();
        assert_eq!(held, under_way.iter().map(|p| (p.first_transfer(), p.amount)).collect(), "holds");
        assert!(self.queue.keys().eq(under_way.iter().map(|payment| &payment.id)), "the queue of work");
        for payment in self.payments.values() {
            let events: Vec<_> = self.events.iter().filter(|event| event.payment == payment.id).collect();
            let sequence: Vec<_> = events.iter().map(|event| event.sequence).collect();
            assert_eq!(sequence, (1..=payment.sequence).collect::<Vec<_>>());
            assert_eq!(events.last().map(|event| event.state), Some(payment.state));
            assert_eq!(payment.reason.is_some(), matches!(payment.state, State::Unknown | State::Failed));
        }
    }
}

fn request_key(payment: &Payment) -> RequestKey {
    (payment.participant.clone(), payment.request_id.clone())
}
