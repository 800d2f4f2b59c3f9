//! What the channel writes is valid by ISO 20022's own schemas, whatever an instruction may carry.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use channel::{
    instruction::{Instruction, Message},
    rails::iso20022::{
        camt056, incoming,
        message::Correspondents,
        pacs002, pacs008,
        pacs028::{self, Enquiry},
    },
};
use common::{bic::Bic, money::MAX_AMOUNT_MINOR_UNITS};
use proto::channel::{self as wire, notice_receipt::Verdict};

/// How many instructions of each kind are written.
const INSTRUCTIONS: usize = 400;

/// Currencies with 0, 2, 3 and 4 digits.
const CURRENCIES: [&str; 12] =
    ["EUR", "USD", "JPY", "KRW", "CLP", "KWD", "BHD", "TND", "CLF", "UYW", "XOF", "HUF"];
const AMOUNTS: [i64; 7] = [1, 9, 10, 100, 1_234, 99_999_999, MAX_AMOUNT_MINOR_UNITS];
const REFERENCES: [&str; 6] = [
    "A",
    "ORDER-2026/11 (1)",
    "0123456789abcdef0123456789abcdef",
    "12345678901234567890123456789012345",
    "a&b<c>\"d'",
    "?:().,'+ -",
];
const TEXTS: [&str; 9] = [
    "A",
    "Zoë & Söhne <GmbH>",
    "']]>'; DROP TABLE payments; --",
    "&amp; &#0; &unknown; <!-- --> <![CDATA[x]]> <?pi?>",
    "日本銀行 株式会社",
    "Ελληνική Τράπεζα «Αθήνα»",
    "מזרחי טפחות",
    "🏦💸🧾 \u{10FFFD}",
    " spaces  around ",
];
const IBANS: [&str; 5] = [
    "DE89370400440532013000",
    "NO9386011117947",
    "MT84MALT011000012345MTLCAST001S",
    "GB29NWBK60161331926819",
    "LC55HEMM000100010012001200023015",
];
const ACCOUNT_NUMBERS: [&str; 4] = ["1", "12-34-56 78901234", "1234567890123456789012345678901234", "<&>\"'"];
/// Seconds since 1970, up to the last second of the year 9999.
const TIMES: [u64; 5] = [0, 951_782_400, 1_795_428_000, 4_102_444_799, 253_402_300_799];

/// Makes the same choices in every run (splitmix64).
struct Choices(u64);

impl Choices {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        u64::try_from(end).ok().and_then(|end| usize::try_from(self.next() % end).ok()).unwrap_or(0)
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        all.get(self.below(all.len())).copied()
    }

    fn text(&mut self, from: &[&str]) -> String {
        self.one_of(from).unwrap_or_default().to_owned()
    }

    /// One of the texts, or one character 140 times.
    fn long_text(&mut self) -> String {
        match self.below(4) {
            0 => self.one_of(&["x", "&", "é", "日", "🏦"]).unwrap_or_default().repeat(140),
            _ => self.text(&TEXTS),
        }
    }

    fn party(&mut self) -> wire::Party {
        let account = match self.below(2) {
            0 => wire::party::Account::Iban(self.text(&IBANS)),
            _ => wire::party::Account::AccountNumber(self.text(&ACCOUNT_NUMBERS)),
        };
        wire::Party { name: self.long_text(), account: Some(account) }
    }

    fn time(&mut self) -> SystemTime {
        let nanos = u32::try_from(self.below(1_000_000_000)).unwrap_or(0);
        UNIX_EPOCH + Duration::new(self.one_of(&TIMES).unwrap_or_default(), nanos)
    }

    fn uetr(&mut self) -> String {
        let bytes = u128::from(self.next()).wrapping_mul(u128::MAX / 3).to_be_bytes();
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    fn instruction(&mut self, message: wire::instruction::Message) -> wire::Instruction {
        let amount = proto::money::Money {
            minor_units: self.one_of(&AMOUNTS).unwrap_or(1),
            currency: self.text(&CURRENCIES),
        };
        wire::Instruction {
            correlation_id: 1,
            traceparent: String::new(),
            bank_id: "aurora".to_owned(),
            uetr: self.uetr(),
            message_id: self.text(&REFERENCES),
            end_to_end_id: self.text(&REFERENCES),
            amount: Some(amount),
            accept_time: Some(self.time().into()),
            message: Some(message),
        }
    }

    fn credit_transfer(&mut self) -> wire::Instruction {
        let transfer = wire::CreditTransfer {
            debtor: Some(self.party()),
            creditor: Some(self.party()),
            remittance_information: if self.below(3) == 0 { String::new() } else { self.long_text() },
        };
        self.instruction(wire::instruction::Message::CreditTransfer(transfer))
    }

    fn status_enquiry(&mut self) -> wire::Instruction {
        let enquiry = wire::StatusEnquiry { enquiry_id: self.text(&REFERENCES), return_request: None };
        self.instruction(wire::instruction::Message::StatusEnquiry(enquiry))
    }

    /// A request for the return of some or all of the largest amount there is.
    fn return_request(&mut self) -> wire::Instruction {
        let request = wire::ReturnRequest {
            original_message_id: self.text(&REFERENCES),
            original_uetr: self.uetr(),
            original_end_to_end_id: self.text(&REFERENCES),
            original_amount: None,
            original_accept_time: Some(self.time().into()),
            reason_code: self.text(&["CUST", "DUPL", "TECH", "AC03"]),
            text: if self.below(3) == 0 { String::new() } else { self.long_text() },
        };
        let mut instruction = self.instruction(wire::instruction::Message::ReturnRequest(request.clone()));
        let whole =
            proto::money::Money { minor_units: MAX_AMOUNT_MINOR_UNITS, currency: currency(&instruction) };
        let request = wire::ReturnRequest { original_amount: Some(whole), ..request };
        instruction.message = Some(wire::instruction::Message::ReturnRequest(request));
        instruction
    }

    fn return_enquiry(&mut self) -> wire::Instruction {
        let mut instruction = self.return_request();
        if let Some(wire::instruction::Message::ReturnRequest(request)) = instruction.message.take() {
            let enquiry =
                wire::StatusEnquiry { enquiry_id: self.text(&REFERENCES), return_request: Some(request) };
            instruction.message = Some(wire::instruction::Message::StatusEnquiry(enquiry));
        }
        instruction
    }
}

fn currency(instruction: &wire::Instruction) -> String {
    instruction.amount.as_ref().map(|amount| amount.currency.clone()).unwrap_or_default()
}

fn correspondents() -> Option<Correspondents> {
    Some(Correspondents { sender: Bic::parse("RLTOITV0XXX")?, bank: Bic::parse("1A2BDE3C")? })
}

/// Writes instructions as the channel does, through everything that checks them.
fn documents(make: impl Fn(&mut Choices) -> wire::Instruction) -> Result<Vec<String>, String> {
    let correspondents = correspondents().ok_or("a BIC was not read")?;
    let mut choices = Choices(20_261_123);
    let mut documents = Vec::new();
    for _ in 0..INSTRUCTIONS {
        let instruction = make(&mut choices);
        documents.push(document(instruction, &correspondents, choices.time())?);
    }
    Ok(documents)
}

fn document(
    instruction: wire::Instruction,
    correspondents: &Correspondents,
    now: SystemTime,
) -> Result<String, String> {
    let instruction = Instruction::parse(instruction).map_err(|violations| format!("{violations:?}"))?;
    Ok(match instruction.message() {
        Message::CreditTransfer(transfer) => pacs008::document(&instruction, transfer, correspondents),
        Message::ReturnRequest(request) => camt056::document(&instruction, request, correspondents),
        Message::StatusEnquiry { enquiry_id, returned } => {
            let enquiry = Enquiry::new(enquiry_id, &instruction, returned.as_ref());
            pacs028::document(&enquiry, correspondents, now)
        }
    })
}

#[test]
fn every_pacs_008_is_valid() {
    let documents = documents(Choices::credit_transfer).expect("well-formed instructions");
    harness::xsd::validate("pacs.008.001.08", &documents).expect("valid");
}

#[test]
fn every_pacs_028_is_valid() {
    let documents = documents(Choices::status_enquiry).expect("well-formed instructions");
    harness::xsd::validate("pacs.028.001.03", &documents).expect("valid");
}

#[test]
fn every_pacs_028_about_a_return_request_is_valid() {
    let documents = documents(Choices::return_enquiry).expect("well-formed instructions");
    assert!(documents.iter().all(|document| document.contains("<OrgnlMsgNmId>camt.056.001.08<")));
    harness::xsd::validate("pacs.028.001.03", &documents).expect("valid");
}

#[test]
fn every_camt_056_is_valid() {
    let documents = documents(Choices::return_request).expect("well-formed instructions");
    harness::xsd::validate("camt.056.001.08", &documents).expect("valid");
}

/// What a bank is told of its credit transfer, of which it names this much.
fn report(choices: &mut Choices) -> String {
    let about = choices.credit_transfer();
    let (bank_message_id, text) =
        (choices.text(&["", "0123456789abcdef0123456789abcdef"]), choices.long_text());
    let verdict = match choices.below(4) {
        0 => Verdict::Accepted(wire::Accepted { bank_message_id }),
        1 => Verdict::Rejected(wire::Rejected { iso_code: "AC01".to_owned(), text, bank_message_id }),
        2 => Verdict::Unknown(wire::Unknown { reason: "PENDING".to_owned(), detail: text }),
        _ => Verdict::NotFound(wire::NotFound { bank_message_id }),
    };
    pacs002::document(&about, &verdict, choices.time())
}

#[test]
fn every_pacs_002_is_valid() {
    let mut choices = Choices(20_261_129);
    let documents: Vec<String> = (0..INSTRUCTIONS).map(|_| report(&mut choices)).collect();
    harness::xsd::validate("pacs.002.001.10", &documents).expect("valid");
}

#[test]
fn whoever_is_paid_reads_what_was_sent() {
    let ours = correspondents().expect("BICs");
    let theirs = Correspondents { sender: ours.bank.clone(), bank: ours.sender.clone() };
    let now = UNIX_EPOCH;
    for make in [Choices::credit_transfer, Choices::status_enquiry] {
        let mut choices = Choices(20_261_130);
        for _ in 0..INSTRUCTIONS {
            let sent = document(make(&mut choices), &ours, now).expect("a well-formed instruction");
            let read = incoming::read("north", &theirs, sent.as_bytes()).expect(&sent);
            assert_eq!(document(read, &ours, now).expect(&sent), sent);
        }
    }
}
