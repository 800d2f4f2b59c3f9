//! Reasons for refusals, by the external code lists of ISO 20022.

use quick_xml::escape::escape;

/// Why a payment was not credited or not returned: a code of an external list and words for a person.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// At most four characters; absent only when a script asks for a rejection without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Box<str>>,
    /// Additional information, at most 105 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Box<str>>,
}

impl Reason {
    /// A reason that the bank gives of its own accord.
    pub fn new(code: impl Into<&'static str>, text: &str) -> Self {
        Self { code: Some(code.into().into()), text: Some(text.into()) }
    }

    /// The reason as an element of that name; nothing where it says nothing.
    pub fn to_xml(&self, element: &str) -> String {
        let code = self.code.as_deref().map(|code| format!("<Rsn><Cd>{}</Cd></Rsn>", escape(code)));
        let text = self.text.as_deref().map(|text| format!("<AddtlInf>{}</AddtlInf>", escape(text)));
        if code.is_none() && text.is_none() {
            return String::new();
        }
        format!("<{element}>{}{}</{element}>", code.unwrap_or_default(), text.unwrap_or_default())
    }
}

/// Every reason for not crediting a payment that the bank gives without being scripted to (ExternalStatusReason1Code).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The creditor's account is not one of this bank's.
    UnknownCreditorAccount,
    /// What is asked for never arrived.
    NeverReceived,
    /// The amount is zero.
    ZeroAmount,
    /// The bank does not keep accounts in this currency.
    UnsupportedCurrency,
    /// The settlement date does not follow from the acceptance time.
    InvalidDate,
    /// The UETR or the message id was used for something else.
    Duplicate,
    /// The creditor's agent is another bank.
    NotThisBank,
    /// The payment arrived after its validity.
    TooLate,
}

impl From<Code> for &'static str {
    fn from(code: Code) -> Self {
        match code {
            Code::UnknownCreditorAccount => "AC03",
            Code::NeverReceived => "AG09",
            Code::ZeroAmount => "AM01",
            Code::UnsupportedCurrency => "AM03",
            Code::InvalidDate => "DT01",
            Code::Duplicate => "DUPL",
            Code::NotThisBank => "RC04",
            Code::TooLate => "TM01",
        }
    }
}

/// Every reason for not returning an amount that the bank gives without being scripted to
/// (ExternalPaymentCancellationRejection1Code).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReturnCode {
    /// The bank has no such credited payment.
    NeverReceived,
    /// All of it was returned before, or the id of the request was used for another one.
    AlreadyReturned,
    /// More is asked back than is left of it.
    TooMuch,
    /// The request is for another bank.
    NotThisBank,
    /// The request arrived after its validity.
    TooLate,
    /// Anything that the list has no code for; the text says what.
    Narrative,
}

impl From<ReturnCode> for &'static str {
    fn from(code: ReturnCode) -> Self {
        match code {
            ReturnCode::NeverReceived => "NOOR",
            ReturnCode::AlreadyReturned => "ARDT",
            ReturnCode::TooMuch => "AM04",
            ReturnCode::NotThisBank => "AGNT",
            ReturnCode::TooLate => "NOAS",
            ReturnCode::Narrative => "NARR",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, ReturnCode};

    fn is_listed(list: &str, code: &str) -> bool {
        serde_json::from_str::<serde_json::Value>(list).unwrap()["codes"].get(code).is_some()
    }

    #[test]
    fn every_code_that_the_bank_gives_is_on_its_external_list() {
        use Code::{
            Duplicate, InvalidDate, NeverReceived, NotThisBank, TooLate, UnknownCreditorAccount,
            UnsupportedCurrency, ZeroAmount,
        };
        let list = include_str!("../../iso20022/codes/status_reason.json");
        for code in [
            UnknownCreditorAccount,
            NeverReceived,
            ZeroAmount,
            UnsupportedCurrency,
            InvalidDate,
            Duplicate,
            NotThisBank,
            TooLate,
        ] {
            assert!(is_listed(list, code.into()), "{code:?}");
        }
        let list = include_str!("../../iso20022/codes/payment_cancellation_rejection.json");
        for code in [
            ReturnCode::NeverReceived,
            ReturnCode::AlreadyReturned,
            ReturnCode::TooMuch,
            ReturnCode::NotThisBank,
            ReturnCode::TooLate,
            ReturnCode::Narrative,
        ] {
            assert!(is_listed(list, code.into()), "{code:?}");
        }
        let list = include_str!("../../iso20022/codes/return_reason.json");
        assert!(is_listed(list, crate::messages::pacs004::REASON));
    }
}
