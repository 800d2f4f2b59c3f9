//! Requests about participants and API keys.

use std::time::{Duration, SystemTime};

use common::{
    fault::Violation,
    id::ApiKeyId,
    order::{ApiKeyOrder, RotationOrder},
    role::Role,
    text,
    verification_key::VerificationKey,
};

use super::order::{check, check_readable};
use crate::participants::{CreateApiKeyRequest, RotateApiKeyRequest};

/// The longest that a key which is replaced still works.
const MAX_OVERLAP: Duration = Duration::from_secs(30 * 86_400);

/// Reads the name of a participant in the field `participant`.
///
/// # Errors
/// What is wrong with it.
pub fn participant(name: &str) -> Result<(), Vec<Violation>> {
    text::participant(name).map_err(|complaint| vec![Violation::new("participant", complaint)])
}

/// Reads an order for an API key; whether its end is in the future is for the platform to say.
///
/// # Errors
/// Everything that is wrong with it.
pub fn api_key_order(wire: &CreateApiKeyRequest) -> Result<ApiKeyOrder, Vec<Violation>> {
    let mut violations = Vec::new();
    check("request_id", text::request_id(&wire.request_id), &mut violations);
    if !wire.participant.is_empty() {
        check("participant", text::participant(&wire.participant), &mut violations);
    }
    let roles: Vec<Role> = Role::ALL.into_iter().filter(|role| has(&wire.roles, *role)).collect();
    if roles.is_empty() || roles.len() != wire.roles.len() {
        let names = Role::ALL.map(Role::name).join(", ");
        violations.push(Violation::new("roles", format!("must be some of {names}, each once")));
    }
    check_readable("label", &wire.label, &mut violations);
    let expires_at = end(wire.expire_time.as_ref(), &mut violations);
    let verification_key = verification_key(&wire.verification_key, &mut violations);
    if !violations.is_empty() {
        return Err(violations);
    }
    Ok(ApiKeyOrder {
        request_id: wire.request_id.clone(),
        participant: Some(wire.participant.clone()).filter(|name| !name.is_empty()),
        roles,
        label: wire.label.clone(),
        expires_at,
        verification_key,
    })
}

fn has(names: &[String], role: Role) -> bool {
    names.iter().any(|name| name == role.name())
}

/// Reads an order to rotate an API key; whether the new one's end is in the future is for the platform to say.
///
/// # Errors
/// Everything that is wrong with it.
pub fn rotation_order(wire: &RotateApiKeyRequest) -> Result<RotationOrder, Vec<Violation>> {
    let mut violations = Vec::new();
    check("request_id", text::request_id(&wire.request_id), &mut violations);
    let api_key = super::id("api_key", &wire.api_key, "key_", ApiKeyId::parse, &mut violations);
    let overlap = super::duration(&wire.overlap.unwrap_or_default());
    let overlap = overlap.filter(|overlap| *overlap <= MAX_OVERLAP);
    if overlap.is_none() {
        violations.push(Violation::new("overlap", "must be from 0 s to 30 days"));
    }
    let expires_at = end(wire.expire_time.as_ref(), &mut violations);
    let verification_key = verification_key(&wire.verification_key, &mut violations);
    match (api_key, overlap) {
        (Some(api_key), Some(overlap)) if violations.is_empty() => {
            let request_id = wire.request_id.clone();
            Ok(RotationOrder { request_id, api_key, overlap, expires_at, verification_key })
        }
        _ => Err(violations),
    }
}

fn verification_key(wire: &[u8], violations: &mut Vec<Violation>) -> Option<VerificationKey> {
    let key = (!wire.is_empty()).then(|| VerificationKey::read(wire))?;
    key.map_err(|what| violations.push(Violation::new("verification_key", what))).ok()
}

fn end(wire: Option<&prost_types::Timestamp>, violations: &mut Vec<Violation>) -> Option<SystemTime> {
    let wire = wire?;
    let end = super::time(wire);
    if end.is_none() {
        violations.push(Violation::new("expire_time", "must be a time from 1970 to 9999"));
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> CreateApiKeyRequest {
        CreateApiKeyRequest {
            request_id: "r-1".to_owned(),
            roles: vec!["operator".to_owned(), "payer-app".to_owned()],
            label: "web shop".to_owned(),
            ..CreateApiKeyRequest::default()
        }
    }

    #[test]
    fn roles_are_known_and_stand_once() {
        assert_eq!(
            api_key_order(&order()).map(|order| order.roles),
            Ok(vec![Role::PayerApp, Role::Operator])
        );
        for roles in [vec![], vec!["king"], vec!["operator", "king"], vec!["auditor", "auditor"], vec![""]] {
            let roles = roles.into_iter().map(str::to_owned).collect();
            let violations = api_key_order(&CreateApiKeyRequest { roles, ..order() }).expect_err("bad roles");
            assert_eq!(violations.len(), 1, "{violations:?}");
            assert_eq!(violations[0].field, "roles");
        }
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let time = Some(prost_types::Timestamp { seconds: -1, nanos: 0 });
        let wire = CreateApiKeyRequest {
            participant: "X".to_owned(),
            expire_time: time,
            ..CreateApiKeyRequest::default()
        };
        let violations = api_key_order(&wire).expect_err("bad");
        let fields: Vec<&str> = violations.iter().map(|v| v.field.as_str()).collect();
        assert_eq!(fields, ["request_id", "participant", "roles", "label", "expire_time"]);
        for (seconds, nanos) in [
            (-1, 0),
            (30 * 86_400 + 1, 0),
            (30 * 86_400, 1),
            (i64::MIN, 0),
            (i64::MAX, i32::MAX),
            (0, i32::MIN),
            (1, -1),
        ] {
            let overlap = Some(prost_types::Duration { seconds, nanos });
            let wire = RotateApiKeyRequest { overlap, expire_time: time, ..RotateApiKeyRequest::default() };
            let violations = rotation_order(&wire).expect_err("bad");
            let fields: Vec<&str> = violations.iter().map(|v| v.field.as_str()).collect();
            assert_eq!(fields, ["request_id", "api_key", "overlap", "expire_time"]);
        }
    }
}
