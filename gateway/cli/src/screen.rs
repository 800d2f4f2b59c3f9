//! What is said: tables for people or JSON for programs on standard output, notes on standard error.

use std::{
    io::{self, Write},
    time::SystemTime,
};

use comfy_table::{ContentArrangement, Table, presets};
use common::text::{is_readable, printable};
use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde::Serialize;

use crate::failure::Failure;

/// Where answers go.
pub struct Screen {
    contracts: Option<DescriptorPool>,
}

/// Rows below a heading; or, without one, names and values below each other.
pub struct Rows(Table);

impl Screen {
    /// For programs, or for people.
    ///
    /// # Errors
    /// Never, unless the contracts were not compiled into this program.
    pub fn new(is_json: bool) -> Result<Self, Failure> {
        let contracts = is_json.then(|| DescriptorPool::decode(proto::DESCRIPTORS)).transpose();
        Ok(Self { contracts: contracts.map_err(|_| Failure::Answer("contracts"))? })
    }

    /// Shows a message: as rows, or as JSON.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn show<M: Message + Name>(&self, message: &M, rows: impl FnOnce(&M) -> Rows) -> Result<(), Failure> {
        match &self.contracts {
            None => self.text(&rows(message).text()),
            Some(contracts) => self.text(&format!("{}\n", json(contracts, message, true)?)),
        }
    }

    /// Shows a message that is for programs, or to be kept: always as JSON.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn document<M: Message + Name>(&self, message: &M) -> Result<(), Failure> {
        match &self.contracts {
            Some(contracts) => self.text(&format!("{}\n", json(contracts, message, true)?)),
            None => Self::new(true)?.document(message),
        }
    }

    /// Shows what is no message: as text, or as JSON.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn value<V: Serialize>(&self, value: &V, text: impl FnOnce(&V) -> String) -> Result<(), Failure> {
        match &self.contracts {
            None => self.text(&text(value)),
            Some(_) => {
                let json =
                    serde_json::to_string_pretty(value).map_err(|error| Failure::Output(error.into()))?;
                self.text(&format!("{}\n", escaped(&json)))
            }
        }
    }

    /// Shows one of many messages: as one line of text, or of JSON.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn show_line<M: Message + Name>(
        &self,
        message: &M,
        line: impl FnOnce(&M) -> String,
    ) -> Result<(), Failure> {
        let line = match &self.contracts {
            None => printable(&line(message)),
            Some(contracts) => json(contracts, message, false)?,
        };
        self.text(&format!("{line}\n"))
    }

    /// Shows rows that are no message, for people alone.
    ///
    /// # Errors
    /// When they can't be written.
    pub fn rows(&self, rows: Rows) -> Result<(), Failure> {
        self.text(&rows.text())
    }

    /// Writes text as it is.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn text(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)
    }
}

/// Tells whoever looks, beside the answer. Nobody may be looking.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// The canonical JSON of a message, in which everything is escaped that a terminal could take for a command.
fn json<M: Message + Name>(
    contracts: &DescriptorPool,
    message: &M,
    is_pretty: bool,
) -> Result<String, Failure> {
    let dynamic = contracts
        .get_message_by_name(&M::full_name())
        .and_then(|descriptor| DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).ok())
        .ok_or(Failure::Answer("message of this program's contracts"))?;
    let text =
        if is_pretty { serde_json::to_string_pretty(&dynamic) } else { serde_json::to_string(&dynamic) };
    Ok(escaped(&text.map_err(|error| Failure::Output(error.into()))?))
}

/// JSON's own characters are all readable ones, so that what is escaped stands within a text.
fn escaped(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || is_readable(c) {
            shown.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| shown += &format!("\\u{unit:04x}"));
        }
    }
    shown
}

impl Rows {
    /// Rows below this heading.
    pub fn below<const N: usize>(heading: [&str; N], rows: impl Iterator<Item = [String; N]>) -> Self {
        let mut table = plain();
        table.set_header(heading);
        for row in rows {
            table.add_row(row.map(|cell| printable(&cell)));
        }
        Self(table)
    }

    /// Names and values, without those that are empty.
    pub fn of(values: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let mut table = plain();
        for (name, value) in values.into_iter().filter(|(_, value)| !value.is_empty()) {
            table.add_row([name.to_owned(), printable(&value)]);
        }
        Self(table)
    }

    fn text(mut self) -> String {
        self.0.column_iter_mut().for_each(|column| {
            column.set_padding((0, 2));
        });
        format!("{}\n", self.0.trim_fmt())
    }
}

/// Without lines, and as wide as it must be: ids are copied, and output is cut with other programs.
fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// A time as a person reads it (RFC 3339, UTC); empty if there is none.
pub fn time(time: Option<&prost_types::Timestamp>) -> String {
    let time: Option<SystemTime> = time.and_then(proto::convert::time);
    time.map_or_else(String::new, |time| humantime::format_rfc3339_millis(time).to_string())
}

/// An enum's value without the name of the enum: SUCCEEDED.
pub fn word<'a>(name: &'a str, prefix: &str) -> &'a str {
    name.strip_prefix(prefix).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use proto::payments::{GetPaymentResponse, Payee, Payment, PaymentState};

    use super::*;

    const HOSTILE: &str = "Eve\u{1b}]0;x\u{7}\u{1b}[2J\n\r\u{9b}31m\u{202E}\u{E0001}é";

    fn hostile() -> GetPaymentResponse {
        let payee = Payee { name: HOSTILE.to_owned(), ..Payee::default() };
        let payment = Payment {
            payee: Some(payee),
            sequence: 3,
            state: PaymentState::Failed.into(),
            ..Payment::default()
        };
        GetPaymentResponse { payment: Some(payment) }
    }

    #[test]
    fn json_is_the_canonical_mapping_and_commands_no_terminal() {
        let contracts = DescriptorPool::decode(proto::DESCRIPTORS).unwrap();
        for is_pretty in [true, false] {
            let json = json(&contracts, &hostile(), is_pretty).unwrap();
            assert!(json.chars().all(|c| is_readable(c) || c == '\n'), "{json:?}");
            let read: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(read["payment"]["payee"]["name"], HOSTILE);
            assert_eq!(read["payment"]["state"], "PAYMENT_STATE_FAILED");
            assert_eq!(read["payment"]["sequence"], "3");
            assert_eq!(json.contains('\n'), is_pretty);
        }
    }

    #[test]
    fn tables_command_no_terminal() {
        let cells = || [HOSTILE.to_owned(), "1".to_owned()].into_iter();
        let below = Rows::below(["PAYEE"], cells().map(|cell| [cell])).text();
        let of = Rows::of(cells().map(|cell| ("payee", cell)).chain([("nothing", String::new())])).text();
        for text in [&below, &of] {
            assert!(text.chars().all(|c| is_readable(c) || c == '\n'), "{text:?}");
            assert!(text.contains("Eve\\u{1b}]0;x"), "{text:?}");
        }
        assert_eq!((below.lines().count(), of.lines().count()), (3, 2));
        assert!(!of.contains("nothing"));
    }

    #[test]
    fn enums_and_times_are_short() {
        assert_eq!(word("PAYMENT_STATE_FAILED", "PAYMENT_STATE_"), "FAILED");
        assert_eq!(time(None), "");
        let instant = prost_types::Timestamp { seconds: 1_764_000_000, nanos: 5_000_000 };
        assert_eq!(time(Some(&instant)), "2025-11-24T16:00:00.005Z");
    }
}
