//! By what a bank and the channel know each other: files that its entry names, each read again when it changes.

use std::path::{Path, PathBuf};

use url::Url;

use super::table::BankTable;

/// By what a bank and the channel know each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// The CAs (PEM) that alone are trusted at the bank's address; none for those that the machine trusts.
    pub ca: Option<PathBuf>,
    /// The certificate that the channel shows there, and its key (both PEM).
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// The CA (PEM) and the name in the certificate by which the bank is known where it speaks unasked; none if it may not over TLS.
    pub notices: Option<(PathBuf, String)>,
    /// The private key (PEM) that signs what goes to the bank; none if nothing is signed.
    pub sign_key: Option<PathBuf>,
    /// The public keys (PEM), one of which must have signed what the bank says; none if nothing must be.
    pub verify_keys: Option<PathBuf>,
}

/// Reads what the entry says of it.
pub(super) fn read(table: &mut BankTable<'_>, address: Option<&Url>, folder: &Path) -> Option<Trust> {
    const CLIENT: [&str; 2] = ["client_certificate_file", "client_key_file"];
    const NOTICES: [&str; 2] = ["notice_ca_file", "notice_name"];
    let is_insecure = table.boolean("insecure", false);
    let is_http = address.is_some_and(|address| address.scheme() == "http");
    match (is_http, is_insecure) {
        (true, Some(false)) => table.refuse(
            "address",
            "without TLS everybody on the way can read and change payments: use https, or say insecure = true",
        ),
        (false, Some(true)) if address.is_some() => {
            table.refuse("insecure", "the address is https: leave it out");
        }
        _ => {}
    }
    let mut over_https = |field| {
        if is_http && table.has(field) {
            table.refuse(field, "makes sense only with an https address");
            return None;
        }
        file(table, field, folder)
    };
    let ca = over_https("ca_file");
    let client = CLIENT.map(&mut over_https);
    let client_certificate = match client {
        [Some(certificate), Some(key)] => both(table, CLIENT, certificate, key),
        _ => None,
    };
    let notice_ca = file(table, NOTICES[0], folder);
    let notice_name = match table.has(NOTICES[1]) {
        true => {
            table.text(NOTICES[1], "a URI or a host such as spiffe://aurora.example/notices", name).map(Some)
        }
        false => Some(None),
    };
    let notices = both(table, NOTICES, notice_ca?, notice_name?);
    let sign_key = file(table, "sign_key_file", folder);
    let verify_keys = file(table, "verify_key_file", folder);
    Some(Trust {
        ca: ca?,
        client_certificate: client_certificate?,
        notices: notices?,
        sign_key: sign_key?,
        verify_keys: verify_keys?,
    })
}

/// A name as a certificate has it: no pattern.
fn name(text: &str) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'*' | b',' | b'"');
    (!text.is_empty() && text.len() <= 253 && text.bytes().all(fits)).then(|| text.to_owned())
}

/// A file that is looked for beside the directory; none inside if there is no such key, none at all if it can't be read.
#[expect(clippy::option_option, reason = "absent and unreadable are two things")]
fn file(table: &mut BankTable<'_>, field: &'static str, folder: &Path) -> Option<Option<PathBuf>> {
    if !table.has(field) {
        return Some(None);
    }
    let path = table.text(field, "a file name", |name| (!name.is_empty()).then(|| folder.join(name)))?;
    match std::fs::read(&path) {
        Ok(_) => Some(Some(path)),
        Err(error) => {
            table.refuse(field, &format!("cannot read {}: {error}", path.display()));
            None
        }
    }
}

/// Two that stand together or not at all.
#[expect(clippy::option_option, reason = "absent and half there are two things")]
fn both<A, B>(
    table: &mut BankTable<'_>,
    fields: [&'static str; 2],
    first: Option<A>,
    second: Option<B>,
) -> Option<Option<(A, B)>> {
    let [one, other] = fields;
    match (first, second) {
        (Some(first), Some(second)) => Some(Some((first, second))),
        (None, None) => Some(None),
        (Some(_), None) => {
            table.refuse(other, &format!("is missing: {one} needs it"));
            None
        }
        (None, Some(_)) => {
            table.refuse(one, &format!("is missing: {other} needs it"));
            None
        }
    }
}
