//! The table of what an answer means, and everything that is no answer.

use proto::channel as wire;

use super::*;
use crate::instruction::tests::{credit_transfer, status_enquiry};

const UETR: &str = "<OrgnlUETR>8a562c67-ca16-48ba-b074-65581be6f001</OrgnlUETR>";
const AMOUNT: &str = "<OrgnlTxRef><IntrBkSttlmAmt Ccy=\"EUR\">12.34</IntrBkSttlmAmt></OrgnlTxRef>";

fn report(group: &str, transaction: &str) -> String {
    format!(
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pacs.002.001.10\"><FIToFIPmtStsRpt>\
         <GrpHdr><MsgId>BANK-1</MsgId><CreDtTm>2026-11-23T10:00:00.000Z</CreDtTm></GrpHdr>{group}\
         <TxInfAndSts>{transaction}</TxInfAndSts></FIToFIPmtStsRpt></Document>"
    )
}

fn rejected(reasons: &[&str]) -> String {
    let reasons: String =
        reasons.iter().map(|code| format!("<StsRsnInf><Rsn><Cd>{code}</Cd></Rsn></StsRsnInf>")).collect();
    format!("{UETR}<TxSts>RJCT</TxSts>{reasons}")
}

/// The verdict in short: its kind, and the reason where it has one.
pub(super) fn judge(instruction: wire::Instruction, document: &str) -> String {
    let instruction = Instruction::parse(instruction).expect("well-formed");
    let verdict = match Answer::read(document.as_bytes()) {
        Ok(answer) => verdict(&instruction, &answer),
        Err(unreadable) => unknown("ANSWER_UNREADABLE", unreadable.to_string()),
    };
    match verdict {
        Verdict::Accepted(accepted) => format!("accepted {}", accepted.bank_message_id),
        Verdict::Rejected(rejected) => format!("rejected {} {}", rejected.iso_code, rejected.bank_message_id),
        Verdict::NotFound(not_found) => format!("not found {}", not_found.bank_message_id),
        Verdict::NotSent(not_sent) => format!("not sent {}", not_sent.reason),
        Verdict::Unknown(unknown) => unknown.reason,
    }
}

#[test]
fn the_table_of_statuses() {
    for (transaction, to_transfer, to_enquiry) in [
        (format!("{UETR}<TxSts>ACSC</TxSts>{AMOUNT}"), "accepted BANK-1", "accepted BANK-1"),
        (format!("{UETR}<TxSts>ACCC</TxSts>"), "accepted BANK-1", "accepted BANK-1"),
        (rejected(&["AC04"]), "rejected AC04 BANK-1", "rejected AC04 BANK-1"),
        (rejected(&["DUPL"]), "REPORTED_AS_DUPLICATE", "rejected DUPL BANK-1"),
        (rejected(&["NARR", "AM05"]), "REPORTED_AS_DUPLICATE", "rejected NARR BANK-1"),
        (rejected(&["TM01", "NARR"]), "rejected TM01 BANK-1", "rejected TM01 BANK-1"),
        (rejected(&["AG09"]), "ANSWER_CONTRADICTS_ITSELF", "not found BANK-1"),
        (rejected(&["AG09", "AC04"]), "ANSWER_CONTRADICTS_ITSELF", "ANSWER_CONTRADICTS_ITSELF"),
        (rejected(&["AC04", "AG09"]), "ANSWER_CONTRADICTS_ITSELF", "ANSWER_CONTRADICTS_ITSELF"),
        (rejected(&[]), "REASON_NOT_KNOWN", "REASON_NOT_KNOWN"),
        (rejected(&["XX99"]), "REASON_NOT_KNOWN", "REASON_NOT_KNOWN"),
        (rejected(&["ag09"]), "REASON_NOT_KNOWN", "REASON_NOT_KNOWN"),
        (rejected(&["AC04", "XX99"]), "REASON_NOT_KNOWN", "REASON_NOT_KNOWN"),
        (
            format!("{UETR}<TxSts>RJCT</TxSts><StsRsnInf><Rsn><Prtry>AC04</Prtry></Rsn></StsRsnInf>"),
            "REASON_NOT_KNOWN",
            "REASON_NOT_KNOWN",
        ),
        (
            format!("{UETR}<TxSts>ACSC</TxSts><StsRsnInf><Rsn><Cd>AC04</Cd></Rsn></StsRsnInf>"),
            "ANSWER_CONTRADICTS_ITSELF",
            "ANSWER_CONTRADICTS_ITSELF",
        ),
        (UETR.to_owned(), "STATUS_NOT_KNOWN", "STATUS_NOT_KNOWN"),
    ] {
        let document = report("", &transaction);
        assert_eq!(judge(credit_transfer(), &document), to_transfer, "{transaction}");
        assert_eq!(judge(status_enquiry(), &document), to_enquiry, "{transaction}");
    }
    for pending in ["RCVD", "PDNG", "ACTC", "ACSP", "ACWP", "ACCP"] {
        let document = report("", &format!("{UETR}<TxSts>{pending}</TxSts>"));
        assert_eq!(judge(credit_transfer(), &document), "PENDING_AT_BANK", "{pending}");
    }
    for strange in ["", "acsc", " ACSC", "ACSC ", "ACSC\n", "OK", "CANC", "ACSCX"] {
        let document = report("", &format!("{UETR}<TxSts>{strange}</TxSts>"));
        assert_eq!(judge(credit_transfer(), &document), "STATUS_NOT_KNOWN", "{strange:?}");
    }
}

#[test]
fn an_answer_to_something_else_is_no_answer() {
    let good = "<OrgnlGrpInf><OrgnlMsgId>MSG-1</OrgnlMsgId><OrgnlMsgNmId>pacs.008.001.08</OrgnlMsgNmId></OrgnlGrpInf>\
        <OrgnlInstrId>MSG-1</OrgnlInstrId><OrgnlEndToEndId>ORDER-1</OrgnlEndToEndId><OrgnlTxId>MSG-1</OrgnlTxId>\
        <OrgnlUETR>8a562c67-ca16-48ba-b074-65581be6f001</OrgnlUETR><TxSts>ACSC</TxSts>";
    assert_eq!(judge(credit_transfer(), &report("", good)), "accepted BANK-1");
    for name in ["OrgnlMsgId", "OrgnlMsgNmId", "OrgnlInstrId", "OrgnlEndToEndId", "OrgnlTxId", "OrgnlUETR"] {
        for other in ["", "X", "msg-1", " MSG-1"] {
            let (before, rest) = good.split_once(&format!("<{name}>")).expect(name);
            let (_, after) = rest.split_once(&format!("</{name}>")).expect(name);
            let document = report("", &format!("{before}<{name}>{other}</{name}>{after}"));
            assert_eq!(
                judge(credit_transfer(), &document),
                "ANSWER_CONTRADICTS_REFERENCES",
                "{name} {other:?}"
            );
        }
    }
    let without = |transaction: &str| judge(credit_transfer(), &report("", transaction));
    assert_eq!(without("<TxSts>ACSC</TxSts>"), "ANSWER_WITHOUT_REFERENCES");
    assert_eq!(
        without("<OrgnlEndToEndId>ORDER-1</OrgnlEndToEndId><TxSts>ACSC</TxSts>"),
        "ANSWER_WITHOUT_REFERENCES"
    );
    let group = |id: &str, status: &str| {
        let ids = format!("<OrgnlMsgId>{id}</OrgnlMsgId><OrgnlMsgNmId>pacs.008.001.08</OrgnlMsgNmId>");
        let group = format!("<OrgnlGrpInfAndSts>{ids}<GrpSts>{status}</GrpSts></OrgnlGrpInfAndSts>");
        judge(credit_transfer(), &report(&group, "<TxSts>ACSC</TxSts>"))
    };
    assert_eq!(group("MSG-1", "ACSC"), "accepted BANK-1");
    assert_eq!(group("MSG-2", "ACSC"), "ANSWER_CONTRADICTS_REFERENCES");
    assert_eq!(group("MSG-1", "RJCT"), "ANSWER_CONTRADICTS_ITSELF");
}

#[test]
fn the_amount_is_compared_as_a_number_and_read_strictly() {
    let with = |currency: &str, number: &str| {
        let amount = format!("<IntrBkSttlmAmt Ccy=\"{currency}\">{number}</IntrBkSttlmAmt>");
        let transaction = format!("{UETR}<TxSts>ACSC</TxSts><OrgnlTxRef>{amount}</OrgnlTxRef>");
        judge(credit_transfer(), &report("", &transaction))
    };
    for same in ["12.34", "12.340", "12.34000", "012.34"] {
        assert_eq!(with("EUR", same), "accepted BANK-1", "{same}");
    }
    for other in ["12.33", "12.35", "1234", "0.00", "112.34"] {
        assert_eq!(with("EUR", other), "ANSWER_CONTRADICTS_AMOUNT", "{other}");
    }
    for currency in ["USD", "eur", ""] {
        assert_eq!(with(currency, "12.34"), "ANSWER_CONTRADICTS_AMOUNT", "{currency}");
    }
    for bad in [
        "",
        "1e3",
        "+5",
        "-5",
        "1,00",
        "12,34",
        "0x10",
        " 12.34 ",
        "12.",
        ".5",
        "12.341",
        "-0.00",
        "NaN",
        "INF",
        "1.2.3",
        "9999999999999999999",
        "1000000000000000000000000000000",
        "１２.３４",
    ] {
        assert_eq!(with("EUR", bad), "ANSWER_UNREADABLE", "{bad:?}");
    }
}

#[test]
fn what_may_stand_once_and_stands_twice_makes_the_answer_unreadable() {
    for transaction in [
        format!("{UETR}<TxSts>ACSC</TxSts><TxSts>ACSC</TxSts>"),
        format!("{UETR}<TxSts>ACSC</TxSts><TxSts>RJCT</TxSts>"),
        format!("{UETR}{UETR}<TxSts>ACSC</TxSts>"),
        format!(
            "{UETR}<OrgnlEndToEndId>ORDER-1</OrgnlEndToEndId><OrgnlEndToEndId>X</OrgnlEndToEndId><TxSts>ACSC</TxSts>"
        ),
        format!("{UETR}<TxSts>ACSC</TxSts>{AMOUNT}{AMOUNT}"),
        format!("{UETR}<TxSts>RJCT</TxSts><StsRsnInf><Rsn><Cd>AC04</Cd><Cd>AG09</Cd></Rsn></StsRsnInf>"),
        format!("{UETR}<TxSts>ACSC</TxSts></TxInfAndSts><TxInfAndSts>{UETR}<TxSts>RJCT</TxSts>"),
    ] {
        assert_eq!(judge(credit_transfer(), &report("", &transaction)), "ANSWER_UNREADABLE", "{transaction}");
    }
    let good = report("", &format!("{UETR}<TxSts>ACSC</TxSts>"));
    for (part, instead) in [
        ("<MsgId>BANK-1</MsgId>", ""),
        ("<MsgId>BANK-1</MsgId>", "<MsgId/>"),
        ("BANK-1", "123456789012345678901234567890123456"),
        ("FIToFIPmtStsRpt", "FIToFIPmtStsReq"),
        ("Document", "Dokument"),
        ("TxInfAndSts", "TxInf"),
    ] {
        assert_eq!(judge(credit_transfer(), &good.replace(part, instead)), "ANSWER_UNREADABLE", "{instead}");
    }
}

#[test]
fn the_banks_words_are_passed_on() {
    let reasons = "<StsRsnInf><Rsn><Cd>AC04</Cd></Rsn><AddtlInf>closed</AddtlInf><AddtlInf>in May</AddtlInf></StsRsnInf>";
    let document = report("", &format!("{UETR}<TxSts>RJCT</TxSts>{reasons}"));
    let read = Answer::read(document.as_bytes()).expect("a report");
    let instruction = Instruction::parse(credit_transfer()).expect("well-formed");
    let Verdict::Rejected(rejected) = verdict(&instruction, &read) else { panic!("not rejected") };
    assert_eq!(rejected.text, "closed in May");
}
