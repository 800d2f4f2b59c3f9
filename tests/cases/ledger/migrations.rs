//! Migrations: killed at any statement, they are run again as if nothing had happened; behind somebody's lock they give up, and payments go
//! on; and a version works on the schema of the next.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use platform::store::schema::{SchemaError, check, migrate};
use sqlx::{Connection, PgConnection, migrate::Migrator, postgres::PgConnectOptions};

use crate::{
    bench::World,
    databases::{connect, database, empty_database, number, sql},
};

/// The migrations, to run some of them.
static MIGRATIONS: Migrator = sqlx::migrate!("../platform/migrations");

/// Everything that makes a schema, in words.
const SCHEMA: &str = "
    SELECT line FROM (
        SELECT format('table %s %s %s', c.oid::regclass, c.relkind, c.relacl) FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT format('column %s.%s %s %s %s %s', a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                      pg_get_expr(d.adbin, d.adrelid), a.attacl)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relnamespace = 'public'::regnamespace
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT format('constraint %s %s %s %s', conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid)) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
        UNION ALL
        SELECT format('index %s %s', indisvalid, pg_get_indexdef(indexrelid)) FROM pg_index i
        JOIN pg_class c ON c.oid = i.indrelid AND c.relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT format('trigger %s %s', pg_get_triggerdef(t.oid), t.tgenabled) FROM pg_trigger t
        JOIN pg_class c ON c.oid = t.tgrelid AND c.relnamespace = 'public'::regnamespace WHERE NOT t.tgisinternal
        UNION ALL
        SELECT format('function %s %s', pg_get_functiondef(oid), proacl) FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND proname <> 'killed_at'
        UNION ALL
        SELECT format('view %s %s', c.oid::regclass, pg_get_viewdef(c.oid)) FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v'
        UNION ALL
        SELECT format('comment %s %s %s', classoid::regclass, pg_describe_object(classoid, objoid, objsubid), description) FROM pg_description
        WHERE pg_describe_object(classoid, objoid, objsubid) LIKE '%table%'
        UNION ALL
        SELECT format('migration %s %s', version, success) FROM _sqlx_migrations
    ) AS lines (line) ORDER BY line";

async fn schema(options: &PgConnectOptions) -> Vec<String> {
    let mut connection = connect(options).await;
    sqlx::query_scalar(SCHEMA).fetch_all(&mut connection).await.unwrap()
}

/// How many migrations are done.
async fn applied(connection: &mut PgConnection) -> i64 {
    let is_there = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
    let done = "SELECT count(*) FROM _sqlx_migrations WHERE success";
    match sqlx::query_scalar(is_there).fetch_one(&mut *connection).await.unwrap() {
        true => sqlx::query_scalar(done).fetch_one(connection).await.unwrap(),
        false => 0,
    }
}

/// Every third statement, from another one on in each run, so that each is met in some; with RIALTO_EVERY_STATEMENT all in one.
fn stride() -> usize {
    if std::env::var_os("RIALTO_EVERY_STATEMENT").is_some() { 1 } else { 3 }
}

#[tokio::test]
async fn a_migration_that_is_killed_at_any_statement_is_run_again() {
    let new = database(None).await;
    let expected = schema(&new).await;
    let options = empty_database().await;
    sql(
        &options,
        "CREATE FUNCTION killed_at() RETURNS event_trigger LANGUAGE plpgsql AS $$
         DECLARE statement int := coalesce(nullif(current_setting('bench.statement', true), ''), '0')::int + 1;
         BEGIN
             PERFORM set_config('bench.statement', statement::text, false);
             IF statement = current_setting('bench.kill_at', true)::int THEN
                 PERFORM pg_terminate_backend(pg_backend_pid());
             END IF;
         END $$;
         CREATE EVENT TRIGGER killed_at ON ddl_command_start EXECUTE FUNCTION killed_at()",
    )
    .await;
    let mut looking = connect(&options).await;
    let first = rand::random_range(1..=stride());
    let (mut done, mut statement, mut kills) = (0, first, 0);
    loop {
        let killed = options.clone().options([("bench.kill_at", statement.to_string())]);
        match migrate(&killed).await {
            Ok(()) => break,
            Err(error) => {
                assert!(error.to_string().contains("terminating connection"), "{statement}: {error}")
            }
        }
        kills += 1;
        statement += stride();
        let applied = applied(&mut looking).await;
        if applied > done {
            // What is done is not begun again: statements are counted from the next migration's first.
            (done, statement) = (applied, first);
        }
    }
    assert!(kills > 80, "{kills} from {first} on");
    sql(&options, "DROP EVENT TRIGGER killed_at; DROP FUNCTION killed_at()").await;
    assert_eq!(schema(&options).await, expected, "after {kills} kills from {first} on");
    check(&options).await.unwrap();
}

#[tokio::test]
async fn a_migration_gives_up_behind_a_lock_and_is_run_again() {
    let options = empty_database().await;
    let mut connection = connect(&options).await;
    MIGRATIONS.run_to(3, &mut connection).await.unwrap();
    connection.close().await.unwrap();
    let before = schema(&options).await;

    // Somebody is in the middle of a long transaction; the fourth migration needs a lock on what was changed.
    let mut long = connect(&options).await;
    let mut transaction = long.begin().await.unwrap();
    sqlx::query("LOCK TABLE accounts IN ROW EXCLUSIVE MODE").execute(&mut *transaction).await.unwrap();
    let mut writer = connect(&options).await;
    let (is_over, began) = (AtomicBool::new(false), Instant::now());
    let migrating = async {
        let done = migrate(&options).await;
        is_over.store(true, Ordering::Relaxed);
        done
    };
    let writing = async {
        let mut longest = Duration::ZERO;
        while !is_over.load(Ordering::Relaxed) {
            let at = Instant::now();
            write(&mut writer).await;
            longest = longest.max(at.elapsed());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        longest
    };
    let (done, longest) = tokio::join!(migrating, writing);
    let refused = done.unwrap_err();
    assert!(matches!(refused, SchemaError::Locked), "{refused}");
    assert!(longest.as_millis() < 2_500, "those who write waited {longest:?}");
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
    assert_eq!(schema(&options).await, before, "nothing was done");

    transaction.rollback().await.unwrap();
    migrate(&options).await.unwrap();
    let new = database(None).await;
    assert_eq!(schema(&options).await, schema(&new).await);
}

/// What needs the lock that the migration waits for.
async fn write(connection: &mut PgConnection) {
    sqlx::query("UPDATE accounts SET revision = revision WHERE false").execute(connection).await.unwrap();
}

#[tokio::test]
async fn a_version_works_on_the_schema_of_the_next() {
    let options = database(None).await;
    let newer = "ALTER TABLE payments ADD COLUMN of_tomorrow text; CREATE TABLE of_tomorrow (id bigint PRIMARY KEY);
         INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'tomorrow', true, '\\x00', 1)";
    sql(&options, newer).await;
    migrate(&options).await.unwrap();
    check(&options).await.unwrap();
    let left = "SELECT count(*) FROM _sqlx_migrations WHERE version = 9999";
    assert_eq!(number(&options, left).await, 1, "it is left alone");
    World::on(options).await.assert_balanced().await;
}

#[tokio::test]
async fn a_migration_that_was_edited_since_is_refused() {
    let options = database(None).await;
    sql(&options, "UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 1").await;
    let refused = migrate(&options).await.unwrap_err();
    assert!(matches!(refused, SchemaError::Migration(_)), "{refused}");
}
