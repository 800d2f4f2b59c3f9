use super::{MAX_BYTES, Unreadable};
use crate::messages::{Inbound, read};
use crate::sample::Order;

fn payment() -> String {
    Order::new(1).payment_xml()
}

fn why(body: &str) -> String {
    match read(body.as_bytes()) {
        Err(Unreadable(why)) => why,
        Ok(message) => panic!("read as {message:?}:\n{body}"),
    }
}

fn fingerprint(body: &str) -> String {
    match read(body.as_bytes()) {
        Ok(Inbound::Payment(payment)) => payment.fingerprint.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn spelling_carries_no_meaning() {
    let plain = payment();
    let prefixed = plain
        .replace("xmlns=", "xmlns:p=")
        .replace("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", "\u{feff}")
        .replace("</", "</p:");
    let prefixed = prefixed.replace('<', "<p:").replace("<p:/p:", "</p:");
    let spelled = plain
        .replace("Order 4711", "<![CDATA[Order]]> &#52;7<!-- and -->1&#x31;")
        .replace("<Cdtr>", "<?note this?><Cdtr>\n<!-- who -->");
    let re_sent = plain.replacen("07:08:09.010Z</CreDtTm>", "07:08:10.000Z</CreDtTm>", 1);
    for other in [prefixed, spelled, re_sent] {
        assert_eq!(fingerprint(&other), fingerprint(&plain), "{other}");
    }
    let changed = plain.replace("Order 4711", "Order 4712");
    assert_ne!(fingerprint(&changed), fingerprint(&plain));
}

#[test]
fn a_doctype_is_refused() {
    let body = payment().replace("<Document", "<!DOCTYPE Document [<!ENTITY x \"y\">]>\n<Document");
    assert!(why(&body).contains("DOCTYPE"));
}

#[test]
fn unknown_entities_and_forbidden_characters_are_refused() {
    for text in ["&x;", "&#0;", "&#1;", "&", "\u{1}", "\u{ffff}"] {
        why(&payment().replace("Order 4711", text));
    }
    let latin1 = payment().replace("UTF-8", "ISO-8859-1");
    assert!(why(&latin1).contains("UTF-8"));
    let mut bytes = payment().into_bytes();
    bytes.push(0xff);
    assert!(read(&bytes).unwrap_err().0.contains("UTF-8"));
}

#[test]
fn the_caps_hold_and_are_reachable() {
    let put = |extra: &str| payment().replace("<RmtInf>", &format!("{extra}<RmtInf>"));
    // A foreign element inside CdtTrfTxInf stands on level 4, so that its 28 descendants reach level 32.
    let nested = |levels: usize| put(&format!("{}{}", "<x>".repeat(levels), "</x>".repeat(levels)));
    assert!(read(nested(29).as_bytes()).is_ok());
    assert!(why(&nested(30)).contains("32 levels"));
    let own = payment().matches("</").count();
    assert!(read(put(&"<x/>".repeat(2_000 - own)).as_bytes()).is_ok());
    assert!(why(&put(&"<x/>".repeat(2_001 - own))).contains("2,000 elements"));
    let attributes = |count: usize| {
        let list: String = (0..count).map(|n| format!(" a{n}=\"\"")).collect();
        put(&format!("<x{list}/>"))
    };
    assert!(read(attributes(16).as_bytes()).is_ok());
    assert!(why(&attributes(17)).contains("16 attributes"));
    let padded = |size: usize| payment() + &" ".repeat(size - payment().len());
    assert!(read(padded(MAX_BYTES).as_bytes()).is_ok());
    assert!(why(&padded(MAX_BYTES + 1)).contains("64 KiB"));
}

#[test]
fn what_may_occur_once_occurs_once() {
    for twice in [
        "<MsgId>MSG-1</MsgId>",
        "<ChrgBr>SLEV</ChrgBr>",
        "<UETR>00000000-0000-4000-8000-000000000001</UETR>",
        "<Cdtr><Nm>Sam Seller</Nm></Cdtr>",
        "<CdtrAcct><Id><IBAN>DE89370400440532013000</IBAN></Id></CdtrAcct>",
    ] {
        let body = payment().replace(twice, &twice.repeat(2));
        assert!(why(&body).contains("twice"), "{twice}");
    }
    let two_transfers =
        payment().replace("</CdtTrfTxInf>", "</CdtTrfTxInf><CdtTrfTxInf><ChrgBr>SLEV</ChrgBr></CdtTrfTxInf>");
    assert!(why(&two_transfers).contains("twice"));
    let two_attributes = payment().replace("Ccy=\"EUR\"", "Ccy=\"EUR\" Ccy=\"USD\"");
    why(&two_attributes);
    let two_messages = payment()
        .replace("</FIToFICstmrCdtTrf>", "</FIToFICstmrCdtTrf><FIToFICstmrCdtTrf></FIToFICstmrCdtTrf>");
    why(&two_messages);
    let two_roots = payment() + &payment().replace("<?xml version=\"1.0\" encoding=\"UTF-8\"?>", "");
    assert!(why(&two_roots).contains("root"));
}

#[test]
fn an_element_of_another_namespace_is_another_element() {
    let foreign = payment()
        .replace("<UETR>", "<UETR xmlns=\"urn:other\">00000000-0000-4000-8000-000000000009</UETR><UETR>");
    let Ok(Inbound::Payment(read_payment)) = read(foreign.as_bytes()) else { panic!("unreadable") };
    assert_eq!(read_payment.references.uetr.to_string(), "00000000-0000-4000-8000-000000000001");
    let only_foreign = payment().replace("<UETR>", "<UETR xmlns=\"urn:other\">");
    assert!(why(&only_foreign).contains("UETR is missing"));
    why(&payment().replace("pacs.008.001.08\"", "pacs.008.001.02\""));
    why(&payment().replace(" xmlns=\"urn:iso:std:iso:20022:tech:xsd:pacs.008.001.08\"", ""));
    why(&payment().replace("<UETR>", "<p:UETR>").replace("</UETR>", "</p:UETR>"));
}

#[test]
fn what_is_not_well_formed_is_refused() {
    let whole = payment();
    for cut in ["</Document>", "</GrpHdr>", "<Cdtr>"] {
        why(&whole.replace(cut, ""));
    }
    for body in ["", " ", "text", "<Document/>", "{}", "<a></b>"] {
        why(body);
    }
    why(&whole.replace("<Cdtr>", "<Cdtr>text"));
    why(&whole.replace("</Cdtr>", "text</Cdtr>"));
    why(&whole.replace("<Nm>Sam Seller</Nm>", "<Nm><b>Sam</b></Nm>"));
    why(&(whole.clone() + "after"));
    why(&(whole.clone() + "<!-- never closed"));
    why(&whole.replace("Order 4711", "<?xml version=\"1.0\"?>"));
}

#[test]
fn values_are_checked_for_form() {
    let refuse = |from: &str, to: &str, part: &str| {
        let body = payment().replace(from, to);
        assert_ne!(body, payment(), "{from} is not in the sample");
        assert!(why(&body).contains(part), "{from} to {to}: {}", why(&body));
    };
    refuse(">12.34<", ">12,34<", "amount");
    refuse(">12.34<", ">1e3<", "amount");
    refuse(">12.34<", ">12.345<", "amount");
    refuse(">12.34<", ">-1<", "amount");
    refuse("Ccy=\"EUR\"", "Ccy=\"eur\"", "currency");
    refuse(" Ccy=\"EUR\"", "", "Ccy is missing");
    refuse("MSG-1<", &format!("{}<", "M".repeat(36)), "longer than 35");
    refuse("<TxId>MSG-1", "<TxId>MSG-2", "TxId is not MSG-1");
    refuse("-4000-8000-", "-1000-8000-", "UETR");
    refuse("00000000-0000", "0000000A-0000", "UETR");
    refuse("09.010Z</AccptncDtTm>", "09Z</AccptncDtTm>", "AccptncDtTm");
    refuse("09.010Z</AccptncDtTm>", "09.010+00:00</AccptncDtTm>", "AccptncDtTm");
    refuse("<NbOfTxs>1<", "<NbOfTxs>2<", "NbOfTxs");
    refuse(">SLEV<", ">SHAR<", "ChrgBr");
    refuse("<IBAN>DE89", "<IBAN>de89", "IBAN");
    refuse("<IBAN>DE89370400440532013000</IBAN>", "<Prxy/>", "must stand");
    refuse("<Id>acc_17</Id>", &format!("<Id>{}</Id>", "9".repeat(35)), "longer than 34");
    refuse("<Nm>Sam Seller</Nm>", "<Nm></Nm>", "empty");
    refuse("RIALITMMXXX", "RIALITMM?", "BIC");
}
