//! Signatures over calls: HTTP Message Signatures (RFC 9421) with Ed25519, over the method, the path and the digest of the content
//! (RFC 9530). A call is believed with exactly one, in the one way to write it.

mod base;
mod content;
mod signer;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use common::{fault::Fault, verification_key::VerificationKey};
use sfv::{BareItem, Dictionary, FieldType, InnerList, ListEntry, Parser};
use tonic::codegen::http::{HeaderMap, HeaderName};

pub use content::{Content, ReadSignedLayer};
pub use signer::{Signer, SigningKeyError};

/// Where a signature says what it covers, and where it stands (RFC 9421, section 4).
pub const INPUT: HeaderName = HeaderName::from_static("signature-input");
/// The signature itself.
pub const SIGNATURE: HeaderName = HeaderName::from_static("signature");
/// The digest of the content (RFC 9530, section 2).
pub const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// What every signature covers; further headers may follow.
const COVERED: [&str; 3] = ["@method", "@path", "content-digest"];
/// How far a signature's time may be from the gateway's: both clocks may be wrong, and calls take a while.
const WINDOW: Duration = Duration::from_secs(300);
/// How long a nonce is, in characters.
const NONCE_LENGTHS: std::ops::RangeInclusive<usize> = 16..=128;

/// Why a call is not carried out, for which its credential is good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It must be signed.
    #[error(
        "calls with this API key that change anything must be signed (RFC 9421) by the holder of its verification key: see docs/signing.md"
    )]
    Missing,
    /// It is signed, and nothing says with which key to verify that.
    #[error(
        "this credential has no verification key, so that nobody can say whether the signature is good: call without one, or with an API key that was made with a verification_key"
    )]
    NoKey,
    /// It is signed otherwise than it must be, or something of it was changed.
    #[error("{0}")]
    Invalid(&'static str),
    /// It was signed too long ago, or in the future.
    #[error(
        "the signature's created must be within {} s of this gateway's clock, which says {} ({}): set your clock, and sign when you send",
        WINDOW.as_secs(),
        seconds(*.0),
        humantime::format_rfc3339_seconds(*.0)
    )]
    OutOfWindow(SystemTime),
    /// Its signer wanted it to end before.
    #[error("the signature's expires is over: this gateway's clock says {} ({})", seconds(*.0), humantime::format_rfc3339_seconds(*.0))]
    Expired(SystemTime),
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        let reason = match refused {
            Refused::Missing => "SIGNATURE_REQUIRED",
            Refused::NoKey => "SIGNATURE_KEY_UNKNOWN",
            Refused::Invalid(_) => "SIGNATURE_INVALID",
            Refused::OutOfWindow(_) | Refused::Expired(_) => "SIGNATURE_EXPIRED",
        };
        Self::bad_signature(reason, refused.to_string())
    }
}

/// Whether a call says that it is signed.
pub fn is_signed(headers: &HeaderMap) -> bool {
    headers.contains_key(INPUT) || headers.contains_key(SIGNATURE)
}

/// The nonce of a call's signature, if the holder of the key has signed this call in this time.
///
/// # Errors
/// Why the call is not to be carried out.
pub fn verify(
    headers: &HeaderMap,
    content: &Content,
    key: &VerificationKey,
    now: SystemTime,
) -> Result<String, Refused> {
    let (label, input) = covered(headers)?;
    let terms = Terms::read(&input)?;
    if terms.key_id != key.to_string() {
        return Err(Refused::Invalid(
            "the signature's keyid must be this API key's verification_key, in base64 as JSON has it",
        ));
    }
    if digest(headers)? != content.digest {
        return Err(Refused::Invalid(
            "content-digest is not the SHA-256 of the content, which is the message with the five bytes that gRPC puts before it",
        ));
    }
    let base = base::of(&input, headers, content).map_err(Refused::Invalid)?;
    let signature = signature(headers, &label)?;
    let verified = UnparsedPublicKey::new(&ED25519, key.as_bytes()).verify(base.as_bytes(), &signature);
    verified.map_err(|_| {
        Refused::Invalid("the signature is not of this call: it was changed, or signed with another key or another base (RFC 9421, section 2.5)")
    })?;
    terms.are_met(now)?;
    Ok(terms.nonce)
}

/// What the one signature says that it covers, and its label.
fn covered(headers: &HeaderMap) -> Result<(sfv::Key, InnerList), Refused> {
    let not_one = Refused::Invalid(
        "signature-input must hold exactly one signature, such as sig=(\"@method\" \"@path\" \"content-digest\");created=…;keyid=\"…\";nonce=\"…\", written as RFC 9651 has it",
    );
    let input = dictionary(headers, &INPUT).ok_or_else(|| not_one.clone())?;
    let mut members = input.into_iter();
    match (members.next(), members.next()) {
        (Some((label, ListEntry::InnerList(input))), None) => Ok((label, input)),
        _ => Err(not_one),
    }
}

fn signature(headers: &HeaderMap, label: &sfv::Key) -> Result<Vec<u8>, Refused> {
    let found = dictionary(headers, &SIGNATURE).filter(|signatures| signatures.len() == 1);
    match found.as_ref().and_then(|signatures| signatures.get(label)) {
        Some(ListEntry::Item(sfv::Item { bare_item: BareItem::ByteSequence(bytes), params }))
            if params.is_empty() =>
        {
            Ok(bytes.clone())
        }
        _ => Err(Refused::Invalid(
            "signature must hold exactly one signature, of the same name as signature-input: sig=:…:, in base64",
        )),
    }
}

fn digest(headers: &HeaderMap) -> Result<Vec<u8>, Refused> {
    let found = dictionary(headers, &CONTENT_DIGEST);
    match found.as_ref().and_then(|digests| digests.get("sha-256")) {
        Some(ListEntry::Item(sfv::Item { bare_item: BareItem::ByteSequence(bytes), .. })) => {
            Ok(bytes.clone())
        }
        _ => Err(Refused::Invalid("content-digest must say sha-256=:…:, in base64 (RFC 9530)")),
    }
}

/// The dictionary in a header that stands there once, if it is written in the one way that there is to write it: what two readers could
/// read differently is none.
fn dictionary(headers: &HeaderMap, name: &HeaderName) -> Option<Dictionary> {
    let text = base::one(headers, name)?.ok()?;
    let dictionary = Parser::new(text).parse::<Dictionary>().ok()?;
    (dictionary.serialize().as_deref() == Some(text)).then_some(dictionary)
}

/// On which terms something is signed: the parameters of a signature.
#[derive(Debug)]
struct Terms {
    created: i64,
    expires: Option<i64>,
    nonce: String,
    key_id: String,
}

impl Terms {
    fn read(input: &InnerList) -> Result<Self, Refused> {
        let (mut created, mut expires, mut nonce, mut key_id) = (None, None, None, None);
        for (name, value) in &input.params {
            let text = || value.as_string().map(|text| text.as_str().to_owned());
            let number = || value.as_integer().map(i64::from);
            let is_understood = match name.as_str() {
                "created" => number().map(|number| created = Some(number)).is_some(),
                "expires" => number().map(|number| expires = Some(number)).is_some(),
                "nonce" => text().map(|text| nonce = Some(text)).is_some(),
                "keyid" => text().map(|text| key_id = Some(text)).is_some(),
                "alg" => text().is_some_and(|alg| alg == "ed25519"),
                _ => false,
            };
            if !is_understood {
                return Err(Refused::Invalid(
                    "the signature's parameters are created and expires, in whole seconds since 1970, nonce, keyid and alg, which is \"ed25519\", and no other",
                ));
            }
        }
        let created = created.ok_or(Refused::Invalid("the signature must say when it was made: created"))?;
        let key_id = key_id.ok_or(Refused::Invalid("the signature must say whose it is: keyid"))?;
        let nonce = nonce.filter(|nonce| NONCE_LENGTHS.contains(&nonce.len()));
        let nonce = nonce.ok_or(Refused::Invalid(
            "the signature must have a nonce of 16 to 128 characters that no other one has, such as a random UUID",
        ))?;
        if !COVERED.iter().all(|needed| input.items.iter().any(|item| is_named(item, needed))) {
            return Err(Refused::Invalid(
                "the signature must cover \"@method\", \"@path\" and \"content-digest\"",
            ));
        }
        Ok(Self { created, expires, nonce, key_id })
    }

    fn are_met(&self, now: SystemTime) -> Result<(), Refused> {
        let now_s = seconds(now);
        if now_s.abs_diff(self.created) > WINDOW.as_secs() {
            return Err(Refused::OutOfWindow(now));
        }
        if self.expires.is_some_and(|expires| expires <= now_s) {
            return Err(Refused::Expired(now));
        }
        Ok(())
    }
}

fn is_named(item: &sfv::Item, name: &str) -> bool {
    item.params.is_empty() && item.bare_item.as_string().is_some_and(|text| text.as_str() == name)
}

fn seconds(time: SystemTime) -> i64 {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
