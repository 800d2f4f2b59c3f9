//! Databases: one private PostgreSQL, a migrated template, and a copy of it for every test.

use std::{
    ops::Deref,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use harness::postgres::{Postgres, own_folder};
use platform::store::{schema, servers::Servers};
use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::sync::OnceCell;

const TEMPLATE: &str = "template";

/// The server that all tests share; it ends with the process.
pub async fn server() -> &'static Postgres {
    static SERVER: OnceCell<Postgres> = OnceCell::const_new();
    SERVER
        .get_or_init(async || {
            let server = Postgres::start(&own_folder("ledger").unwrap(), &[]).await.unwrap();
            server.create_database(TEMPLATE, None).await.unwrap();
            schema::migrate(&server.options(TEMPLATE)).await.unwrap();
            server
        })
        .await
}

/// A database of a test's own. It is dropped some time after its test: a copy for each of all tests fills a disk.
pub struct Database(pub PgConnectOptions);

impl Deref for Database {
    type Target = PgConnectOptions;

    fn deref(&self) -> &PgConnectOptions {
        &self.0
    }
}

impl From<&Database> for Servers {
    fn from(database: &Database) -> Self {
        Self::from(&database.0)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = self.0.get_database().unwrap_or_default().to_owned();
        LEFT.lock().unwrap_or_else(PoisonError::into_inner).push(name);
    }
}

/// The databases that no test needs any more.
static LEFT: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// How many are dropped together: each drop ends with a checkpoint of the whole server.
const LEFT_AT_MOST: usize = 16;

/// A new database: a copy of `template`, or of the migrated template.
pub async fn database(template: Option<&str>) -> Database {
    new_database(Some(template.unwrap_or(TEMPLATE))).await
}

/// A new database without a schema.
pub async fn empty_database() -> Database {
    new_database(None).await
}

async fn new_database(template: Option<&str>) -> Database {
    let server = server().await;
    let left = {
        let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
        if left.len() < LEFT_AT_MOST { Vec::new() } else { std::mem::take(&mut *left) }
    };
    for name in left {
        sql(&server.options("postgres"), &format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")).await;
    }
    let name = new_name();
    server.create_database(&name, template).await.unwrap();
    Database(server.options(&name))
}

fn new_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

pub async fn connect(options: &PgConnectOptions) -> PgConnection {
    PgConnection::connect_with(options).await.unwrap()
}

/// Runs a statement as the owner, who is a superuser.
pub async fn sql(options: &PgConnectOptions, text: &str) {
    let mut connection = connect(options).await;
    sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut connection).await.expect(text);
    connection.close().await.unwrap();
}

/// One number from the database.
pub async fn number(options: &PgConnectOptions, text: &str) -> i64 {
    let mut connection = connect(options).await;
    let found =
        sqlx::query_scalar(AssertSqlSafe(text.to_owned())).fetch_one(&mut connection).await.expect(text);
    connection.close().await.unwrap();
    found
}

/// Waits until a statement's number is what is wanted.
pub async fn wait_until(options: &PgConnectOptions, text: &str, wanted: impl Fn(i64) -> bool) {
    for _ in 0..1_000 {
        if wanted(number(options, text).await) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain: {text}");
}
