//! The one way in for XML from a bank: bounded, well-formed, in one namespace, every element at most as often as it may.
//!
//! What passes is a small tree. What a reader could take in two ways (a repeated element, an entity, another encoding,
//! a second root) does not pass, so that nobody behind this gate has to choose.

mod tree;

use quick_xml::{
    NsReader, XmlVersion,
    events::{BytesDecl, BytesRef, BytesStart, Event},
    name::{Namespace, QName, ResolveResult},
};

pub use tree::Element;
use tree::Tree;

/// The longest body that is read.
pub const MAX_BYTES: usize = 64 * 1024;
const MAX_DEPTH: usize = 32;
const MAX_ELEMENTS: usize = 2_000;
const MAX_ATTRIBUTES: usize = 16;
const MAX_TEXT_BYTES: usize = 4 * 1024;
const MAX_NAME_BYTES: usize = 64;

/// What a message's elements may be.
#[derive(Debug, PartialEq, Eq)]
pub struct Schema {
    /// The namespace of them all.
    pub namespace: &'static str,
    /// Those that may stand more than once in their parent, besides those that may in every message.
    pub repeatable: &'static [&'static str],
}

/// Why a bank's answer can't be read. The texts name no content: it may be personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Too long to be a message.
    #[error("longer than {MAX_BYTES} bytes")]
    TooLong,
    /// In another encoding, or said to be.
    #[error("not UTF-8 without a byte order mark")]
    NotUtf8,
    /// Has a document type, which could define entities.
    #[error("has a DOCTYPE")]
    Doctype,
    /// Elements within elements within elements.
    #[error("deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Too many elements.
    #[error("more than {MAX_ELEMENTS} elements")]
    TooManyElements,
    /// Too many attributes on one element.
    #[error("more than {MAX_ATTRIBUTES} attributes on one element")]
    TooManyAttributes,
    /// Too much text in one element.
    #[error("more than {MAX_TEXT_BYTES} bytes of text in one element")]
    TextTooLong,
    /// A reference to anything but the five characters of XML or a character by its number.
    #[error("has an entity")]
    Entity,
    /// A character that XML does not allow.
    #[error("has a character that XML does not allow")]
    Character,
    /// An element outside of the message's namespace.
    #[error("has an element or attribute of another namespace")]
    Namespace,
    /// An element that may stand once stands twice.
    #[error("has an element twice that may stand once")]
    Repeated,
    /// Text beside elements.
    #[error("has text beside elements")]
    MixedContent,
    /// No XML.
    #[error("not well-formed XML")]
    Malformed,
    /// Well-formed, and without something that the message must have.
    #[error("has no {0}")]
    Missing(&'static str),
    /// An amount that is no amount.
    #[error("has an amount that is no plain decimal number of its currency")]
    Amount,
}

/// Reads a document whose root belongs to one of `schemas`, and so do all its elements, except those in an envelope for
/// supplementary data. Says which schema it is.
///
/// # Errors
/// When anything about it could be read in two ways, or is too much.
pub fn read<'s>(bytes: &[u8], schemas: &[&'s Schema]) -> Result<(&'s Schema, Element), Unreadable> {
    let mut reader = NsReader::from_str(checked_text(bytes)?);
    let config = reader.config_mut();
    config.check_comments = true;
    config.expand_empty_elements = true;
    let mut tree = Tree::default();
    let mut chosen: Option<&Schema> = None;
    let mut is_first = true;
    loop {
        match reader.read_event().map_err(|_| Unreadable::Malformed)? {
            Event::Start(start) => {
                let schema = match chosen {
                    Some(schema) => schema,
                    None => schema_of(&reader, &start, schemas)?,
                };
                chosen = Some(schema);
                tree.open(element(&reader, &start, schema.namespace, tree.is_in_envelope())?)?;
            }
            Event::End(_) => tree.close(chosen.map_or(&[], |schema| schema.repeatable))?,
            Event::Text(text) if text.contains("]]>") => return Err(Unreadable::Malformed),
            Event::Text(text) => tree.text(&text.xml10_content())?,
            Event::CData(text) => tree.literal(&text.xml10_content())?,
            Event::GeneralRef(reference) => tree.literal(&referenced(&reference)?)?,
            Event::Decl(declaration) if is_first => check_declaration(&declaration)?,
            Event::Decl(_) | Event::Empty(_) => return Err(Unreadable::Malformed),
            Event::DocType(_) => return Err(Unreadable::Doctype),
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => {
                return chosen.ok_or(Unreadable::Malformed).and_then(|schema| Ok((schema, tree.finish()?)));
            }
        }
        is_first = false;
    }
}

fn checked_text(bytes: &[u8]) -> Result<&str, Unreadable> {
    if bytes.len() > MAX_BYTES {
        return Err(Unreadable::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable::NotUtf8)?;
    if text.starts_with('\u{FEFF}') {
        return Err(Unreadable::NotUtf8);
    }
    if is_plain(text) || text.chars().all(is_xml_character) { Ok(text) } else { Err(Unreadable::Character) }
}

/// Whether all of `text` is ASCII that XML allows, which most messages are and which is found out many bytes at once.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, byte| plain & matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'\x7F'))
}

/// The production `Char` of XML 1.0.
fn is_xml_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

fn check_declaration(declaration: &BytesDecl<'_>) -> Result<(), Unreadable> {
    if declaration.version().ok().as_deref() != Some("1.0") {
        return Err(Unreadable::Malformed);
    }
    match declaration.encoding() {
        None => Ok(()),
        Some(Ok(encoding)) if encoding.eq_ignore_ascii_case("utf-8") => Ok(()),
        Some(_) => Err(Unreadable::NotUtf8),
    }
}

fn referenced(reference: &BytesRef<'_>) -> Result<String, Unreadable> {
    if let Some(character) = reference.resolve_char_ref().map_err(|_| Unreadable::Character)? {
        return if is_xml_character(character) {
            Ok(character.to_string())
        } else {
            Err(Unreadable::Character)
        };
    }
    match quick_xml::escape::resolve_predefined_entity(reference) {
        Some(text) => Ok(text.to_owned()),
        None => Err(Unreadable::Entity),
    }
}

/// The schema that the root belongs to.
fn schema_of<'s>(
    reader: &NsReader<&[u8]>,
    root: &BytesStart<'_>,
    schemas: &[&'s Schema],
) -> Result<&'s Schema, Unreadable> {
    let (bound, _) = reader.resolver().resolve_element(root.name());
    let ResolveResult::Bound(Namespace(found)) = bound else { return Err(Unreadable::Namespace) };
    schemas.iter().copied().find(|schema| schema.namespace == found).ok_or(Unreadable::Namespace)
}

/// Checks an element's names, namespaces and attributes. Inside an envelope any namespace that is declared will do.
fn element(
    reader: &NsReader<&[u8]>,
    start: &BytesStart<'_>,
    namespace: &str,
    is_in_envelope: bool,
) -> Result<Element, Unreadable> {
    check_name(start.name())?;
    let (bound, local_name) = reader.resolver().resolve_element(start.name());
    match bound {
        ResolveResult::Bound(Namespace(found)) if found == namespace || is_in_envelope => {}
        ResolveResult::Unbound if is_in_envelope => {}
        _ => return Err(Unreadable::Namespace),
    }
    let mut element = Element::new(local_name.as_ref());
    if start.attributes_raw().is_empty() {
        return Ok(element);
    }
    for (count, attribute) in start.attributes().enumerate() {
        if count == MAX_ATTRIBUTES {
            return Err(Unreadable::TooManyAttributes);
        }
        let attribute = attribute.map_err(|_| Unreadable::Malformed)?;
        check_name(attribute.key)?;
        if attribute.value.contains('<') {
            return Err(Unreadable::Malformed);
        }
        let value = attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|_| Unreadable::Entity)?;
        if !value.chars().all(is_xml_character) {
            return Err(Unreadable::Character);
        }
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        match reader.resolver().resolve_attribute(attribute.key) {
            (ResolveResult::Unbound, name) => element.add_attribute(name.as_ref(), value.into_owned()),
            (ResolveResult::Bound(_), _) => {}
            (ResolveResult::Unknown(_), _) => return Err(Unreadable::Namespace),
        }
    }
    Ok(element)
}

/// Refuses what the parser lets through as a name: mark-up, quotes, digits in front, more than one colon.
fn check_name(name: QName<'_>) -> Result<(), Unreadable> {
    let is_part = |part: &str| {
        let first = part.chars().next();
        let goes_on = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        first.is_some_and(|c| c.is_alphabetic() || c == '_') && part.chars().all(goes_on)
    };
    let (first, second) =
        name.0.split_once(':').map_or((name.0, None), |(prefix, local)| (prefix, Some(local)));
    if name.0.len() <= MAX_NAME_BYTES && is_part(first) && second.is_none_or(is_part) {
        return Ok(());
    }
    Err(Unreadable::Malformed)
}

#[cfg(test)]
mod tests;
