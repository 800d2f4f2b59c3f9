//! A trial balance that reads no transfer: accounts added up, and compared with what payments under way hold on them. One snapshot.

use std::collections::HashMap;

use sqlx::Connection;

use super::{
    Store, StoreError,
    figures::{UNDER_WAY, sum},
};
use crate::trial_balance::CurrencySums;

/// What a look at the accounts found.
#[derive(Clone, Debug)]
pub struct Balances {
    /// The sums by currency.
    pub currencies: Vec<CurrencySums>,
    /// How many accounts there are.
    pub accounts: i64,
    /// In how many currencies debits and credits differ; none for one participant's accounts, of which the house has the other side.
    pub unequal: Option<i64>,
    /// In how many currencies what accounts hold is not what payments under way hold on them.
    pub unheld: i64,
    /// How many accounts are beyond their limit.
    pub overdrawn: i64,
}

impl Store {
    /// Adds up a participant's accounts, or everybody's and the house's.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn balances(&self, participant: Option<&str>) -> Result<Balances, StoreError> {
        let mut connection = self.pool().acquire().await?;
        let mut snapshot =
            connection.begin_with("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        if participant.is_none() {
            // Unlike nearly everything else here, this reads whole tables.
            let allow = "SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on";
            sqlx::raw_sql(allow).execute(&mut *snapshot).await?;
        }
        let of_participant = match participant {
            Some(_) => "participant_id = $1 COLLATE \"C\"",
            None => "$1::text IS NULL",
        };
        let sums = format!(
            "SELECT currency, sum(debits_posted)::text, sum(credits_posted)::text, sum(debits_pending)::text, \
               sum(credits_pending)::text, count(*), \
               count(*) FILTER (WHERE NOT may_overdraw AND debits_pending > credits_posted - debits_posted) \
             FROM accounts WHERE {of_participant} GROUP BY currency ORDER BY currency"
        );
        let rows: Vec<(String, String, String, String, String, i64, i64)> =
            sqlx::query_as(sqlx::AssertSqlSafe(sums)).bind(participant).fetch_all(&mut *snapshot).await?;
        let holds = format!(
            "SELECT o.currency, sum(CASE o.kind WHEN 'AUTHORIZATION' THEN o.held ELSE o.amount END)::text \
             FROM ({UNDER_WAY}) o JOIN accounts a ON a.id = o.payer_account \
             WHERE $1::text IS NULL OR a.participant_id = $1 GROUP BY o.currency"
        );
        let holds: Vec<(String, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(holds)).bind(participant).fetch_all(&mut *snapshot).await?;
        snapshot.rollback().await?;
        let holds = holds.into_iter().map(|(currency, held)| Ok((currency, sum(&held)?)));
        let holds = holds.collect::<Result<HashMap<String, i128>, StoreError>>()?;
        let mut found =
            Balances { currencies: Vec::new(), accounts: 0, unequal: None, unheld: 0, overdrawn: 0 };
        let mut unequal = 0;
        for (currency, debits_posted, credits_posted, debits_pending, credits_pending, accounts, beyond) in
            rows
        {
            unequal += i64::from(debits_posted != credits_posted || debits_pending != credits_pending);
            let held = holds.get(&currency).copied().unwrap_or_default();
            found.unheld += i64::from(sum(&debits_pending)? != held);
            found.accounts += accounts;
            found.overdrawn += beyond;
            found.currencies.push(CurrencySums {
                currency,
                debits_posted,
                credits_posted,
                debits_pending,
                credits_pending,
            });
        }
        found.unequal = participant.is_none().then_some(unequal);
        Ok(found)
    }
}
