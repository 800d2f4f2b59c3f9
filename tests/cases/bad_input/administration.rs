//! Participants and API keys that do not come to be, or to an end.

use proto::participants::{
    CreateApiKeyRequest, CreateParticipantRequest, DisableParticipantRequest, EnableParticipantRequest,
    ListApiKeysRequest, RevokeApiKeyRequest, RotateApiKeyRequest,
};

use crate::{
    bench::{Given, Row, invalid, nobody, not_found, unique},
    values,
};

const CREATE_PARTICIPANT: &str = "/rialto.participants.v1.ParticipantService/CreateParticipant";
const DISABLE: &str = "/rialto.participants.v1.ParticipantService/DisableParticipant";
const ENABLE: &str = "/rialto.participants.v1.ParticipantService/EnableParticipant";
const CREATE_KEY: &str = "/rialto.participants.v1.ParticipantService/CreateApiKey";
const ROTATE: &str = "/rialto.participants.v1.ParticipantService/RotateApiKey";
const REVOKE: &str = "/rialto.participants.v1.ParticipantService/RevokeApiKey";
const LIST_KEYS: &str = "/rialto.participants.v1.ParticipantService/ListApiKeys";

/// Everything that is wrong with an act on who may call.
pub fn rows(given: &Given) -> Vec<Row> {
    let mut rows = key_rows(given);
    for (name, participant) in values::participants() {
        let create = CreateParticipantRequest { participant: participant.clone() };
        let disable = DisableParticipantRequest { participant: participant.clone() };
        let enable = EnableParticipantRequest { participant: participant.clone() };
        let field = || invalid(&["participant"]);
        rows.push(given.house_row(0, CREATE_PARTICIPANT, name, &create, field()));
        rows.push(given.house_row(0, DISABLE, name, &disable, field()));
        rows.push(given.house_row(0, ENABLE, name, &enable, field()));
        if !participant.is_empty() {
            let list = ListApiKeysRequest { participant, ..ListApiKeysRequest::default() };
            rows.push(given.house_row(0, LIST_KEYS, name, &list, field()));
        }
    }
    let stranger = EnableParticipantRequest { participant: "nobody-at-all".to_owned() };
    rows.push(given.house_row(0, ENABLE, "nobody", &stranger, not_found()));
    rows
}

fn key_rows(given: &Given) -> Vec<Row> {
    let good = || CreateApiKeyRequest {
        request_id: unique("bad-key"),
        roles: vec!["auditor".to_owned()],
        label: "canary-label".to_owned(),
        ..CreateApiKeyRequest::default()
    };
    let rotation = || RotateApiKeyRequest {
        request_id: unique("bad-key"),
        api_key: nobody("key_"),
        ..RotateApiKeyRequest::default()
    };
    let mut rows = vec![
        given.row(
            47,
            CREATE_KEY,
            "empty",
            &CreateApiKeyRequest::default(),
            invalid(&["request_id", "roles", "label"]),
        ),
        given.row(47, ROTATE, "empty", &RotateApiKeyRequest::default(), invalid(&["request_id", "api_key"])),
        given.row(0, ROTATE, "no key", &rotation(), not_found()),
        given.row(0, REVOKE, "no key", &RevokeApiKeyRequest { api_key: nobody("key_") }, not_found()),
    ];
    let roles = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    for (name, roles) in [
        ("none", vec![]),
        ("one that there is not", roles(&["king"])),
        ("one twice", roles(&["auditor", "auditor"])),
        ("an empty one", roles(&[""])),
        ("in capitals", roles(&["AUDITOR"])),
        ("Cyrillic", roles(&["аuditor"])),
        ("5,000", vec!["auditor".to_owned(); 5_000]),
        ("one of 50,000 letters", vec!["x".repeat(50_000)]),
    ] {
        let request = CreateApiKeyRequest { roles, ..good() };
        rows.push(given.row(76, CREATE_KEY, format!("roles: {name}"), &request, invalid(&["roles"])));
    }
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    for (name, seconds, nanos) in [
        ("before 1970", -1, 0),
        ("year 10000", 253_402_300_800, 0),
        ("nanos -1", now + 3_600, -1),
        ("a whole second of nanos", now + 3_600, 1_000_000_000),
        ("a second ago", now - 1, 0),
    ] {
        let expire_time = Some(prost_types::Timestamp { seconds, nanos });
        let request = CreateApiKeyRequest { expire_time, ..good() };
        rows.push(given.row(
            77,
            CREATE_KEY,
            format!("expire_time: {name}"),
            &request,
            invalid(&["expire_time"]),
        ));
    }
    for (name, seconds, nanos) in [
        ("a second less than nothing", -1, 0),
        ("a nanosecond less than nothing", 0, -1),
        ("more than 30 days", 30 * 86_400, 1),
        ("the largest", i64::MAX, 999_999_999),
        ("the smallest", i64::MIN, 0),
        ("signs that differ", 1, -1_500_000_000),
    ] {
        let overlap = Some(prost_types::Duration { seconds, nanos });
        let request = RotateApiKeyRequest { overlap, ..rotation() };
        rows.push(given.row(77, ROTATE, format!("overlap: {name}"), &request, invalid(&["overlap"])));
    }
    for (name, request_id) in values::request_ids() {
        let create = CreateApiKeyRequest { request_id: request_id.clone(), ..good() };
        let rotate = RotateApiKeyRequest { request_id, ..rotation() };
        rows.push(given.row(85, CREATE_KEY, name, &create, invalid(&["request_id"])));
        rows.push(given.row(85, ROTATE, name, &rotate, invalid(&["request_id"])));
    }
    let mut odd = [0; 32];
    odd[31] = 0x80;
    for (name, verification_key) in [
        ("31 bytes", vec![7; 31]),
        ("33 bytes", vec![7; 33]),
        ("one byte", vec![0]),
        ("in base64", b"JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=".to_vec()),
        ("50,000 bytes", vec![7; 50_000]),
        ("never filled in", vec![0; 32]),
        ("of small order", odd.to_vec()),
    ] {
        let create = CreateApiKeyRequest { verification_key: verification_key.clone(), ..good() };
        let rotate = RotateApiKeyRequest { verification_key, ..rotation() };
        let name = format!("verification_key: {name}");
        rows.push(given.row(0, CREATE_KEY, name.clone(), &create, invalid(&["verification_key"])));
        rows.push(given.row(0, ROTATE, name, &rotate, invalid(&["verification_key"])));
    }
    for (name, label) in values::texts() {
        rows.push(given.row(
            64,
            CREATE_KEY,
            name,
            &CreateApiKeyRequest { label, ..good() },
            invalid(&["label"]),
        ));
    }
    for (name, api_key) in values::ids("key_") {
        let rotate = RotateApiKeyRequest { api_key: api_key.clone(), ..rotation() };
        rows.push(given.row(58, ROTATE, name, &rotate, invalid(&["api_key"])));
        rows.push(given.row(58, REVOKE, name, &RevokeApiKeyRequest { api_key }, invalid(&["api_key"])));
    }
    rows
}
