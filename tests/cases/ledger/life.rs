//! What the cases of a payment's life have in common: the commands of it, in few words.

use common::id::{AccountId, PaymentId};
use platform::domain::{
    ledger::{Cancel, Capture, Command, Compensation, Conclude, Outcome, Refund, Request, Witness},
    payment::{Evidence, Payment, State},
};
use uuid::Uuid;

use crate::bench::{World, command, eur, payment, write};

impl World {
    /// Alice authorizes 100 to an account at the bank, or to Bob.
    pub async fn authorize(&self, request: &str, on_us: bool) -> Payment {
        let mut pay = match on_us {
            true => self.pay_on_us(request, self.bob, 100),
            false => self.pay_bank(request, 100),
        };
        pay.order.capture = common::order::Capture::Manual(None);
        let authorized = payment(write(&self.book(1), command(pay)).await);
        assert_eq!(authorized.state, State::Authorized);
        authorized
    }

    pub fn request(&self, participant: &str, request: &str) -> Request {
        Request { participant: participant.to_owned(), request_id: request.to_owned(), fingerprint: [7; 16] }
    }

    /// Alice captures (part of) an authorization.
    pub fn capture(&self, request: &str, payment: PaymentId, amount: Option<i64>) -> Command {
        let bank = self.pay_bank("route", 1).bank;
        Command::Capture(Box::new(Capture {
            id: PaymentId::new(&self.clock),
            uetr: Uuid::new_v4(),
            request: self.request("alice", request),
            payment,
            amount: amount.map(eur),
            bank,
        }))
    }

    pub fn cancel(&self, payment: &Payment) -> Command {
        Command::Cancel(Box::new(Cancel {
            participant: "alice".to_owned(),
            payment: payment.id,
            original: payment.original,
        }))
    }

    /// `participant` asks for (part of) a payment back.
    pub fn refund(
        &self,
        participant: &str,
        request: &str,
        payment: PaymentId,
        amount: Option<i64>,
    ) -> Command {
        let bank = self.pay_bank("route", 1).bank;
        Command::Refund(Box::new(Refund {
            id: PaymentId::new(&self.clock),
            uetr: Uuid::new_v4(),
            request: self.request(participant, request),
            payment,
            amount: amount.map(eur),
            remittance_information: String::new(),
            bank,
        }))
    }

    pub fn said(
        &self,
        payment: &Payment,
        witness: Witness,
        evidence: Evidence,
        suspense: AccountId,
    ) -> Command {
        Command::Conclude(Box::new(Conclude {
            known: None,
            payment: payment.id,
            original: payment.original,
            witness,
            evidence,
            compensation: Some(Compensation {
                suspense_account: suspense,
                payment: PaymentId::new(&self.clock),
                uetr: Uuid::new_v4(),
                bank_id: "aurora".to_owned(),
            }),
            bank_message: None,
        }))
    }

    pub async fn suspense(&self) -> AccountId {
        let (id, currency) = (AccountId::new(&self.clock), eur(1).currency());
        let named = ("aurora", "Banca Aurora");
        self.store.house_account(id, named, currency, true, self.clock.now()).await.unwrap()
    }

    pub async fn state(&self, payment: PaymentId) -> State {
        self.store.any_payment(payment).await.unwrap().unwrap().state
    }
}

/// How many came to be.
pub fn done(outcomes: &[Outcome]) -> usize {
    let made = |outcome: &&Outcome| matches!(outcome, Outcome::Submitted(_) | Outcome::Payment(_));
    outcomes.iter().filter(made).count()
}

/// The payment as it is on record.
pub async fn payment_row(world: &World, id: PaymentId) -> Payment {
    world.store.any_payment(id).await.unwrap().unwrap()
}
