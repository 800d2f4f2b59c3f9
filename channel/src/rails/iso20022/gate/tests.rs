//! What must not pass, and what must.

use super::{super::pacs002, *};

const NS: &str = "urn:iso:std:iso:20022:tech:xsd:pacs.002.001.10";

fn document(inside: &str) -> String {
    format!("<Document xmlns=\"{NS}\">{inside}</Document>")
}

fn read(bytes: &[u8]) -> Result<Element, Unreadable> {
    super::read(bytes, &[&pacs002::SCHEMA]).map(|(_, root)| root)
}

fn refused(document: &str) -> Unreadable {
    match read(document.as_bytes()) {
        Ok(element) => panic!("passed: {document:.200} as {element:?}"),
        Err(unreadable) => unreadable,
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let laughs = "<!DOCTYPE d [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>";
    let attributes = |count: usize| (0..count).map(|n| format!(" a{n}=\"\"")).collect::<String>();
    let namespaces: String = (0..1_000).map(|n| format!(" xmlns:n{n}=\"urn:n\"")).collect();
    for (bad, why) in [
        (format!("{laughs}{}", document("&b;")), Unreadable::Doctype),
        (
            format!("<!DOCTYPE Document SYSTEM \"http://127.0.0.1/x.dtd\">{}", document("")),
            Unreadable::Doctype,
        ),
        (document("&b;"), Unreadable::Entity),
        (document("&nbsp;"), Unreadable::Entity),
        (document("<A b=\"&nbsp;\"/>"), Unreadable::Entity),
        (document("&#0;"), Unreadable::Character),
        (document("&#xD800;"), Unreadable::Character),
        (document("&#xFFFE;"), Unreadable::Character),
        (document("&#x110000;"), Unreadable::Character),
        (document("&#-1;"), Unreadable::Character),
        (document("<A b=\"&#1;\"/>"), Unreadable::Character),
        (document("\u{1}"), Unreadable::Character),
        (document("\u{FFFE}"), Unreadable::Character),
        (document(&format!("{}{}", "<A>".repeat(32), "</A>".repeat(32))), Unreadable::TooDeep),
        (document(&"<A>".repeat(20_000)), Unreadable::TooDeep),
        (document(&"<Ustrd/>".repeat(2_000)), Unreadable::TooManyElements),
        (document(&format!("<A{}/>", attributes(17))), Unreadable::TooManyAttributes),
        (document(&format!("<A>{}</A>", "x".repeat(4_097))), Unreadable::TextTooLong),
        (document(&format!("<A>{0}<!-- -->{0}</A>", "x".repeat(2_049))), Unreadable::TextTooLong),
        (document(&"x".repeat(MAX_BYTES)), Unreadable::TooLong),
        (document("<A/><A/>"), Unreadable::Repeated),
        (document("<A><TxSts>ACSC</TxSts><TxSts>RJCT</TxSts></A>"), Unreadable::Repeated),
        (document("<Envlp/><Envlp/>"), Unreadable::Repeated),
        (document("<A xmlns=\"\"/>"), Unreadable::Namespace),
        (document("<A xmlns=\"urn:other\"/>"), Unreadable::Namespace),
        (document("<o:A xmlns:o=\"urn:other\"/>"), Unreadable::Namespace),
        (document("<A o:b=\"\"/>"), Unreadable::Namespace),
        ("<Document/>".to_owned(), Unreadable::Namespace),
        (document("").replace("002.001.10", "002.001.09"), Unreadable::Namespace),
        (document("<A>text<B/></A>"), Unreadable::MixedContent),
        (format!("\u{FEFF}{}", document("")), Unreadable::NotUtf8),
        (format!("<?xml version=\"1.0\" encoding=\"utf-7\"?>{}", document("")), Unreadable::NotUtf8),
        (format!("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>{}", document("é")), Unreadable::NotUtf8),
    ] {
        assert_eq!(refused(&bad), why, "{bad:.200}");
    }
    let too_many = refused(&document(&format!("<A{namespaces}/>")));
    assert!(matches!(too_many, Unreadable::TooManyAttributes | Unreadable::Malformed), "{too_many:?}");
}

#[test]
fn what_is_not_well_formed_is_refused() {
    for bad in [
        "".to_owned(),
        "plain".to_owned(),
        "{\"TxSts\":\"ACSC\"}".to_owned(),
        document("<A>"),
        document("</A>"),
        document("<A></B>"),
        document("<o:A/>"),
        document("< A/>"),
        document("<A<B/>"),
        document("<1/>"),
        document("<a:b:c/>"),
        document("<A b=\"1\" b=\"2\"/>"),
        document("<A b=1/>"),
        document("<A b/>"),
        document("<A b=\"<\"/>"),
        document("a & b"),
        document("a &amp b"),
        document("]]>"),
        document("<!-- a -- b -->"),
        document("<![CDATA[open"),
        document("<?xml version=\"1.0\"?>"),
        format!(" <?xml version=\"1.0\"?>{}", document("")),
        format!("<?xml version=\"1.1\"?>{}", document("")),
        format!("text{}", document("")),
        format!("{}text", document("")),
        format!("{}&#32;", document("")),
        format!("{}<![CDATA[ ]]>", document("")),
        format!("{0}{0}", document("")),
        format!("{}<A/>", document("")),
        format!("{}</Document>", document("")),
        format!("<A {}/>", "x".repeat(10_000)),
        format!("<{}/>", "x".repeat(10_000)),
    ] {
        refused(&bad);
    }
    let whole = document("<A b=\"c\">d<!-- e --></A>");
    for end in 0..whole.len() {
        refused(whole.get(..end).expect("ASCII"));
    }
}

#[test]
fn only_utf_8_is_read() {
    let utf_16 =
        |to_bytes: fn(u16) -> [u8; 2]| document("").encode_utf16().flat_map(to_bytes).collect::<Vec<u8>>();
    for bytes in [
        b"\xFF\xFE<\x00".to_vec(),
        utf_16(u16::to_le_bytes),
        utf_16(u16::to_be_bytes),
        [document("").as_bytes(), b"\xFF"].concat(),
        document("\u{e9}").chars().map(|c| u8::try_from(c).expect("Latin-1")).collect(),
    ] {
        assert!(read(&bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn prefixes_comments_and_cdata_carry_no_meaning() {
    let plain = read(document("<A><B>x&lt;y</B></A>").as_bytes()).expect("plain");
    for same in [
        format!(
            "<?xml version='1.0' encoding='utf-8'?>\r\n{}\n<!-- end -->",
            document("<A>\n <B>x&lt;y</B>\n</A>")
        ),
        format!("<p:Document xmlns:p='{NS}'><p:A><p:B>x&#60;y</p:B></p:A></p:Document>"),
        format!(
            "<Document xmlns='{NS}' xmlns:q='{NS}'><q:A><B xmlns='{NS}'><![CDATA[x<y]]></B></q:A></Document>"
        ),
        document("<A><!-- c --><B>x<!-- c --><![CDATA[<]]><?pi d?>y</B></A>"),
        document("<A xmlns:x='urn:x' x:schemaLocation='http://127.0.0.1/'><B>x&#x3C;y</B></A>"),
    ] {
        assert_eq!(read(same.as_bytes()), Ok(plain.clone()), "{same}");
    }
    let free = "<Envlp><o:A xmlns:o='urn:o'>t<o:B/><o:B/></o:A><A/><A/></Envlp>";
    assert!(read(document(&format!("<SplmtryData>{free}</SplmtryData>").repeat(2)).as_bytes()).is_ok());
}

#[test]
fn the_limits_themselves_pass() {
    let deep = format!("{}{}", "<A>".repeat(31), "</A>".repeat(31));
    let wide = "<Ustrd/>".repeat(1_999);
    let long = format!("<A>{}</A>", "x".repeat(4_096));
    let attributes: String = (0..16).map(|n| format!(" a{n}=\"\"")).collect();
    for inside in [deep, wide, long, format!("<A{attributes}/>")] {
        assert!(read(document(&inside).as_bytes()).is_ok(), "{inside:.100}");
    }
}

#[test]
fn the_root_chooses_among_the_schemas_that_are_expected() {
    let other = Schema { namespace: "urn:other", repeatable: &["A"] };
    let both = [&pacs002::SCHEMA, &other];
    let theirs = "<Document xmlns='urn:other'><A/><A/></Document>";
    let (schema, root) = super::read(theirs.as_bytes(), &both).expect("the second");
    assert_eq!((schema, root.children("A").count()), (&other, 2));
    let ours = document("<A/><A/>");
    assert_eq!(super::read(ours.as_bytes(), &both), Err(Unreadable::Repeated), "the other's rules");
    let mixed = document("<o:A xmlns:o='urn:other'/>");
    assert_eq!(super::read(mixed.as_bytes(), &both), Err(Unreadable::Namespace));
    assert_eq!(super::read(theirs.as_bytes(), &[&pacs002::SCHEMA]), Err(Unreadable::Namespace));
}
