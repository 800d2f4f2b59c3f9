//! Encrypted values: each is decrypted for its row and column alone, and with no bit changed.

use std::collections::BTreeMap;

use harness::BenchError;
use platform::encryption::{
    Keyring,
    contents::{OfAccount, OfPayment, OfReason, OfWebhook},
    wrapping::WrappingKeys,
};
use uuid::Uuid;

use super::{chosen, demand};
use crate::{
    engine::{Checked, Target},
    mutation::Form,
};

const ID: Uuid = Uuid::from_u128(0x0192_3456_789a_7bcd_8123_4567_89ab_cdef);

/// Prepares the target: the first byte chooses the column.
pub(super) fn target() -> Result<Target, BenchError> {
    let mut keys = Keyring::default();
    for (number, byte) in [(0, 1), (1, 2), (2, 3), (200, 4)] {
        demand(keys.add(number, &[byte; 32]), "no key")?;
    }
    let payment = OfPayment {
        payee_name: "Ada".to_owned(),
        payee_iban: Some("DE89370400440532013000".into()),
        metadata: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
        ..OfPayment::default()
    };
    let reason = OfReason { message: "closed".to_owned() };
    let account = OfAccount { display_name: "Ada".to_owned(), iban: None };
    let encrypted = [
        keys.encrypt_payment(ID, &payment),
        keys.encrypt_payment(ID, &OfPayment::default()),
        keys.encrypt_reason(ID, &reason),
        keys.encrypt_account(ID, &account),
        keys.encrypt_webhook(
            ID,
            &OfWebhook { url: "https://shop.example/".to_owned(), ..OfWebhook::default() },
        ),
    ];
    let encrypted = encrypted.into_iter().collect::<Option<Vec<_>>>().ok_or("no data key")?;
    let made: Vec<Vec<u8>> = [0, 0, 1, 2, 3]
        .into_iter()
        .zip(&encrypted)
        .map(|(column, encrypted)| chosen(column, encrypted))
        .collect();
    let mut seeds = made.clone();
    // In another's column, in no column, and a file of key-encryption keys.
    seeds.extend([
        chosen(1, &encrypted[0]),
        chosen(2, &encrypted[2]),
        chosen(4, "A".repeat(43) + "=\n"),
        Vec::new(),
    ]);
    Ok(Target {
        seeds,
        words: vec![vec![1], vec![2], vec![0xc8, 1], vec![0xff; 10], ID.as_bytes().to_vec()],
        form: Form::Text,
        check: Box::new(move |input| check(&keys, &made, input)),
    })
}

fn check(keys: &Keyring, made: &[Vec<u8>], input: &[u8]) -> Checked {
    let Some((column, encrypted)) = input.split_first() else { return Ok("nothing".to_owned()) };
    let decrypted = match column {
        0 => keys.decrypt_payment(ID, encrypted).map(drop),
        1 => keys.decrypt_reason(ID, encrypted).map(drop),
        2 => keys.decrypt_account(ID, encrypted).map(drop),
        3 => keys.decrypt_webhook(ID, encrypted).map(drop),
        _ => return Ok(format!("keys: {}", WrappingKeys::parse(encrypted).is_ok())),
    };
    let is_made = made.iter().any(|value| value == input);
    demand(decrypted.is_ok() == is_made, &format!("decrypted: {decrypted:?}, encrypted so: {is_made}"))?;
    Ok(format!("{column} {decrypted:?}"))
}
