//! gRPC: `rialto.participants.v1.ParticipantService`.

use common::fault::Fault;
use proto::{
    convert,
    participants::{
        ApiKey, CreateApiKeyRequest, CreateApiKeyResponse, CreateParticipantRequest,
        CreateParticipantResponse, DisableParticipantRequest, DisableParticipantResponse,
        EnableParticipantRequest, EnableParticipantResponse, ListApiKeysRequest, ListApiKeysResponse,
        ListParticipantsRequest, ListParticipantsResponse, RevokeApiKeyRequest, RevokeApiKeyResponse,
        RotateApiKeyRequest, RotateApiKeyResponse, participant_service_server::ParticipantService,
    },
    platform::{MakeApiKey, command::Operation, make_api_key::How, reply},
};
use tonic::{Request, Response, Status};

use crate::{
    caller::Action,
    front::{Front, is_replayed},
    participant::KeyHasher,
};

/// Serves the administration of participants and their API keys.
#[derive(Clone, Debug)]
pub struct ParticipantAdministration {
    front: Front,
    hasher: KeyHasher,
}

impl ParticipantAdministration {
    /// Serves it through `front`, with keys that are hashed by `hasher`.
    pub fn new(front: Front, hasher: KeyHasher) -> Self {
        Self { front, hasher }
    }

    /// A new key, and its hash.
    fn make_key(&self) -> Result<(String, Vec<u8>), Fault> {
        let (key, hash) = self.hasher.make().map_err(|problem| {
            tracing::error!(%problem, "cannot make an API key");
            Fault::internal()
        })?;
        Ok((key, hash.as_bytes().to_vec()))
    }
}

fn made(result: reply::Result) -> Option<ApiKey> {
    match result {
        reply::Result::MakeApiKey(api_key) => Some(api_key),
        _ => None,
    }
}

#[tonic::async_trait]
impl ParticipantService for ParticipantAdministration {
    async fn create_participant(
        &self,
        request: Request<CreateParticipantRequest>,
    ) -> Result<Response<CreateParticipantResponse>, Status> {
        let check = |request: &CreateParticipantRequest| convert::participant(&request.participant);
        let response = |result| match result {
            reply::Result::CreateParticipant(response) => Some(response),
            _ => None,
        };
        let operation = Operation::CreateParticipant;
        self.front.carry(request, Action::ManageParticipants, check, operation, response).await
    }

    async fn list_participants(
        &self,
        request: Request<ListParticipantsRequest>,
    ) -> Result<Response<ListParticipantsResponse>, Status> {
        let response = |result| match result {
            reply::Result::ListParticipants(response) => Some(response),
            _ => None,
        };
        let operation = Operation::ListParticipants;
        self.front.carry(request, Action::ManageParticipants, |_| Ok(()), operation, response).await
    }

    async fn disable_participant(
        &self,
        request: Request<DisableParticipantRequest>,
    ) -> Result<Response<DisableParticipantResponse>, Status> {
        let check = |request: &DisableParticipantRequest| convert::participant(&request.participant);
        let response = |result| match result {
            reply::Result::DisableParticipant(response) => Some(response),
            _ => None,
        };
        let operation = Operation::DisableParticipant;
        self.front.carry(request, Action::ManageParticipants, check, operation, response).await
    }

    async fn enable_participant(
        &self,
        request: Request<EnableParticipantRequest>,
    ) -> Result<Response<EnableParticipantResponse>, Status> {
        let check = |request: &EnableParticipantRequest| convert::participant(&request.participant);
        let response = |result| match result {
            reply::Result::EnableParticipant(response) => Some(response),
            _ => None,
        };
        let operation = Operation::EnableParticipant;
        self.front.carry(request, Action::ManageParticipants, check, operation, response).await
    }

    async fn create_api_key(
        &self,
        request: Request<CreateApiKeyRequest>,
    ) -> Result<Response<CreateApiKeyResponse>, Status> {
        let (key, hash) = self.make_key()?;
        let check = |request: &CreateApiKeyRequest| convert::api_key_order(request).map(drop);
        let operation = |request| Operation::MakeApiKey(MakeApiKey { hash, how: Some(How::Create(request)) });
        let record = self.front.carry(request, Action::ManageKeys, check, operation, made).await?;
        // What an earlier call made has another key.
        let key = if is_replayed(&record) { String::new() } else { key };
        Ok(record.map(|api_key| CreateApiKeyResponse { api_key: Some(api_key), key }))
    }

    async fn list_api_keys(
        &self,
        request: Request<ListApiKeysRequest>,
    ) -> Result<Response<ListApiKeysResponse>, Status> {
        let response = |result| match result {
            reply::Result::ListApiKeys(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::ReadKeys, |_| Ok(()), Operation::ListApiKeys, response).await
    }

    async fn rotate_api_key(
        &self,
        request: Request<RotateApiKeyRequest>,
    ) -> Result<Response<RotateApiKeyResponse>, Status> {
        let (key, hash) = self.make_key()?;
        let check = |request: &RotateApiKeyRequest| convert::rotation_order(request).map(drop);
        let operation = |request| Operation::MakeApiKey(MakeApiKey { hash, how: Some(How::Rotate(request)) });
        let record = self.front.carry(request, Action::ManageKeys, check, operation, made).await?;
        let key = if is_replayed(&record) { String::new() } else { key };
        Ok(record.map(|api_key| RotateApiKeyResponse { api_key: Some(api_key), key }))
    }

    async fn revoke_api_key(
        &self,
        request: Request<RevokeApiKeyRequest>,
    ) -> Result<Response<RevokeApiKeyResponse>, Status> {
        let response = |result| match result {
            reply::Result::RevokeApiKey(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::ManageKeys, |_| Ok(()), Operation::RevokeApiKey, response).await
    }
}
