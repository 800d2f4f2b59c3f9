//! Writes XML into a string: elements that close themselves, text that is escaped.

/// An XML document under construction.
pub(super) struct XmlWriter(String);

impl XmlWriter {
    /// Writes a `Document` in the namespace of an ISO 20022 message, e.g. `pacs.008.001.08`.
    pub(super) fn document(message: &str, content: impl FnOnce(&mut Self)) -> String {
        let mut writer = Self(String::with_capacity(2048));
        writer.0.push_str(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:",
        );
        writer.0.push_str(message);
        writer.0.push_str("\">");
        content(&mut writer);
        writer.0.push_str("</Document>");
        writer.0
    }

    /// Writes an element that holds others.
    pub(super) fn element(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.open(name);
        content(self);
        self.close(name);
    }

    /// Writes an element that holds text.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.open(name);
        escape_into(&mut self.0, text);
        self.close(name);
    }

    /// Writes an element that holds text and has one attribute.
    pub(super) fn text_with(&mut self, name: &str, attribute: &str, value: &str, text: &str) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push(' ');
        self.0.push_str(attribute);
        self.0.push_str("=\"");
        escape_into(&mut self.0, value);
        self.0.push_str("\">");
        escape_into(&mut self.0, text);
        self.close(name);
    }

    fn open(&mut self, name: &str) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
    }

    fn close(&mut self, name: &str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }
}

/// Escapes text so that every reader gets back the same characters: mark-up, and the white space that readers are told
/// to normalise (XML 1.0, sections 2.11 and 3.3.3).
fn escape_into(out: &mut String, text: &str) {
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escaped = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\'' => "&apos;",
            b'\r' => "&#13;",
            b'\n' => "&#10;",
            b'\t' => "&#9;",
            _ => continue,
        };
        out.push_str(text.get(plain..at).unwrap_or_default());
        out.push_str(escaped);
        plain = at + 1;
    }
    out.push_str(text.get(plain..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::{super::gate, *};

    const SCHEMA: gate::Schema =
        gate::Schema { namespace: "urn:iso:std:iso:20022:tech:xsd:x", repeatable: &[] };

    #[test]
    fn what_is_written_is_read_back() {
        for text in [
            "plain",
            "a & b < c > d \" e ' f",
            "]]>",
            "&amp; &lt; &#38; &nbsp;",
            "<!-- --> <![CDATA[x]]> <?pi?>",
            "line\r\nfeed\rreturn\ttab",
            " spaces  around ",
            "Zoë 日本 🏦 \u{10FFFD}",
            "",
        ] {
            let document = XmlWriter::document("x", |xml| xml.text_with("A", "b", text, text));
            let (_, root) = gate::read(document.as_bytes(), &[&SCHEMA]).expect(&document);
            let element = root.child("A").expect("the element");
            assert_eq!(element.text(), text);
            assert_eq!(element.attribute("b"), Some(text));
        }
    }
}
