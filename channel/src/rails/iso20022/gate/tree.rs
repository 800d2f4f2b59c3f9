//! The tree that a document becomes, and the rules of its growth.

use super::{MAX_DEPTH, MAX_ELEMENTS, MAX_TEXT_BYTES, Unreadable};

/// The elements that every schema of a message from a bank allows more than once in their parent.
const REPEATABLE: [&str; 16] = [
    "AddtlInf",
    "AddtlRmtInf",
    "AdjstmntAmtAndRsn",
    "AdrLine",
    "DscntApldAmt",
    "Dtls",
    "Id",
    "LineDtls",
    "Othr",
    "Rcrd",
    "RfrdDocInf",
    "SplmtryData",
    "Strd",
    "SvcLvl",
    "TaxAmt",
    "Ustrd",
];
/// Holds supplementary data of any namespace, which nobody here reads.
const ENVELOPE: &str = "Envlp";

/// An element that passed the gate: its local name, attributes without namespace, and either text or children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), attributes: Vec::new(), text: String::new(), children: Vec::new() }
    }

    pub(super) fn add_attribute(&mut self, name: &str, value: String) {
        self.attributes.push((name.to_owned(), value));
    }

    /// The local name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text; empty when it holds elements.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// An attribute without namespace.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The children of that name, in order.
    pub fn children<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The child of that name, if there is exactly one.
    pub fn only<'a>(&'a self, name: &'a str) -> Option<&'a Element> {
        let mut children = self.children(name);
        children.next().filter(|_| children.next().is_none())
    }

    /// The child of that name; the gate lets only elements through that the schema allows more than once, if there are
    /// several, and of those the first is returned.
    pub fn child<'a>(&'a self, name: &'a str) -> Option<&'a Element> {
        self.children(name).next()
    }
}

/// A document while it is read.
#[derive(Default)]
pub(super) struct Tree {
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
}

impl Tree {
    /// Whether what comes next stands inside an envelope.
    pub(super) fn is_in_envelope(&self) -> bool {
        self.open.iter().any(|element| element.name == ENVELOPE)
    }

    /// Begins an element.
    pub(super) fn open(&mut self, element: Element) -> Result<(), Unreadable> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            return Err(Unreadable::TooManyElements);
        }
        if self.open.len() == MAX_DEPTH {
            return Err(Unreadable::TooDeep);
        }
        if self.open.is_empty() && self.root.is_some() {
            return Err(Unreadable::Malformed);
        }
        self.open.push(element);
        Ok(())
    }

    /// Ends the innermost element. `repeatable` are those that the schema allows more than once in their parent, besides
    /// [`REPEATABLE`].
    pub(super) fn close(&mut self, repeatable: &[&str]) -> Result<(), Unreadable> {
        let mut element = self.open.pop().ok_or(Unreadable::Malformed)?;
        let is_in_envelope = element.name == ENVELOPE || self.is_in_envelope();
        if !element.children.is_empty() {
            if !is_in_envelope && !element.text.chars().all(is_white_space) {
                return Err(Unreadable::MixedContent);
            }
            element.text.clear();
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(element);
            return Ok(());
        };
        let name = element.name.as_str();
        let may_repeat =
            is_in_envelope && name != ENVELOPE || REPEATABLE.contains(&name) || repeatable.contains(&name);
        if !may_repeat && parent.child(&element.name).is_some() {
            return Err(Unreadable::Repeated);
        }
        parent.children.push(element);
        Ok(())
    }

    /// Adds text; outside of the root only white space may stand.
    pub(super) fn text(&mut self, text: &str) -> Result<(), Unreadable> {
        if self.open.is_empty() && text.chars().all(is_white_space) {
            return Ok(());
        }
        self.literal(text)
    }

    /// Adds text from a CDATA section or a reference, which may not even be white space outside of the root.
    pub(super) fn literal(&mut self, text: &str) -> Result<(), Unreadable> {
        let element = self.open.last_mut().ok_or(Unreadable::Malformed)?;
        if element.text.len() + text.len() > MAX_TEXT_BYTES {
            return Err(Unreadable::TextTooLong);
        }
        element.text.push_str(text);
        Ok(())
    }

    /// Ends the document. The root is there only once everything in it was closed.
    pub(super) fn finish(self) -> Result<Element, Unreadable> {
        self.root.ok_or(Unreadable::Malformed)
    }
}

fn is_white_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}
