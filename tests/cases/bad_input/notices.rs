//! What a bank must not say unasked: refused with a status, and nothing of it is left.

use crate::bench::leaving_nothing;

const UETR: &str = "8a562c67-ca16-48ba-b074-65581be6f001";
const XML: &str = "application/xml";

fn report(transaction: &str) -> String {
    format!(
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pacs.002.001.10\"><FIToFIPmtStsRpt><GrpHdr><MsgId>B-1</MsgId>\
         <CreDtTm>2026-11-23T10:00:00.000Z</CreDtTm></GrpHdr><OrgnlGrpInfAndSts><OrgnlMsgId>canary-label</OrgnlMsgId>\
         <OrgnlMsgNmId>pacs.008.001.08</OrgnlMsgNmId></OrgnlGrpInfAndSts><TxInfAndSts>{transaction}</TxInfAndSts>\
         </FIToFIPmtStsRpt></Document>"
    )
}

/// Number, what is wrong, its media type, its body, and the status of the answer.
type Row = (u16, &'static str, &'static str, Vec<u8>, u16);

fn rows() -> Vec<Row> {
    let good = report(&format!("<OrgnlUETR>{UETR}</OrgnlUETR><TxSts>ACSC</TxSts>"));
    let instead = |part: &str, other: &str| {
        let changed = good.replace(part, other);
        assert_ne!(changed, good, "{part}");
        changed.into_bytes()
    };
    let before = |begin: &str| format!("{begin}{good}").into_bytes();
    let amount = |number: &str| {
        let reference = format!(
            "<OrgnlTxRef><IntrBkSttlmAmt Ccy=\"EUR\">{number}</IntrBkSttlmAmt></OrgnlTxRef></TxInfAndSts>"
        );
        instead("</TxInfAndSts>", &reference)
    };
    let mut rows = vec![
        (118, "an external DTD", XML, before("<!DOCTYPE d SYSTEM \"http://127.0.0.1:9/d.dtd\">"), 400),
        (
            118,
            "a parameter entity",
            XML,
            before("<!DOCTYPE d [<!ENTITY % p SYSTEM \"file:///etc/passwd\"> %p;]>"),
            400,
        ),
        (
            118,
            "an XInclude",
            XML,
            instead(
                "<TxSts>",
                "<xi:include xmlns:xi=\"http://www.w3.org/2001/XInclude\" href=\"/etc/passwd\"/><TxSts>",
            ),
            400,
        ),
        (
            119,
            "a billion laughs",
            XML,
            before("<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\">]>"),
            400,
        ),
        (119, "an entity of nobody's", XML, instead("ACSC", "&a;"), 400),
        (121, "20 namespaces", XML, instead("<TxSts>", &namespaces(20)), 400),
        (121, "2,000 namespaces", XML, instead("<TxSts>", &namespaces(2_000)), 400),
        (122, "33 levels", XML, nested(31), 400),
        (122, "5,000 levels", XML, nested(5_000), 400),
        (124, "two statuses", XML, instead("<TxSts>ACSC", "<TxSts>ACSC</TxSts><TxSts>RJCT"), 400),
        (124, "two UETRs", XML, instead("<TxSts>", &format!("<OrgnlUETR>{UETR}</OrgnlUETR><TxSts>")), 400),
        (
            124,
            "two transactions",
            XML,
            instead("</TxInfAndSts>", "</TxInfAndSts><TxInfAndSts><TxSts>RJCT</TxSts></TxInfAndSts>"),
            400,
        ),
        (125, "another namespace", XML, instead("pacs.002.001.10", "pacs.002.001.12"), 400),
        (
            125,
            "no namespace",
            XML,
            instead(" xmlns=\"urn:iso:std:iso:20022:tech:xsd:pacs.002.001.10\"", ""),
            400,
        ),
        (125, "another namespace inside", XML, instead("<TxSts>", "<TxSts xmlns=\"urn:x\">"), 400),
        (127, "a byte order mark", XML, before("\u{FEFF}"), 400),
        (127, "UTF-16", XML, good.encode_utf16().flat_map(u16::to_be_bytes).collect(), 400),
        (127, "said to be UTF-7", XML, before("<?xml version=\"1.0\" encoding=\"utf-7\"?>"), 400),
        (127, "said to be Latin-1", XML, before("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>"), 400),
        (127, "XML 1.1", XML, before("<?xml version=\"1.1\"?>"), 400),
        (128, "bytes that are no UTF-8", XML, [good.as_bytes(), b"\xff"].concat(), 400),
        (128, "a NUL by its number", XML, instead("ACSC", "ACSC&#0;"), 400),
        (128, "a surrogate by its number", XML, instead("ACSC", "&#xD800;"), 400),
        (130, "an attribute twice", XML, instead("<TxSts>", "<TxSts a=\"1\" a=\"2\">"), 400),
        (130, "an attribute without quotes", XML, instead("<TxSts>", "<TxSts a=1>"), 400),
        (130, "an attribute with mark-up", XML, instead("<TxSts>", "<TxSts a=\"<\">"), 400),
        (134, "no status of any", XML, good.replace("<TxSts>ACSC</TxSts>", "").into_bytes(), 422),
        (139, "a form", "application/x-www-form-urlencoded", good.clone().into_bytes(), 400),
        (139, "JSON", "application/json", b"{\"status\":\"ACSC\"}".to_vec(), 400),
        (
            139,
            "XML that is said to be Latin-1",
            "application/xml; charset=iso-8859-1",
            good.clone().into_bytes(),
            400,
        ),
        (139, "HTML that is said to be XML", XML, b"<html><body>sign in</body></html>".to_vec(), 400),
        (139, "nothing", XML, Vec::new(), 400),
        (140, "half of it", XML, good.as_bytes()[..good.len() / 2].to_vec(), 400),
        (142, "more than 64 KiB", XML, before(&" ".repeat(65 << 10)), 400),
        (148, "about nothing that was sent", XML, good.clone().into_bytes(), 422),
        (
            148,
            "without a message id",
            XML,
            good.replace("<OrgnlMsgId>canary-label</OrgnlMsgId>", "").into_bytes(),
            400,
        ),
        (
            148,
            "with two message ids",
            XML,
            instead("<TxSts>", "<OrgnlInstrId>OTHER</OrgnlInstrId><TxSts>"),
            422,
        ),
        (148, "with a UETR in capitals", XML, instead(UETR, &UETR.to_uppercase()), 422),
        (0, "two documents", XML, before(&good), 400),
        (0, "text behind it", XML, [good.as_bytes(), b"x"].concat(), 400),
        (0, "text beside elements", XML, instead("<TxSts>", "DROP TABLE payments<TxSts>"), 400),
        (0, "a camt.029", XML, instead("pacs.002.001.10", "camt.029.001.09"), 400),
    ];
    for number in [
        "1e3",
        "+5",
        "1,00",
        "0x10",
        " 10.00 ",
        "10.",
        ".5",
        "10.001",
        "-0.00",
        "NaN",
        "",
        "١٢",
        "1234567890123456789.0",
    ] {
        rows.push((131, number, XML, amount(number), 400));
    }
    rows
}

fn namespaces(count: u32) -> String {
    let all: String = (0..count).map(|number| format!(" xmlns:n{number}=\"urn:{number}\"")).collect();
    format!("<OrgnlTxRef{all}/><TxSts>")
}

fn nested(levels: usize) -> Vec<u8> {
    report(&format!("<A>{}{}</A>", "<B>".repeat(levels), "</B>".repeat(levels))).into_bytes()
}

#[test]
fn what_a_bank_must_not_say_is_refused_and_leaves_nothing_behind() {
    leaving_nothing(async |bench, _| {
        let aurora = bench.system.certificates().as_bank("aurora")?;
        let url = bench.system.notice_url("aurora")?;
        let mut problems = Vec::new();
        for (number, name, media_type, body, status) in rows() {
            let post = aurora.post(&url).header("content-type", media_type).body(body);
            let answer = post.send().await?;
            let (found, text) = (answer.status().as_u16(), answer.text().await?);
            if found != status
                || text.contains("canary")
                || text.contains("DROP")
                || text.chars().any(char::is_control)
            {
                problems.push(format!("row {number}, {name}: {found} {text:.200}, not {status}"));
            }
        }
        for (number, path, status) in [
            (0, "/banks/nobody/pacs.002", 404),
            (0, "/banks/aurora/camt.053", 404),
            (0, "/", 404),
            (152, "/banks/..%2f..%2fetc/pacs.002", 404),
        ] {
            let place = url.replace("/banks/aurora/pacs.002", path);
            let answer = aurora.post(&place).header("content-type", XML).body("<x/>").send().await?;
            if answer.status().as_u16() != status {
                problems.push(format!("row {number}, {path}: {}, not {status}", answer.status()));
            }
        }
        // Its certificate is good, and not that bank's.
        let answer = aurora
            .post(bench.system.notice_url("meridian")?)
            .header("content-type", XML)
            .body("<x/>")
            .send()
            .await?;
        if answer.status().as_u16() != 403 {
            problems.push(format!("row 136, another bank's notice: {}", answer.status()));
        }
        Ok(problems)
    });
}
