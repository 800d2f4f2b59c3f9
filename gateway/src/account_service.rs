//! gRPC: `rialto.accounts.v1.AccountService`.

use proto::{
    accounts::{
        ApproveDepositRequest, ApproveDepositResponse, CreateAccountRequest, CreateAccountResponse,
        DepositRequest, DepositResponse, GetAccountRequest, GetAccountResponse, GetDepositRequest,
        GetDepositResponse, ListAccountsRequest, ListAccountsResponse, ListDepositsRequest,
        ListDepositsResponse, ListEntriesRequest, ListEntriesResponse, RejectDepositRequest,
        RejectDepositResponse, account_service_server::AccountService,
    },
    convert,
    platform::{command::Operation, reply},
};
use tonic::{Request, Response, Status};

use crate::{caller::Action, front::Front};

/// Serves accounts.
#[derive(Clone, Debug)]
pub struct Accounts {
    front: Front,
}

impl Accounts {
    /// Serves accounts through `front`.
    pub fn new(front: Front) -> Self {
        Self { front }
    }
}

#[tonic::async_trait]
impl AccountService for Accounts {
    async fn create_account(
        &self,
        request: Request<CreateAccountRequest>,
    ) -> Result<Response<CreateAccountResponse>, Status> {
        let check = |request: &CreateAccountRequest| convert::account_order(request).map(drop);
        let response = |result| match result {
            reply::Result::CreateAccount(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::OpenAccount, check, Operation::CreateAccount, response).await
    }

    async fn get_account(
        &self,
        request: Request<GetAccountRequest>,
    ) -> Result<Response<GetAccountResponse>, Status> {
        let response = |result| match result {
            reply::Result::GetAccount(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::Read, |_| Ok(()), Operation::GetAccount, response).await
    }

    async fn list_accounts(
        &self,
        request: Request<ListAccountsRequest>,
    ) -> Result<Response<ListAccountsResponse>, Status> {
        let response = |result| match result {
            reply::Result::ListAccounts(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::Read, |_| Ok(()), Operation::ListAccounts, response).await
    }

    async fn list_entries(
        &self,
        request: Request<ListEntriesRequest>,
    ) -> Result<Response<ListEntriesResponse>, Status> {
        let response = |result| match result {
            reply::Result::ListEntries(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::Read, |_| Ok(()), Operation::ListEntries, response).await
    }

    async fn deposit(&self, request: Request<DepositRequest>) -> Result<Response<DepositResponse>, Status> {
        let check = |request: &DepositRequest| convert::deposit_order(request).map(drop);
        let response = |result| match result {
            reply::Result::Deposit(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::Deposit, check, Operation::Deposit, response).await
    }

    async fn approve_deposit(
        &self,
        request: Request<ApproveDepositRequest>,
    ) -> Result<Response<ApproveDepositResponse>, Status> {
        let check = |request: &ApproveDepositRequest| convert::approval(request).map(drop);
        let response = |result| match result {
            reply::Result::ApproveDeposit(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::Deposit, check, Operation::ApproveDeposit, response).await
    }

    async fn reject_deposit(
        &self,
        request: Request<RejectDepositRequest>,
    ) -> Result<Response<RejectDepositResponse>, Status> {
        let check = |request: &RejectDepositRequest| convert::rejection(request).map(drop);
        let response = |result| match result {
            reply::Result::RejectDeposit(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::Deposit, check, Operation::RejectDeposit, response).await
    }

    async fn get_deposit(
        &self,
        request: Request<GetDepositRequest>,
    ) -> Result<Response<GetDepositResponse>, Status> {
        let response = |result| match result {
            reply::Result::GetDeposit(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::ReadDeposits, |_| Ok(()), Operation::GetDeposit, response).await
    }

    async fn list_deposits(
        &self,
        request: Request<ListDepositsRequest>,
    ) -> Result<Response<ListDepositsResponse>, Status> {
        let response = |result| match result {
            reply::Result::ListDeposits(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::ReadDeposits, |_| Ok(()), Operation::ListDeposits, response).await
    }
}
