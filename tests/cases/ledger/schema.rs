//! The schema is made, checked and explained; a database that loses money is refused.

use harness::postgres::{Postgres, own_folder};
use platform::store::schema::{SchemaError, check, migrate};

use crate::{
    bench::World,
    databases::{Database, connect, database, empty_database, number, server, sql},
};

#[tokio::test]
async fn migrating_works_twice_at_once_and_again() {
    let options = empty_database().await;
    assert!(matches!(check(&options).await, Err(SchemaError::Behind(1))));
    let (one, two) = tokio::join!(migrate(&options), migrate(&options));
    one.unwrap();
    two.unwrap();
    migrate(&options).await.unwrap();
    check(&options).await.unwrap();
    assert_eq!(number(&options, "SELECT count(*) FROM installation").await, 1);
    sql(&options, "UPDATE _sqlx_migrations SET success = false WHERE version = 1").await;
    let error = check(&options).await.unwrap_err();
    assert!(error.to_string().contains("migration 1"), "{error}");
}

#[tokio::test]
async fn a_database_that_loses_money_is_refused() {
    let options = database(None).await;
    let name = options.get_database().unwrap().to_owned();
    check(&options).await.unwrap();
    for (value, refused) in [("off", true), ("local", false), ("on", false)] {
        sql(&options, &format!("ALTER DATABASE {name} SET synchronous_commit = {value}")).await;
        let found = check(&options).await;
        assert_eq!(found.is_err(), refused, "{value}: {found:?}");
        if let Err(error) = found {
            assert!(error.to_string().contains("synchronous_commit"), "{error}");
        }
    }
}

#[tokio::test]
async fn every_unsafe_setting_is_named() {
    let settings = ["fsync=off", "full_page_writes=off", "synchronous_commit=off"];
    let unsafe_server = Postgres::start(&own_folder("unsafe").unwrap(), &settings).await.unwrap();
    let error = check(&unsafe_server.options("postgres")).await.unwrap_err();
    for setting in settings {
        let name = setting.trim_end_matches("=off");
        assert!(error.to_string().contains(&format!("{name} is off")), "{error}");
    }
}

/// An administrator made the role and granted it, as the migration's complaint asks for; the owner has no more rights.
#[tokio::test]
async fn an_owner_without_rights_on_roles_can_migrate() {
    let options = empty_database().await;
    let name = options.get_database().unwrap().to_owned();
    sql(&options, "CREATE ROLE plain_owner LOGIN PASSWORD 'secret'; GRANT rialto_platform TO plain_owner")
        .await;
    sql(&options, &format!("ALTER DATABASE {name} OWNER TO plain_owner")).await;
    let owner = server().await.options(&name).username("plain_owner").password("secret");
    migrate(&owner).await.unwrap();
    check(&owner).await.unwrap();
    World::on(Database(owner)).await.assert_balanced().await;
}

#[tokio::test]
async fn every_table_and_column_is_explained() {
    let unexplained = "SELECT format('%s.%s', c.relname, a.attname) FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relkind = 'r' AND c.relname <> '_sqlx_migrations'
          AND (obj_description(c.oid) IS NULL OR col_description(c.oid, a.attnum) IS NULL)";
    let options = database(None).await;
    let mut connection = connect(&options).await;
    let found: Vec<String> = sqlx::query_scalar(unexplained).fetch_all(&mut connection).await.unwrap();
    assert_eq!(found, Vec::<String>::new());
}
