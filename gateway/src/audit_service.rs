//! gRPC: `rialto.audit.v1.AuditService`.

use proto::{
    audit::{
        GetCheckpointRequest, GetCheckpointResponse, GetConsistencyProofRequest, GetConsistencyProofResponse,
        GetInclusionProofRequest, GetInclusionProofResponse, GetPaymentReceiptRequest,
        GetPaymentReceiptResponse, audit_service_server::AuditService,
    },
    platform::{command::Operation, reply},
};
use tonic::{Request, Response, Status};

use crate::{caller::Action, front::Front};

/// Serves the audit log.
#[derive(Clone, Debug)]
pub struct Audit {
    front: Front,
}

impl Audit {
    /// Serves the audit log through `front`.
    pub fn new(front: Front) -> Self {
        Self { front }
    }
}

#[tonic::async_trait]
impl AuditService for Audit {
    async fn get_checkpoint(
        &self,
        request: Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        let response = |result| match result {
            reply::Result::GetCheckpoint(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::Read, |_| Ok(()), Operation::GetCheckpoint, response).await
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<GetInclusionProofRequest>,
    ) -> Result<Response<GetInclusionProofResponse>, Status> {
        let response = |result| match result {
            reply::Result::GetInclusionProof(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::Read, |_| Ok(()), Operation::GetInclusionProof, response).await
    }

    async fn get_consistency_proof(
        &self,
        request: Request<GetConsistencyProofRequest>,
    ) -> Result<Response<GetConsistencyProofResponse>, Status> {
        let response = |result| match result {
            reply::Result::GetConsistencyProof(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::Read, |_| Ok(()), Operation::GetConsistencyProof, response).await
    }

    async fn get_payment_receipt(
        &self,
        request: Request<GetPaymentReceiptRequest>,
    ) -> Result<Response<GetPaymentReceiptResponse>, Status> {
        let response = |result| match result {
            reply::Result::GetPaymentReceipt(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::Read, |_| Ok(()), Operation::GetPaymentReceipt, response).await
    }
}
