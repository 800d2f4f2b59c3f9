//! Bytes and headers that no generated client would send.

use prost::Message;
use tonic::Code;

use crate::bench::{Given, Refused, Row, bearer, invalid, refused};

const CREATE: &str = "/rialto.payments.v1.PaymentService/CreatePayment";

/// A length-delimited field.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encode_length_delimiter(value.len(), &mut bytes).unwrap();
    bytes.extend_from_slice(value);
    bytes
}

/// A field with a number.
fn number(field: u8, value: u64) -> Vec<u8> {
    let mut bytes = vec![field << 3];
    prost::encoding::encode_varint(value, &mut bytes);
    bytes
}

/// Everything that is wrong below messages.
pub fn rows(given: &Given) -> Vec<Row> {
    let mut rows = message_rows(given);
    rows.extend(size_rows(given));
    rows.extend(call_rows(given));
    rows
}

fn row(given: &Given, number: u16, name: &str, messages: Vec<Vec<u8>>, refused: Refused) -> Row {
    Row { number, name: name.to_owned(), path: CREATE, metadata: vec![bearer(&given.key)], messages, refused }
}

fn message_rows(given: &Given) -> Vec<Row> {
    let malformed = || refused(Code::InvalidArgument, "MALFORMED_MESSAGE");
    let good = given.good().encode_to_vec();
    let with = |more: &[u8]| vec![[good.as_slice(), more].concat()];
    let mut rows: Vec<Row> = [
        (23, "no message", vec![]),
        (23, "two messages", vec![good.clone(), good.clone()]),
        (23, "a good message and an empty one", vec![good.clone(), Vec::new()]),
        (23, "an empty message and a good one", vec![Vec::new(), good.clone()]),
        (0, "noise", vec![vec![0xff; 64]]),
        (0, "cut off", vec![good[..good.len() - 3].to_vec()]),
        (0, "a length beyond the message", with(&[0x0a, 0x7f])),
        (0, "a length beyond all memory", with(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])),
        (
            0,
            "a length of eleven bytes",
            with(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ),
        (0, "a group that never ends", with(&[0x0b])),
        (0, "a group that never began", with(&[0x0c])),
        (0, "groups in groups", with(&[0x7b; 5_000])),
        (0, "nested without end", vec![(0..200).fold(Vec::new(), |inner, _| field(3, &inner))]),
        (0, "the wrong type for a field", with(&[0x08, 0x01])),
        (0, "a type that there is not", with(&[0x0f])),
        (0, "field number 0", with(&[0x02, 0x00])),
        (65, "a surrogate in a name", with(&field(3, &field(1, b"\xed\xa0\x80")))),
        (65, "an overlong NUL in a name", with(&field(3, &field(1, b"a\xc0\x80")))),
        (65, "beyond Unicode in a name", with(&field(3, &field(1, b"\xf4\x90\x80\x80")))),
        (85, "a request id that is not UTF-8", with(&field(1, b"\xff\xfe"))),
        (85, "an overlong slash in a request id", with(&field(1, b"\xc0\xaf"))),
        (70, "a label that is not UTF-8", with(&field(7, &[field(1, b"k"), field(2, b"\xc3\x28")].concat()))),
    ]
    .into_iter()
    .map(|(number, name, messages)| row(given, number, name, messages, malformed()))
    .collect();
    // What a message may hold twice: the last one counts, and is what is refused.
    let amount = |units: u64| field(4, &number(1, units));
    for (number, name, more, fields) in [
        (73, "a good IBAN, then a number without a bank", field(3, &field(3, b"123")), vec!["payee.bank"]),
        (73, "a good account, then an empty IBAN", field(3, &field(2, b"")), vec!["payee.iban"]),
        (0, "a good request id, then an empty one", field(1, b""), vec!["request_id"]),
        (50, "a good amount, then one of nothing", amount(0), vec!["amount.minor_units"]),
        (50, "a good amount, then one less than nothing", amount(u64::MAX), vec!["amount.minor_units"]),
        (50, "a good amount, then the smallest", amount(1 << 63), vec!["amount.minor_units"]),
        (
            0,
            "a good currency, then another script",
            field(4, &field(2, "ЕUR".as_bytes())),
            vec!["amount.currency"],
        ),
        (70, "a label, then itself with a line feed", label(b"k", b"a\nb"), vec!["metadata"]),
        (70, "a label without key and value", field(7, b""), vec!["metadata"]),
        (0, "a capture mode of 64 bits", [vec![0x48], varint(1 << 40 | 7)].concat(), vec!["capture"]),
    ] {
        rows.push(row(given, number, name, with(&more), invalid(&fields)));
    }
    let many: Vec<u8> = (0..6_000_u32).flat_map(|at| label(format!("{at:x}").as_bytes(), b"")).collect();
    rows.push(row(given, 76, "6,000 labels", with(&many), invalid(&["metadata", "metadata"])));
    rows
}

fn varint(value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_varint(value, &mut bytes);
    bytes
}

fn label(key: &[u8], value: &[u8]) -> Vec<u8> {
    field(7, &[field(1, key), field(2, value)].concat())
}

fn size_rows(given: &Given) -> Vec<Row> {
    let too_large = || refused(Code::OutOfRange, "");
    [(64 << 10) + 1, 1 << 20, 4 << 20]
        .map(|size| row(given, 22, &format!("{size} bytes"), vec![vec![b'x'; size]], too_large()))
        .into()
}

/// Calls that there are not, and what a call may not say.
fn call_rows(given: &Given) -> Vec<Row> {
    let good = given.good().encode_to_vec();
    let unimplemented = || refused(Code::Unimplemented, "");
    let no_such_call = || refused(Code::Unimplemented, "NO_SUCH_CALL");
    let mut rows: Vec<Row> = [
        "/rialto.payments.v1.PaymentService/DeletePayment",
        "/rialto.payments.v1.PaymentService/createpayment",
        "/rialto.payments.v1.PaymentService/CreatePayment/",
        "/rialto.payments.v1.PaymentService/",
        "/rialto.payments.v1.PaymentService//CreatePayment",
        "/rialto.payments.v2.PaymentService/CreatePayment",
        "/rialto.platform.v1.PlatformService/Execute",
        "/rialto.channel.v1.InstructionService/Execute",
        "/grpc.channelz.v1.Channelz/GetServers",
        "/../../etc/passwd",
        "/rialto.payments.v1.PaymentService/%2e%2e/CreatePayment",
        "/",
    ]
    .into_iter()
    .map(|path| Row { path, ..row(given, 26, "no such call", vec![good.clone()], no_such_call()) })
    .collect();
    let saying = |number, name: &str, key: &'static str, value: &str, refused: Refused| {
        let metadata = vec![bearer(&given.key), (key, value.as_bytes().to_vec())];
        Row { metadata, ..row(given, number, name, vec![good.clone()], refused) }
    };
    rows.push(saying(19, "said to be compressed", "grpc-encoding", "gzip", unimplemented()));
    rows.push(saying(
        19,
        "compressed in a way that nobody knows",
        "grpc-encoding",
        "'; DROP TABLE",
        unimplemented(),
    ));
    for timeout in ["0n", "1n", "1u", "50m", "00000099m", "99999u"] {
        let too_short = refused(Code::DeadlineExceeded, "DEADLINE_TOO_SHORT");
        rows.push(saying(25, timeout, "grpc-timeout", timeout, too_short));
    }
    rows
}
