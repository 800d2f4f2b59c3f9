//! Participants and their API keys: made, shown once, replaced, ended; each act on record.

use std::time::{Duration, Instant};

use harness::{
    BenchError,
    client::Client,
    system::{PARTICIPANTS, SPARE},
    wait,
};
use proto::participants::{
    ApiKey, CreateApiKeyRequest, CreateParticipantRequest, DisableParticipantRequest,
    EnableParticipantRequest, ListApiKeysRequest, ListParticipantsRequest, RevokeApiKeyRequest,
    RotateApiKeyRequest, RotateApiKeyResponse,
};
use tonic::{Code, Status};

use crate::bench::{Bench, Done, Refused, refused, run, unique};

/// Within this an act counts at every gateway.
const EVERYWHERE: Duration = Duration::from_secs(5);

impl Bench {
    /// An operator of the house.
    pub fn house(&self) -> Client {
        self.keyed(self.system.house_operator())
    }

    /// What a caller with this key is told: nothing if it is let in.
    pub async fn let_in(&self, key: &str) -> Result<(), Refused> {
        told(&self.keyed(key)).await
    }

    /// Waits until a key is let in, or no more; says how long that took.
    pub async fn until(&self, key: &str, let_in: bool) -> Result<Duration, BenchError> {
        let (client, began) = (self.keyed(key), Instant::now());
        let unknown = Err(Refused::new(Code::Unauthenticated, "UNAUTHENTICATED"));
        let look = || async {
            let found = told(&client).await;
            assert!(found.is_ok() || found == unknown, "{found:?}");
            (found.is_ok() == let_in).then_some(())
        };
        wait::until("the key is let in, or no more", EVERYWHERE, look).await?;
        Ok(began.elapsed())
    }

    /// A new participant, and a key of it with these roles that is let in.
    async fn newcomer(&self, roles: &[&str]) -> Result<(String, ApiKey, String), BenchError> {
        let name = unique("newcomer");
        create(&self.house(), &name).await?;
        let made = self.house().create_api_key(&unique("key"), &name, roles).await?;
        self.until(&made.key, true).await?;
        Ok((name, made.api_key.unwrap_or_default(), made.key))
    }
}

async fn told(client: &Client) -> Result<(), Refused> {
    match client.account(&format!("acc_{}", "1".repeat(32))).await {
        Err(status) if status.code() == Code::NotFound => Ok(()),
        Err(status) => Err(Refused::of(&status)),
        Ok(account) => panic!("nobody has {account:?}"),
    }
}

pub async fn create(client: &Client, name: &str) -> Result<bool, Status> {
    let request = client.request(CreateParticipantRequest { participant: name.to_owned() }, None);
    let response = client.participants.clone().create_participant(request).await?;
    Ok(response.metadata().contains_key("idempotent-replayed"))
}

pub async fn disable(client: &Client, name: &str) -> Result<(), Status> {
    let request = client.request(DisableParticipantRequest { participant: name.to_owned() }, None);
    client.participants.clone().disable_participant(request).await.map(drop)
}

pub async fn enable(client: &Client, name: &str) -> Result<(), Status> {
    let request = client.request(EnableParticipantRequest { participant: name.to_owned() }, None);
    client.participants.clone().enable_participant(request).await.map(drop)
}

async fn keys(client: &Client, participant: &str) -> Result<Vec<ApiKey>, Status> {
    let message = ListApiKeysRequest { participant: participant.to_owned(), ..ListApiKeysRequest::default() };
    let response = client.participants.clone().list_api_keys(client.request(message, None)).await?;
    Ok(response.into_inner().api_keys)
}

async fn revoke(client: &Client, id: &str) -> Result<ApiKey, Status> {
    let request = client.request(RevokeApiKeyRequest { api_key: id.to_owned() }, None);
    let response = client.participants.clone().revoke_api_key(request).await?;
    Ok(response.into_inner().api_key.unwrap_or_default())
}

async fn rotate(client: &Client, id: &str, overlap_s: i64) -> Result<RotateApiKeyResponse, Status> {
    let message = RotateApiKeyRequest {
        request_id: unique("rotation"),
        api_key: id.to_owned(),
        overlap: Some(prost_types::Duration { seconds: overlap_s, nanos: 0 }),
        ..RotateApiKeyRequest::default()
    };
    Ok(client.participants.clone().rotate_api_key(client.request(message, None)).await?.into_inner())
}

#[test]
fn a_key_is_shown_once_and_is_nowhere_afterwards() {
    run(async |bench| {
        let house = bench.house();
        let name = unique("newcomer");
        assert!(!create(&house, &name).await? && create(&house, &name).await?, "the second is a repeat");
        let request_id = unique("key");
        let made = house.create_api_key(&request_id, &name, &["payer-app", "auditor"]).await?;
        assert!(made.key.starts_with("rk_") && made.key.len() == 46, "{made:?}");
        bench.until(&made.key, true).await?;
        let record = made.api_key.ok_or("no record")?;
        assert_eq!((record.participant.as_str(), record.roles.len()), (name.as_str(), 2));

        let message = CreateApiKeyRequest {
            request_id: request_id.clone(),
            participant: name.clone(),
            roles: vec!["payer-app".to_owned(), "auditor".to_owned()],
            label: record.label.clone(),
            ..CreateApiKeyRequest::default()
        };
        let create =
            async |message| house.participants.clone().create_api_key(house.request(message, None)).await;
        let repeat = create(message.clone()).await?;
        assert!(repeat.metadata().contains_key("idempotent-replayed"));
        let repeat = repeat.into_inner();
        assert_eq!((repeat.key.as_str(), repeat.api_key.as_ref()), ("", Some(&record)));
        let other = CreateApiKeyRequest { label: "other".to_owned(), ..message };
        let reused = Refused::new(Code::FailedPrecondition, "REQUEST_ID_REUSED");
        assert_eq!(refused(create(other).await)?, reused);

        assert_eq!(keys(&house, &name).await?, [record]);
        let rows: Vec<String> =
            sqlx::query_scalar("SELECT api_keys::text || encode(hash, 'escape') FROM api_keys")
                .fetch_all(&mut bench.database().await?)
                .await?;
        let hash = blake3::hash(made.key.as_bytes()).to_hex();
        for row in rows {
            assert!(!row.contains(&made.key) && !row.contains(hash.as_str()), "{row}");
        }
        for log in ["gateway.log", "platform.log"] {
            let log = std::fs::read_to_string(bench.system.folder().join(log))?;
            assert!(!log.contains(&made.key));
        }
        Ok(())
    });
}

#[test]
fn a_revoked_key_is_refused_within_five_seconds() {
    run(async |bench| {
        let (name, record, key) = bench.newcomer(&["operator"]).await?;
        // By an operator of its own participant, with the very key that ends.
        let revoked = revoke(&bench.keyed(&key), &record.id).await?;
        assert!(revoked.revoke_time.is_some());
        let took = bench.until(&key, false).await?;
        assert!(took < EVERYWHERE, "{took:?}");
        assert_eq!(revoke(&bench.house(), &record.id).await?, revoked, "a repeat changes nothing");
        let ended = refused(rotate(&bench.house(), &record.id, 60).await)?;
        assert_eq!(ended, Refused::new(Code::FailedPrecondition, "API_KEY_ENDED"));
        let acts: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT act, by_participant, by_credential FROM identity_acts WHERE participant_id = $1 ORDER BY number",
        )
        .bind(&name)
        .fetch_all(&mut bench.database().await?)
        .await?;
        let acts: Vec<_> = acts.iter().map(|(act, by, _)| (act.as_str(), by.as_str())).collect();
        let by_house = ["CREATE_PARTICIPANT", "CREATE_API_KEY"].map(|act| (act, "house"));
        assert_eq!(acts, [by_house[0], by_house[1], ("REVOKE_API_KEY", name.as_str())]);
        Ok(())
    });
}

#[test]
fn a_rotated_key_works_as_long_as_it_overlaps() {
    run(async |bench| {
        let (name, record, key) = bench.newcomer(&["operator"]).await?;
        let rotated = rotate(&bench.keyed(&key), &record.id, 3).await?;
        let new = rotated.api_key.ok_or("no record")?;
        assert_eq!((&new.replaces, &new.roles, &new.label), (&record.id, &record.roles, &record.label));
        bench.until(&rotated.key, true).await?;
        assert_eq!(bench.let_in(&key).await, Ok(()), "both work");
        bench.until(&key, false).await?;
        assert_eq!(bench.let_in(&rotated.key).await, Ok(()));
        // Without an overlap the old one ends at once.
        let last = rotate(&bench.house(), &new.id, 0).await?;
        bench.until(&rotated.key, false).await?;
        bench.until(&last.key, true).await?;
        // Newest first; the last one has no end.
        let listed = keys(&bench.keyed(&last.key), "").await?;
        let ends: Vec<_> = listed.iter().map(|key| key.expire_time.is_some()).collect();
        assert_eq!(ends, [false, true, true], "{name}: {listed:?}");
        Ok(())
    });
}

#[test]
fn a_disabled_participant_is_not_let_in_by_any_key() {
    run(async |bench| {
        let house = bench.house();
        let in_file = bench.system.spare_operator().to_owned();
        assert_eq!(bench.let_in(&in_file).await, Ok(()));
        // There is no record of it so far: it stands in the gateway's file alone.
        let made = bench.keyed(&in_file).create_api_key(&unique("key"), "", &["auditor"]).await?;
        bench.until(&made.key, true).await?;
        for _ in 0..2 {
            disable(&house, SPARE).await?;
            for key in [&in_file, &made.key] {
                let took = bench.until(key, false).await?;
                assert!(took < EVERYWHERE, "{took:?}");
            }
        }
        for _ in 0..2 {
            enable(&house, SPARE).await?;
            bench.until(&in_file, true).await?;
            bench.until(&made.key, true).await?;
        }
        let own = refused(disable(&house, "house").await)?;
        assert_eq!(own, Refused::new(Code::FailedPrecondition, "OWN_PARTICIPANT"));
        let nobody = refused(enable(&house, "nobody-at-all").await)?;
        assert_eq!(nobody, Refused::new(Code::NotFound, "NOT_FOUND"));
        Ok(())
    });
}

#[test]
fn a_key_that_ends_by_itself_is_refused_then() {
    run(async |bench| {
        let (name, ..) = bench.newcomer(&["auditor"]).await?;
        let house = bench.house();
        let create = async |seconds: i64| {
            let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
            let seconds = i64::try_from(now).unwrap() + seconds;
            let message = CreateApiKeyRequest {
                request_id: unique("key"),
                participant: name.clone(),
                roles: vec!["auditor".to_owned()],
                label: "for a while".to_owned(),
                expire_time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
                ..CreateApiKeyRequest::default()
            };
            house.participants.clone().create_api_key(house.request(message, None)).await
        };
        let made = create(4).await?.into_inner();
        bench.until(&made.key, true).await?;
        bench.until(&made.key, false).await?;
        assert_eq!(refused(create(-1).await)?, Refused::invalid(&["expire_time"]));
        Ok(())
    });
}

#[test]
fn lists_are_whole_and_their_pages_ones_own() {
    run(async |bench| {
        let house = bench.house();
        for _ in 0..3 {
            create(&house, &unique("listed")).await?;
        }
        let mut names = Vec::new();
        let mut page_token = String::new();
        loop {
            let message = ListParticipantsRequest { page_size: 2, page_token };
            let request = house.request(message, None);
            let page = house.participants.clone().list_participants(request).await?.into_inner();
            assert!((1..=2).contains(&page.participants.len()));
            names.extend(page.participants.into_iter().map(|participant| participant.name));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert!(names.is_sorted() && names.iter().filter(|name| name.starts_with("listed-")).count() == 3);
        assert!(!names.iter().any(|name| name == "rialto-house"), "{names:?}");
        let list = async |client: &Client, participant: &str, page_token: &str| {
            let (participant, page_token) = (participant.to_owned(), page_token.to_owned());
            let message = ListApiKeysRequest { participant, page_size: 1, page_token };
            let request = client.request(message, None);
            client.participants.clone().list_api_keys(request).await.map(tonic::Response::into_inner)
        };
        let (name, first, key) = bench.newcomer(&["operator"]).await?;
        let second = bench.keyed(&key).create_api_key(&unique("key"), "", &["auditor"]).await?;
        let page = list(&house, &name, "").await?;
        assert_eq!(page.api_keys, [second.api_key.unwrap_or_default()]);
        let next = list(&house, &name, &page.next_page_token).await?;
        assert_eq!((next.api_keys, next.next_page_token.as_str()), (vec![first], ""));
        for (client, participant) in [(&bench.keyed(&key), ""), (&house, PARTICIPANTS[0]), (&house, "")] {
            let foreign = refused(list(client, participant, &page.next_page_token).await)?;
            assert_eq!(foreign, Refused::invalid(&["page_token"]));
        }
        Ok(())
    });
}

#[test]
fn everything_wrong_with_a_request_is_said_at_once() {
    run(async |bench| {
        let house = bench.house();
        let message =
            CreateApiKeyRequest { roles: vec!["king".to_owned()], ..CreateApiKeyRequest::default() };
        let bad = house.participants.clone().create_api_key(house.request(message, None)).await;
        assert_eq!(refused(bad)?, Refused::invalid(&["request_id", "roles", "label"]));
        let message = RotateApiKeyRequest {
            overlap: Some(prost_types::Duration { seconds: 31 * 86_400, nanos: 0 }),
            ..RotateApiKeyRequest::default()
        };
        let bad = house.participants.clone().rotate_api_key(house.request(message, None)).await;
        assert_eq!(refused(bad)?, Refused::invalid(&["request_id", "api_key", "overlap"]));
        for name in ["", "ab", "Shop", "rialto-house", "a b"] {
            assert_eq!(refused(create(&house, name).await)?, Refused::invalid(&["participant"]), "{name}");
            assert_eq!(refused(disable(&house, name).await)?, Refused::invalid(&["participant"]), "{name}");
        }
        assert_eq!(refused(revoke(&house, "key_1").await)?, Refused::invalid(&["api_key"]));
        let unknown = refused(house.create_api_key(&unique("key"), "nobody-at-all", &["auditor"]).await)?;
        assert_eq!(unknown, Refused::new(Code::NotFound, "NOT_FOUND"));
        Ok(())
    });
}

#[test]
fn a_participant_has_at_most_a_hundred_keys_that_work() {
    run(async |bench| {
        let (name, ..) = bench.newcomer(&["auditor"]).await?;
        let house = bench.house();
        let mut last = String::new();
        for _ in 1..100 {
            last = house
                .create_api_key(&unique("key"), &name, &["auditor"])
                .await?
                .api_key
                .unwrap_or_default()
                .id;
        }
        let one_more = async || house.create_api_key(&unique("key"), &name, &["auditor"]).await;
        let too_many = Refused::new(Code::FailedPrecondition, "TOO_MANY_API_KEYS");
        assert_eq!(refused(one_more().await)?, too_many);
        assert_eq!(refused(rotate(&house, &last, 60).await)?, too_many);
        revoke(&house, &last).await?;
        let done: Done = one_more().await.map(drop).map_err(Into::into);
        done
    });
}
