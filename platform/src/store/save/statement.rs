//! One statement made of parts, each of which writes rows to one table.

use sqlx::{Encode, PgConnection, Postgres, QueryBuilder, Type};

use crate::store::StoreError;

/// The statement as far as it is made.
pub(in crate::store) struct Statement {
    sql: QueryBuilder<Postgres>,
    /// What each part is called, and how many rows it is to write or find.
    parts: Vec<(&'static str, i64)>,
}

impl Statement {
    pub(super) fn new() -> Self {
        Self { sql: QueryBuilder::new(""), parts: Vec::new() }
    }

    /// Adds a part that writes `count` rows, unless that is none: `before`, the rows' columns, `after`.
    pub(in crate::store) fn part(
        &mut self,
        name: &'static str,
        count: usize,
        before: &'static str,
        columns: impl FnOnce(&mut Columns<'_>),
        after: &'static str,
    ) {
        let Some(count) = i64::try_from(count).ok().filter(|count| *count > 0) else { return };
        self.begin(name).push(before).push(" (SELECT ");
        let mut sent = Columns { sql: &mut self.sql, rows: None };
        columns(&mut sent);
        let rows = sent.rows;
        // The limit is no limit: it has the planner expect few rows and look each one up. In a table of a handful of rows it would
        // rather read them all, and lock them in an order that is not that of the keys.
        self.sql.push(" LIMIT ").push_bind(rows).push(") ").push(after).push(" RETURNING 1)");
        self.parts.push((name, count));
    }

    /// Adds a part that writes a few rows, unless there are none: `before`, and each row as `push` adds it.
    pub(super) fn few<R>(
        &mut self,
        name: &'static str,
        before: &'static str,
        rows: Vec<R>,
        push: impl Fn(&mut QueryBuilder<Postgres>, R),
    ) {
        let Some(count) = i64::try_from(rows.len()).ok().filter(|count| *count > 0) else { return };
        let sql = self.begin(name);
        sql.push(before);
        for (number, row) in rows.into_iter().enumerate() {
            if number > 0 {
                sql.push(", ");
            }
            push(sql, row);
        }
        sql.push(" RETURNING 1)");
        self.parts.push((name, count));
    }

    /// Adds a look: `before`, the values, `after` must find no row.
    pub(super) fn none<'q, V>(
        &mut self,
        name: &'static str,
        before: &'static str,
        values: Vec<V>,
        after: &'static str,
    ) where
        Vec<V>: Encode<'q, Postgres> + Type<Postgres>,
    {
        if !values.is_empty() {
            self.begin(name).push(before).push_bind(values).push(after).push(")");
            self.parts.push((name, 0));
        }
    }

    fn begin(&mut self, name: &'static str) -> &mut QueryBuilder<Postgres> {
        self.sql.push(if self.parts.is_empty() { "WITH " } else { ", " }).push(name).push(" AS (")
    }

    /// Has the database carry it out.
    pub(super) async fn execute(mut self, connection: &mut PgConnection) -> Result<(), StoreError> {
        if self.parts.is_empty() {
            return Ok(());
        }
        self.sql.push(" SELECT CASE");
        for (name, count) in self.parts {
            self.sql.push(" WHEN (SELECT count(*) FROM ").push(name).push(") <> ").push_bind(count);
            self.sql.push(" THEN changed_meanwhile('").push(name).push("')");
        }
        // Reads on to the server's last word, which outside of a transaction is the one that it has committed: `fetch_one` would
        // be content with the row, which comes before.
        self.sql.push(" END").build().execute(connection).await?;
        Ok(())
    }
}

/// The columns of a part's rows, as arrays. Each is unnested where rows are put together: one `unnest` of them all keeps every column
/// in a store of its own first, which costs a small batch more than all else that it does.
pub(in crate::store) struct Columns<'a> {
    sql: &'a mut QueryBuilder<Postgres>,
    /// How many rows there are; none before the first column.
    rows: Option<i64>,
}

impl Columns<'_> {
    /// Adds a column: a value of each row.
    pub(in crate::store) fn add<'q, 'r, R, V>(
        &mut self,
        rows: &'r [R],
        value: impl Fn(&'r R) -> V,
    ) -> &mut Self
    where
        Vec<V>: Encode<'q, Postgres> + Type<Postgres>,
    {
        if self.rows.is_some() {
            self.sql.push(", ");
        }
        self.rows = i64::try_from(rows.len()).ok();
        self.sql.push("unnest(").push_bind(rows.iter().map(value).collect::<Vec<V>>()).push(")");
        self
    }
}
