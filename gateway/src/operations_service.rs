//! gRPC: `rialto.operations.v1.OperationsService`.

use proto::{
    operations::{
        ListAlarmsRequest, ListAlarmsResponse, ResolvePaymentRequest, ResolvePaymentResponse,
        operations_service_server::OperationsService,
    },
    platform::{command::Operation, reply},
};
use tonic::{Request, Response, Status};

use crate::{caller::Action, front::Front};

/// Serves operators.
#[derive(Clone, Debug)]
pub struct Operations {
    front: Front,
}

impl Operations {
    /// Serves operators through `front`.
    pub fn new(front: Front) -> Self {
        Self { front }
    }
}

#[tonic::async_trait]
impl OperationsService for Operations {
    async fn resolve_payment(
        &self,
        request: Request<ResolvePaymentRequest>,
    ) -> Result<Response<ResolvePaymentResponse>, Status> {
        let response = |result| match result {
            reply::Result::ResolvePayment(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::Resolve, |_| Ok(()), Operation::ResolvePayment, response).await
    }

    async fn list_alarms(
        &self,
        request: Request<ListAlarmsRequest>,
    ) -> Result<Response<ListAlarmsResponse>, Status> {
        let response = |result| match result {
            reply::Result::ListAlarms(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::ReadAlarms, |_| Ok(()), Operation::ListAlarms, response).await
    }
}
