//! The trial balance: recomputes every sum from the transfers, in one snapshot, and says what differs.

use serde::Serialize;
use sqlx::Connection;

use crate::store::{StoreError, servers::Servers};

/// What a trial balance found.
#[derive(Clone, Debug, Serialize)]
pub struct TrialBalance {
    /// Accounts that were recomputed.
    pub accounts: i64,
    /// Transfers that they were recomputed from.
    pub transfers: i64,
    /// Payments, by state.
    pub payments: Vec<StateCount>,
    /// How many of them are in the archive only.
    pub archived: i64,
    /// Per currency, what is held and was moved.
    pub currencies: Vec<CurrencySums>,
    /// What differs; empty when all is well.
    pub differences: Vec<String>,
}

/// How many payments are in a state.
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
pub struct StateCount {
    /// The state.
    pub state: String,
    /// How many.
    pub count: i64,
}

/// The sums of a currency over all accounts, as decimal text of minor units: they may exceed 64 bits.
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
pub struct CurrencySums {
    /// The currency.
    pub currency: String,
    /// All debits booked.
    pub debits_posted: String,
    /// All credits booked.
    pub credits_posted: String,
    /// All debits held.
    pub debits_pending: String,
    /// All credits expected.
    pub credits_pending: String,
}

/// Checks, each returning a line for whatever differs. Each joins whole tables: what asks once a row never ends on a ledger that grew.
pub const CHECKS: [&str; 20] = [
    // An account's stored sums are those of its transfers, and of what its payments hold.
    "WITH sides AS (
       SELECT debit_account AS id, 0 AS dp, amount AS d, 0 AS cp, 0 AS c FROM transfers
       UNION ALL SELECT credit_account, 0, 0, 0, amount FROM transfers
       UNION ALL SELECT payer_account, amount, 0, 0, 0 FROM all_payments
         WHERE state IN ('HELD', 'SUBMITTED', 'UNKNOWN', 'INVESTIGATE') AND kind <> 'AUTHORIZATION'
       UNION ALL SELECT credit_account, 0, 0, amount, 0 FROM all_payments
         WHERE state IN ('HELD', 'SUBMITTED', 'UNKNOWN', 'INVESTIGATE') AND kind <> 'AUTHORIZATION'
       UNION ALL SELECT payer_account, held, 0, 0, 0 FROM all_payments WHERE kind = 'AUTHORIZATION'
       UNION ALL SELECT credit_account, 0, 0, held, 0 FROM all_payments WHERE kind = 'AUTHORIZATION'
     ), recomputed AS (
       SELECT id, sum(dp) AS dp, sum(d) AS d, sum(cp) AS cp, sum(c) AS c FROM sides GROUP BY id
     )
     SELECT format('account acc_%s: stored pending/posted debits %s/%s credits %s/%s, payments and transfers say %s/%s and %s/%s',
       replace(a.id::text, '-', ''), debits_pending, debits_posted, credits_pending, credits_posted,
       coalesce(dp, 0), coalesce(d, 0), coalesce(cp, 0), coalesce(c, 0))
     FROM accounts a LEFT JOIN recomputed r USING (id)
     WHERE (debits_pending, debits_posted, credits_pending, credits_posted)
       <> (coalesce(dp, 0), coalesce(d, 0), coalesce(cp, 0), coalesce(c, 0))",
    // Money is conserved: per currency all debits equal all credits.
    "SELECT format('currency %s: debits %s/%s, credits %s/%s', currency, sum(debits_pending), sum(debits_posted),
       sum(credits_pending), sum(credits_posted))
     FROM accounts GROUP BY currency
     HAVING sum(debits_posted) <> sum(credits_posted) OR sum(debits_pending) <> sum(credits_pending)",
    // No account is beyond its limit.
    "SELECT format('account acc_%s is overdrawn', replace(id::text, '-', '')) FROM accounts
     WHERE NOT may_overdraw AND debits_pending > credits_posted - debits_posted",
    // Both accounts of a transfer have one currency, which is the payment's.
    "SELECT format('transfer tra_%s: mixed currencies', replace(t.id::text, '-', ''))
     FROM transfers t JOIN accounts d ON d.id = t.debit_account JOIN accounts c ON c.id = t.credit_account
       LEFT JOIN all_payments p ON p.id = t.id AND NOT t.is_deposit
     WHERE d.currency <> c.currency OR d.currency <> coalesce(p.currency, d.currency)",
    // A payment's transfer is between its accounts, of its amount, if it has succeeded. What a bank paid late is owed to it by suspense,
    // and a return takes it back.
    "SELECT format('payment pay_%s is %s of %s, paid %s', replace(p.id::text, '-', ''), p.state, p.amount, coalesce(t.amount, 0))
     FROM all_payments p LEFT JOIN transfers t ON t.id = p.id AND NOT t.is_deposit
       LEFT JOIN all_payments r ON r.original_id = p.id AND r.kind = 'RETURN'
     WHERE (t.debit_account, t.credit_account, t.amount) IS DISTINCT FROM (
       CASE WHEN p.kind = 'AUTHORIZATION' THEN NULL WHEN p.state = 'SUCCEEDED' THEN p.payer_account ELSE r.credit_account END,
       CASE WHEN p.kind <> 'AUTHORIZATION' AND (p.state = 'SUCCEEDED' OR r.id IS NOT NULL) THEN p.credit_account END,
       CASE WHEN p.kind <> 'AUTHORIZATION' AND (p.state = 'SUCCEEDED' OR r.id IS NOT NULL) THEN p.amount END)",
    // A deposit that was approved is booked once, between its accounts, to the last minor unit; no other one is, and nothing else.
    "SELECT format('deposit dep_%s is %s of %s on acc_%s: booked %s on acc_%s', replace(d.id::text, '-', ''), d.state, d.amount,
       replace(account_id::text, '-', ''), coalesce(t.amount, 0), replace(t.credit_account::text, '-', ''))
     FROM deposits d LEFT JOIN transfers t ON t.id = d.id AND t.is_deposit
     WHERE (t.amount, t.debit_account, t.credit_account) IS DISTINCT FROM (CASE WHEN d.state = 'BOOKED' THEN d.amount END,
       CASE WHEN d.state = 'BOOKED' THEN d.settlement_account END, CASE WHEN d.state = 'BOOKED' THEN d.account_id END)",
    "SELECT format('transfer tra_%s books nothing', replace(t.id::text, '-', ''))
     FROM transfers t LEFT JOIN all_payments p ON p.id = t.id LEFT JOIN deposits d ON d.id = t.id
       LEFT JOIN archived_requests r ON r.payment_id = t.id
     WHERE CASE WHEN t.is_deposit THEN d.id ELSE coalesce(p.id, r.payment_id) END IS NULL",
    // Exactly the payments under way are in the queue of work or in their first lease, and authorizations that can still be captured.
    "WITH leased AS (SELECT DISTINCT unnest(payments) AS id FROM first_leases)
     SELECT format('payment pay_%s is %s, %s the queue of work, %s a first lease', replace(p.id::text, '-', ''), state,
       CASE WHEN d.payment_id IS NULL THEN 'not in' ELSE 'in' END, CASE WHEN l.id IS NULL THEN 'without' ELSE 'with' END)
     FROM all_payments p LEFT JOIN dispatches d ON d.payment_id = p.id LEFT JOIN leased l ON l.id = p.id
     WHERE is_queued <> (d.payment_id IS NOT NULL)
       OR (state IN ('HELD', 'SUBMITTED', 'UNKNOWN') OR (state = 'AUTHORIZED' AND closing IS NULL))
         <> (is_queued OR (state = 'SUBMITTED' AND l.id IS NOT NULL))",
    // An authorization's sums are those of its captures, and it holds the rest until it takes no more captures.
    "WITH captures AS (
       SELECT original_id AS id, sum(CASE state WHEN 'SUCCEEDED' THEN amount ELSE 0 END) AS captured,
         sum(CASE WHEN state IN ('HELD', 'SUBMITTED', 'UNKNOWN', 'INVESTIGATE') THEN amount ELSE 0 END) AS capturing
       FROM all_payments WHERE kind = 'CAPTURE' GROUP BY original_id
     )
     SELECT format('authorization pay_%s of %s: captured %s, capturing %s, held %s; its captures say %s and %s',
       replace(p.id::text, '-', ''), amount, p.captured, p.capturing, p.held, coalesce(c.captured, 0),
       coalesce(c.capturing, 0))
     FROM all_payments p LEFT JOIN captures c USING (id)
     WHERE p.kind = 'AUTHORIZATION' AND ((p.captured, p.capturing) <> (coalesce(c.captured, 0), coalesce(c.capturing, 0))
       OR p.held <> CASE WHEN p.state = 'AUTHORIZED' AND p.closing IS NULL THEN amount - p.capturing - p.captured ELSE 0 END)",
    // What is refunded of a payment is the sum of its refunds, and never more than the payment.
    "WITH refunds AS (
       SELECT original_id AS id, sum(amount) AS refunded FROM all_payments
       WHERE kind = 'REFUND' AND state NOT IN ('FAILED', 'CANCELLED') GROUP BY original_id
     )
     SELECT format('payment pay_%s of %s: refunds of %s, on record %s', replace(p.id::text, '-', ''), p.amount,
       coalesce(r.refunded, 0), coalesce(f.refunded, 0))
     FROM all_payments p LEFT JOIN refunds r USING (id) LEFT JOIN refundable f ON f.payment_id = p.id
     WHERE coalesce(r.refunded, 0) <> coalesce(f.refunded, 0) OR coalesce(r.refunded, 0) > p.amount
       OR (r.refunded > 0 AND (p.state, p.kind) NOT IN (('SUCCEEDED', 'PAYMENT'), ('SUCCEEDED', 'CAPTURE')))",
    // No less is used of limits than the payments use that were made since they are counted: more only where clocks differed.
    "WITH counted AS (
       SELECT CASE kind WHEN 'AUTHORIZATION' THEN held + capturing + captured ELSE amount END AS amount, created_at AS at,
         CASE WHEN is_counted_on_account THEN payer_account END AS account,
         CASE WHEN is_counted_on_participant THEN participant_id END AS participant, currency
       FROM all_payments WHERE (is_counted_on_account OR is_counted_on_participant) AND kind IN ('PAYMENT', 'AUTHORIZATION')
         AND state NOT IN ('FAILED', 'CANCELLED', 'EXPIRED')
     ), used AS (
       SELECT l.*, coalesce(sum(amount) FILTER (WHERE at >= hour_since), 0) AS hour, count(*) FILTER (WHERE at >= hour_since) AS in_hour,
         coalesce(sum(amount) FILTER (WHERE at >= day_since), 0) AS day, count(*) FILTER (WHERE at >= day_since) AS in_day
       FROM limits l LEFT JOIN counted c
         ON CASE WHEN l.account_id IS NULL THEN (c.participant, c.currency) = (l.participant_id, l.currency)
           ELSE c.account = l.account_id END
       GROUP BY l.subject
     )
     SELECT format('limits of %s: used in the hour %s in %s payments, in the day %s in %s; payments say %s in %s and %s in %s',
       coalesce('acc_' || replace(account_id::text, '-', ''), participant_id || ' in ' || currency), hour_amount, hour_count,
       day_amount, day_count, hour, in_hour, day, in_day)
     FROM used WHERE hour_amount < hour OR hour_count < in_hour OR day_amount < day OR day_count < in_day",
    // What is held in suspense is what was paid late and is not returned.
    "WITH late AS (
       SELECT credit_account AS id, sum(amount) AS amount FROM all_payments WHERE kind = 'RETURN' AND state <> 'SUCCEEDED'
       GROUP BY credit_account
     )
     SELECT format('suspense account acc_%s: %s, paid late and not returned %s', replace(a.id::text, '-', ''),
       debits_posted - credits_posted, coalesce(l.amount, 0))
     FROM accounts a LEFT JOIN late l USING (id)
     WHERE is_suspense AND debits_posted - credits_posted <> coalesce(l.amount, 0)",
    // A payment's last event is its state, and none is missing before it.
    "WITH history AS (
       SELECT DISTINCT ON (payment_id) payment_id AS id, sequence, state, count(*) OVER (PARTITION BY payment_id) AS n
       FROM all_payment_events ORDER BY payment_id, sequence DESC
     )
     SELECT format('payment pay_%s is %s (%s), its history ends with %s (%s)', replace(p.id::text, '-', ''), p.state,
       p.sequence, h.state, h.sequence)
     FROM all_payments p LEFT JOIN history h USING (id)
     WHERE (p.state, p.sequence) IS DISTINCT FROM (h.state, h.sequence) OR h.n <> p.sequence",
    // The log of events has places without a gap, up to the last that was given.
    "SELECT format('the log of events goes on at %s behind %s', coalesce(next, next_position), position + cardinality(payments) - 1)
     FROM (SELECT position, payments, lead(position) OVER (ORDER BY position) AS next FROM event_log WHERE position IS NOT NULL) AS l,
       events_placed
     WHERE position + cardinality(payments) <> coalesce(next, next_position)",
    // Each step is in it once, behind the steps of its payment before it,
    "SELECT format('step %s of payment pay_%s is in the log of events behind step %s', sequence, replace(payment::text, '-', ''), before)
     FROM (SELECT s.payment, s.sequence, lag(s.sequence) OVER (PARTITION BY s.payment ORDER BY l.position NULLS LAST, l.number, s.place)
         AS before
       FROM event_log l, unnest(l.payments, l.sequences) WITH ORDINALITY AS s (payment, sequence, place)) AS steps
     WHERE sequence <> before + 1",
    // and none is missing behind one that is there; nor, while the log is whole, of a payment that is younger than its oldest.
    "WITH logged AS MATERIALIZED (SELECT s.payment, s.sequence FROM event_log, unnest(payments, sequences) AS s (payment, sequence)),
       begun AS (SELECT payment, min(sequence) AS sequence FROM logged GROUP BY payment),
       oldest AS MATERIALIZED (SELECT payment FROM logged WHERE sequence = 1
         AND EXISTS (SELECT FROM event_log WHERE position = 1) ORDER BY payment LIMIT 1)
     SELECT format('step %s of payment pay_%s is not in the log of events', e.sequence, replace(e.payment_id::text, '-', ''))
     FROM all_payment_events e LEFT JOIN begun b ON b.payment = e.payment_id
       LEFT JOIN logged l ON (l.payment, l.sequence) = (e.payment_id, e.sequence)
     WHERE l.payment IS NULL AND (e.payment_id >= (SELECT payment FROM oldest) OR b.sequence < e.sequence)",
    // The archive has what is over, whole families of it, with the request of each payment. What was brought back has not changed.
    "SELECT format('archived payment pay_%s is %s, and its request %s on record', replace(a.id::text, '-', ''), a.state,
       CASE WHEN r.payment_id = a.id THEN 'is' ELSE 'is not' END)
     FROM archived_payments a LEFT JOIN archived_requests r USING (request_key)
     WHERE a.state NOT IN ('SUCCEEDED', 'FAILED', 'CANCELLED', 'EXPIRED') OR r.payment_id IS DISTINCT FROM a.id",
    "SELECT format('archived payment pay_%s is missing', replace(r.payment_id::text, '-', '')) FROM archived_requests r
     WHERE NOT EXISTS (SELECT FROM archived_payments a WHERE a.id = r.payment_id)
       AND NOT EXISTS (SELECT FROM months_taken_out t WHERE t.month = month_of(r.payment_id))",
    "SELECT format('archived payment pay_%s is without its original pay_%s', replace(a.id::text, '-', ''),
       replace(o.id::text, '-', ''))
     FROM archived_payments a JOIN payments o ON o.id = a.original_id
     WHERE NOT EXISTS (SELECT FROM payments p WHERE p.id = a.id)",
    "SELECT format('payment pay_%s is not what the archive has', replace(p.id::text, '-', ''))
     FROM payments p JOIN archived_payments a USING (id) WHERE NOT p *= a
     UNION SELECT format('event %s of payment pay_%s is not what the archive has', e.sequence, replace(e.payment_id::text, '-', ''))
     FROM payment_events e JOIN archived_payment_events a USING (payment_id, sequence) WHERE NOT e *= a",
];

impl TrialBalance {
    /// Recomputes everything in one snapshot, while payments go on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take(servers: impl Into<Servers>) -> Result<Self, StoreError> {
        let mut connection = servers.into().connect().await?;
        let mut transaction =
            connection.begin_with("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let mut differences: Vec<String> = Vec::new();
        for check in CHECKS {
            differences.extend(sqlx::query_scalar::<_, String>(check).fetch_all(&mut *transaction).await?);
        }
        let accounts =
            sqlx::query_scalar("SELECT count(*) FROM accounts").fetch_one(&mut *transaction).await?;
        let transfers =
            sqlx::query_scalar("SELECT count(*) FROM transfers").fetch_one(&mut *transaction).await?;
        let payments = sqlx::query_as(
            "SELECT state::text, count(*) AS count FROM all_payments GROUP BY state ORDER BY state",
        )
        .fetch_all(&mut *transaction)
        .await?;
        let archived = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM all_payments) - (SELECT count(*) FROM payments)",
        )
        .fetch_one(&mut *transaction)
        .await?;
        let currencies = sqlx::query_as(
            "SELECT currency, sum(debits_posted)::text AS debits_posted, sum(credits_posted)::text AS credits_posted, \
             sum(debits_pending)::text AS debits_pending, sum(credits_pending)::text AS credits_pending \
             FROM accounts GROUP BY currency ORDER BY currency",
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.rollback().await?;
        connection.close().await?;
        Ok(Self { accounts, transfers, payments, archived, currencies, differences })
    }

    /// Whether nothing differs.
    pub fn is_ok(&self) -> bool {
        self.differences.is_empty()
    }
}

impl std::fmt::Display for TrialBalance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::UTF8_BORDERS_ONLY);
        table.set_header(["Currency", "Debits", "Credits", "Debits held", "Credits expected"]);
        for sums in &self.currencies {
            let CurrencySums { currency, debits_posted, credits_posted, debits_pending, credits_pending } =
                sums;
            table.add_row([currency, debits_posted, credits_posted, debits_pending, credits_pending]);
        }
        let payments: Vec<String> =
            self.payments.iter().map(|state| format!("{} {}", state.count, state.state)).collect();
        writeln!(f, "{table}")?;
        writeln!(f, "(minor units) {} accounts, {} transfers", self.accounts, self.transfers)?;
        writeln!(
            f,
            "payments: {}",
            if payments.is_empty() { "none".to_owned() } else { payments.join(", ") }
        )?;
        if self.archived > 0 {
            writeln!(f, "{} of them are in the archive", self.archived)?;
        }
        for difference in &self.differences {
            writeln!(f, "DIFFERS: {difference}")?;
        }
        match self.differences.len() {
            0 => write!(f, "trial balance: OK"),
            count => write!(f, "trial balance: {count} DIFFERENCES"),
        }
    }
}
