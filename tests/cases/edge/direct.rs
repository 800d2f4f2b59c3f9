//! The inner services, asked directly as grpcurl would.

use harness::{
    client::{money, payee_by_iban},
    system::{BANKS, Service, System},
};
use proto::{
    accounts::{ApproveDepositRequest, CreateAccountRequest, DepositRequest, GetAccountRequest},
    channel::{
        CreditTransfer, ExecuteRequest as Instruct, GetDirectoryRequest, Instruction, Party, StatusEnquiry,
        instruction::Message, instruction_service_client::InstructionServiceClient, outcome::Verdict, party,
    },
    payments::{CreatePaymentRequest, GetPaymentRequest, PaymentState, get_payment_request::Key},
    platform::{
        Command, ExecuteRequest, Signature, command::Operation,
        platform_service_client::PlatformServiceClient, reply,
    },
};
use sqlx::Connection;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::bench::{run_on_system, to};

async fn execute(
    system: &System,
    participant: &str,
    operation: Option<Operation>,
) -> Result<(reply::Result, bool), Status> {
    execute_as(system, participant, "ada", operation).await
}

async fn execute_as(
    system: &System,
    participant: &str,
    actor: &str,
    operation: Option<Operation>,
) -> Result<(reply::Result, bool), Status> {
    let (participant, actor) = (participant.to_owned(), actor.to_owned());
    let command = Command { participant, actor, operation, ..Command::default() };
    let mut client = PlatformServiceClient::new(to(system, Service::Platform));
    let answer = client.execute(ExecuteRequest { command: Some(command) }).await?.into_inner();
    let reply = answer.reply.ok_or_else(|| Status::internal("no reply"))?;
    Ok((reply.result.ok_or_else(|| Status::internal("no result"))?, reply.idempotent_replayed))
}

#[test]
fn the_platform_carries_out_one_command() {
    run_on_system(async |system| {
        let participant = "direct-shop";
        let open = CreateAccountRequest {
            request_id: "direct-account".to_owned(),
            display_name: "Ada".to_owned(),
            currency: "EUR".to_owned(),
            iban: String::new(),
        };
        let (opened, _) = execute(system, participant, Some(Operation::CreateAccount(open.clone()))).await?;
        let reply::Result::CreateAccount(opened) = opened else { return Err(format!("{opened:?}").into()) };
        let account = opened.account.unwrap_or_default().id;
        let (_, replayed) = execute(system, participant, Some(Operation::CreateAccount(open))).await?;
        assert!(replayed);
        let deposit = DepositRequest {
            request_id: "direct-deposit".to_owned(),
            account: account.clone(),
            amount: Some(money(500, "EUR")),
            bank_id: "aurora".to_owned(),
            reference: String::new(),
        };
        let unsaid = execute_as(system, participant, "", Some(Operation::Deposit(deposit.clone()))).await;
        let unsaid = unsaid.err().ok_or("proposed by nobody")?;
        let fields = unsaid.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
        assert_eq!(fields.iter().map(|bad| bad.field.as_str()).collect::<Vec<_>>(), ["actor"]);
        let (proposed, _) = execute(system, participant, Some(Operation::Deposit(deposit))).await?;
        let reply::Result::Deposit(proposed) = proposed else { return Err(format!("{proposed:?}").into()) };
        let proposed = proposed.deposit.unwrap_or_default();
        let approval = ApproveDepositRequest { deposit: proposed.id, amount: proposed.amount };
        execute_as(system, participant, "bea", Some(Operation::ApproveDeposit(approval))).await?;
        let pay = CreatePaymentRequest {
            request_id: "direct-payment".to_owned(),
            payer_account: account.clone(),
            payee: Some(payee_by_iban("Blaise", &BANKS[1].account(1))),
            amount: Some(money(200, "EUR")),
            ..CreatePaymentRequest::default()
        };
        let (paid, _) = execute(system, participant, Some(Operation::CreatePayment(pay))).await?;
        let reply::Result::CreatePayment(paid) = paid else { return Err(format!("{paid:?}").into()) };
        let payment = paid.payment.unwrap_or_default();
        assert_eq!((payment.state(), payment.bank_id.as_str()), (PaymentState::Succeeded, "meridian"));
        let get = GetPaymentRequest { key: Some(Key::Id(payment.id.clone())) };
        let other = execute(system, "other-direct-shop", Some(Operation::GetPayment(get))).await;
        assert_eq!(other.map_err(|status| status.code()).map(drop), Err(Code::NotFound));
        Ok(())
    });
}

#[test]
fn the_platform_checks_what_the_gateway_should_have_checked() {
    run_on_system(async |system| {
        let get = || Some(Operation::GetAccount(GetAccountRequest { id: format!("acc_{}", "1".repeat(32)) }));
        for participant in ["", "ab", "Shop", "rialto-house", "-shop", "a b", "shop\0", &"x".repeat(41)] {
            let found = execute(system, participant, get()).await.map_err(|status| status.code());
            assert_eq!(found.map(drop), Err(Code::InvalidArgument), "{participant:?}");
        }
        let none = execute(system, "direct-shop", None).await.map_err(|status| status.code());
        assert_eq!(none.map(drop), Err(Code::InvalidArgument));
        let bad = Some(Operation::CreatePayment(CreatePaymentRequest::default()));
        let status = execute(system, "direct-shop", bad).await.err().ok_or("accepted")?;
        let fields = status.get_details_bad_request().map(|bad| bad.field_violations.len());
        assert_eq!((status.code(), fields), (Code::InvalidArgument, Some(4)));
        let mut client = PlatformServiceClient::new(to(system, Service::Platform));
        let empty = client.execute(ExecuteRequest::default()).await.map_err(|status| status.code());
        assert_eq!(empty.map(drop), Err(Code::InvalidArgument));
        Ok(())
    });
}

#[test]
fn a_signature_is_claimed_before_its_command_is_carried_out() {
    run_on_system(async |system| {
        let open = |request_id: &str| CreateAccountRequest {
            request_id: request_id.to_owned(),
            display_name: "Ada".to_owned(),
            currency: "EUR".to_owned(),
            iban: String::new(),
        };
        let execute = async |signature: Signature, request_id: &str| {
            let command = Command {
                participant: "direct-signer".to_owned(),
                signature: Some(signature),
                operation: Some(Operation::CreateAccount(open(request_id))),
                ..Command::default()
            };
            let mut client = PlatformServiceClient::new(to(system, Service::Platform));
            client.execute(ExecuteRequest { command: Some(command) }).await.err()
        };
        let key = |byte: u8| vec![byte; 32];
        for (verification_key, nonce, field) in [
            (vec![7; 31], "n".repeat(16), "signature.verification_key"),
            (vec![0; 32], "n".repeat(16), "signature.verification_key"),
            (key(7), "n".repeat(15), "signature.nonce"),
            (key(7), "n".repeat(129), "signature.nonce"),
            (key(7), "é".repeat(16), "signature.nonce"),
            (key(7), "n\0".repeat(16), "signature.nonce"),
        ] {
            let refused =
                execute(Signature { verification_key, nonce }, "never").await.ok_or("carried out")?;
            let fields =
                refused.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
            assert_eq!(fields.iter().map(|bad| bad.field.as_str()).collect::<Vec<_>>(), [field]);
        }
        let nonce = uuid::Uuid::new_v4().to_string();
        let signed = |byte: u8| Signature { verification_key: key(byte), nonce: nonce.clone() };
        assert!(execute(signed(7), "once").await.is_none());
        for request_id in ["once", "never"] {
            let refused = execute(signed(7), request_id).await.ok_or("carried out twice")?;
            let reason = refused.get_error_details().error_info().map(|info| info.reason.clone());
            assert_eq!(reason.as_deref(), Some("SIGNATURE_REPLAYED"));
        }
        assert!(execute(signed(8), "by-another-key").await.is_none());
        let mut database = sqlx::PgConnection::connect_with(&system.database()).await?;
        // Somebody else is about to claim it, and nobody can say yet whether they will: nothing is carried out meanwhile.
        let held = Signature { verification_key: key(7), nonce: uuid::Uuid::new_v4().to_string() };
        let mut claim = database.begin().await?;
        sqlx::query("INSERT INTO request_nonces (verification_key, nonce) VALUES ($1, $2)")
            .bind(&held.verification_key)
            .bind(&held.nonce)
            .execute(&mut *claim)
            .await?;
        let refused = execute(held.clone(), "never").await.ok_or("carried out without a claim")?;
        assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
        claim.rollback().await?;
        assert!(execute(held, "after-all").await.is_none());
        let opened: Vec<String> = sqlx::query_scalar(
            "SELECT request_id FROM accounts WHERE participant_id = 'direct-signer' ORDER BY id",
        )
        .fetch_all(&mut database)
        .await?;
        assert_eq!(opened, ["once", "by-another-key", "after-all"]);
        Ok(())
    });
}

fn instruction(uetr: &str, message: Message) -> Instruction {
    let now = common::clock::Clock::system().now();
    Instruction {
        bank_id: "aurora".to_owned(),
        uetr: uetr.to_owned(),
        message_id: format!("m{}", &uetr.replace('-', "")),
        end_to_end_id: "e2e".to_owned(),
        amount: Some(money(100, "EUR")),
        accept_time: Some(proto::convert::time_to_wire(now)),
        message: Some(message),
        ..Instruction::default()
    }
}

fn transfer() -> Message {
    let party = |name: &str, account| Some(Party { name: name.to_owned(), account: Some(account) });
    Message::CreditTransfer(CreditTransfer {
        debtor: party("Ada", party::Account::AccountNumber("1".to_owned())),
        creditor: party("Blaise", party::Account::Iban(BANKS[0].account(1))),
        remittance_information: String::new(),
    })
}

fn enquiry() -> Message {
    Message::StatusEnquiry(StatusEnquiry {
        enquiry_id: uuid::Uuid::new_v4().simple().to_string(),
        return_request: None,
    })
}

#[test]
fn the_channel_carries_one_instruction() {
    run_on_system(async |system| {
        let mut client = InstructionServiceClient::new(to(system, Service::Channel));
        let directory =
            client.get_directory(GetDirectoryRequest {}).await?.into_inner().directory.unwrap_or_default();
        let ids: Vec<&str> = directory.banks.iter().map(|bank| bank.id.as_str()).collect();
        assert_eq!(ids, ["aurora", "meridian", "sakura"]);
        let mut verdict = async |instruction| {
            let answer = client.execute(Instruct { instruction: Some(instruction) }).await?.into_inner();
            Ok::<_, Status>(answer.outcome.and_then(|outcome| outcome.verdict))
        };
        let uetr = uuid::Uuid::new_v4().to_string();
        let unknown = verdict(instruction(&uetr, enquiry())).await?;
        assert!(matches!(unknown, Some(Verdict::NotFound(_))), "{unknown:?}");
        let again = instruction(&uetr, transfer());
        for instruction in [again.clone(), again] {
            let paid = verdict(instruction).await?;
            assert!(matches!(paid, Some(Verdict::Accepted(_))), "{paid:?}");
        }
        let known = verdict(instruction(&uetr, enquiry())).await?;
        assert!(matches!(known, Some(Verdict::Accepted(_))), "{known:?}");
        let nowhere = Instruction { bank_id: "no-such-bank".to_owned(), ..instruction(&uetr, transfer()) };
        let not_sent = verdict(nowhere).await?;
        assert!(
            matches!(&not_sent, Some(Verdict::NotSent(why)) if why.reason == "BANK_NOT_IN_DIRECTORY"),
            "{not_sent:?}"
        );
        let status = verdict(Instruction::default()).await.err().ok_or("accepted")?;
        assert_eq!(status.code(), Code::InvalidArgument);
        let fields = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
        assert!(fields.len() >= 6, "{fields:?}");
        assert!(fields.iter().all(|violation| violation.field.starts_with("instruction.")), "{fields:?}");
        Ok(())
    });
}
