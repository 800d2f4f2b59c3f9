//! What is carried, and what is refused with which field.

use common::money::MAX_AMOUNT_MINOR_UNITS;

use super::*;

/// A well-formed credit transfer over 12.34 EUR to bank `aurora`.
pub(crate) fn credit_transfer() -> wire::Instruction {
    let party = |name: &str, account| wire::Party { name: name.to_owned(), account: Some(account) };
    let transfer = wire::CreditTransfer {
        debtor: Some(party("Bee & Co", wire::party::Account::AccountNumber("4711".to_owned()))),
        creditor: Some(party("Zoë", wire::party::Account::Iban("DE89370400440532013000".to_owned()))),
        remittance_information: "order 1".to_owned(),
    };
    wire::Instruction {
        correlation_id: 7,
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
        bank_id: "aurora".to_owned(),
        uetr: "8a562c67-ca16-48ba-b074-65581be6f001".to_owned(),
        message_id: "MSG-1".to_owned(),
        end_to_end_id: "ORDER-1".to_owned(),
        amount: Some(proto::money::Money { minor_units: 1234, currency: "EUR".to_owned() }),
        accept_time: Some(prost_types::Timestamp { seconds: 1_795_428_000, nanos: 123_456_789 }),
        message: Some(wire::instruction::Message::CreditTransfer(transfer)),
    }
}

/// An enquiry about that credit transfer.
pub(crate) fn status_enquiry() -> wire::Instruction {
    let enquiry = wire::StatusEnquiry { enquiry_id: "ENQ-1".to_owned(), return_request: None };
    wire::Instruction {
        message: Some(wire::instruction::Message::StatusEnquiry(enquiry)),
        ..credit_transfer()
    }
}

/// A request for 5.00 EUR of that credit transfer.
pub(crate) fn return_request() -> wire::Instruction {
    wire::Instruction {
        uetr: "1b2c3d4e-5f60-4718-8293-a4b5c6d7e8f9".to_owned(),
        message_id: "RTN-1".to_owned(),
        end_to_end_id: "REFUND-1".to_owned(),
        amount: Some(proto::money::Money { minor_units: 500, currency: "EUR".to_owned() }),
        accept_time: Some(prost_types::Timestamp { seconds: 1_795_428_060, nanos: 0 }),
        message: Some(wire::instruction::Message::ReturnRequest(returned())),
        ..credit_transfer()
    }
}

/// An enquiry about that request.
pub(crate) fn return_enquiry() -> wire::Instruction {
    let enquiry = wire::StatusEnquiry { enquiry_id: "ENQ-2".to_owned(), return_request: Some(returned()) };
    wire::Instruction {
        message: Some(wire::instruction::Message::StatusEnquiry(enquiry)),
        ..return_request()
    }
}

fn returned() -> wire::ReturnRequest {
    let original = credit_transfer();
    wire::ReturnRequest {
        original_message_id: original.message_id,
        original_uetr: original.uetr,
        original_end_to_end_id: original.end_to_end_id,
        original_amount: original.amount,
        original_accept_time: original.accept_time,
        reason_code: "CUST".to_owned(),
        text: "wrong size".to_owned(),
    }
}

fn fields(change: impl Fn(&mut wire::Instruction)) -> Vec<String> {
    let mut instruction = credit_transfer();
    change(&mut instruction);
    Instruction::parse(instruction)
        .expect_err("refused")
        .into_iter()
        .map(|violation| violation.field)
        .collect()
}

fn transfer(instruction: &mut wire::Instruction) -> &mut wire::CreditTransfer {
    match &mut instruction.message {
        Some(wire::instruction::Message::CreditTransfer(transfer)) => transfer,
        _ => panic!("a credit transfer"),
    }
}

#[test]
fn good_instructions_are_read_and_show_no_personal_data() {
    let instruction = Instruction::parse(credit_transfer()).expect("good");
    assert_eq!(format!("{instruction:?}"), "Instruction(8a562c67-ca16-48ba-b074-65581be6f001 to aurora)");
    assert_eq!(instruction.amount().to_string(), "12.34 EUR");
    assert!(Instruction::parse(status_enquiry()).is_ok());
    let plain = wire::Instruction { traceparent: String::new(), ..credit_transfer() };
    assert!(Instruction::parse(plain).is_ok());
}

#[test]
fn every_bad_field_is_named() {
    for bad in [
        "",
        "8A562C67-CA16-48BA-B074-65581BE6F001",
        "8a562c67ca1648bab07465581be6f001",
        "8a562c67-ca16-18ba-b074-65581be6f001",
        "8a562c67-ca16-48ba-0074-65581be6f001",
        "00000000-0000-0000-0000-000000000000",
    ] {
        assert_eq!(fields(|i| i.uetr = bad.to_owned()), ["uetr"], "{bad}");
    }
    assert_eq!(fields(|i| i.bank_id.clear()), ["bank_id"]);
    assert_eq!(fields(|i| i.message_id = "x".repeat(36)), ["message_id"]);
    assert_eq!(fields(|i| i.end_to_end_id = "a\nb".to_owned()), ["end_to_end_id"]);
    assert_eq!(fields(|i| i.amount = None), ["amount"]);
    for minor_units in [0, -1, i64::MIN, i64::MAX, MAX_AMOUNT_MINOR_UNITS + 1] {
        let money = proto::money::Money { minor_units, currency: "EUR".to_owned() };
        assert_eq!(fields(|i| i.amount = Some(money.clone())), ["amount.minor_units"], "{minor_units}");
    }
    for currency in ["", "eur", "XXX", "EURO"] {
        let money = proto::money::Money { minor_units: 1, currency: currency.to_owned() };
        assert_eq!(fields(|i| i.amount = Some(money.clone())), ["amount.currency"], "{currency}");
    }
    for (seconds, nanos) in [(-1, 0), (0, -1), (0, 1_000_000_000), (253_402_300_800, 0), (i64::MAX, i32::MAX)]
    {
        let time = prost_types::Timestamp { seconds, nanos };
        assert_eq!(fields(|i| i.accept_time = Some(time)), ["accept_time"], "{seconds} {nanos}");
    }
    assert_eq!(fields(|i| i.message = None), ["message"]);
    assert_eq!(fields(|i| transfer(i).debtor = None), ["credit_transfer.debtor"]);
    assert_eq!(
        fields(|i| transfer(i).creditor = Some(wire::Party::default())),
        ["credit_transfer.creditor.name", "credit_transfer.creditor"]
    );
    assert_eq!(
        fields(|i| transfer(i).remittance_information = "x".repeat(141)),
        ["credit_transfer.remittance_information"]
    );
    let iban = |i: &mut wire::Instruction| {
        let account = wire::party::Account::Iban("DE88370400440532013000".to_owned());
        transfer(i).creditor = Some(wire::Party { name: "A".to_owned(), account: Some(account) });
    };
    assert_eq!(fields(iban), ["credit_transfer.creditor.iban"]);
    assert_eq!(
        Instruction::parse(wire::Instruction::default()).expect_err("all of it").len(),
        7,
        "every problem is reported at once"
    );
}

#[test]
fn a_return_request_names_what_it_is_about_and_asks_for_no_more() {
    for good in [return_request(), return_enquiry()] {
        let instruction = Instruction::parse(good).expect("good");
        assert_eq!(instruction.returned().map(Original::message_id), Some("MSG-1"));
        assert_eq!(instruction.message_id(), "RTN-1");
    }
    assert!(Instruction::parse(status_enquiry()).expect("good").returned().is_none());
    let request = |change: &dyn Fn(&mut wire::ReturnRequest)| {
        let mut request = returned();
        change(&mut request);
        fields(|i| {
            *i = wire::Instruction {
                message: Some(wire::instruction::Message::ReturnRequest(request.clone())),
                ..return_request()
            };
        })
    };
    assert_eq!(request(&|r| r.original_uetr.clear()), ["return_request.original_uetr"]);
    assert_eq!(request(&|r| r.original_message_id.clear()), ["return_request.original_message_id"]);
    assert_eq!(request(&|r| r.original_end_to_end_id.clear()), ["return_request.original_end_to_end_id"]);
    assert_eq!(request(&|r| r.original_amount = None), ["return_request.original_amount"]);
    assert_eq!(request(&|r| r.original_accept_time = None), ["return_request.original_accept_time"]);
    assert_eq!(request(&|r| r.text = "x".repeat(141)), ["return_request.text"]);
    for code in ["", "CUSTX", "cust", "CU T", "É"] {
        assert_eq!(request(&|r| r.reason_code = code.to_owned()), ["return_request.reason_code"], "{code}");
    }
    let money = |minor_units, currency: &str| {
        Some(proto::money::Money { minor_units, currency: currency.to_owned() })
    };
    for too_much in [money(1235, "EUR"), money(500, "USD"), money(1, "JPY")] {
        for about in [return_request(), return_enquiry()] {
            let found = fields(|i| *i = wire::Instruction { amount: too_much.clone(), ..about.clone() });
            assert_eq!(found, ["amount"], "{too_much:?}");
        }
    }
    let all = wire::Instruction { amount: money(1234, "EUR"), ..return_request() };
    assert!(Instruction::parse(all).is_ok(), "all of it may be asked back");
}
