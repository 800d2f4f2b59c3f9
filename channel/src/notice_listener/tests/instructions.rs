//! Banks that pay accounts here: what they hear is what the platform has on record.

use proto::channel::{Accepted, NotFound, notice, notice_receipt};
use rcgen::PKCS_ED25519;

use super::*;
use crate::{
    instruction::tests::{credit_transfer, status_enquiry},
    instruction_service::tests::start_with,
    rails::iso20022::{
        answer::Answer,
        incoming::tests::written,
        jws::{HEADER, Verifier, tests::pair},
        tests::tls::Folder,
    },
};

/// What the bank `slow` sends to the channel of a test.
fn sent(instruction: proto::channel::Instruction) -> String {
    written(instruction).replace("NORDDEFFXXX", "SLOWDEFFXXX").replace("SUEDDEFFXXX", "RLTOITV0XXX")
}

fn instruct(address: SocketAddr, body: String) -> JoinHandle<Heard> {
    post(address, "/banks/slow", XML, body)
}

fn answered(notice: &Notice, verdict: notice_receipt::Verdict) -> NoticeReceipt {
    NoticeReceipt { verdict: Some(verdict), ..receipt(notice, NoticeResult::Taken) }
}

fn status_of(document: &str) -> String {
    match Answer::read(document.as_bytes()).expect("an answer") {
        Answer::Status(report) => report.status.expect("a status"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_bank_that_pays_hears_what_is_on_record() {
    let running = start("instructions", &[], 10).await;
    let mut platform = Exchange::open(&running).await;
    let accepted = Accepted { bank_message_id: "0123456789abcdef".to_owned() };
    let not_found = NotFound { bank_message_id: String::new() };
    for (instruction, verdict, status) in [
        (credit_transfer(), notice_receipt::Verdict::Accepted(accepted), "ACCC"),
        (status_enquiry(), notice_receipt::Verdict::NotFound(not_found), "RJCT"),
    ] {
        let heard = instruct(running.notices, sent(instruction.clone()));
        let notice = platform.notice().await;
        let Some(notice::Verdict::Instruction(carried)) = &notice.verdict else { panic!("{notice:?}") };
        assert_eq!(
            (&*notice.bank_id, &*carried.bank_id, &*carried.uetr),
            ("slow", "slow", &*instruction.uetr)
        );
        assert!(TraceParent::parse(&notice.traceparent).is_some());
        sleep(Duration::from_millis(100)).await;
        assert!(!heard.is_finished(), "nobody has it on record yet");
        platform.receive(answered(&notice, verdict)).await;
        let (code, _, body) = heard.await.expect("heard");
        assert_eq!((code, status_of(&body).as_str()), (200, status), "{body}");
    }
    // A platform of before does not know of instructions, and says that the notice names no payment.
    for (result, expected) in
        [(NoticeResult::Refused, 422), (NoticeResult::Unspecified, 503), (NoticeResult::Taken, 503)]
    {
        let heard = instruct(running.notices, sent(credit_transfer()));
        let notice = platform.notice().await;
        platform.receive(receipt(&notice, result)).await;
        assert_eq!(status(heard).await, expected, "{result:?}: nothing that could be read as an answer");
    }
}

#[tokio::test]
async fn what_is_no_instruction_reaches_no_platform() {
    let running = start("no-instruction", &[], 10).await;
    let mut platform = Exchange::open(&running).await;
    let good = sent(credit_transfer());
    for (path, media_type, body, expected) in [
        ("/banks/slow", "text/html", good.clone(), 400),
        ("/banks/slow", XML, credited(), 400),
        ("/banks/slow", XML, format!("<!DOCTYPE d>{good}"), 400),
        ("/banks/slow", XML, good.replace(">12.34<", ">12.345<"), 400),
        ("/banks/slow", XML, good.replace("RLTOITV0XXX", "WESTDEFFXXX"), 422),
        ("/banks/fast", XML, good.clone(), 422),
        ("/banks/nowhere", XML, good.clone(), 404),
        ("/banks/slow/pacs.008", XML, good.clone(), 404),
    ] {
        let (status, _, text) = post(running.notices, path, media_type, body).await.expect("heard");
        assert_eq!(status, expected, "{path} {text}");
    }
    let heard = instruct(running.notices, good);
    let notice = platform.notice().await;
    assert!(matches!(notice.verdict, Some(notice::Verdict::Instruction(_))), "the first that got through");
    platform.receive(receipt(&notice, NoticeResult::Refused)).await;
    assert_eq!(status(heard).await, 422);
}

#[tokio::test]
async fn where_the_two_have_agreed_on_it_both_sign() {
    let folder = Folder::new("instructions-signed");
    let (own, theirs) = (pair(&folder, "own", &PKCS_ED25519), pair(&folder, "theirs", &PKCS_ED25519));
    let entry = format!(
        "verify_key_file = {:?}\nsign_key_file = {:?}\n",
        folder.file("theirs.pem", &theirs.public),
        own.private
    );
    let arguments = ["--notice-listen=127.0.0.1:0", "--insecure-notice-listen"];
    let running = start_with("instructions-signed", &arguments, 10, ["", &entry]).await;
    let mut platform = Exchange::open(&running).await;
    assert_eq!(status(instruct(running.notices, sent(credit_transfer()))).await, 401, "not signed");
    let body = sent(credit_transfer());
    let signature = theirs.signer.sign(body.as_bytes()).expect("signed");
    let url = format!("http://{}/banks/slow", running.notices);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let request = client.post(url).header("content-type", XML).header(HEADER, signature).body(body);
    let heard = tokio::spawn(async move { request.send().await.expect("an answer") });
    let notice = platform.notice().await;
    let accepted = Accepted { bank_message_id: "0123456789abcdef".to_owned() };
    platform.receive(answered(&notice, notice_receipt::Verdict::Accepted(accepted))).await;
    let answer = heard.await.expect("heard");
    let head = answer.headers().clone();
    let body = answer.bytes().await.expect("a body");
    let verifier = Verifier::new(folder.file("own.pem", &own.public)).expect("a verifier");
    verifier.check(&head, &body).expect("signed with our key");
}
