//! Migrations run while payments are made, and while the version before still works: those that were released stay as they are, and
//! those that follow only expand.

use std::{collections::BTreeSet, fs};

use crate::{none, root, sources};

#[test]
fn released_migrations_are_never_edited() {
    let folder = root().join("platform/migrations");
    let released = fs::read_to_string(folder.join("released.sha256")).unwrap();
    let mut offences = Vec::new();
    for line in released.lines() {
        let (expected, name) = line.split_once("  ").unwrap();
        let text = fs::read(folder.join(name)).unwrap_or_default();
        let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &text);
        let sum: String = sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        if sum != expected {
            offences.push(format!("{name}: databases have it as it was; undo the edit and add a migration"));
        }
    }
    assert!(released.lines().count() >= 4);
    none("a released migration was edited", offences);
}

/// What a statement does that a version in use may not live with, or that holds up payments for as long as a table is large.
fn contracts(statement: &str, is_new: impl Fn(&str) -> bool) -> Option<&'static str> {
    let words: Vec<String> = statement.split_whitespace().map(str::to_uppercase).collect();
    let text = words.join(" ");
    let starts = |start: &str| text.starts_with(start);
    let after = |word: &str| words.iter().position(|own| own == word).and_then(|at| words.get(at + 1));
    let on_new =
        |word: &str| after(word).is_some_and(|table| is_new(table.split('(').next().unwrap_or_default()));
    if ["DROP ", "TRUNCATE ", "REVOKE ", "LOCK "].into_iter().any(starts) {
        return Some("takes something away");
    }
    if starts("CREATE INDEX") || starts("CREATE UNIQUE INDEX") {
        let is_harmless = text.contains(" INDEX CONCURRENTLY ") || on_new("ON");
        return (!is_harmless).then_some(
            "locks a table while an index is made: CREATE INDEX CONCURRENTLY, in a file of its own",
        );
    }
    if !starts("ALTER ") || starts("ALTER TABLE") && on_new("TABLE") {
        return None;
    }
    let rules = [
        (" RENAME ", "renames what the version before uses"),
        (" DROP ", "takes away what the version before uses"),
        (" TYPE ", "writes the whole table anew"),
        (" SET NOT NULL", "reads the whole table, and refuses what the version before writes"),
    ];
    if let Some((_, why)) = rules.into_iter().find(|(word, _)| text.contains(word)) {
        return Some(why);
    }
    if text.contains(" ADD CONSTRAINT ") && !text.contains(" NOT VALID") {
        return Some("reads the whole table under a lock: add it NOT VALID, and validate it in a later file");
    }
    let adds = text.split(" ADD COLUMN ").skip(1).any(|column| {
        let column = column.split(", ADD ").next().unwrap_or_default();
        column.contains("NOT NULL") && !column.contains("DEFAULT")
    });
    adds.then_some("refuses what the version before writes: give the column a default")
}

/// The statements of a migration, without comments; functions' bodies, which stand between `$$`, are left out.
fn statements(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let outside: String = code.join("\n").split("$$").step_by(2).collect();
    outside
        .split(';')
        .map(|statement| statement.trim().to_owned())
        .filter(|statement| !statement.is_empty())
        .collect()
}

/// The tables that these statements make, in capitals.
fn made(statements: &[String]) -> BTreeSet<String> {
    let tables = statements.iter().filter_map(|statement| statement.strip_prefix("CREATE TABLE "));
    tables.filter_map(|rest| Some(rest.split([' ', '(']).next()?.to_uppercase())).collect()
}

#[test]
fn migrations_since_the_first_release_only_expand() {
    let mut offences = Vec::new();
    for source in sources("sql") {
        let name = source.path.rsplit('/').next().unwrap();
        let is_later =
            name.split('_').next().and_then(|version| version.parse::<u32>().ok()).is_some_and(|v| v > 4);
        // What no version in use needs any more may go, in a file that says so.
        if !source.path.starts_with("platform/migrations")
            || !is_later
            || source.text.starts_with("-- contracts: ")
        {
            continue;
        }
        let statements = statements(&source.text);
        let made = made(&statements);
        for statement in &statements {
            if let Some(why) = contracts(statement, |table| made.contains(table)) {
                let first = statement.lines().next().unwrap_or_default();
                offences.push(format!("{}: {first} … {why}", source.path));
            }
        }
    }
    none("a migration that the version before, which still runs, does not live with", offences);
}

#[test]
fn what_contracts_is_told_from_what_expands() {
    let good = "CREATE TABLE fresh (id bigint PRIMARY KEY); CREATE INDEX fresh_id ON fresh (id); ALTER TABLE fresh ALTER COLUMN id SET NOT NULL;
        ALTER TABLE payments ADD COLUMN note text, ADD COLUMN kind text NOT NULL DEFAULT 'x';
        CREATE INDEX CONCURRENTLY payments_note ON payments (note); GRANT SELECT ON fresh TO someone;
        ALTER TABLE payments ADD CONSTRAINT short CHECK (length(note) < 9) NOT VALID; ALTER TABLE payments VALIDATE CONSTRAINT short;
        CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DROP TABLE x; END $$; -- DROP TABLE payments;";
    let good = statements(good);
    let fresh = made(&good);
    for statement in &good {
        assert_eq!(contracts(statement, |table| fresh.contains(table)), None, "{statement}");
    }
    for bad in [
        "DROP TABLE payments",
        "DROP INDEX payments_note",
        "TRUNCATE event_log",
        "REVOKE SELECT ON payments FROM rialto_platform",
        "LOCK TABLE payments",
        "ALTER TABLE payments DROP COLUMN note",
        "alter table payments rename column a to b",
        "ALTER TABLE payments RENAME TO paid",
        "ALTER TABLE payments ALTER COLUMN a TYPE bigint",
        "ALTER TABLE payments ALTER COLUMN a SET NOT NULL",
        "ALTER TABLE payments ADD COLUMN a text NOT NULL",
        "ALTER TABLE payments ADD COLUMN a text DEFAULT 'x', ADD COLUMN b text NOT NULL",
        "ALTER TABLE payments ADD CONSTRAINT c CHECK (true)",
        "CREATE INDEX i ON payments (a)",
        "CREATE UNIQUE INDEX i ON payments (a)",
    ] {
        assert!(contracts(bad, |table| fresh.contains(table)).is_some(), "{bad}");
    }
}
