//! The naive gateway: knows who is calling, checks the request, passes it on with one call, and returns the result.

use std::{path::PathBuf, sync::Arc};

use common::{
    clock::Clock,
    deadline::Deadline,
    fault::{Fault, Violation},
    rpc_client::Route,
    settings::Secret,
};
use gateway::{
    caller::Action,
    participant::{KeyFile, KeyHasher, Participants},
};
use proto::{
    accounts::{
        ApproveDepositRequest, ApproveDepositResponse, CreateAccountRequest, CreateAccountResponse,
        DepositRequest, DepositResponse, GetAccountRequest, GetAccountResponse, GetDepositRequest,
        GetDepositResponse, ListAccountsRequest, ListAccountsResponse, ListDepositsRequest,
        ListDepositsResponse, ListEntriesRequest, ListEntriesResponse, RejectDepositRequest,
        RejectDepositResponse,
        account_service_server::{self, AccountService, AccountServiceServer},
    },
    convert,
    payments::{
        CancelPaymentRequest, CancelPaymentResponse, CapturePaymentRequest, CapturePaymentResponse,
        CreatePaymentRequest, CreatePaymentResponse, GetPaymentRequest, GetPaymentResponse,
        ListPaymentsRequest, ListPaymentsResponse, RefundPaymentRequest, RefundPaymentResponse,
        WaitPaymentRequest, WaitPaymentResponse, WatchPaymentsRequest, WatchPaymentsResponse,
        payment_service_server::{self, PaymentService, PaymentServiceServer},
    },
};
use tonic::{Request, Response, Status, transport::Channel};

use crate::{
    Failure, ServiceArgs,
    hop::{BookDepositRequest, OpenAccountRequest, PayRequest, ledger_service_client::LedgerServiceClient},
};

/// The gateway's settings.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Where the naive platform is, e.g. `http://127.0.0.1:8081`.
    #[arg(long)]
    platform: String,
    /// The file of hashed API keys, as Rialto's gateway has it.
    #[arg(long)]
    api_keys: PathBuf,
    #[command(flatten)]
    service: ServiceArgs,
}

/// Serves until a signal comes.
///
/// # Errors
/// When a setting is wrong or serving fails.
pub async fn run(args: Args) -> Result<(), Failure> {
    let secret = Secret::new(std::env::var("RIALTO_API_KEY_SECRET").unwrap_or_default());
    let hasher = KeyHasher::new(&secret).map_err(|problem| format!("RIALTO_API_KEY_SECRET {problem}"))?;
    let gateway = Gateway {
        participants: Arc::new(Participants::new(
            hasher,
            KeyFile::read(args.api_keys, 1)?,
            None,
            "house".to_owned(),
            Clock::system(),
        )),
        platform: LedgerServiceClient::new(Route::to(&args.platform, None)?.connect()),
    };
    let services = &[payment_service_server::SERVICE_NAME, account_service_server::SERVICE_NAME];
    let serve = args.service.serve("naive-gateway", services, |routes| {
        routes.add_service(PaymentServiceServer::new(gateway.clone()));
        routes.add_service(AccountServiceServer::new(gateway));
    });
    serve.await
}

#[derive(Clone, Debug)]
struct Gateway {
    participants: Arc<Participants>,
    platform: LedgerServiceClient<Channel>,
}

impl Gateway {
    /// What to ask the platform: `ask` makes it of the caller's participant and the request that passed `check`.
    fn admit<Q, A>(
        &self,
        request: Request<Q>,
        action: Action,
        check: impl FnOnce(&Q) -> Result<(), Vec<Violation>>,
        ask: impl FnOnce(String, Option<Q>) -> A,
    ) -> Result<Request<A>, Fault> {
        let deadline = Deadline::of_request(&request);
        let caller =
            self.participants.identify_at_once(request.metadata()).map_err(|_| Fault::unauthenticated())?;
        if !caller.may(action, false) {
            return Err(Fault::permission_denied(format!("no role of this API key allows {action:?}")));
        }
        check(request.get_ref()).map_err(Fault::invalid)?;
        if deadline.is_too_short() {
            return Err(Fault::deadline_too_short());
        }
        let mut asked = Request::new(ask(caller.participant.name.clone(), Some(request.into_inner())));
        asked.set_timeout(deadline.remaining());
        Ok(asked)
    }
}

fn not_here<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("the naive design makes payments, accounts and deposits, and nothing else"))
}

#[tonic::async_trait]
impl PaymentService for Gateway {
    async fn create_payment(
        &self,
        request: Request<CreatePaymentRequest>,
    ) -> Result<Response<CreatePaymentResponse>, Status> {
        let check = |request: &CreatePaymentRequest| convert::payment_order(request).map(drop);
        let ask = |participant, request| PayRequest { participant, request };
        let asked = self.admit(request, Action::Pay, check, ask)?;
        let answer = self.platform.clone().pay(asked).await?;
        tracing::info!("answered");
        Ok(answer)
    }

    async fn capture_payment(
        &self,
        _: Request<CapturePaymentRequest>,
    ) -> Result<Response<CapturePaymentResponse>, Status> {
        not_here()
    }

    async fn cancel_payment(
        &self,
        _: Request<CancelPaymentRequest>,
    ) -> Result<Response<CancelPaymentResponse>, Status> {
        not_here()
    }

    async fn refund_payment(
        &self,
        _: Request<RefundPaymentRequest>,
    ) -> Result<Response<RefundPaymentResponse>, Status> {
        not_here()
    }

    async fn get_payment(
        &self,
        _: Request<GetPaymentRequest>,
    ) -> Result<Response<GetPaymentResponse>, Status> {
        not_here()
    }

    async fn list_payments(
        &self,
        _: Request<ListPaymentsRequest>,
    ) -> Result<Response<ListPaymentsResponse>, Status> {
        not_here()
    }

    async fn wait_payment(
        &self,
        _: Request<WaitPaymentRequest>,
    ) -> Result<Response<WaitPaymentResponse>, Status> {
        not_here()
    }

    type WatchPaymentsStream = tokio_stream::Pending<Result<WatchPaymentsResponse, Status>>;

    async fn watch_payments(
        &self,
        _: Request<WatchPaymentsRequest>,
    ) -> Result<Response<Self::WatchPaymentsStream>, Status> {
        not_here()
    }
}

#[tonic::async_trait]
impl AccountService for Gateway {
    async fn create_account(
        &self,
        request: Request<CreateAccountRequest>,
    ) -> Result<Response<CreateAccountResponse>, Status> {
        let check = |request: &CreateAccountRequest| convert::account_order(request).map(drop);
        let ask = |participant, request| OpenAccountRequest { participant, request };
        self.platform.clone().open_account(self.admit(request, Action::OpenAccount, check, ask)?).await
    }

    async fn deposit(&self, request: Request<DepositRequest>) -> Result<Response<DepositResponse>, Status> {
        let check = |request: &DepositRequest| convert::deposit_order(request).map(drop);
        let ask = |participant, request| BookDepositRequest { participant, request };
        self.platform.clone().deposit(self.admit(request, Action::Deposit, check, ask)?).await
    }

    async fn get_account(
        &self,
        _: Request<GetAccountRequest>,
    ) -> Result<Response<GetAccountResponse>, Status> {
        not_here()
    }

    async fn list_accounts(
        &self,
        _: Request<ListAccountsRequest>,
    ) -> Result<Response<ListAccountsResponse>, Status> {
        not_here()
    }

    async fn list_entries(
        &self,
        _: Request<ListEntriesRequest>,
    ) -> Result<Response<ListEntriesResponse>, Status> {
        not_here()
    }

    async fn approve_deposit(
        &self,
        _: Request<ApproveDepositRequest>,
    ) -> Result<Response<ApproveDepositResponse>, Status> {
        not_here()
    }

    async fn reject_deposit(
        &self,
        _: Request<RejectDepositRequest>,
    ) -> Result<Response<RejectDepositResponse>, Status> {
        not_here()
    }

    async fn get_deposit(
        &self,
        _: Request<GetDepositRequest>,
    ) -> Result<Response<GetDepositResponse>, Status> {
        not_here()
    }

    async fn list_deposits(
        &self,
        _: Request<ListDepositsRequest>,
    ) -> Result<Response<ListDepositsResponse>, Status> {
        not_here()
    }
}
