//! Banks' answers: one that ends a payment says so, names it, and repeats nothing that was not sent; every other leaves it open.

use channel::{
    instruction::Instruction,
    rails::iso20022::{answer::Answer, verdict},
};
use harness::BenchError;
use proto::channel::{self as wire, outcome::Verdict};

use super::{chosen, demand, document, document::Leaf, words};
use crate::{
    engine::{Checked, Target},
    mutation::Form,
};

const UETR: &str = "8a562c67-ca16-48ba-b074-65581be6f001";
const PAID: &str = "pacs.008.001.08";
const ASKED_BACK: &str = "camt.056.001.08";

/// An instruction, one that differs in all its references, and one over another amount.
struct Sent {
    own: Instruction,
    other: Instruction,
    dearer: Instruction,
    is_return: bool,
}

/// Prepares the target.
pub(super) fn target() -> Result<Target, BenchError> {
    let sent =
        [false, true].into_iter().flat_map(|is_return| [false, true].map(|enquires| (is_return, enquires)));
    let sent: Vec<Sent> = sent
        .map(|(is_return, enquires)| {
            let parsed = |number, more| Instruction::parse(instruction(number, more, is_return, enquires));
            Ok(Sent { own: parsed(1, 0)?, other: parsed(2, 0)?, dearer: parsed(1, 1)?, is_return })
        })
        .collect::<Result<_, Vec<_>>>()
        .map_err(|violations| format!("{violations:?}"))?;
    Ok(Target {
        seeds: seeds(),
        words: words(&[
            "ACSC",
            "ACCC",
            "RJCT",
            "PDNG",
            "ACTC",
            "RJCR",
            "PDCR",
            "AC04",
            "AG09",
            "DUPL",
            "CUST",
            "ARDT",
            "NARR",
            UETR,
            "MSG-1",
            "MSG-2",
            "RTN-1",
            "RTN-2",
            "ORDER-1",
            "12.34",
            "12.35",
            "5.00",
            "EUR",
            "USD",
            "xmlns=\"\"",
            "xmlns:x=\"urn:x\"",
            "x:",
            "<TxSts>ACSC</TxSts>",
            "<TxSts>RJCT</TxSts>",
            "<!-- x -->",
            "<![CDATA[ACSC]]>",
            "&#65;",
            "<!DOCTYPE a>",
            "<?pi?>",
            "<SplmtryData><Envlp><a/></Envlp></SplmtryData>",
        ]),
        form: Form::Text,
        check: Box::new(move |input| check(&sent, input)),
    })
}

/// An instruction with references of that number, over so much more than 12.34 EUR or, asked back, 5.00 EUR.
fn instruction(number: u32, more: i64, is_return: bool, enquires: bool) -> wire::Instruction {
    let money = |minor_units| Some(proto::money::Money { minor_units, currency: "EUR".to_owned() });
    let time = Some(prost_types::Timestamp { seconds: 1_795_428_000, nanos: 0 });
    let uetr = UETR.replace("f001", &format!("f00{number}"));
    let party = |name: &str| wire::Party {
        name: name.to_owned(),
        account: Some(wire::party::Account::AccountNumber("4711".to_owned())),
    };
    let request = is_return.then(|| wire::ReturnRequest {
        original_message_id: format!("MSG-{number}"),
        original_uetr: uetr.clone(),
        original_end_to_end_id: format!("ORDER-{number}"),
        original_amount: money(1234 + more),
        original_accept_time: time,
        reason_code: "CUST".to_owned(),
        text: String::new(),
    });
    let message = match (enquires, request.clone()) {
        (true, return_request) => wire::instruction::Message::StatusEnquiry(wire::StatusEnquiry {
            enquiry_id: "ENQ-1".to_owned(),
            return_request,
        }),
        (false, Some(request)) => wire::instruction::Message::ReturnRequest(request),
        (false, None) => wire::instruction::Message::CreditTransfer(wire::CreditTransfer {
            debtor: Some(party("Bee")),
            creditor: Some(party("Zoë")),
            remittance_information: String::new(),
        }),
    };
    wire::Instruction {
        bank_id: "aurora".to_owned(),
        uetr: if is_return { format!("1b2c3d4e-5f60-4718-8293-a4b5c6d7e8f{number}") } else { uetr },
        message_id: if is_return { format!("RTN-{number}") } else { format!("MSG-{number}") },
        end_to_end_id: if is_return { format!("REFUND-{number}") } else { format!("ORDER-{number}") },
        amount: money(if is_return { 500 + more } else { 1234 + more }),
        accept_time: time,
        message: Some(message),
        ..wire::Instruction::default()
    }
}

/// A pacs.002 about a payment (or about the message of that id and name) with this status.
pub(super) fn report(id: &str, name: &str, status: &str, reasons: &[&str]) -> String {
    let reasons: String = reasons
        .iter()
        .map(|code| format!("<StsRsnInf><Rsn><Cd>{code}</Cd></Rsn><AddtlInf>in words</AddtlInf></StsRsnInf>"))
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pacs.002.001.10\">\
         <FIToFIPmtStsRpt><GrpHdr><MsgId>BANK-1</MsgId><CreDtTm>2026-11-23T10:00:00.000Z</CreDtTm></GrpHdr>\
         <OrgnlGrpInfAndSts><OrgnlMsgId>{id}</OrgnlMsgId><OrgnlMsgNmId>{name}</OrgnlMsgNmId><GrpSts>{status}</GrpSts>\
         </OrgnlGrpInfAndSts><TxInfAndSts><OrgnlInstrId>{id}</OrgnlInstrId><OrgnlEndToEndId>ORDER-1</OrgnlEndToEndId>\
         <OrgnlTxId>{id}</OrgnlTxId><OrgnlUETR>{UETR}</OrgnlUETR><TxSts>{status}</TxSts>{reasons}<OrgnlTxRef>\
         <IntrBkSttlmAmt Ccy=\"EUR\">12.34</IntrBkSttlmAmt></OrgnlTxRef></TxInfAndSts></FIToFIPmtStsRpt></Document>"
    )
}

const REFERENCES: &str = "<OrgnlGrpInf><OrgnlMsgId>MSG-1</OrgnlMsgId><OrgnlMsgNmId>pacs.008.001.08</OrgnlMsgNmId></OrgnlGrpInf>\
    <OrgnlInstrId>MSG-1</OrgnlInstrId><OrgnlEndToEndId>ORDER-1</OrgnlEndToEndId><OrgnlTxId>MSG-1</OrgnlTxId>\
    <OrgnlUETR>8a562c67-ca16-48ba-b074-65581be6f001</OrgnlUETR>";

fn given_back() -> String {
    format!(
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pacs.004.001.09\"><PmtRtr><GrpHdr><MsgId>BANK-4</MsgId>\
         <CreDtTm>2026-11-23T10:00:00.000Z</CreDtTm><NbOfTxs>1</NbOfTxs><TtlRtrdIntrBkSttlmAmt Ccy=\"EUR\">5.00\
         </TtlRtrdIntrBkSttlmAmt><SttlmInf><SttlmMtd>CLRG</SttlmMtd></SttlmInf></GrpHdr><TxInf><RtrId>RTN-1</RtrId>{REFERENCES}\
         <OrgnlIntrBkSttlmAmt Ccy=\"EUR\">12.34</OrgnlIntrBkSttlmAmt><RtrdIntrBkSttlmAmt Ccy=\"EUR\">5.00</RtrdIntrBkSttlmAmt>\
         </TxInf></PmtRtr></Document>"
    )
}

fn resolution(status: &str, reason: &str) -> String {
    format!(
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.029.001.09\"><RsltnOfInvstgtn><Assgnmt><Id>BANK-29</Id></Assgnmt>\
         <Sts><Conf>{status}</Conf></Sts><CxlDtls><TxInfAndSts><CxlStsId>RTN-1</CxlStsId>{REFERENCES}<TxCxlSts>{status}</TxCxlSts>\
         <CxlStsRsnInf><Rsn><Cd>{reason}</Cd></Rsn></CxlStsRsnInf><OrgnlIntrBkSttlmAmt Ccy=\"EUR\">5.00</OrgnlIntrBkSttlmAmt>\
         </TxInfAndSts></CxlDtls></RsltnOfInvstgtn></Document>"
    )
}

fn seeds() -> Vec<Vec<u8>> {
    let of_payment = [
        report("MSG-1", PAID, "ACSC", &[]),
        report("MSG-1", PAID, "RJCT", &["AC04"]),
        report("MSG-1", PAID, "RJCT", &["AG09"]),
        report("MSG-1", PAID, "RJCT", &["DUPL", "NARR"]),
        report("MSG-1", PAID, "PDNG", &[]),
        report("MSG-1", PAID, "ACSP", &[]),
        // The shortest that is good, with a prefix.
        format!(
            "<p:Document xmlns:p=\"urn:iso:std:iso:20022:tech:xsd:pacs.002.001.10\"><p:FIToFIPmtStsRpt><p:GrpHdr><p:MsgId>B</p:MsgId>\
             </p:GrpHdr><p:TxInfAndSts><p:OrgnlUETR>{UETR}</p:OrgnlUETR><p:TxSts>ACCC</p:TxSts></p:TxInfAndSts>\
             </p:FIToFIPmtStsRpt></p:Document>"
        ),
    ];
    let of_return = [
        given_back(),
        resolution("RJCR", "CUST"),
        resolution("RJCR", "ARDT"),
        resolution("PDCR", "CUST"),
        report("RTN-1", ASKED_BACK, "RJCT", &["AG09"]),
    ];
    let of_payment = of_payment.iter().flat_map(|document| [chosen(0, document), chosen(1, document)]);
    of_payment
        .chain(of_return.iter().flat_map(|document| [chosen(2, document), chosen(3, document)]))
        .collect()
}

fn check(sent: &[Sent], input: &[u8]) -> Checked {
    let Some((choice, body)) = input.split_first() else { return Ok("nothing".to_owned()) };
    let sent = &sent[usize::from(choice % 4)];
    let answer = match Answer::read(body) {
        Ok(answer) => answer,
        Err(unreadable) => return Ok(unreadable.to_string()),
    };
    demand(Answer::read(body).as_ref() == Ok(&answer), "read twice it is another answer")?;
    let verdict = verdict::verdict(&sent.own, &answer);
    if !is_final(&verdict) {
        return Ok(format!("{choice} {verdict:?}", choice = choice % 4).chars().take(80).collect());
    }
    demand(
        !is_final(&verdict::verdict(&sent.other, &answer)),
        "it ends a payment with other references as well",
    )?;
    let leaves = document::leaves(body).ok_or("it is final, and not well-formed")?;
    for leaf in &leaves {
        agrees(sent, leaf)?;
    }
    let has_amount = leaves.iter().any(|leaf| amount_of(leaf).is_some());
    demand(
        !has_amount || !is_final(&verdict::verdict(&sent.dearer, &answer)),
        "it ends a payment of another amount as well",
    )?;
    says(&verdict, &leaves)?;
    Ok(format!("{} {}, {} leaves", choice % 4, kind(&verdict), leaves.len()))
}

fn is_final(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Accepted(_) | Verdict::Rejected(_) | Verdict::NotFound(_))
}

fn kind(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Rejected(rejected) => format!("rejected {}", rejected.iso_code),
        other => format!("{other:?}").split('(').next().unwrap_or_default().to_owned(),
    }
}

/// Where messages repeat references to the credit transfer, or to the return request.
const REFERENCED: [&str; 9] = [
    "Document/FIToFIPmtStsRpt/OrgnlGrpInfAndSts",
    "Document/FIToFIPmtStsRpt/TxInfAndSts",
    "Document/FIToFIPmtStsRpt/TxInfAndSts/OrgnlGrpInf",
    "Document/PmtRtr/OrgnlGrpInf",
    "Document/PmtRtr/TxInf",
    "Document/PmtRtr/TxInf/OrgnlGrpInf",
    "Document/RsltnOfInvstgtn/CxlDtls/OrgnlGrpInfAndSts",
    "Document/RsltnOfInvstgtn/CxlDtls/TxInfAndSts",
    "Document/RsltnOfInvstgtn/CxlDtls/TxInfAndSts/OrgnlGrpInf",
];
/// Where they repeat amounts, and which.
const AMOUNTS: [(&str, &str); 7] = [
    ("Document/FIToFIPmtStsRpt/TxInfAndSts/OrgnlTxRef/IntrBkSttlmAmt", "12.34"),
    ("Document/PmtRtr/GrpHdr/TtlRtrdIntrBkSttlmAmt", "5"),
    ("Document/PmtRtr/TxInf/OrgnlIntrBkSttlmAmt", "12.34"),
    ("Document/PmtRtr/TxInf/RtrdIntrBkSttlmAmt", "5"),
    ("Document/PmtRtr/TxInf/OrgnlTxRef/IntrBkSttlmAmt", "12.34"),
    ("Document/RsltnOfInvstgtn/CxlDtls/TxInfAndSts/OrgnlIntrBkSttlmAmt", "5"),
    ("Document/RsltnOfInvstgtn/CxlDtls/TxInfAndSts/OrgnlTxRef/IntrBkSttlmAmt", "12.34"),
];

fn amount_of(leaf: &Leaf) -> Option<&'static str> {
    AMOUNTS.iter().find(|(path, _)| leaf.path == *path).map(|(_, amount)| *amount)
}

/// Whether what an element repeats is what was sent.
fn agrees(sent: &Sent, leaf: &Leaf) -> Result<(), String> {
    if let Some(expected) = amount_of(leaf) {
        return amount(leaf, expected);
    }
    let Some((place, name)) = leaf.path.rsplit_once('/') else { return Ok(()) };
    if !REFERENCED.contains(&place) {
        return Ok(());
    }
    let is_report = leaf.path.contains("FIToFIPmtStsRpt");
    let (own, original) = if is_report && sent.is_return { ("RTN-1", ASKED_BACK) } else { ("MSG-1", PAID) };
    let expected = match name {
        "OrgnlMsgId" | "OrgnlInstrId" | "OrgnlTxId" => own,
        "OrgnlMsgNmId" => original,
        "OrgnlEndToEndId" => "ORDER-1",
        "OrgnlUETR" => UETR,
        "RtrId" | "CxlStsId" => "RTN-1",
        _ => return Ok(()),
    };
    demand(leaf.text == expected, &format!("it is final, and {} is {:?}", leaf.path, leaf.text))
}

/// Whether it is that amount: zeros at its ends don't matter.
fn amount(leaf: &Leaf, expected: &str) -> Result<(), String> {
    let number = leaf.text.trim_start_matches('0');
    let number =
        if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
    let is_sent = number == expected && leaf.currency.as_deref() == Some("EUR");
    demand(is_sent, &format!("it is final, and {} is {:?} {:?}", leaf.path, leaf.text, leaf.currency))
}

/// Whether the document says what it was taken for, once and nowhere else.
fn says(verdict: &Verdict, leaves: &[Leaf]) -> Result<(), String> {
    let of = |name: &str| -> Vec<&str> {
        let here =
            leaves.iter().filter(|leaf| leaf.path == format!("Document/FIToFIPmtStsRpt/TxInfAndSts/{name}"));
        here.map(|leaf| leaf.text.as_str()).collect()
    };
    let is_return = leaves.iter().any(|leaf| leaf.path.starts_with("Document/PmtRtr/"));
    let is_resolution = leaves.iter().any(|leaf| leaf.path.starts_with("Document/RsltnOfInvstgtn/"));
    let statuses = of("TxSts");
    let holds = match verdict {
        Verdict::Accepted(_) => is_return || statuses == ["ACSC"] || statuses == ["ACCC"],
        Verdict::Rejected(_) => {
            let conf: Vec<&Leaf> =
                leaves.iter().filter(|leaf| leaf.path == "Document/RsltnOfInvstgtn/Sts/Conf").collect();
            statuses == ["RJCT"] || is_resolution && conf.iter().all(|leaf| leaf.text == "RJCR")
        }
        _ => statuses == ["RJCT"],
    };
    demand(holds, "it does not say what it was taken for")
}
