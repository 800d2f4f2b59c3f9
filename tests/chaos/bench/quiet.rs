//! Whether everything has come to its end, also what no caller knows of: the house's own work, and what banks say unasked.

use std::time::Duration;

use harness::{BenchError, system::BANKS};
use serde_json::Value;
use sqlx::{Connection, PgConnection};

use super::Bench;

/// How long a bank may take to say how many notices it has not delivered.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

impl Bench {
    /// Whether the queue of work holds expiries only, and every notice is delivered. What does not answer is not quiet.
    pub async fn is_quiet(&self) -> bool {
        let (work, notices) = tokio::join!(self.work_left(), self.notices_left());
        work.is_ok_and(|work| work == 0) && notices.is_ok_and(|notices| notices == 0)
    }

    async fn work_left(&self) -> Result<i64, BenchError> {
        let mut database = PgConnection::connect_with(&self.database()).await?;
        let left = harness::work::left(&mut database).await?;
        database.close().await?;
        Ok(left)
    }

    async fn notices_left(&self) -> Result<u64, BenchError> {
        let client = reqwest::Client::new();
        let mut left = 0;
        for bank in BANKS {
            let request = client.get(format!("http://{}/{}/counters", self.banks(), bank.id));
            let counters: Value = request.timeout(ANSWER_WITHIN).send().await?.json().await?;
            let open = counters.pointer("/notices/open").and_then(Value::as_u64);
            left += open.ok_or("the bank does not count its notices")?;
        }
        Ok(left)
    }
}
