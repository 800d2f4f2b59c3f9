//! One `[[bank]]` table, whose fields are read one by one and whose problems are noted with their place.

use std::ops::RangeInclusive;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A table that is being read.
pub(super) struct BankTable<'a> {
    file: &'a str,
    text: &'a str,
    table: &'a DeTable<'a>,
    start: usize,
    id: String,
    known: Vec<&'static str>,
    problems: &'a mut Vec<String>,
}

impl<'a> BankTable<'a> {
    /// Begins to read a bank. `text` is the whole file, for line numbers.
    pub(super) fn new(
        file: &'a str,
        text: &'a str,
        bank: &'a Spanned<DeValue<'a>>,
        problems: &'a mut Vec<String>,
    ) -> Option<Self> {
        let start = bank.span().start;
        let DeValue::Table(table) = bank.get_ref() else {
            problems.push(format!("{file}:{}: bank: must be a table", line(text, start)));
            return None;
        };
        let id = table.get("id").and_then(|id| id.get_ref().as_str()).unwrap_or("?").to_owned();
        Some(Self { file, text, table, start, id, known: Vec::new(), problems })
    }

    /// Notes what is wrong with a field, or with its absence.
    pub(super) fn refuse(&mut self, field: &str, problem: &str) {
        let at = self.table.get(field).map_or(self.start, |value| value.span().start);
        let line = line(self.text, at);
        self.problems.push(format!("{}:{line}: bank {:?}: {field}: {problem}", self.file, self.id));
    }

    /// Whether the field is there at all; it is a known one from then on.
    pub(super) fn has(&mut self, field: &'static str) -> bool {
        self.known.push(field);
        self.table.contains_key(field)
    }

    /// Reads a text; `kind` says what is expected.
    pub(super) fn text<T>(
        &mut self,
        field: &'static str,
        kind: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.required(field, kind)?;
        let parsed = value.as_str().and_then(parse);
        if parsed.is_none() {
            self.refuse(field, &format!("expected {kind}, got {}", shown(value)));
        }
        parsed
    }

    /// Reads a list of different texts; `kind` says what is expected.
    pub(super) fn texts<T: PartialEq>(
        &mut self,
        field: &'static str,
        kind: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(array) = self.required(field, kind)?.as_array() else {
            self.refuse(field, &format!("expected a list of {kind}"));
            return None;
        };
        let mut parsed = Vec::new();
        let mut is_good = true;
        for value in array.iter() {
            match value.get_ref().as_str().and_then(&parse) {
                Some(item) if !parsed.contains(&item) => parsed.push(item),
                Some(_) => {
                    is_good = false;
                    self.refuse(field, &format!("{} stands twice", shown(value.get_ref())));
                }
                None => {
                    is_good = false;
                    self.refuse(field, &format!("expected {kind}, got {}", shown(value.get_ref())));
                }
            }
        }
        is_good.then_some(parsed)
    }

    /// Reads a whole number.
    pub(super) fn number(
        &mut self,
        field: &'static str,
        default: Option<u32>,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let kind = format!("a whole number from {} to {}", range.start(), range.end());
        if default.is_some() && !self.has(field) {
            return default;
        }
        let value = self.required(field, &kind)?;
        let integer = value.as_integer();
        let number = integer.and_then(|integer| u32::from_str_radix(integer.as_str(), integer.radix()).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            self.refuse(field, &format!("expected {kind}, got {}", shown(value)));
        }
        number
    }

    /// Reads true or false.
    pub(super) fn boolean(&mut self, field: &'static str, default: bool) -> Option<bool> {
        if !self.has(field) {
            return Some(default);
        }
        let value = self.required(field, "true or false")?;
        let boolean = value.as_bool();
        if boolean.is_none() {
            self.refuse(field, &format!("expected true or false, got {}", shown(value)));
        }
        boolean
    }

    /// Notes every key that nobody asked for.
    pub(super) fn refuse_unknown_keys(&mut self) {
        for key in self.table.keys() {
            if !self.known.contains(&key.get_ref().as_ref()) {
                self.refuse(key.get_ref(), "unknown key");
            }
        }
    }

    fn required(&mut self, field: &'static str, kind: &str) -> Option<&'a DeValue<'a>> {
        self.known.push(field);
        let value = self.table.get(field).map(Spanned::get_ref);
        if value.is_none() {
            self.refuse(field, &format!("is missing: {kind}"));
        }
        value
    }
}

/// The line of the file that holds the byte, from 1.
pub(super) fn line(text: &str, byte: usize) -> usize {
    1 + text.bytes().take(byte).filter(|byte| *byte == b'\n').count()
}

fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(integer) => integer.as_str().to_owned(),
        other => format!("a {}", other.type_str()),
    }
}
