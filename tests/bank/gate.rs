//! The inbound gate: one pass over a body, within the profile's caps, before any meaning is read.
//!
//! What passes is a flat set of [`Fields`] of one known [`Shape`]. Everything that would let two readers see two
//! different messages in one body (a DOCTYPE, a repeated element, text beside elements, an unknown entity) is refused.

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};
use quick_xml::name::{Namespace, PrefixDeclaration, ResolveResult};
use quick_xml::reader::NsReader;

use crate::fields::{Fields, Shape};

#[cfg(test)]
mod tests;

/// Largest body, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// Deepest nesting; the root is level 1.
const MAX_DEPTH: usize = 32;
/// Most elements in a body.
const MAX_ELEMENTS: usize = 2_000;
/// Most attributes of one element, namespace declarations included.
const MAX_ATTRIBUTES: usize = 16;
/// What every ISO 20022 namespace starts with; the message's name follows.
const NAMESPACE_PREFIX: &str = "urn:iso:std:iso:20022:tech:xsd:";

/// Why a body says nothing to this bank, in words fit for a plain-text answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable(pub String);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The short way to refuse a body.
pub fn unreadable<T>(why: impl Into<String>) -> Result<T, Unreadable> {
    Err(Unreadable(why.into()))
}

/// Reads `body` as one of `shapes`, chosen by the namespace of the root.
pub fn read(body: &[u8], shapes: &[&'static Shape]) -> Result<Fields, Unreadable> {
    if body.len() > MAX_BYTES {
        return unreadable("the body is larger than 64 KiB");
    }
    let Ok(text) = std::str::from_utf8(body) else { return unreadable("the body is not UTF-8") };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !is_plain(text) && !text.chars().all(is_xml_char) {
        return unreadable("a character that XML does not allow");
    }
    let mut reader = NsReader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut walk = Walk::new(shapes);
    let mut first = true;
    loop {
        let (namespace, event) = reader.read_resolved_event().map_err(ill_formed)?;
        match event {
            Event::Start(start) => walk.open(namespace, &start)?,
            Event::End(_) => walk.close()?,
            Event::Text(text) => walk.text.push_str(&text.xml10_content()),
            Event::CData(text) if walk.frames.is_empty() => {
                return unreadable(format!("CDATA outside the root ({} bytes)", text.len()));
            }
            Event::CData(text) => walk.text.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => walk.reference(&reference)?,
            Event::Decl(decl) if first => declaration(&decl)?,
            Event::Decl(_) => return unreadable("an XML declaration that is not at the start"),
            Event::DocType(_) => return unreadable("a DOCTYPE is not accepted"),
            Event::Comment(_) | Event::PI(_) => {}
            Event::Empty(_) => return unreadable("an element of an unexpected form"),
            Event::Eof => return walk.finish(),
        }
        first = false;
    }
}

/// One open element.
struct Frame {
    /// Length of the path before this element was added to it.
    path_before: usize,
    /// Whether an element was opened inside.
    has_children: bool,
}

/// The state of the one pass.
struct Walk<'s> {
    shapes: &'s [&'static Shape],
    frames: Vec<Frame>,
    elements: usize,
    /// Local names from below the message's root to here, joined by `/`.
    path: String,
    /// Text since the last tag.
    text: String,
    fields: Option<Fields>,
    has_message: bool,
}

impl<'s> Walk<'s> {
    fn new(shapes: &'s [&'static Shape]) -> Self {
        Self {
            shapes,
            frames: Vec::with_capacity(MAX_DEPTH),
            elements: 0,
            path: String::with_capacity(128),
            text: String::with_capacity(256),
            fields: None,
            has_message: false,
        }
    }

    fn open(&mut self, namespace: ResolveResult<'_>, start: &BytesStart<'_>) -> Result<(), Unreadable> {
        self.only_white_space()?;
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            return unreadable("more than 2,000 elements");
        }
        if self.frames.len() >= MAX_DEPTH {
            return unreadable("more than 32 levels deep");
        }
        let ResolveResult::Bound(Namespace(namespace)) = namespace else {
            return unreadable(format!("element {} is in no known namespace", start.name().into_inner()));
        };
        let name = start.local_name();
        let name = name.into_inner();
        let path_before = self.path.len();
        match self.frames.len() {
            0 => self.open_root(namespace, name)?,
            1 => self.open_message(namespace, name)?,
            _ => self.open_element(namespace, name)?,
        }
        if let Some(parent) = self.frames.last_mut() {
            parent.has_children = true;
        }
        self.frames.push(Frame { path_before, has_children: false });
        self.attributes(start)
    }

    fn open_root(&mut self, namespace: &str, name: &str) -> Result<(), Unreadable> {
        if self.fields.is_some() {
            return unreadable("more than one root");
        }
        let message = namespace.strip_prefix(NAMESPACE_PREFIX);
        let shape = self.shapes.iter().find(|shape| name == "Document" && Some(shape.message) == message);
        let Some(shape) = shape else { return unreadable("the root is not a Document that this bank takes") };
        self.fields = Some(Fields::new(shape));
        Ok(())
    }

    fn open_message(&mut self, namespace: &str, name: &str) -> Result<(), Unreadable> {
        let ours = self
            .fields
            .as_ref()
            .is_some_and(|fields| fields.shape().root == name && is_namespace_of(namespace, fields.shape()));
        if !ours || self.has_message {
            return unreadable("the Document does not hold exactly its one message");
        }
        self.has_message = true;
        Ok(())
    }

    fn open_element(&mut self, namespace: &str, name: &str) -> Result<(), Unreadable> {
        if !self.path.is_empty() {
            self.path.push('/');
        }
        let Some(fields) = &mut self.fields else { return unreadable("an element outside the root") };
        if !is_namespace_of(namespace, fields.shape()) {
            // No path of a shape holds a star, so that a foreign element never passes for one of the message's own.
            self.path.push('*');
        }
        self.path.push_str(name);
        fields.open(&self.path)
    }

    fn attributes(&mut self, start: &BytesStart<'_>) -> Result<(), Unreadable> {
        if start.attributes_raw().is_empty() {
            return Ok(());
        }
        let mut count = 0;
        for attribute in start.attributes() {
            let attribute = attribute.map_err(ill_formed)?;
            count += 1;
            if count > MAX_ATTRIBUTES {
                return unreadable("more than 16 attributes on one element");
            }
            if attribute.key.as_namespace_binding().is_some_and(|binding| {
                matches!(binding, PrefixDeclaration::Default | PrefixDeclaration::Named(_))
            }) {
                continue;
            }
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(ill_formed)?;
            if value.chars().any(|c| c == '<' || !is_xml_char(c)) {
                return unreadable("a character that an attribute may not hold");
            }
            let Some(fields) = &mut self.fields else { continue };
            let path_before = self.path.len();
            self.path.push('@');
            self.path.push_str(attribute.key.into_inner());
            fields.leaf(&self.path, &value)?;
            self.path.truncate(path_before);
        }
        Ok(())
    }

    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), Unreadable> {
        if self.frames.is_empty() {
            return unreadable("a reference outside the root");
        }
        if let Some(character) = reference.resolve_char_ref().map_err(ill_formed)? {
            if !is_xml_char(character) {
                return unreadable("a character reference that XML does not allow");
            }
            self.text.push(character);
            return Ok(());
        }
        match resolve_predefined_entity(&reference.xml10_content()) {
            Some(text) => self.text.push_str(text),
            None => return unreadable("an entity that XML does not define"),
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), Unreadable> {
        let Some(frame) = self.frames.pop() else { return unreadable("an end tag outside the root") };
        if frame.has_children {
            self.only_white_space()?;
            self.closed_group()?;
        } else {
            if let Some(fields) = self.fields.as_mut().filter(|_| !self.path.is_empty()) {
                fields.leaf(&self.path, &self.text)?;
            }
            self.text.clear();
        }
        self.path.truncate(frame.path_before);
        Ok(())
    }

    fn closed_group(&self) -> Result<(), Unreadable> {
        match &self.fields {
            Some(fields) if fields.shape().is_leaf(&self.path) => {
                unreadable(format!("{} holds elements where text was expected", self.path))
            }
            _ => Ok(()),
        }
    }

    fn only_white_space(&mut self) -> Result<(), Unreadable> {
        if !self.text.chars().all(|c| matches!(c, ' ' | '\t' | '\r' | '\n')) {
            return unreadable("text beside elements");
        }
        self.text.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<Fields, Unreadable> {
        self.only_white_space()?;
        match self.fields {
            Some(fields) if self.frames.is_empty() && self.has_message => Ok(fields),
            Some(_) if !self.frames.is_empty() => unreadable("the body ends inside an element"),
            _ => unreadable("the body holds no message"),
        }
    }
}

fn is_namespace_of(namespace: &str, shape: &Shape) -> bool {
    namespace.strip_prefix(NAMESPACE_PREFIX) == Some(shape.message)
}

fn declaration(decl: &BytesDecl<'_>) -> Result<(), Unreadable> {
    if decl.version().map_err(ill_formed)? != "1.0" {
        return unreadable("only XML 1.0 is accepted");
    }
    match decl.encoding() {
        None => Ok(()),
        Some(Ok(name)) if name.eq_ignore_ascii_case("utf-8") => Ok(()),
        Some(_) => unreadable("only UTF-8 is accepted"),
    }
}

/// Whether all of `text` is ASCII that XML allows, which most messages are and which is found out many bytes at once.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, b| plain & matches!(b, b'\t' | b'\n' | b'\r' | b' '..=b'\x7f'))
}

fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..)
}

fn ill_formed(error: impl std::fmt::Display) -> Unreadable {
    Unreadable(format!("not well-formed XML: {error}"))
}
