//! What operators are told of the settings that decide how fast and how safe the system is.

use proto::operations::{GetSettingsRequest, Settings, TransportSecurity};
use tonic::Code;

use crate::bench::{Bench, Refused, run};

async fn settings(bench: &Bench, participant: usize) -> Result<Settings, Refused> {
    let client = bench.client(participant);
    let request = client.request(GetSettingsRequest {}, None);
    let answer = client.operations.clone().get_settings(request).await;
    answer.map(|answer| answer.into_inner().settings.unwrap()).map_err(|status| Refused::of(&status))
}

#[test]
fn operators_hear_what_the_database_itself_says() {
    run(async |bench| {
        let told = settings(bench, 0).await.unwrap();
        let database = told.database.unwrap();
        let mut connection = bench.database().await?;
        let mut says = async |setting: &str| -> String {
            let says = sqlx::query_scalar("SELECT current_setting($1)").bind(setting);
            says.fetch_one(&mut connection).await.unwrap()
        };
        assert_eq!(database.version, says("server_version").await);
        assert_eq!(database.synchronous_commit, says("synchronous_commit").await);
        assert_eq!(database.fsync, says("fsync").await == "on");
        assert_eq!(database.full_page_writes, says("full_page_writes").await == "on");
        assert_eq!(database.data_checksums, says("data_checksums").await == "on");
        Ok(())
    });
}

#[test]
fn operators_hear_of_every_hop_and_service() {
    run(async |bench| {
        let told = settings(bench, 0).await.unwrap();
        let hops: Vec<(&str, &str)> =
            told.hops.iter().map(|hop| (hop.from.as_str(), hop.to.as_str())).collect();
        let expected = [
            ("callers", "gateway"),
            ("gateway", "platform"),
            ("platform", "channel"),
            ("platform", "postgresql"),
            ("channel", "aurora"),
            ("channel", "meridian"),
            ("channel", "sakura"),
        ];
        assert_eq!(hops, expected);
        // The bench's PostgreSQL listens without TLS.
        let plain = told.hops.iter().filter(|hop| hop.security() != TransportSecurity::Tls);
        let plain: Vec<&str> = plain.map(|hop| hop.to.as_str()).collect();
        assert_eq!(plain, ["postgresql"], "{:?}", told.hops);
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!([&told.gateway_version, &told.platform_version, &told.channel_version], [version; 3]);
        let ledger = told.ledger.unwrap();
        assert_eq!((ledger.writers, ledger.max_batch, ledger.max_under_way), (1, 256, 4096));
        assert_eq!(told.traces_per_mille, 0, "traces go nowhere");
        Ok(())
    });
}

#[test]
fn nobody_else_hears_of_the_settings() {
    run(async |bench| {
        let refused = settings(bench, 2).await.unwrap_err();
        assert_eq!(refused, Refused::new(Code::PermissionDenied, "PERMISSION_DENIED"));
        Ok(())
    });
}
