//! The naive platform: holds the money in one transaction, asks the bank with one call, ends the payment in another transaction.

use std::sync::Arc;

use common::{
    clock::Clock,
    fault::{Fault, Violation},
    id::PaymentId,
    order::{Capture, PayeeAccount, PaymentOrder},
    rpc_client::Route,
};
use prost::Message;
use proto::{
    accounts::{Account, CreateAccountResponse, Deposit, DepositResponse, DepositState},
    channel::{
        CreditTransfer, ExecuteRequest, Instruction, Party, instruction,
        instruction_service_client::InstructionServiceClient, outcome::Verdict, party,
    },
    convert,
    payments::CreatePaymentResponse,
};
use sqlx::postgres::PgConnectOptions;
use tokio::task::JoinHandle;
use tonic::{Request, Response, Status, transport::Channel};
use uuid::Uuid;

use crate::{
    Failure, ServiceArgs,
    banks::Banks,
    hop::{
        BookDepositRequest, OpenAccountRequest, PayRequest,
        ledger_service_server::{self, LedgerService, LedgerServiceServer},
    },
    store::{End, Held, NewPayment, Payment, Store},
};

/// The platform's settings.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Where Rialto's channel is, e.g. `http://127.0.0.1:8082`.
    #[arg(long)]
    channel: String,
    /// The URL of a database of its own; the schema is made if it is not there.
    #[arg(long, env = "RIALTO_DATABASE_URL", hide_env_values = true)]
    database_url: PgConnectOptions,
    #[command(flatten)]
    service: ServiceArgs,
}

/// Serves until a signal comes.
///
/// # Errors
/// When a setting is wrong, the database or the channel does not answer, or serving fails.
pub async fn run(args: Args) -> Result<(), Failure> {
    let store = Store::open(args.database_url).await?;
    let mut channel = InstructionServiceClient::new(Route::to(&args.channel, None)?.connect());
    let banks = Arc::new(Banks::learn(&mut channel, &store).await?);
    let platform = Platform { store, banks, channel, clock: Clock::system() };
    let serve = args.service.serve("naive-platform", &[ledger_service_server::SERVICE_NAME], |routes| {
        routes.add_service(LedgerServiceServer::new(platform));
    });
    serve.await
}

#[derive(Clone, Debug)]
struct Platform {
    store: Store,
    banks: Arc<Banks>,
    channel: InstructionServiceClient<Channel>,
    clock: Clock,
}

impl Platform {
    async fn pay(
        mut self,
        participant: String,
        order: PaymentOrder,
    ) -> Result<CreatePaymentResponse, Status> {
        if order.capture != Capture::Automatic {
            return Err(Status::unimplemented("the naive design captures at once"));
        }
        let route = self.banks.route(&order.payee, order.amount.currency())?;
        let id = PaymentId::new(&self.clock);
        let new = NewPayment {
            id,
            participant,
            request: convert::payment_order_to_wire(&order).encode_to_vec(),
            route,
            uetr: Uuid::new_v4(),
            at: self.clock.now(),
            order,
        };
        let payment = match self.store.hold(&new).await.map_err(failed)? {
            Held::Stands(payment) => payment,
            Held::Begun(begun, payer_name) => {
                let end = self.instruct(&new, &begun, payer_name).await;
                let ended = self.store.conclude(&new, begun, end, self.clock.now()).await.map_err(failed)?;
                tracing::info!(state = ended.state, reason = ended.reason_code, "concluded");
                ended
            }
            Held::NoSuchPayer => return Err(Fault::not_found("payer_account").into()),
            Held::OtherCurrency => {
                let message = "the payer's account has another currency than the amount";
                return Err(Fault::precondition("CURRENCY_MISMATCH", message).into());
            }
            Held::Reused => {
                let message = "the request_id was used for another payment";
                return Err(Fault::precondition("REQUEST_ID_REUSED", message).into());
            }
        };
        Ok(CreatePaymentResponse { payment: Some(payment.to_wire().map_err(corrupt)?) })
    }

    /// Has the bank execute the payment, and says what is certain of it.
    async fn instruct(&mut self, new: &NewPayment, begun: &Payment, payer_name: String) -> End {
        let creditor = match &new.order.payee.account {
            PayeeAccount::Iban(iban, _) => party::Account::Iban(iban.as_str().to_owned()),
            PayeeAccount::Number(number, _) => party::Account::AccountNumber(number.clone()),
            PayeeAccount::Ledger(account) => {
                party::Account::AccountNumber(account.uuid().simple().to_string())
            }
        };
        let debtor = party::Account::AccountNumber(new.order.payer_account.uuid().simple().to_string());
        let transfer = CreditTransfer {
            debtor: Some(Party { name: payer_name, account: Some(debtor) }),
            creditor: Some(Party { name: new.order.payee.name.clone(), account: Some(creditor) }),
            remittance_information: new.order.remittance_information.clone(),
        };
        let instruction = Instruction {
            correlation_id: 0,
            traceparent: String::new(),
            bank_id: begun.bank_id.clone(),
            uetr: new.uetr.to_string(),
            message_id: new.id.uuid().simple().to_string(),
            end_to_end_id: begun.end_to_end_id.clone(),
            amount: Some(convert::money_to_wire(new.order.amount)),
            accept_time: Some(convert::time_to_wire(new.at)),
            message: Some(instruction::Message::CreditTransfer(transfer)),
        };
        let executed = self.channel.execute(ExecuteRequest { instruction: Some(instruction) }).await;
        let outcome = executed.map(|response| response.into_inner().outcome.unwrap_or_default());
        match outcome.map(|outcome| outcome.verdict) {
            Ok(Some(Verdict::Accepted(_))) => End::Succeeded,
            Ok(Some(Verdict::Rejected(_))) => End::Failed("REJECTED_BY_BANK"),
            Ok(Some(Verdict::NotSent(_))) => End::Failed("NOT_SENT"),
            Ok(Some(Verdict::Unknown(_) | Verdict::NotFound(_)) | None) => End::Unknown("NOT_CERTAIN"),
            Err(status) => {
                tracing::warn!(%status, "the channel gave no answer");
                End::Unknown("NOT_CERTAIN")
            }
        }
    }
}

#[tonic::async_trait]
impl LedgerService for Platform {
    async fn pay(&self, request: Request<PayRequest>) -> Result<Response<CreatePaymentResponse>, Status> {
        let PayRequest { participant, request } = request.into_inner();
        let order = convert::payment_order(&request.unwrap_or_default()).map_err(Fault::invalid)?;
        in_a_task(tokio::spawn(Platform::pay(self.clone(), participant, order))).await
    }

    async fn open_account(
        &self,
        request: Request<OpenAccountRequest>,
    ) -> Result<Response<CreateAccountResponse>, Status> {
        let OpenAccountRequest { participant, request } = request.into_inner();
        let order = convert::account_order(&request.unwrap_or_default()).map_err(Fault::invalid)?;
        let store = self.store.clone();
        let opened = async move {
            let id = store.open_account(&participant, &order).await.map_err(failed)?;
            let account = Account {
                id: id.to_string(),
                request_id: order.request_id,
                display_name: order.display_name,
                currency: order.currency.code().to_owned(),
                ..Account::default()
            };
            Ok(CreateAccountResponse { account: Some(account) })
        };
        in_a_task(tokio::spawn(opened)).await
    }

    async fn deposit(
        &self,
        request: Request<BookDepositRequest>,
    ) -> Result<Response<DepositResponse>, Status> {
        let BookDepositRequest { participant, request } = request.into_inner();
        let order = convert::deposit_order(&request.unwrap_or_default()).map_err(Fault::invalid)?;
        let settlement = self.banks.settlement(&order.bank_id, order.amount.currency())?;
        let store = self.store.clone();
        let booked = async move {
            let id = store.deposit(&participant, &order, settlement).await.map_err(failed)?;
            let known =
                id.ok_or_else(|| Fault::invalid(vec![Violation::new("account", "must be the caller's")]))?;
            let deposit = Deposit {
                id: known.to_string(),
                request_id: order.request_id,
                account: order.account.to_string(),
                amount: Some(convert::money_to_wire(order.amount)),
                bank_id: order.bank_id,
                reference: order.reference,
                state: DepositState::Booked.into(),
                ..Deposit::default()
            };
            Ok(DepositResponse { deposit: Some(deposit) })
        };
        in_a_task(tokio::spawn(booked)).await
    }
}

/// Waits for work that goes on when its caller goes away: a transaction that is dropped halfway spoils its connection.
async fn in_a_task<T>(work: JoinHandle<Result<T, Status>>) -> Result<Response<T>, Status> {
    work.await.map_err(|_| Fault::internal())?.map(Response::new)
}

fn failed(error: sqlx::Error) -> Status {
    tracing::error!(%error, "the database failed");
    Fault::unavailable("DATABASE_UNAVAILABLE", "the ledger cannot be reached; send the same request again")
        .into()
}

fn corrupt(error: prost::DecodeError) -> Status {
    tracing::error!(%error, "a payment's request cannot be read");
    Fault::internal().into()
}
