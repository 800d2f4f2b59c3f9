//! A bank's document by a walk of its own: what stands where, as far as rules about answers need to know.

use quick_xml::{Reader, XmlVersion, events::Event};

/// What one element says that holds no others.
#[derive(Debug)]
pub(super) struct Leaf {
    /// The names from the root to it, with a slash between two.
    pub(super) path: String,
    /// Its text.
    pub(super) text: String,
    /// Its currency (`Ccy`).
    pub(super) currency: Option<String>,
}

/// The leaves of a document, but for those in envelopes; none if it is not well-formed.
pub(super) fn leaves(document: &[u8]) -> Option<Vec<Leaf>> {
    let mut reader = Reader::from_str(std::str::from_utf8(document).ok()?);
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<Open> = Vec::new();
    let mut found = Vec::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                if let Some(parent) = open.last_mut() {
                    parent.has_children = true;
                }
                let currency = start.attributes().flatten().find(|attribute| attribute.key.0 == "Ccy");
                let currency = currency
                    .and_then(|found| found.normalized_value(XmlVersion::Explicit1_0).ok().map(String::from));
                let name = start.local_name().as_ref().to_owned();
                open.push(Open { name, text: String::new(), currency, has_children: false });
            }
            Event::Text(text) => add(&mut open, &text.xml10_content()),
            Event::CData(text) => add(&mut open, &text.xml10_content()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().ok()? {
                Some(character) => add(&mut open, &character.to_string()),
                None => add(&mut open, quick_xml::escape::resolve_predefined_entity(&reference)?),
            },
            Event::End(_) => {
                let path: Vec<&str> = open.iter().map(|element| element.name.as_str()).collect();
                let (path, is_in_envelope) = (path.join("/"), path.contains(&"Envlp"));
                let element = open.pop()?;
                if !element.has_children && !is_in_envelope {
                    found.push(Leaf { path, text: element.text, currency: element.currency });
                }
            }
            Event::Eof => return Some(found),
            _ => {}
        }
    }
}

struct Open {
    name: String,
    text: String,
    currency: Option<String>,
    has_children: bool,
}

fn add(open: &mut [Open], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}
