//! The table of what an answer to a return request means, and everything that is no answer to it.

use super::super::tests::judge;
use crate::instruction::tests::{credit_transfer, return_enquiry, return_request, status_enquiry};

const UETR: &str = "<OrgnlUETR>8a562c67-ca16-48ba-b074-65581be6f001</OrgnlUETR>";
const REFERENCES: &str = "<OrgnlGrpInf><OrgnlMsgId>MSG-1</OrgnlMsgId><OrgnlMsgNmId>pacs.008.001.08</OrgnlMsgNmId>\
    </OrgnlGrpInf><OrgnlInstrId>MSG-1</OrgnlInstrId><OrgnlEndToEndId>ORDER-1</OrgnlEndToEndId>\
    <OrgnlTxId>MSG-1</OrgnlTxId><OrgnlUETR>8a562c67-ca16-48ba-b074-65581be6f001</OrgnlUETR>";
const AMOUNTS: &str = "<OrgnlIntrBkSttlmAmt Ccy=\"EUR\">12.34</OrgnlIntrBkSttlmAmt>\
    <RtrdIntrBkSttlmAmt Ccy=\"EUR\">5.00</RtrdIntrBkSttlmAmt>";

fn document(message: &str, content: &str) -> String {
    format!("<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:{message}\">{content}</Document>")
}

fn pacs004(header: &str, transaction: &str) -> String {
    document(
        "pacs.004.001.09",
        &format!(
            "<PmtRtr><GrpHdr><MsgId>BANK-4</MsgId><CreDtTm>2026-11-23T10:00:00.000Z</CreDtTm><NbOfTxs>1</NbOfTxs>\
             {header}<SttlmInf><SttlmMtd>CLRG</SttlmMtd></SttlmInf></GrpHdr><TxInf>{transaction}</TxInf></PmtRtr>"
        ),
    )
}

fn camt029(status: &str, transaction: &str) -> String {
    document(
        "camt.029.001.09",
        &format!(
            "<RsltnOfInvstgtn><Assgnmt><Id>BANK-29</Id></Assgnmt><Sts>{status}</Sts><CxlDtls><TxInfAndSts>\
             {transaction}</TxInfAndSts></CxlDtls></RsltnOfInvstgtn>"
        ),
    )
}

fn pacs002(transaction: &str) -> String {
    document(
        "pacs.002.001.10",
        &format!(
            "<FIToFIPmtStsRpt><GrpHdr><MsgId>BANK-2</MsgId></GrpHdr><TxInfAndSts>{transaction}</TxInfAndSts>\
             </FIToFIPmtStsRpt>"
        ),
    )
}

fn good_return() -> String {
    pacs004("", &format!("<RtrId>RTN-1</RtrId>{REFERENCES}{AMOUNTS}"))
}

fn refused(reasons: &[&str]) -> String {
    let reasons: String = reasons
        .iter()
        .map(|code| format!("<CxlStsRsnInf><Rsn><Cd>{code}</Cd></Rsn></CxlStsRsnInf>"))
        .collect();
    camt029("<Conf>RJCR</Conf>", &format!("<CxlStsId>RTN-1</CxlStsId>{REFERENCES}{reasons}"))
}

fn both(document: &str) -> [String; 2] {
    [judge(return_request(), document), judge(return_enquiry(), document)]
}

#[test]
fn a_return_of_just_what_was_asked_is_accepted() {
    for good in [
        good_return(),
        pacs004("", &format!("<RtrId>RTN-1</RtrId>{UETR}{AMOUNTS}")),
        pacs004(
            "<TtlRtrdIntrBkSttlmAmt Ccy=\"EUR\">5</TtlRtrdIntrBkSttlmAmt>",
            &format!(
                "<RtrId>RTN-1</RtrId>{UETR}<RtrdIntrBkSttlmAmt Ccy=\"EUR\">5.000</RtrdIntrBkSttlmAmt>\
                 <RtrRsnInf><Rsn><Cd>FOCR</Cd></Rsn></RtrRsnInf><RtrRsnInf/>\
                 <OrgnlTxRef><IntrBkSttlmAmt Ccy=\"EUR\">12.34</IntrBkSttlmAmt></OrgnlTxRef>"
            ),
        ),
    ] {
        assert_eq!(both(&good), ["accepted BANK-4", "accepted BANK-4"], "{good}");
    }
}

#[test]
fn a_return_of_anything_else_is_no_answer() {
    let good = good_return();
    for (part, instead, verdict) in [
        (">RTN-1<", ">RTN-2<", "ANSWER_CONTRADICTS_REFERENCES"),
        (">RTN-1<", "><", "ANSWER_CONTRADICTS_REFERENCES"),
        ("<RtrId>RTN-1</RtrId>", "", "ANSWER_WITHOUT_REFERENCES"),
        ("<RtrId>RTN-1</RtrId>", "<CxlStsId>RTN-1</CxlStsId>", "ANSWER_WITHOUT_REFERENCES"),
        (REFERENCES, "", "ANSWER_WITHOUT_REFERENCES"),
        (REFERENCES, "<OrgnlEndToEndId>ORDER-1</OrgnlEndToEndId>", "ANSWER_WITHOUT_REFERENCES"),
        ("<OrgnlMsgId>MSG-1", "<OrgnlMsgId>RTN-1", "ANSWER_CONTRADICTS_REFERENCES"),
        ("pacs.008.001.08", "camt.056.001.08", "ANSWER_CONTRADICTS_REFERENCES"),
        ("<OrgnlInstrId>MSG-1", "<OrgnlInstrId>MSG-2", "ANSWER_CONTRADICTS_REFERENCES"),
        ("<OrgnlTxId>MSG-1", "<OrgnlTxId>RTN-1", "ANSWER_CONTRADICTS_REFERENCES"),
        (">ORDER-1<", ">REFUND-1<", "ANSWER_CONTRADICTS_REFERENCES"),
        ("8a562c67-ca16", "1b2c3d4e-5f60", "ANSWER_CONTRADICTS_REFERENCES"),
        (">5.00<", ">4.99<", "ANSWER_CONTRADICTS_AMOUNT"),
        (">5.00<", ">12.34<", "ANSWER_CONTRADICTS_AMOUNT"),
        ("<RtrdIntrBkSttlmAmt Ccy=\"EUR\">", "<RtrdIntrBkSttlmAmt Ccy=\"USD\">", "ANSWER_CONTRADICTS_AMOUNT"),
        ("<RtrdIntrBkSttlmAmt Ccy=\"EUR\">", "<RtrdIntrBkSttlmAmt>", "ANSWER_CONTRADICTS_AMOUNT"),
        (">12.34<", ">5.00<", "ANSWER_CONTRADICTS_AMOUNT"),
        (">5.00<", ">5,00<", "ANSWER_UNREADABLE"),
        (">5.00<", ">-5.00<", "ANSWER_UNREADABLE"),
        ("RtrdIntrBkSttlmAmt", "RtrdInstdAmt", "ANSWER_UNREADABLE"),
        ("<NbOfTxs>1", "<NbOfTxs>2", "ANSWER_UNREADABLE"),
        ("<NbOfTxs>1</NbOfTxs>", "", "ANSWER_UNREADABLE"),
        ("<MsgId>BANK-4</MsgId>", "", "ANSWER_UNREADABLE"),
        ("PmtRtr", "PmtRvsl", "ANSWER_UNREADABLE"),
        ("pacs.004.001.09", "pacs.004.001.10", "ANSWER_UNREADABLE"),
    ] {
        let other = good.replace(part, instead);
        assert_ne!(other, good, "{part} is there");
        assert_eq!(both(&other), [verdict, verdict], "{part} → {instead}");
    }
    let total = pacs004(
        "<TtlRtrdIntrBkSttlmAmt Ccy=\"EUR\">10.00</TtlRtrdIntrBkSttlmAmt>",
        &format!("<RtrId>RTN-1</RtrId>{UETR}{AMOUNTS}"),
    );
    assert_eq!(judge(return_request(), &total), "ANSWER_CONTRADICTS_AMOUNT");
    let elsewhere =
        good.replace("</GrpHdr>", "</GrpHdr><OrgnlGrpInf><OrgnlMsgId>MSG-2</OrgnlMsgId></OrgnlGrpInf>");
    assert_eq!(judge(return_request(), &elsewhere), "ANSWER_CONTRADICTS_REFERENCES");
}

#[test]
fn what_may_stand_once_and_stands_twice_makes_the_answer_unreadable() {
    for (part, document) in [
        ("<RtrId>RTN-1</RtrId>", good_return()),
        (UETR, good_return()),
        ("<RtrdIntrBkSttlmAmt Ccy=\"EUR\">5.00</RtrdIntrBkSttlmAmt>", good_return()),
        ("<MsgId>BANK-4</MsgId>", good_return()),
        ("<NbOfTxs>1</NbOfTxs>", good_return()),
        ("<Id>BANK-29</Id>", refused(&["CUST"])),
        ("<Conf>RJCR</Conf>", refused(&["CUST"])),
        ("<CxlStsId>RTN-1</CxlStsId>", refused(&["CUST"])),
        ("<Cd>CUST</Cd>", refused(&["CUST"])),
        (UETR, refused(&["CUST"])),
    ] {
        let twice = document.replace(part, &format!("{part}{part}"));
        assert_ne!(twice, document, "{part} is there");
        assert_eq!(both(&twice), ["ANSWER_UNREADABLE", "ANSWER_UNREADABLE"], "{part}");
    }
    for (begin, end) in
        [("<TxInf>", "</TxInf>"), ("<TxInfAndSts>", "</TxInfAndSts>"), ("<CxlDtls>", "</CxlDtls>")]
    {
        for document in [good_return(), refused(&["CUST"])] {
            let Some((before, rest)) = document.split_once(begin) else { continue };
            let (inside, after) = rest.split_once(end).expect(end);
            let twice = format!("{before}{begin}{inside}{end}{begin}{inside}{end}{after}");
            assert_eq!(both(&twice), ["ANSWER_UNREADABLE", "ANSWER_UNREADABLE"], "{begin}");
        }
    }
}

#[test]
fn the_table_of_resolutions() {
    for (document, to_request, to_enquiry) in [
        (refused(&["CUST"]), "rejected CUST BANK-29", "rejected CUST BANK-29"),
        (refused(&["NOAS", "NARR"]), "rejected NOAS BANK-29", "rejected NOAS BANK-29"),
        (refused(&["ARDT"]), "REPORTED_AS_DUPLICATE", "rejected ARDT BANK-29"),
        (refused(&["NARR", "ARDT"]), "REPORTED_AS_DUPLICATE", "rejected NARR BANK-29"),
        (refused(&[]), "REASON_NOT_KNOWN", "REASON_NOT_KNOWN"),
        (refused(&["XX99"]), "REASON_NOT_KNOWN", "REASON_NOT_KNOWN"),
        (refused(&["TM01"]), "REASON_NOT_KNOWN", "REASON_NOT_KNOWN"),
        (refused(&["cust"]), "REASON_NOT_KNOWN", "REASON_NOT_KNOWN"),
        (refused(&["CUST", "XX99"]), "REASON_NOT_KNOWN", "REASON_NOT_KNOWN"),
        (refused(&["CUST"]).replace("Cd>", "Prtry>"), "REASON_NOT_KNOWN", "REASON_NOT_KNOWN"),
        (refused(&["CUST"]).replace("RJCR", "PDCR"), "PENDING_AT_BANK", "PENDING_AT_BANK"),
    ] {
        assert_eq!(both(&document), [to_request, to_enquiry], "{document}");
    }
    let request = format!(
        "<CxlStsId>RTN-1</CxlStsId>{REFERENCES}<CxlStsRsnInf><Rsn><Cd>CUST</Cd></Rsn></CxlStsRsnInf>"
    );
    for status in [
        "",
        "<Conf/>",
        "<Conf>rjcr</Conf>",
        "<Conf>RJCR </Conf>",
        "<Conf>CNCL</Conf>",
        "<Conf>ACCR</Conf>",
        "<AssgnmtCxlConf>true</AssgnmtCxlConf>",
    ] {
        let document = camt029(status, &request);
        assert_eq!(both(&document), ["STATUS_NOT_KNOWN", "STATUS_NOT_KNOWN"], "{status}");
    }
    for (status, verdict) in [
        ("RJCR", "rejected CUST BANK-29"),
        ("ACCR", "ANSWER_CONTRADICTS_ITSELF"),
        ("PDCR", "ANSWER_CONTRADICTS_ITSELF"),
    ] {
        let transaction = camt029("<Conf>RJCR</Conf>", &format!("{request}<TxCxlSts>{status}</TxCxlSts>"));
        assert_eq!(both(&transaction), [verdict, verdict], "{status}");
        let group = refused(&["CUST"]).replace(
            "<CxlDtls>",
            &format!("<CxlDtls><OrgnlGrpInfAndSts><OrgnlMsgId>MSG-1</OrgnlMsgId><GrpCxlSts>{status}</GrpCxlSts></OrgnlGrpInfAndSts>"),
        );
        assert_eq!(both(&group), [verdict, verdict], "{status}");
    }
}

#[test]
fn a_refusal_of_something_else_is_no_answer() {
    let good = refused(&["CUST"]);
    for (part, instead, verdict) in [
        (">RTN-1<", ">RTN-2<", "ANSWER_CONTRADICTS_REFERENCES"),
        ("<CxlStsId>RTN-1</CxlStsId>", "", "ANSWER_WITHOUT_REFERENCES"),
        (REFERENCES, "", "ANSWER_WITHOUT_REFERENCES"),
        ("<OrgnlMsgId>MSG-1", "<OrgnlMsgId>MSG-2", "ANSWER_CONTRADICTS_REFERENCES"),
        ("pacs.008.001.08", "camt.056.001.08", "ANSWER_CONTRADICTS_REFERENCES"),
        (">ORDER-1<", ">REFUND-1<", "ANSWER_CONTRADICTS_REFERENCES"),
        ("8a562c67-ca16", "1b2c3d4e-5f60", "ANSWER_CONTRADICTS_REFERENCES"),
        ("<Id>BANK-29</Id>", "", "ANSWER_UNREADABLE"),
        ("<CxlDtls>", "<CxlDtls><OrgnlPmtInfAndSts/>", "ANSWER_UNREADABLE"),
    ] {
        let other = good.replace(part, instead);
        assert_ne!(other, good, "{part} is there");
        assert_eq!(both(&other), [verdict, verdict], "{part} → {instead}");
    }
    for (amount, verdict) in [
        ("<OrgnlIntrBkSttlmAmt Ccy=\"EUR\">5.00</OrgnlIntrBkSttlmAmt>", "rejected CUST BANK-29"),
        ("<OrgnlIntrBkSttlmAmt Ccy=\"EUR\">5.01</OrgnlIntrBkSttlmAmt>", "ANSWER_CONTRADICTS_AMOUNT"),
        (
            "<OrgnlTxRef><IntrBkSttlmAmt Ccy=\"EUR\">12.34</IntrBkSttlmAmt></OrgnlTxRef>",
            "rejected CUST BANK-29",
        ),
        (
            "<OrgnlTxRef><IntrBkSttlmAmt Ccy=\"JPY\">12.34</IntrBkSttlmAmt></OrgnlTxRef>",
            "ANSWER_CONTRADICTS_AMOUNT",
        ),
    ] {
        let document = good.replace("</TxInfAndSts>", &format!("{amount}</TxInfAndSts>"));
        assert_eq!(both(&document), [verdict, verdict], "{amount}");
    }
}

#[test]
fn a_status_report_says_at_most_that_the_request_was_never_received() {
    let names = "<OrgnlGrpInf><OrgnlMsgId>RTN-1</OrgnlMsgId><OrgnlMsgNmId>camt.056.001.08</OrgnlMsgNmId></OrgnlGrpInf>";
    let with = |references: &str, status: &str, codes: &[&str]| {
        let reasons: String =
            codes.iter().map(|code| format!("<StsRsnInf><Rsn><Cd>{code}</Cd></Rsn></StsRsnInf>")).collect();
        both(&pacs002(&format!("{references}{UETR}<TxSts>{status}</TxSts>{reasons}")))
    };
    assert_eq!(with(names, "RJCT", &["AG09"]), ["ANSWER_CONTRADICTS_ITSELF", "not found BANK-2"]);
    for codes in [&["AG09", "AC04"], &["AC04", "AG09"]] {
        assert_eq!(with(names, "RJCT", codes), ["ANSWER_CONTRADICTS_ITSELF", "ANSWER_CONTRADICTS_ITSELF"]);
    }
    for (status, codes, verdict) in [
        ("RJCT", &["AC04"][..], "STATUS_NOT_KNOWN"),
        ("RJCT", &["DUPL"], "STATUS_NOT_KNOWN"),
        ("RJCT", &["XX99"], "REASON_NOT_KNOWN"),
        ("RJCT", &[], "REASON_NOT_KNOWN"),
        ("ACSC", &[], "STATUS_NOT_KNOWN"),
        ("ACCC", &[], "STATUS_NOT_KNOWN"),
        ("PDNG", &[], "PENDING_AT_BANK"),
        ("", &[], "STATUS_NOT_KNOWN"),
    ] {
        assert_eq!(with(names, status, codes), [verdict, verdict], "{status} {codes:?}");
    }
    for (references, verdict) in [
        ("", "ANSWER_WITHOUT_REFERENCES"),
        ("<OrgnlGrpInf><OrgnlMsgId>RTN-1</OrgnlMsgId></OrgnlGrpInf>", "ANSWER_WITHOUT_REFERENCES"),
        (
            "<OrgnlGrpInf><OrgnlMsgNmId>camt.056.001.08</OrgnlMsgNmId></OrgnlGrpInf>",
            "ANSWER_WITHOUT_REFERENCES",
        ),
        (REFERENCES.split_once("<OrgnlUETR>").expect("it").0, "ANSWER_CONTRADICTS_REFERENCES"),
    ] {
        assert_eq!(with(references, "RJCT", &["AG09"]), [verdict, verdict], "{references}");
    }
}

#[test]
fn each_kind_of_instruction_has_its_own_answers() {
    let of_payment =
        pacs002(&format!("{UETR}<TxSts>RJCT</TxSts><StsRsnInf><Rsn><Cd>AG09</Cd></Rsn></StsRsnInf>"));
    assert_eq!(judge(status_enquiry(), &of_payment), "not found BANK-2");
    assert_eq!(judge(return_enquiry(), &of_payment), "ANSWER_WITHOUT_REFERENCES");
    let paid = good_return().replace("RTN-1", "MSG-1").replace(">5.00<", ">12.34<");
    for document in [good_return(), paid, refused(&["CUST"])] {
        assert_eq!(judge(credit_transfer(), &document), "ANSWER_UNREADABLE");
        assert_eq!(judge(status_enquiry(), &document), "ANSWER_UNREADABLE");
    }
}
