//! gRPC: `rialto.operations.v1.OperationsService`.

use common::rpc_client::Route;
use proto::{
    convert,
    operations::{
        GetPaymentStoryRequest, GetPaymentStoryResponse, GetSettingsRequest, GetSettingsResponse,
        GetTrialBalanceRequest, GetTrialBalanceResponse, ListAlarmsRequest, ListAlarmsResponse,
        ListBanksRequest, ListBanksResponse, ResolvePaymentRequest, ResolvePaymentResponse, Settings,
        operations_service_server::OperationsService,
    },
    platform::{command::Operation, reply},
};
use tonic::{Request, Response, Status};

use crate::{caller::Action, config::Config, front::Front};

/// Serves operators.
#[derive(Clone, Debug)]
pub struct Operations {
    front: Front,
    own_settings: Settings,
}

impl Operations {
    /// Serves operators through `front`, in a gateway with these settings of its own.
    pub fn new(front: Front, own_settings: Settings) -> Self {
        Self { front, own_settings }
    }
}

/// The settings that the gateway knows of itself.
pub fn own_settings(config: &Config) -> Settings {
    Settings {
        gateway_version: env!("CARGO_PKG_VERSION").to_owned(),
        hops: vec![
            convert::hop("callers", "gateway", config.server.is_encrypted()),
            convert::hop("gateway", "platform", config.platforms.iter().all(Route::is_encrypted)),
        ],
        traces_per_mille: config.traces_per_mille.into(),
        ..Settings::default()
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
        self.front.carry(request, Action::ReadOperations, |_| Ok(()), Operation::ListAlarms, response).await
    }

    async fn get_settings(
        &self,
        request: Request<GetSettingsRequest>,
    ) -> Result<Response<GetSettingsResponse>, Status> {
        let own = self.own_settings.clone();
        let response = |result| match result {
            reply::Result::GetSettings(GetSettingsResponse { settings: Some(rest) }) => {
                let hops = [own.hops, rest.hops].concat();
                Some(GetSettingsResponse {
                    settings: Some(Settings {
                        gateway_version: own.gateway_version,
                        traces_per_mille: own.traces_per_mille,
                        hops,
                        ..rest
                    }),
                })
            }
            _ => None,
        };
        self.front.carry(request, Action::ReadSettings, |_| Ok(()), Operation::GetSettings, response).await
    }

    async fn list_banks(
        &self,
        request: Request<ListBanksRequest>,
    ) -> Result<Response<ListBanksResponse>, Status> {
        let response = |result| match result {
            reply::Result::ListBanks(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::ReadOperations, |_| Ok(()), Operation::ListBanks, response).await
    }

    async fn get_trial_balance(
        &self,
        request: Request<GetTrialBalanceRequest>,
    ) -> Result<Response<GetTrialBalanceResponse>, Status> {
        let response = |result| match result {
            reply::Result::GetTrialBalance(response) => Some(response),
            _ => None,
        };
        let operation = Operation::GetTrialBalance;
        self.front.carry(request, Action::ReadOperations, |_| Ok(()), operation, response).await
    }

    async fn get_payment_story(
        &self,
        request: Request<GetPaymentStoryRequest>,
    ) -> Result<Response<GetPaymentStoryResponse>, Status> {
        let response = |result| match result {
            reply::Result::GetPaymentStory(response) => Some(response),
            _ => None,
        };
        let operation = Operation::GetPaymentStory;
        self.front.carry(request, Action::ReadOperations, |_| Ok(()), operation, response).await
    }
}
