//! Whoever is not known, and whoever may not.

use prost::Message;
use proto::payments::{GetPaymentRequest, get_payment_request::Key};
use tonic::Code;

use crate::bench::{Given, Refused, Row, bearer, refused};

const GET: &str = "/rialto.payments.v1.PaymentService/GetPayment";
const CREATE: &str = "/rialto.payments.v1.PaymentService/CreatePayment";

/// Everything that is wrong with a credential.
pub fn rows(given: &Given) -> Vec<Row> {
    let nobody = || refused(Code::Unauthenticated, "UNAUTHENTICATED");
    let request = GetPaymentRequest { key: Some(Key::Id(given.paid.clone())) }.encode_to_vec();
    let with = |number, name: &str, metadata: Vec<(&'static str, Vec<u8>)>, refused: Refused| Row {
        number,
        name: name.to_owned(),
        path: GET,
        metadata,
        messages: vec![request.clone()],
        refused,
    };
    let key = &given.key;
    let one = |text: String| vec![("authorization", text.into_bytes())];
    let mut rows = vec![
        with(35, "none", vec![], nobody()),
        with(35, "two of the same", vec![bearer(key), bearer(key)], nobody()),
        with(35, "a good one and a bad one", vec![bearer(key), bearer("rk_x")], nobody()),
        with(35, "a bad one and a good one", vec![bearer("rk_x"), bearer(key)], nobody()),
        with(35, "an empty one and a good one", vec![("authorization", vec![]), bearer(key)], nobody()),
        with(35, "bytes that are no text", vec![("authorization", b"Bearer \xff\xfe".to_vec())], nobody()),
        with(46, "in another header", vec![("x-api-key", key.clone().into_bytes())], nobody()),
        with(46, "who says to be somebody", vec![("x-tenant-id", b"demo-shop".to_vec())], nobody()),
    ];
    // The schemes and keys that are nearly right; the last letter of a key has bits that are none of the key's.
    let (before, last) = key.split_at(key.len() - 1);
    let other = if last == "A" { "B" } else { "A" };
    for (name, text) in [
        ("empty", String::new()),
        ("the scheme alone", "Bearer".to_owned()),
        ("the scheme and a space", "Bearer ".to_owned()),
        ("no scheme", key.clone()),
        ("another scheme", format!("Basic {key}")),
        ("no space", format!("Bearer{key}")),
        ("two spaces", format!("Bearer  {key}")),
        ("a tab", format!("Bearer\t{key}")),
        ("a space behind", format!("Bearer {key} x")),
        ("two in one", format!("Bearer {key}, Bearer {key}")),
        ("in capitals", format!("Bearer {}", key.to_uppercase())),
        ("without its prefix", format!("Bearer {}", &key[3..])),
        ("another last letter", format!("Bearer {before}{other}")),
        ("cut", format!("Bearer {before}")),
        ("longer", format!("Bearer {key}A")),
        ("padded", format!("Bearer {key}=")),
        ("in quotes", format!("Bearer \"{key}\"")),
        ("escaped", format!("Bearer %72{}", &key[1..])),
        ("4 KiB", format!("Bearer rk_{}", "A".repeat(4_096))),
        ("a token of nobody", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.".to_owned()),
        ("dots", "Bearer ..".to_owned()),
        ("SQL", "Bearer rk_' OR '1'='1".to_owned()),
    ] {
        rows.push(with(35, name, one(text), nobody()));
    }
    let good = given.good().encode_to_vec();
    rows.push(Row {
        number: 41,
        name: "whoever may only read pays".to_owned(),
        path: CREATE,
        metadata: vec![bearer(&given.reader)],
        messages: vec![good],
        refused: refused(Code::PermissionDenied, "PERMISSION_DENIED"),
    });
    rows
}
