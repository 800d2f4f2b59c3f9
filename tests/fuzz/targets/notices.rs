//! What banks say unasked: what is passed on to the platform is what the document says, and never more.

use channel::rails::iso20022::notice;
use harness::BenchError;
use prost::Message;
use proto::channel::{self as wire, notice::Verdict};

use super::{answers, demand, document, words};
use crate::{
    engine::{Checked, Target},
    mutation::Form,
};

/// Prepares the target.
pub(super) fn target() -> Result<Target, BenchError> {
    let seeds = [
        answers::report("MSG-1", "pacs.008.001.08", "ACSC", &[]),
        answers::report("MSG-1", "pacs.008.001.08", "RJCT", &["AC04"]),
        answers::report("MSG-1", "pacs.008.001.08", "RJCT", &["AG09"]),
        answers::report("MSG-1", "pacs.008.001.08", "PDNG", &[]),
        answers::report("MSG-1", "pacs.008.001.08", "", &[]).replace("EUR", "JPY").replace("12.34", "12"),
    ];
    Ok(Target {
        seeds: seeds.map(String::into_bytes).to_vec(),
        words: words(&[
            "ACSC",
            "ACCC",
            "RJCT",
            "PDNG",
            "AC04",
            "AG09",
            "DUPL",
            "MSG-1",
            "MSG-2",
            "ORDER-1",
            "12.34",
            "EUR",
            "JPY",
            "0",
            "92233720368547758.07",
            "<TxSts>ACSC</TxSts>",
            "<![CDATA[x]]>",
            "&#65;",
        ]),
        form: Form::Text,
        check: Box::new(check),
    })
}

fn check(body: &[u8]) -> Checked {
    let notice = match notice::read("aurora", body) {
        Ok(notice) => notice,
        Err(problem) => {
            let text = problem.to_string();
            demand(text.len() < 100 && text.is_ascii(), "the reason echoes the document")?;
            return Ok(text);
        }
    };
    let again = wire::Notice::decode(notice.encode_to_vec().as_slice()).map_err(|error| error.to_string())?;
    demand(again == notice, "on its way to the platform it becomes another one")?;
    let leaves = document::leaves(body).ok_or("taken, and not well-formed")?;
    let all = |name: &str, is_said: &dyn Fn(&str) -> bool| {
        let places = ["OrgnlGrpInfAndSts", "TxInfAndSts", "TxInfAndSts/OrgnlGrpInf"]
            .map(|place| format!("Document/FIToFIPmtStsRpt/{place}/{name}"));
        let mut found = leaves.iter().filter(|leaf| places.contains(&leaf.path));
        demand(found.all(|leaf| is_said(&leaf.text)), &format!("{name} says something else as well"))
    };
    all("OrgnlMsgId", &|text| text == notice.message_id)?;
    all("OrgnlInstrId", &|text| text == notice.message_id)?;
    all("OrgnlTxId", &|text| text == notice.message_id)?;
    all("OrgnlUETR", &|text| text == notice.uetr)?;
    all("OrgnlEndToEndId", &|text| text == notice.end_to_end_id)?;
    let statuses: Vec<&str> = leaves
        .iter()
        .filter(|leaf| leaf.path == "Document/FIToFIPmtStsRpt/TxInfAndSts/TxSts")
        .map(|leaf| leaf.text.as_str())
        .collect();
    let (verdict, holds) = match &notice.verdict {
        Some(Verdict::Accepted(_)) => ("accepted".to_owned(), statuses == ["ACSC"] || statuses == ["ACCC"]),
        Some(Verdict::Rejected(rejected)) => (
            format!("rejected {}", rejected.iso_code),
            statuses == ["RJCT"] && rejected.text.chars().count() <= 350,
        ),
        Some(Verdict::Unknown(unknown)) => (unknown.reason.clone(), true),
        Some(Verdict::Instruction(_)) | None => ("none".to_owned(), false),
    };
    demand(holds, "taken for what it does not say")?;
    let amount = notice.amount.map(|amount| amount.minor_units);
    demand(amount.is_none_or(|amount| amount >= 0), "a negative amount")?;
    Ok(format!("{verdict}, amount {}, {}", amount.is_some(), notice.uetr.is_empty()))
}
