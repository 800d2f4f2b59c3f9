//! A bank pays an account here, over the whole way in: its certificate, the channel, the platform, and what the payee sees.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use channel::{
    instruction::{Instruction, Message},
    rails::iso20022::{
        answer::Answer,
        message::Correspondents,
        pacs008,
        pacs028::{self, Enquiry},
    },
};
use common::{bic::Bic, clock::Clock};
use harness::{
    BenchError,
    client::Client,
    system::{BANKS, Setup, System},
};
use platform::trial_balance::TrialBalance;
use proto::{
    channel::{self as wire, instruction::Message as Carried, party::Account},
    payments::{Payment, PaymentSide, WatchPaymentsRequest},
};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::bench::{run, setup, shop, slow_ledger};

/// Transfers that come at the last moment.
const ROUNDS: usize = 40;
const OWN_IBAN: &str = "GB82WEST12345698765432";

/// The bank aurora, as it writes.
struct Aurora {
    client: reqwest::Client,
    url: String,
    correspondents: Correspondents,
}

/// What a bank hears: the status, the reason and the id of the message that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Heard {
    status: String,
    reason: String,
    message_id: String,
}

impl Aurora {
    fn of(system: &System) -> Result<Self, BenchError> {
        let correspondents = Bic::parse(BANKS[0].bic)
            .zip(Bic::parse("RLTOITV0XXX"))
            .map(|(sender, bank)| Correspondents { sender, bank });
        Ok(Self {
            client: system.certificates().as_bank("aurora")?,
            url: system.notice_url("aurora")?.replace("/pacs.002", ""),
            correspondents: correspondents.ok_or("a BIC")?,
        })
    }

    fn document(&self, instruction: &wire::Instruction) -> Result<String, BenchError> {
        let instruction = Instruction::parse(instruction.clone()).map_err(|bad| format!("{bad:?}"))?;
        match instruction.message() {
            Message::CreditTransfer(transfer) => {
                Ok(pacs008::document(&instruction, transfer, &self.correspondents))
            }
            Message::StatusEnquiry { enquiry_id, .. } => {
                let enquiry = Enquiry::new(enquiry_id, &instruction, None);
                Ok(pacs028::document(&enquiry, &self.correspondents, Clock::system().now()))
            }
            Message::ReturnRequest(_) => Err("not here".into()),
        }
    }

    async fn send(&self, instruction: &wire::Instruction) -> Result<Heard, BenchError> {
        let request = self.client.post(&self.url).header("content-type", "application/xml");
        let answer = request.body(self.document(instruction)?).send().await?.error_for_status()?;
        let Answer::Status(report) = Answer::read(&answer.bytes().await?)? else {
            return Err("no status report".into());
        };
        let code = report.reasons.first().and_then(|reason| reason.code.clone());
        Ok(Heard {
            status: report.status.unwrap_or_default(),
            reason: code.unwrap_or_default(),
            message_id: report.message_id,
        })
    }

    /// Sends it; what is heard without the message's id.
    async fn says(&self, instruction: &wire::Instruction) -> Result<(String, String), BenchError> {
        let Heard { status, reason, .. } = self.send(instruction).await?;
        Ok((status, reason))
    }
}

fn transfer(to: Account, minor_units: i64, accepted: SystemTime) -> wire::Instruction {
    let party = |name: &str, account| Some(wire::Party { name: name.to_owned(), account: Some(account) });
    wire::Instruction {
        bank_id: "rialto".to_owned(),
        uetr: Uuid::new_v4().to_string(),
        message_id: Uuid::new_v4().simple().to_string(),
        end_to_end_id: "ORDER-1".to_owned(),
        amount: Some(proto::money::Money { minor_units, currency: "EUR".to_owned() }),
        accept_time: Some(accepted.into()),
        message: Some(Carried::CreditTransfer(wire::CreditTransfer {
            debtor: party("Bee & Co", Account::Iban("DE89370400440532013000".to_owned())),
            creditor: party("Zoë", to),
            remittance_information: "invoice 7".to_owned(),
        })),
        ..wire::Instruction::default()
    }
}

fn enquiry(about: &wire::Instruction) -> wire::Instruction {
    let enquiry_id = Uuid::new_v4().simple().to_string();
    let enquiry = wire::StatusEnquiry { enquiry_id, return_request: None };
    wire::Instruction { message: Some(Carried::StatusEnquiry(enquiry)), ..about.clone() }
}

/// The first thing that a participant received.
async fn received(client: &Client) -> Result<Payment, BenchError> {
    let from =
        WatchPaymentsRequest { from_position: "earliest".to_owned(), ..WatchPaymentsRequest::default() };
    let filter = client.request(from, None);
    let mut watch = client.payments.clone().watch_payments(filter).await?.into_inner();
    loop {
        let said = watch.message().await?.ok_or("the watch has ended")?;
        let received = said.event.filter(|event| event.side() == PaymentSide::Payee);
        if let Some(payment) = received.and_then(|event| event.payment) {
            return Ok(payment);
        }
    }
}

/// A system that takes what aurora pays in, an account there, and who owns it.
async fn begin(mut setup: Setup) -> Result<(System, Arc<Aurora>, Client, String), BenchError> {
    setup.notice_listen = Some("127.0.0.1:0".to_owned());
    let system = System::start(setup).await?;
    let (aurora, client) = (Arc::new(Aurora::of(&system)?), shop(&system));
    let account = client.open_account("own", "Zoë", "EUR", OWN_IBAN).await?.id;
    Ok((system, aurora, client, account))
}

async fn posted(client: &Client, account: &str) -> Result<Option<i64>, BenchError> {
    let balance = client.account(account).await?.balance;
    Ok(balance.map(|balance| balance.posted_minor_units))
}

fn said(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[test]
fn a_bank_pays_an_account_here_once_and_is_told_the_same_for_ever() {
    run(async || {
        let setup = setup("incoming")?;
        let valid_for = Duration::from_millis(setup.times.valid_for_ms.into());
        let (system, aurora, client, with_iban) = begin(setup).await?;
        let without = client.open_account("plain", "Zoë", "EUR", "").await?.id;
        let number = without.trim_start_matches("acc_").to_owned();
        let iban = || Account::Iban(OWN_IBAN.to_owned());

        let paid = transfer(iban(), 700, Clock::system().now());
        assert_eq!(aurora.says(&enquiry(&paid)).await?, said("RJCT", "AG09"), "it may still come");
        let heard = aurora.send(&paid).await?;
        assert_eq!((&*heard.status, &*heard.reason), ("ACCC", ""));
        for again in [&paid, &enquiry(&paid)] {
            assert_eq!(aurora.send(again).await?, heard, "the same, to the message's id");
        }
        let received = received(&client).await?;
        let debtor = proto::payments::Debtor {
            name: "Bee & Co".to_owned(),
            account: "DE89370400440532013000".to_owned(),
        };
        assert_eq!((received.debtor, received.metadata.len()), (Some(debtor), 0));
        assert_eq!((&*received.remittance_information, &*received.end_to_end_id), ("invoice 7", "ORDER-1"));
        let by_number = transfer(Account::AccountNumber(number), 50, Clock::system().now());
        assert_eq!(aurora.says(&by_number).await?, said("ACCC", ""));
        let mut other = paid.clone();
        other.amount = Some(proto::money::Money { minor_units: 701, currency: "EUR".to_owned() });
        assert_eq!(aurora.says(&other).await?, said("RJCT", "DUPL"));

        let nobody =
            transfer(Account::Iban("FR1420041010050500013M02606".to_owned()), 9, Clock::system().now());
        let refused = aurora.send(&nobody).await?;
        assert_eq!((&*refused.status, &*refused.reason), ("RJCT", "AC01"));
        assert_eq!(aurora.send(&enquiry(&nobody)).await?, refused);
        // An account at the bank that asks is no account here: what comes in never goes on.
        let onward = transfer(Account::Iban(BANKS[1].account(1)), 9, Clock::system().now());
        assert_eq!(aurora.says(&onward).await?, said("RJCT", "AC01"));

        let before = Clock::system().now() - valid_for - Duration::from_secs(60);
        let never_came = transfer(iban(), 800, before);
        let gone = aurora.send(&enquiry(&never_came)).await?;
        assert_eq!((&*gone.status, &*gone.reason), ("RJCT", "TM01"));
        assert_eq!(aurora.send(&never_came).await?, gone, "it comes all the same");
        // Even where somebody says that it was accepted later.
        let renewed =
            wire::Instruction { accept_time: Some(Clock::system().now().into()), ..never_came.clone() };
        assert_eq!(aurora.send(&renewed).await?, gone);
        let late = transfer(iban(), 800, before);
        assert_eq!(aurora.says(&late).await?, said("RJCT", "TM01"));

        assert_eq!(
            (posted(&client, &with_iban).await?, posted(&client, &without).await?),
            (Some(700), Some(50))
        );
        let url = system.notice_url("aurora")?.replace("/pacs.002", "");
        let meridian = system.certificates().as_bank("meridian")?;
        let document = aurora.document(&paid)?;
        let spoken =
            meridian.post(url).header("content-type", "application/xml").body(document).send().await?;
        assert_eq!(spoken.status(), 403, "its own certificate is good, and not aurora's");
        let log = std::fs::read_to_string(system.folder().join("platform.log"))?;
        assert!(!log.contains("Zoë") && !log.contains("Bee & Co"), "people's names in the log");
        let balance = TrialBalance::take(&system.database()).await?;
        assert!(balance.is_ok(), "{balance}");
        Ok(())
    });
}

#[test]
fn what_is_said_of_a_transfer_that_comes_at_the_last_moment_is_one_thing() {
    run(async || {
        let setup = setup("incoming-late")?;
        let valid_for = Duration::from_millis(setup.times.valid_for_ms.into());
        let (_system, aurora, client, account) = begin(setup).await?;
        let mut credited = 0;
        for _ in 0..ROUNDS {
            // Its time is over while it is on its way, and while it is asked for.
            let accepted = Clock::system().now() - valid_for + Duration::from_millis(25);
            let sent = transfer(Account::Iban(OWN_IBAN.to_owned()), 1, accepted);
            let mut asking = JoinSet::new();
            let later = |after_ms, instruction: wire::Instruction| {
                let aurora = Arc::clone(&aurora);
                async move {
                    tokio::time::sleep(Duration::from_millis(after_ms)).await;
                    aurora.says(&instruction).await
                }
            };
            asking.spawn(later(18, sent.clone()));
            for after_ms in [20, 22, 24, 25, 26, 27, 28, 30, 32, 35] {
                asking.spawn(later(after_ms, enquiry(&sent)));
            }
            let mut answers = Vec::new();
            while let Some(answer) = asking.join_next().await {
                answers.push(answer??);
            }
            let end = aurora.says(&enquiry(&sent)).await?;
            assert!(end == said("ACCC", "") || end == said("RJCT", "TM01"), "{end:?}");
            // "Not yet" is the one thing that may be said before the end.
            answers.retain(|answer| *answer != said("RJCT", "AG09"));
            assert!(answers.iter().all(|answer| *answer == end), "{answers:?}, and then {end:?}");
            credited += i64::from(end == said("ACCC", ""));
        }
        assert_eq!(posted(&client, &account).await?, Some(credited));
        Ok(())
    });
}

#[test]
fn what_comes_in_faster_than_it_is_written_is_refused_unwritten_and_taken_when_it_comes_again() {
    const AT_ONCE: usize = 60;
    run(async || {
        let (_system, aurora, client, account) = begin(slow_ledger("incoming-slow-ledger")?).await?;
        let sent = |_| transfer(Account::Iban(OWN_IBAN.to_owned()), 1, Clock::system().now());
        let mut left: Vec<_> = (0..AT_ONCE).map(sent).collect();
        let mut credited = 0;
        while !left.is_empty() {
            let mut sending = JoinSet::new();
            for transfer in std::mem::take(&mut left) {
                let aurora = Arc::clone(&aurora);
                sending.spawn(async move { (aurora.says(&transfer).await.ok(), transfer) });
            }
            let before = credited;
            for (heard, transfer) in sending.join_all().await {
                match heard {
                    Some(heard) => {
                        assert_eq!(heard, said("ACCC", ""));
                        credited += 1;
                    }
                    None => left.push(transfer),
                }
            }
            assert!(credited > before, "none of {} was taken", left.len());
            assert!(before > 0 || left.len() >= AT_ONCE / 2, "only {} were refused at first", left.len());
            let posted = posted(&client, &account).await?;
            assert_eq!(posted, Some(credited), "refused, and written all the same");
        }
        Ok(())
    });
}
