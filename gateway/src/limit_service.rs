//! gRPC: `rialto.limits.v1.LimitService`.

use proto::{
    convert,
    limits::{
        GetAccountLimitsRequest, GetAccountLimitsResponse, GetParticipantLimitsRequest,
        GetParticipantLimitsResponse, LimitStatus, SetAccountLimitsRequest, SetAccountLimitsResponse,
        SetParticipantLimitsRequest, SetParticipantLimitsResponse, limit_service_server::LimitService,
    },
    platform::{command::Operation, reply},
};
use tonic::{Request, Response, Status};

use crate::{caller::Action, front::Front};

/// Serves limits of money.
#[derive(Clone, Debug)]
pub struct Limits {
    front: Front,
}

impl Limits {
    /// Serves limits through `front`.
    pub fn new(front: Front) -> Self {
        Self { front }
    }
}

fn status(result: reply::Result) -> Option<LimitStatus> {
    match result {
        reply::Result::Limits(status) => Some(status),
        _ => None,
    }
}

#[tonic::async_trait]
impl LimitService for Limits {
    async fn set_account_limits(
        &self,
        request: Request<SetAccountLimitsRequest>,
    ) -> Result<Response<SetAccountLimitsResponse>, Status> {
        let check = |request: &SetAccountLimitsRequest| convert::account_limits(request).map(drop);
        let operation = Operation::SetAccountLimits;
        let set = self.front.carry(request, Action::LimitAccounts, check, operation, status).await?;
        Ok(set.map(|status| SetAccountLimitsResponse { status: Some(status) }))
    }

    async fn get_account_limits(
        &self,
        request: Request<GetAccountLimitsRequest>,
    ) -> Result<Response<GetAccountLimitsResponse>, Status> {
        let operation = Operation::GetAccountLimits;
        let found = self.front.carry(request, Action::Read, |_| Ok(()), operation, status).await?;
        Ok(found.map(|status| GetAccountLimitsResponse { status: Some(status) }))
    }

    async fn set_participant_limits(
        &self,
        request: Request<SetParticipantLimitsRequest>,
    ) -> Result<Response<SetParticipantLimitsResponse>, Status> {
        let check = |request: &SetParticipantLimitsRequest| convert::participant_limits(request).map(drop);
        let operation = Operation::SetParticipantLimits;
        let set = self.front.carry(request, Action::ManageParticipants, check, operation, status).await?;
        Ok(set.map(|status| SetParticipantLimitsResponse { status: Some(status) }))
    }

    async fn get_participant_limits(
        &self,
        request: Request<GetParticipantLimitsRequest>,
    ) -> Result<Response<GetParticipantLimitsResponse>, Status> {
        let operation = Operation::GetParticipantLimits;
        let found = self.front.carry(request, Action::Read, |_| Ok(()), operation, status).await?;
        Ok(found.map(|status| GetParticipantLimitsResponse { status: Some(status) }))
    }
}
