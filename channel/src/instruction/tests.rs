//! What is carried, and what is refused with which field.

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
