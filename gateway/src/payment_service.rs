//! gRPC: `rialto.payments.v1.PaymentService`.

use proto::{
    convert,
    payments::{
        CancelPaymentRequest, CancelPaymentResponse, CapturePaymentRequest, CapturePaymentResponse,
        CreatePaymentRequest, CreatePaymentResponse, GetPaymentRequest, GetPaymentResponse,
        ListPaymentsRequest, ListPaymentsResponse, RefundPaymentRequest, RefundPaymentResponse,
        WaitPaymentRequest, WaitPaymentResponse, WatchPaymentsRequest,
        payment_service_server::PaymentService,
    },
    platform::{command::Operation, reply},
};
use tonic::{Request, Response, Status};

use crate::{caller::Action, front::Front, watch_link::Watch};

/// Serves payments.
#[derive(Clone, Debug)]
pub struct Payments {
    front: Front,
}

impl Payments {
    /// Serves payments through `front`.
    pub fn new(front: Front) -> Self {
        Self { front }
    }
}

#[tonic::async_trait]
impl PaymentService for Payments {
    async fn create_payment(
        &self,
        request: Request<CreatePaymentRequest>,
    ) -> Result<Response<CreatePaymentResponse>, Status> {
        let check = |request: &CreatePaymentRequest| convert::payment_order(request).map(drop);
        let response = |result| match result {
            reply::Result::CreatePayment(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::Pay, check, Operation::CreatePayment, response).await
    }

    async fn capture_payment(
        &self,
        request: Request<CapturePaymentRequest>,
    ) -> Result<Response<CapturePaymentResponse>, Status> {
        let check = |request: &CapturePaymentRequest| convert::capture_order(request).map(drop);
        let response = |result| match result {
            reply::Result::CapturePayment(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::Pay, check, Operation::CapturePayment, response).await
    }

    async fn cancel_payment(
        &self,
        request: Request<CancelPaymentRequest>,
    ) -> Result<Response<CancelPaymentResponse>, Status> {
        let response = |result| match result {
            reply::Result::CancelPayment(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::Pay, |_| Ok(()), Operation::CancelPayment, response).await
    }

    async fn refund_payment(
        &self,
        request: Request<RefundPaymentRequest>,
    ) -> Result<Response<RefundPaymentResponse>, Status> {
        let check = |request: &RefundPaymentRequest| convert::refund_order(request).map(drop);
        let response = |result| match result {
            reply::Result::RefundPayment(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::Refund, check, Operation::RefundPayment, response).await
    }

    async fn get_payment(
        &self,
        request: Request<GetPaymentRequest>,
    ) -> Result<Response<GetPaymentResponse>, Status> {
        let response = |result| match result {
            reply::Result::GetPayment(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::Read, |_| Ok(()), Operation::GetPayment, response).await
    }

    async fn list_payments(
        &self,
        request: Request<ListPaymentsRequest>,
    ) -> Result<Response<ListPaymentsResponse>, Status> {
        let response = |result| match result {
            reply::Result::ListPayments(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::Read, |_| Ok(()), Operation::ListPayments, response).await
    }

    async fn wait_payment(
        &self,
        request: Request<WaitPaymentRequest>,
    ) -> Result<Response<WaitPaymentResponse>, Status> {
        let response = |result| match result {
            reply::Result::WaitPayment(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::Read, |_| Ok(()), Operation::WaitPayment, response).await
    }

    type WatchPaymentsStream = Watch;

    async fn watch_payments(
        &self,
        request: Request<WatchPaymentsRequest>,
    ) -> Result<Response<Watch>, Status> {
        self.front.watch(request).await
    }
}
