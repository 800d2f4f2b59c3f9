//! Tokens of an identity provider, on the whole system: whoever has one is who it says, and nobody else.

use std::time::Duration;

use harness::{client::Client, provider::claims, system::PARTICIPANTS};
use tonic::Code;

use crate::{
    administration::{disable, enable},
    bench::{Bench, Refused, refused, run, unique},
};

impl Bench {
    fn with_token(&self, subject: &str, participant: &str, roles: &[&str]) -> Client {
        self.keyed(&self.provider.token(&claims(subject, participant, roles)).unwrap())
    }
}

#[test]
fn a_token_shows_its_participants_things_to_its_roles() {
    run(async |bench| {
        let own = bench.funded(&bench.client(0), "EUR", 100).await?;
        let foreign = bench.funded(&bench.client(1), "EUR", 100).await?;
        let payer = bench.with_token("ada", PARTICIPANTS[0], &["payer-app"]);
        let auditor = bench.with_token("bea", PARTICIPANTS[0], &["auditor"]);
        for client in [&payer, &auditor] {
            assert_eq!(client.account(&own).await?.id, own);
            assert_eq!(refused(client.account(&foreign).await)?, Refused::new(Code::NotFound, "NOT_FOUND"));
        }
        let denied = Refused::new(Code::PermissionDenied, "PERMISSION_DENIED");
        assert_eq!(refused(auditor.open_account(&unique("account"), "Ada", "EUR", "").await)?, denied);
        assert_eq!(refused(payer.deposit(&unique("deposit"), &own, 1, "EUR", "aurora").await)?, denied);
        assert!(payer.open_account(&unique("account"), "Ada", "EUR", "").await.is_ok());
        Ok(())
    });
}

#[test]
fn a_disabled_participants_tokens_are_refused_within_five_seconds() {
    run(async |bench| {
        let name = unique("token-shop");
        let token = bench.provider.token(&claims("ada", &name, &["auditor"]))?;
        let house = bench.keyed(bench.system.house_operator());
        assert_eq!(bench.let_in(&token).await, Ok(()));
        disable(&house, &name).await?;
        let took = bench.until(&token, false).await?;
        assert!(took < Duration::from_secs(5), "{took:?}");
        enable(&house, &name).await?;
        bench.until(&token, true).await?;
        Ok(())
    });
}

#[test]
fn a_person_is_one_credential_whatever_token_they_hold() {
    run(async |bench| {
        let name = unique("token-shop");
        let mut credentials = Vec::new();
        for (subject, roles) in
            [("ada", &["operator"][..]), ("ada", &["operator", "auditor"]), ("bea", &["operator"])]
        {
            let operator = bench.with_token(subject, &name, roles);
            let made = operator.create_api_key(&unique("key"), "", &["operator"]).await?;
            let id = made.api_key.unwrap_or_default().id.replace("key_", "");
            let credential: (String, String) = sqlx::query_as(
                "SELECT a.by_credential, k.credential FROM identity_acts a JOIN api_keys k ON k.id = a.api_key_id
                 WHERE k.id = $1::uuid",
            )
            .bind(id)
            .fetch_one(&mut bench.database().await?)
            .await?;
            // The key that somebody makes is theirs in four-eyes rules.
            assert_eq!(credential.0, credential.1);
            credentials.push(credential.0);
        }
        assert_eq!(credentials[0], credentials[1]);
        assert_ne!(credentials[0], credentials[2]);
        Ok(())
    });
}
