//! gRPC: `rialto.webhooks.v1.WebhookService`.

use proto::{
    convert::{self, Destinations},
    platform::{command::Operation, reply},
    webhooks::{
        CreateWebhookEndpointRequest, CreateWebhookEndpointResponse, DeleteWebhookEndpointRequest,
        DeleteWebhookEndpointResponse, ListWebhookDeliveriesRequest, ListWebhookDeliveriesResponse,
        ListWebhookEndpointsRequest, ListWebhookEndpointsResponse, ReplayWebhookEventsRequest,
        ReplayWebhookEventsResponse, RotateWebhookSecretRequest, RotateWebhookSecretResponse,
        UpdateWebhookEndpointRequest, UpdateWebhookEndpointResponse, webhook_service_server::WebhookService,
    },
};
use tonic::{Request, Response, Status};

use crate::{caller::Action, front::Front};

/// Serves the administration of webhooks.
#[derive(Clone, Debug)]
pub struct Webhooks {
    front: Front,
    destinations: Destinations,
}

impl Webhooks {
    /// Serves it through `front`, for URLs where may be posted to.
    pub fn new(front: Front, destinations: Destinations) -> Self {
        Self { front, destinations }
    }
}

#[tonic::async_trait]
impl WebhookService for Webhooks {
    async fn create_webhook_endpoint(
        &self,
        request: Request<CreateWebhookEndpointRequest>,
    ) -> Result<Response<CreateWebhookEndpointResponse>, Status> {
        let check = |request: &_| convert::webhook_order(request, self.destinations).map(drop);
        let response = |result| match result {
            reply::Result::CreateWebhookEndpoint(response) => Some(response),
            _ => None,
        };
        let operation = Operation::CreateWebhookEndpoint;
        self.front.carry(request, Action::ManageWebhooks, check, operation, response).await
    }

    async fn list_webhook_endpoints(
        &self,
        request: Request<ListWebhookEndpointsRequest>,
    ) -> Result<Response<ListWebhookEndpointsResponse>, Status> {
        let response = |result| match result {
            reply::Result::ListWebhookEndpoints(response) => Some(response),
            _ => None,
        };
        let operation = Operation::ListWebhookEndpoints;
        self.front.carry(request, Action::ReadWebhooks, |_| Ok(()), operation, response).await
    }

    async fn update_webhook_endpoint(
        &self,
        request: Request<UpdateWebhookEndpointRequest>,
    ) -> Result<Response<UpdateWebhookEndpointResponse>, Status> {
        let check = |request: &_| convert::webhook_change(request, self.destinations).map(drop);
        let response = |result| match result {
            reply::Result::UpdateWebhookEndpoint(response) => Some(response),
            _ => None,
        };
        let operation = Operation::UpdateWebhookEndpoint;
        self.front.carry(request, Action::ManageWebhooks, check, operation, response).await
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<RotateWebhookSecretRequest>,
    ) -> Result<Response<RotateWebhookSecretResponse>, Status> {
        let check = |request: &_| convert::webhook_rotation(request).map(drop);
        let response = |result| match result {
            reply::Result::RotateWebhookSecret(response) => Some(response),
            _ => None,
        };
        let operation = Operation::RotateWebhookSecret;
        self.front.carry(request, Action::ManageWebhooks, check, operation, response).await
    }

    async fn list_webhook_deliveries(
        &self,
        request: Request<ListWebhookDeliveriesRequest>,
    ) -> Result<Response<ListWebhookDeliveriesResponse>, Status> {
        let response = |result| match result {
            reply::Result::ListWebhookDeliveries(response) => Some(response),
            _ => None,
        };
        let operation = Operation::ListWebhookDeliveries;
        self.front.carry(request, Action::ReadWebhooks, |_| Ok(()), operation, response).await
    }

    async fn replay_webhook_events(
        &self,
        request: Request<ReplayWebhookEventsRequest>,
    ) -> Result<Response<ReplayWebhookEventsResponse>, Status> {
        let check = |request: &_| convert::webhook_replay(request).map(drop);
        let response = |result| match result {
            reply::Result::ReplayWebhookEvents(response) => Some(response),
            _ => None,
        };
        let operation = Operation::ReplayWebhookEvents;
        self.front.carry(request, Action::ManageWebhooks, check, operation, response).await
    }

    async fn delete_webhook_endpoint(
        &self,
        request: Request<DeleteWebhookEndpointRequest>,
    ) -> Result<Response<DeleteWebhookEndpointResponse>, Status> {
        let response = |result| match result {
            reply::Result::DeleteWebhookEndpoint(response) => Some(response),
            _ => None,
        };
        let operation = Operation::DeleteWebhookEndpoint;
        self.front.carry(request, Action::ManageWebhooks, |_| Ok(()), operation, response).await
    }
}
