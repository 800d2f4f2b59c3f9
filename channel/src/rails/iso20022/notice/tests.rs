//! What a bank may say unasked, and what can't be meant.

use super::*;

const GROUP: &str =
    "<OrgnlGrpInf><OrgnlMsgId>MSG-1</OrgnlMsgId><OrgnlMsgNmId>pacs.008.001.08</OrgnlMsgNmId></OrgnlGrpInf>";
const REST: &str = "<OrgnlInstrId>MSG-1</OrgnlInstrId><OrgnlEndToEndId>ORDER-1</OrgnlEndToEndId>\
    <OrgnlTxId>MSG-1</OrgnlTxId><OrgnlUETR>8a562c67-ca16-48ba-b074-65581be6f001</OrgnlUETR>";
const AMOUNT: &str = "<OrgnlTxRef><IntrBkSttlmAmt Ccy=\"EUR\">12.34</IntrBkSttlmAmt></OrgnlTxRef>";

fn document(transaction: &str) -> String {
    format!(
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pacs.002.001.10\"><FIToFIPmtStsRpt>\
         <GrpHdr><MsgId>BANK-1</MsgId></GrpHdr><TxInfAndSts>{transaction}</TxInfAndSts></FIToFIPmtStsRpt></Document>"
    )
}

/// A readable notice that the creditor is credited.
pub(crate) fn credited() -> String {
    document(&format!("{GROUP}{REST}<TxSts>ACSC</TxSts>{AMOUNT}"))
}

fn read_text(document: &str) -> Result<wire::Notice, NoNotice> {
    read("aurora", document.as_bytes())
}

#[test]
fn a_notice_says_all_that_the_report_names() {
    let notice = read_text(&credited()).expect("readable");
    assert_eq!((&*notice.bank_id, &*notice.message_id), ("aurora", "MSG-1"));
    assert_eq!(notice.uetr, "8a562c67-ca16-48ba-b074-65581be6f001");
    assert_eq!(notice.end_to_end_id, "ORDER-1");
    let amount = notice.amount.expect("an amount");
    assert_eq!((amount.minor_units, &*amount.currency), (1234, "EUR"));
    let accepted = proto::channel::Accepted { bank_message_id: "BANK-1".to_owned() };
    assert_eq!(notice.verdict, Some(notice::Verdict::Accepted(accepted)));

    let bare = read_text(&document(&format!("{GROUP}<TxSts>ACSC</TxSts>"))).expect("readable");
    assert_eq!((&*bare.message_id, &*bare.uetr, &*bare.end_to_end_id, bare.amount), ("MSG-1", "", "", None));
}

#[test]
fn only_what_is_certain_is_more_than_unknown() {
    let said = |status: &str, codes: &[&str]| {
        let reasons: String =
            codes.iter().map(|code| format!("<StsRsnInf><Rsn><Cd>{code}</Cd></Rsn></StsRsnInf>")).collect();
        let document = document(&format!("{GROUP}{REST}<TxSts>{status}</TxSts>{reasons}"));
        match read_text(&document).expect("readable").verdict.expect("a verdict") {
            notice::Verdict::Accepted(_) => "accepted".to_owned(),
            notice::Verdict::Rejected(rejected) => rejected.iso_code,
            notice::Verdict::Unknown(unknown) => unknown.reason,
            notice::Verdict::Instruction(_) => panic!("no report"),
        }
    };
    assert_eq!(said("ACCC", &[]), "accepted");
    assert_eq!(said("RJCT", &["AC04"]), "AC04");
    for (status, codes, reason) in [
        ("RJCT", &["AG09"][..], "ANSWER_CONTRADICTS_ITSELF"),
        ("RJCT", &["DUPL"], "REPORTED_AS_DUPLICATE"),
        ("RJCT", &["XX99"], "REASON_NOT_KNOWN"),
        ("RJCT", &[], "REASON_NOT_KNOWN"),
        ("ACSC", &["AC04"], "ANSWER_CONTRADICTS_ITSELF"),
        ("PDNG", &[], "PENDING_AT_BANK"),
        ("CANC", &[], "STATUS_NOT_KNOWN"),
    ] {
        assert_eq!(said(status, codes), reason, "{status} {codes:?}");
    }
}

#[test]
fn what_can_be_about_nothing_that_was_sent_is_a_contradiction() {
    let good = credited();
    let long = "x".repeat(36);
    for (part, instead, name) in [
        ("<OrgnlInstrId>MSG-1", "<OrgnlInstrId>MSG-2", "OrgnlInstrId"),
        ("<OrgnlTxId>MSG-1", "<OrgnlTxId>MSG-2", "OrgnlTxId"),
        ("<OrgnlMsgId>MSG-1", "<OrgnlMsgId>", "OrgnlMsgId"),
        ("<OrgnlMsgId>MSG-1", &*format!("<OrgnlMsgId>{long}"), "OrgnlMsgId"),
        (">ORDER-1<", &*format!(">{long}<"), "OrgnlEndToEndId"),
        ("pacs.008.001.08", "camt.056.001.08", "OrgnlMsgNmId"),
        ("8a562c67-ca16", "8A562C67-CA16", "OrgnlUETR"),
        ("8a562c67-ca16", "8a562c67ca16", "OrgnlUETR"),
        (
            "</GrpHdr>",
            "</GrpHdr><OrgnlGrpInfAndSts><OrgnlMsgId>MSG-2</OrgnlMsgId></OrgnlGrpInfAndSts>",
            "OrgnlMsgId",
        ),
    ] {
        let other = good.replace(part, instead);
        assert_ne!(other, good, "{part} is there");
        assert_eq!(read_text(&other), Err(NoNotice::Contradiction(name)), "{part} → {instead}");
    }
}

#[test]
fn what_is_no_report_on_one_payment_is_unreadable() {
    let good = credited();
    let unreadable = |document: &str| match read_text(document) {
        Err(NoNotice::Unreadable(why)) => why,
        other => panic!("{other:?} of {document}"),
    };
    assert_eq!(unreadable(&good.replace(GROUP, "")), Unreadable::Missing("OrgnlMsgId"));
    assert_eq!(unreadable(&format!("<!DOCTYPE d>{good}")), Unreadable::Doctype);
    assert_eq!(unreadable(&good.replace("pacs.002.001.10", "pacs.002.001.09")), Unreadable::Namespace);
    assert_eq!(unreadable(&good.replace(REST, &format!("{REST}{REST}"))), Unreadable::Repeated);
    for amount in ["12,34", "-12.34", "12.345", "", "99999999999999999999"] {
        assert_eq!(unreadable(&good.replace("12.34", amount)), Unreadable::Amount, "{amount}");
    }
    assert_eq!(unreadable(&good.replace("EUR", "eur")), Unreadable::Amount);
    assert_eq!(unreadable("plain"), Unreadable::Malformed);
}
