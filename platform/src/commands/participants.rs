//! Participants and their API keys.

use std::time::SystemTime;

use common::{
    fault::Fault,
    id::{ActId, ApiKeyId},
};
use proto::{
    convert,
    participants::{
        CreateApiKeyRequest, CreateParticipantRequest, CreateParticipantResponse, DisableParticipantRequest,
        DisableParticipantResponse, EnableParticipantRequest, EnableParticipantResponse, ListApiKeysRequest,
        ListApiKeysResponse, ListParticipantsRequest, ListParticipantsResponse, RevokeApiKeyRequest,
        RevokeApiKeyResponse, RotateApiKeyRequest,
    },
    platform::{MakeApiKey, make_api_key::How, reply},
};

use super::{Commands, Done, invalid, parse_id};
use crate::{
    domain::{ledger::Declined, payment::Fingerprint},
    flow::intake::Caller,
    store::{
        acts::By,
        api_keys::{ApiKey, Made, NewApiKey},
    },
    wire,
};

impl Commands {
    pub(super) async fn create_participant(
        &self,
        caller: &Caller,
        request: CreateParticipantRequest,
    ) -> Done {
        let by = self.house_operator(caller)?;
        convert::participant(&request.participant).map_err(Fault::invalid)?;
        let (participant, replayed) = self.flow.store().create_participant(&request.participant, &by).await?;
        let response = CreateParticipantResponse { participant: Some(wire::participant(&participant)) };
        Ok((reply::Result::CreateParticipant(response), replayed))
    }

    pub(super) async fn list_participants(&self, caller: &Caller, request: ListParticipantsRequest) -> Done {
        const LIST: &str = "participants";
        self.house_operator(caller)?;
        let mut violations = Vec::new();
        let size = convert::page_size(request.page_size, &mut violations);
        let after = match request.page_token.as_str() {
            "" => Some(String::new()),
            token => self.page_tokens.read_name(LIST, token),
        };
        if after.is_none() {
            violations.push(super::bad_page_token());
        }
        let (Some(size), Some(after)) = (size, after) else { return Err(Fault::invalid(violations)) };
        let mut participants = self.flow.store().participants(&after, size + 1).await?;
        let has_more = super::cut(&mut participants, size);
        let last = participants.last().filter(|_| has_more);
        let next_page_token =
            last.map(|last| self.page_tokens.make_name(LIST, &last.name)).unwrap_or_default();
        let participants = participants.iter().map(wire::participant).collect();
        let response = ListParticipantsResponse { participants, next_page_token };
        Ok((reply::Result::ListParticipants(response), false))
    }

    pub(super) async fn disable_participant(
        &self,
        caller: &Caller,
        request: DisableParticipantRequest,
    ) -> Done {
        let by = self.house_operator(caller)?;
        convert::participant(&request.participant).map_err(Fault::invalid)?;
        if request.participant == caller.participant {
            let message = "nobody would be left to enable it again: let an operator of another house do it";
            return Err(Fault::precondition("OWN_PARTICIPANT", message));
        }
        let participant = self.flow.store().disable_participant(&request.participant, &by).await?;
        self.callers.look_again();
        let response = DisableParticipantResponse { participant: Some(wire::participant(&participant)) };
        Ok((reply::Result::DisableParticipant(response), false))
    }

    pub(super) async fn enable_participant(
        &self,
        caller: &Caller,
        request: EnableParticipantRequest,
    ) -> Done {
        let by = self.house_operator(caller)?;
        convert::participant(&request.participant).map_err(Fault::invalid)?;
        let participant = self.flow.store().enable_participant(&request.participant, &by).await?;
        let participant = participant.ok_or_else(|| Fault::not_found("participant"))?;
        self.callers.look_again();
        let response = EnableParticipantResponse { participant: Some(wire::participant(&participant)) };
        Ok((reply::Result::EnableParticipant(response), false))
    }

    pub(super) async fn make_api_key(&self, caller: &Caller, command: MakeApiKey) -> Done {
        let by = self.operator(caller)?;
        let hash = <[u8; 32]>::try_from(command.hash).map_err(|_| invalid("hash", "must have 32 bytes"))?;
        let (record, replaced_ends_at) = match command.how {
            Some(How::Create(request)) => (self.new_key(caller, request, by.at)?, None),
            Some(How::Rotate(request)) => self.rotated_key(caller, request, by.at).await?,
            None => return Err(invalid("how", "required")),
        };
        let before = self.flow.store().api_key_by_request(by.participant, &record.request_id).await?;
        if let Some(before) = before {
            return repeated(before, record.fingerprint);
        }
        if record.expires_at.is_some_and(|end| end <= by.at) {
            return Err(invalid("expire_time", "must be in the future"));
        }
        let fingerprint = record.fingerprint;
        let new = NewApiKey { record, hash, replaced_ends_at };
        match self.flow.store().make_api_key(&new, &by).await? {
            Made::Now(made) => {
                self.callers.look_again();
                Ok((reply::Result::MakeApiKey(wire::api_key(&made)), false))
            }
            Made::Before(before) => repeated(before, fingerprint),
            Made::NoParticipant => Err(Fault::not_found("participant")),
            Made::TooMany => {
                let message = "the participant has 100 API keys that work: revoke some first";
                Err(Fault::precondition("TOO_MANY_API_KEYS", message))
            }
            Made::Ended => {
                Err(Fault::precondition("API_KEY_ENDED", "the API key works no more: make a new one"))
            }
        }
    }

    fn new_key(
        &self,
        caller: &Caller,
        request: CreateApiKeyRequest,
        now: SystemTime,
    ) -> Result<ApiKey, Fault> {
        let order = convert::api_key_order(&request).map_err(Fault::invalid)?;
        let participant = whose(caller, order.participant.as_deref())?;
        let id = ApiKeyId::new(self.flow.clock());
        // Otherwise one operator could be the other pair of eyes as well.
        let is_own = participant == caller.participant;
        let credential = if is_own { caller.actor.clone() } else { id.to_string() };
        Ok(ApiKey {
            id,
            participant,
            roles: order.roles,
            label: order.label,
            credential,
            replaces: None,
            request_id: order.request_id,
            fingerprint: self.fingerprints.of_operation("CreateApiKey", &request),
            created_at: now,
            expires_at: order.expires_at,
            revoked_at: None,
            verification_key: order.verification_key,
        })
    }

    async fn rotated_key(
        &self,
        caller: &Caller,
        request: RotateApiKeyRequest,
        now: SystemTime,
    ) -> Result<(ApiKey, Option<SystemTime>), Fault> {
        let order = convert::rotation_order(&request).map_err(Fault::invalid)?;
        let replaced = self.api_key_of(caller, order.api_key).await?;
        // Otherwise an operator could take over another's key, and be the other pair of eyes as well.
        let is_own = replaced.participant == caller.participant;
        let credential = if is_own { caller.actor.clone() } else { replaced.credential.clone() };
        let record = ApiKey {
            id: ApiKeyId::new(self.flow.clock()),
            credential,
            replaces: Some(replaced.id),
            request_id: order.request_id,
            fingerprint: self.fingerprints.of_operation("RotateApiKey", &request),
            created_at: now,
            expires_at: order.expires_at,
            revoked_at: None,
            verification_key: order.verification_key.or(replaced.verification_key),
            ..replaced
        };
        Ok((record, now.checked_add(order.overlap)))
    }

    pub(super) async fn list_api_keys(&self, caller: &Caller, request: ListApiKeysRequest) -> Done {
        let mut violations = Vec::new();
        let asked = Some(request.participant.as_str()).filter(|name| !name.is_empty());
        if let Some(Err(wrong)) = asked.map(convert::participant) {
            violations.extend(wrong);
        }
        let list = format!("{}/api-keys/{}", caller.participant, request.participant);
        let page = self.page(&list, request.page_size, &request.page_token, violations)?;
        let participant = whose(caller, asked)?;
        let store = self.flow.store();
        if participant != caller.participant && !store.has_participant(&participant).await? {
            return Err(Fault::not_found("participant"));
        }
        let mut keys = store.api_keys(&participant, page.before, page.size + 1).await?;
        let next_page_token = self.next(&list, &page, &mut keys, |key| key.id.uuid());
        let api_keys = keys.iter().map(wire::api_key).collect();
        Ok((reply::Result::ListApiKeys(ListApiKeysResponse { api_keys, next_page_token }), false))
    }

    pub(super) async fn revoke_api_key(&self, caller: &Caller, request: RevokeApiKeyRequest) -> Done {
        let by = self.operator(caller)?;
        let id = parse_id("api_key", &request.api_key, "key_", ApiKeyId::parse)?;
        let id = self.api_key_of(caller, id).await?.id;
        let revoked = self.flow.store().revoke_api_key(id, &by).await?;
        self.callers.look_again();
        let response = RevokeApiKeyResponse { api_key: Some(wire::api_key(&revoked)) };
        Ok((reply::Result::RevokeApiKey(response), false))
    }

    /// A key that the caller may manage.
    async fn api_key_of(&self, caller: &Caller, id: ApiKeyId) -> Result<ApiKey, Fault> {
        let key = self.flow.store().api_key(id).await?;
        let may_manage = |key: &ApiKey| caller.is_house || key.participant == caller.participant;
        key.filter(may_manage).ok_or_else(|| Fault::not_found("API key"))
    }

    pub(super) fn operator<'a>(&self, caller: &'a Caller) -> Result<By<'a>, Fault> {
        if caller.actor.is_empty() {
            return Err(invalid("actor", "the command must say whose credential it was"));
        }
        if caller.deadline.is_too_short() {
            return Err(Fault::deadline_too_short());
        }
        let clock = self.flow.clock();
        let (participant, credential) = (&caller.participant, &caller.actor);
        Ok(By { act: ActId::new(clock), participant, credential, at: clock.now() })
    }

    pub(super) fn house_operator<'a>(&self, caller: &'a Caller) -> Result<By<'a>, Fault> {
        if !caller.is_house {
            return Err(Fault::permission_denied("only operators of the house administer participants"));
        }
        self.operator(caller)
    }
}

/// What an earlier request with the same id made, if it asked for the same.
fn repeated(before: ApiKey, fingerprint: Fingerprint) -> Done {
    if before.fingerprint != fingerprint {
        return Err(Declined::RequestIdReused.into());
    }
    Ok((reply::Result::MakeApiKey(wire::api_key(&before)), true))
}

/// Who is meant: the caller's own, or whoever's the house names. Others learn nothing of whom there is.
pub(super) fn whose(caller: &Caller, asked: Option<&str>) -> Result<String, Fault> {
    match asked {
        Some(other) if other != caller.participant && !caller.is_house => {
            Err(Fault::not_found("participant"))
        }
        Some(named) => Ok(named.to_owned()),
        None => Ok(caller.participant.clone()),
    }
}
