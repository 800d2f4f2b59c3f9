//! What is signed of a call: the signature base (RFC 9421, section 2.5).

use sfv::{FieldType, InnerList, ListEntry};
use tonic::codegen::http::{HeaderMap, HeaderName, Method, header::ToStrError};

use super::Content;

/// The base that a signature is over which covers `input`.
///
/// # Errors
/// What of it can't be told in only one way.
pub(super) fn of(input: &InnerList, headers: &HeaderMap, content: &Content) -> Result<String, &'static str> {
    const TOO_MUCH: &str = "a signature may cover \"@method\", \"@path\", \"@authority\", and headers that stand in the call once, each once and without parameters";
    let mut base = String::new();
    for (number, item) in input.items.iter().enumerate() {
        let is_again = input.items.iter().take(number).any(|other| other.bare_item == item.bare_item);
        let name =
            item.bare_item.as_string().filter(|_| item.params.is_empty() && !is_again).ok_or(TOO_MUCH)?;
        let value = match name.as_str() {
            // Nothing else is let through.
            "@method" => Method::POST.as_str(),
            "@path" => &content.path,
            "@authority" => content
                .authority
                .as_deref()
                .ok_or("the call has no authority that a signature could cover")?,
            name => {
                let known =
                    HeaderName::from_bytes(name.as_bytes()).ok().filter(|known| known.as_str() == name);
                let value = known.and_then(|known| one(headers, &known)?.ok());
                value.ok_or(TOO_MUCH)?.trim_ascii()
            }
        };
        base.extend(["\"", name.as_str(), "\": ", value, "\n"]);
    }
    let parameters = vec![ListEntry::InnerList(input.clone())].serialize().ok_or(TOO_MUCH)?;
    Ok(base + "\"@signature-params\": " + &parameters)
}

/// The header of this name as text, if it stands there exactly once.
pub(super) fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Result<&'a str, ToStrError>> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.to_str())
}
