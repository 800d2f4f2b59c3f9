//! One request id, one effect: repeats return the same thing, other content is refused.

use harness::{
    BenchError,
    client::{Client, money},
    system::BANKS,
};
use prost::Message;
use proto::{
    accounts::{
        ApproveDepositRequest, ApproveDepositResponse, CreateAccountRequest, CreateAccountResponse,
        DepositRequest, DepositResponse,
    },
    payments::{CreatePaymentRequest, CreatePaymentResponse, PaymentState},
};
use tonic::{Code, Response, Status};

use crate::bench::{Refused, account_of, euros, refused, run, unique};

fn reused() -> Refused {
    Refused::new(Code::FailedPrecondition, "REQUEST_ID_REUSED")
}

/// An answer's bytes, and whether it was marked as a repeat.
type Said = (Vec<u8>, bool);

fn said<M: Message>(answer: Result<Response<M>, Status>) -> Result<Said, Status> {
    let answer = answer?;
    let replayed = answer.metadata().get("idempotent-replayed").map(|mark| mark == "true");
    Ok((answer.into_inner().encode_to_vec(), replayed == Some(true)))
}

async fn pay(client: &Client, request: &CreatePaymentRequest) -> Result<Said, Status> {
    said(client.payments.clone().create_payment(client.request(request.clone(), None)).await)
}

async fn deposit(client: &Client, request: &DepositRequest) -> Result<Said, Status> {
    said(client.accounts.clone().deposit(client.request(request.clone(), None)).await)
}

async fn open(client: &Client, request: &CreateAccountRequest) -> Result<Said, Status> {
    said(client.accounts.clone().create_account(client.request(request.clone(), None)).await)
}

fn payment(bytes: &[u8]) -> Result<proto::payments::Payment, BenchError> {
    CreatePaymentResponse::decode(bytes)?.payment.ok_or_else(|| "no payment".into())
}

#[test]
fn a_repeat_returns_the_same_bytes_whatever_the_end_was() {
    run(async |bench| {
        let shop = bench.client(0);
        let payer = bench.funded(&shop, "EUR", 1_000).await?;
        let mut payments = Vec::new();
        for (payee, amount, state) in [
            (BANKS[0].account(1), 10, PaymentState::Succeeded),
            (account_of("rejects"), 20, PaymentState::Failed),
            (account_of("hangs up after, for a repeat"), 30, PaymentState::Succeeded),
            (BANKS[0].account(1), 100_000, PaymentState::Failed),
        ] {
            let request = euros(&unique("same"), &payer, &payee, amount);
            let (first, replayed) = pay(&shop, &request).await?;
            assert!(!replayed);
            assert_eq!(payment(&first)?.state(), state);
            for _ in 0..3 {
                assert_eq!(pay(&shop, &request).await?, (first.clone(), true));
            }
            let other_connection = bench.client(0);
            assert_eq!(pay(&other_connection, &request).await?, (first.clone(), true));
            payments.push(payment(&first)?);
        }
        bench.check(&payments).await
    });
}

#[test]
fn other_content_under_the_same_id_is_refused_field_by_field() {
    run(async |bench| {
        type Change = fn(&mut CreatePaymentRequest);
        let shop = bench.client(0);
        let payer = bench.funded(&shop, "EUR", 1_000).await?;
        let second = bench.funded(&shop, "EUR", 1_000).await?;
        let first = euros(&unique("reused"), &payer, &BANKS[0].account(1), 10);
        let (made, _) = pay(&shop, &first).await?;
        let changes: [(&str, Change); 7] = [
            ("amount", |r| r.amount = Some(money(11, "EUR"))),
            ("currency", |r| r.amount = Some(money(10, "USD"))),
            ("name", |r| r.payee.as_mut().unwrap().name.push('x')),
            ("remittance", |r| r.remittance_information.push('x')),
            ("reference", |r| r.end_to_end_id = "x".to_owned()),
            ("metadata", |r| drop(r.metadata.insert("k".to_owned(), "v".to_owned()))),
            ("bank", |r| {
                let bank = proto::payments::payee::Bank::BankId("aurora".to_owned());
                r.payee.as_mut().unwrap().bank = Some(bank);
            }),
        ];
        for (name, change) in changes {
            let mut request = first.clone();
            change(&mut request);
            assert_eq!(refused(pay(&shop, &request).await)?, reused(), "{name}");
        }
        let other_payer = CreatePaymentRequest { payer_account: second, ..first.clone() };
        assert_eq!(refused(pay(&shop, &other_payer).await)?, reused(), "payer");
        assert_eq!(pay(&shop, &first).await?, (made, true));
        Ok(())
    });
}

#[test]
fn sixty_four_at_once_are_one_payment() {
    run(async |bench| {
        let shop = bench.client(0);
        let payer = bench.funded(&shop, "EUR", 1_000).await?;
        let request = euros(&unique("at-once"), &payer, &account_of("slow"), 10);
        let calls: Vec<_> = (0..64)
            .map(|n| {
                let (client, request) =
                    (if n % 2 == 0 { shop.clone() } else { bench.client(0) }, request.clone());
                tokio::spawn(async move { pay(&client, &request).await })
            })
            .collect();
        let mut answers = Vec::new();
        for call in calls {
            answers.push(call.await??);
        }
        assert_eq!(answers.iter().filter(|(_, replayed)| !replayed).count(), 1);
        assert!(answers.iter().all(|(bytes, _)| *bytes == answers[0].0), "not all the same bytes");
        bench.check(&[payment(&answers[0].0)?]).await
    });
}

#[test]
fn sixty_four_at_once_with_two_contents_are_one_payment_of_one_content() {
    run(async |bench| {
        let shop = bench.client(0);
        let payer = bench.funded(&shop, "EUR", 1_000).await?;
        let request_id = unique("two-contents");
        let request = |n: i64| euros(&request_id, &payer, &BANKS[0].account(1), 10 + n % 2);
        let calls: Vec<_> = (0..64)
            .map(|n| {
                let (client, request) = (bench.client(0), request(n));
                tokio::spawn(async move { pay(&client, &request).await })
            })
            .collect();
        let mut answers = Vec::new();
        for (n, call) in calls.into_iter().enumerate() {
            answers.push((n % 2, call.await?));
        }
        let won =
            answers.iter().find_map(|(content, answer)| Some((*content, answer.as_ref().ok()?.0.clone())));
        let (content, bytes) = won.ok_or("nobody won")?;
        for (own, answer) in answers {
            match answer {
                Ok((same, _)) => assert_eq!((own, same), (content, bytes.clone())),
                Err(status) => {
                    assert_ne!(own, content);
                    assert_eq!(Refused::of(&status), reused());
                }
            }
        }
        let paid = payment(&bytes)?;
        assert_eq!(paid.amount.clone().unwrap_or_default().minor_units, if content == 0 { 10 } else { 11 });
        bench.check(&[paid]).await
    });
}

#[test]
fn request_ids_belong_to_a_participant_and_a_method_and_are_compared_exactly() {
    run(async |bench| {
        let (shop, other) = (bench.client(0), bench.client(1));
        let (payer, others) =
            (bench.funded(&shop, "EUR", 1_000).await?, bench.funded(&other, "EUR", 1_000).await?);
        let id = unique("Exactly");
        let mut payments = Vec::new();
        for (client, account, id) in [
            (&shop, &payer, id.clone()),
            (&other, &others, id.clone()),
            (&shop, &payer, id.to_lowercase()),
            (&shop, &payer, id.to_uppercase()),
            (&shop, &payer, format!("{id}.")),
            (&shop, &payer, format!("{id}%")),
            (&shop, &payer, id.replace('-', "_")),
        ] {
            let answer = client.pay(euros(&id, account, &BANKS[0].account(1), 10), None).await?;
            assert!(!answer.replayed, "{id}");
            payments.push(answer.payment);
        }
        shop.deposit(&id, &payer, 5, "EUR", "aurora").await?;
        shop.open_account(&id, "Ada", "EUR", "").await?;
        let mut ids: Vec<&str> = payments.iter().map(|payment| payment.id.as_str()).collect();
        ids.dedup();
        assert_eq!(ids.len(), payments.len());
        assert_eq!(shop.account(&payer).await?.balance.unwrap_or_default().posted_minor_units, 1_005 - 60);
        bench.check(&payments).await
    });
}

#[test]
fn what_came_to_nothing_is_not_kept_and_what_was_refused_is() {
    run(async |bench| {
        let shop = bench.client(0);
        let payer = bench.funded(&shop, "EUR", 100).await?;
        let id = unique("corrected");
        let wrong = CreatePaymentRequest {
            end_to_end_id: "//".to_owned(),
            ..euros(&id, &payer, &BANKS[0].account(1), 10)
        };
        assert_eq!(refused(pay(&shop, &wrong).await)?, Refused::invalid(&["end_to_end_id"]));
        let nobody = euros(&id, &format!("acc_{}", "9".repeat(32)), &BANKS[0].account(1), 10);
        assert_eq!(refused(pay(&shop, &nobody).await)?.code, Code::NotFound);
        let (made, replayed) = pay(&shop, &euros(&id, &payer, &BANKS[0].account(1), 10)).await?;
        assert_eq!((payment(&made)?.state(), replayed), (PaymentState::Succeeded, false));

        let too_much = euros(&unique("refused"), &payer, &BANKS[0].account(1), 1_000);
        let (failed, _) = pay(&shop, &too_much).await?;
        assert_eq!(payment(&failed)?.reason.unwrap_or_default().code, "INSUFFICIENT_FUNDS");
        shop.deposit(&unique("deposit"), &payer, 10_000, "EUR", "aurora").await?;
        assert_eq!(pay(&shop, &too_much).await?, (failed, true));
        let (paid, _) = pay(&shop, &CreatePaymentRequest { request_id: unique("again"), ..too_much }).await?;
        assert_eq!(payment(&paid)?.state(), PaymentState::Succeeded);
        Ok(())
    });
}

#[test]
fn deposits_are_proposed_once_and_booked_once() {
    run(async |bench| {
        let shop = bench.client(0);
        let account = bench.funded(&shop, "EUR", 0).await?;
        let request = DepositRequest {
            request_id: unique("deposit-once"),
            account: account.clone(),
            amount: Some(money(700, "EUR")),
            bank_id: "aurora".to_owned(),
            reference: "line 1".to_owned(),
        };
        let calls: Vec<_> = (0..64)
            .map(|_| {
                let (client, request) = (shop.clone(), request.clone());
                tokio::spawn(async move { deposit(&client, &request).await })
            })
            .collect();
        let mut answers = Vec::new();
        for call in calls {
            answers.push(call.await??);
        }
        assert_eq!(answers.iter().filter(|(_, replayed)| !replayed).count(), 1);
        assert!(answers.iter().all(|(bytes, _)| *bytes == answers[0].0), "not all the same bytes");
        let proposed = DepositResponse::decode(answers[0].0.as_slice())?.deposit.unwrap_or_default();
        assert_eq!((proposed.reference.as_str(), proposed.account.as_str()), ("line 1", account.as_str()));
        for other in [
            DepositRequest { amount: Some(money(701, "EUR")), ..request.clone() },
            DepositRequest { reference: "line 2".to_owned(), ..request.clone() },
            DepositRequest { bank_id: "meridian".to_owned(), ..request.clone() },
            DepositRequest { account: bench.funded(&shop, "EUR", 0).await?, ..request.clone() },
        ] {
            assert_eq!(refused(deposit(&shop, &other).await)?, reused(), "{other:?}");
        }
        assert_eq!(shop.account(&account).await?.balance.unwrap_or_default().posted_minor_units, 0);
        let bea = bench.keyed(bench.system.second_operator());
        let approval = ApproveDepositRequest { deposit: proposed.id, amount: proposed.amount };
        let calls: Vec<_> = (0..64)
            .map(|_| {
                let (client, approval) = (bea.clone(), approval.clone());
                tokio::spawn(async move {
                    said(client.accounts.clone().approve_deposit(client.request(approval, None)).await)
                })
            })
            .collect();
        let mut answers = Vec::new();
        for call in calls {
            answers.push(call.await??);
        }
        assert_eq!(answers.iter().filter(|(_, replayed)| !replayed).count(), 1);
        assert!(answers.iter().all(|(bytes, _)| *bytes == answers[0].0), "not all the same bytes");
        assert_eq!(shop.account(&account).await?.balance.unwrap_or_default().posted_minor_units, 700);
        let booked = ApproveDepositResponse::decode(answers[0].0.as_slice())?.deposit;
        let as_it_is_now = DepositResponse { deposit: booked }.encode_to_vec();
        assert_eq!(deposit(&shop, &request).await?, (as_it_is_now, true));
        bench.check(&[]).await
    });
}

#[test]
fn accounts_are_opened_once() {
    run(async |bench| {
        let shop = bench.client(0);
        let iban = harness::names::iban("NL", "RIAL0000007788");
        let request = CreateAccountRequest {
            request_id: unique("account-once"),
            display_name: "Ada".to_owned(),
            currency: "EUR".to_owned(),
            iban: iban.clone(),
        };
        let calls: Vec<_> = (0..64)
            .map(|_| {
                let (client, request) = (shop.clone(), request.clone());
                tokio::spawn(async move { open(&client, &request).await })
            })
            .collect();
        let mut answers = Vec::new();
        for call in calls {
            answers.push(call.await??);
        }
        assert_eq!(answers.iter().filter(|(_, replayed)| !replayed).count(), 1);
        assert!(answers.iter().all(|(bytes, _)| *bytes == answers[0].0), "not all the same bytes");
        let opened = CreateAccountResponse::decode(answers[0].0.as_slice())?.account.unwrap_or_default();
        assert_eq!(opened.iban, iban);
        let spaced = CreateAccountRequest { iban: format!("nl{} ", &iban[2..]), ..request.clone() };
        assert_eq!(open(&shop, &spaced).await?, (answers[0].0.clone(), true));
        for other in [
            CreateAccountRequest { display_name: "Eve".to_owned(), ..request.clone() },
            CreateAccountRequest { currency: "USD".to_owned(), ..request.clone() },
            CreateAccountRequest { iban: String::new(), ..request.clone() },
        ] {
            assert_eq!(refused(open(&shop, &other).await)?, reused(), "{other:?}");
        }
        Ok(())
    });
}
