//! Keeps watch over the primary, where there is more than one server: notices within seconds that it has gone, was replaced, or only says
//! nothing any more, and has all connections lead to the one that took its place. Without a query on the way of any payment.

use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

use super::{Store, servers::ConnectError};

/// How often the primary is asked whether it is there.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// How long it may take to say so. A server that stands still, or that no packet reaches, ends no connection.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often the other servers are asked as well: one that was promoted while the old primary goes on is found by that.
const LOOK_AROUND_EVERY: Duration = Duration::from_secs(2);

impl Store {
    /// Follows the primary, for ever; returns at once where there is only one server.
    pub async fn follow_primary(self) {
        if !self.servers.are_several() {
            return;
        }
        let mut watch: Option<PgConnection> = None;
        let (mut followed, mut looked) = (self.servers.place(), Instant::now());
        loop {
            tokio::time::sleep(ASK_EVERY).await;
            let asked = self.servers.place();
            let heard = timeout(PATIENCE, is_there(&self, &mut watch)).await;
            let found = match heard {
                Ok(true) if looked.elapsed() < LOOK_AROUND_EVERY => Ok(()),
                Ok(true) => self.look_around(&mut looked).await,
                lost => {
                    watch = None;
                    if lost.is_err() {
                        self.servers.sever(asked);
                    }
                    self.look_around(&mut looked).await
                }
            };
            if let Err(error) = found {
                tracing::warn!(%error, "the database has no primary");
            }
            let now = self.servers.place();
            if now != followed {
                let server = self.servers.name(now);
                tracing::warn!(server, "another database server is the primary now");
                self.pool.set_connect_options(self.servers.primary());
                // It may still be there, and some connections with it.
                self.servers.sever(followed);
                (followed, watch) = (now, None);
            }
        }
    }

    async fn look_around(&self, looked: &mut Instant) -> Result<(), ConnectError> {
        let found = self.servers.look_around().await;
        *looked = Instant::now();
        found
    }
}

/// Whether the primary answers, over a connection that is kept.
async fn is_there(store: &Store, watch: &mut Option<PgConnection>) -> bool {
    let connection = match watch {
        Some(connection) => connection,
        none => match sqlx::ConnectOptions::connect(&store.servers.primary()).await {
            Ok(connection) => none.insert(connection),
            Err(_) => return false,
        },
    };
    connection.ping().await.is_ok()
}
