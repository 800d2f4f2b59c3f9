use std::collections::BTreeMap;

use super::*;
use crate::encryption::wrapping::WrappingKeys;

fn keyring(numbers: &[i16]) -> Keyring {
    let mut keyring = Keyring::default();
    for number in numbers {
        assert!(keyring.add(*number, &[number.to_le_bytes()[0]; 32]));
    }
    keyring
}

fn contents() -> OfPayment {
    OfPayment {
        payee_name: "Ada Lovelace".to_owned(),
        payee_iban: Some("DE89370400440532013000".into()),
        payee_account_number: None,
        remittance_information: "Invoice 42".to_owned(),
        metadata: BTreeMap::from([("order".to_owned(), "7".to_owned())]),
        end_to_end_id: None,
    }
}

#[test]
fn what_is_encrypted_is_decrypted_for_its_row_and_column_under_its_key_alone() {
    let keys = keyring(&[0, 1]);
    let (id, other) = (Uuid::from_u128(7 << 96 | 42), Uuid::from_u128(8 << 96 | 42));
    let encrypted = keys.encrypt_payment(id, &contents()).unwrap();
    assert_eq!(keys.decrypt_payment(id, &encrypted), Ok(contents()));
    assert_eq!(
        keys.decrypt_payment(other, &encrypted),
        Err(NotDecrypted::NotAuthentic),
        "of another row with the same nonce"
    );
    assert_eq!(keys.decrypt_account(id, &encrypted), Err(NotDecrypted::NotAuthentic), "of another table");
    let mut another = Keyring::default();
    assert!(another.add(1, &[9; 32]));
    assert_eq!(another.decrypt_payment(id, &encrypted), Err(NotDecrypted::NotAuthentic), "under another key");
    assert_eq!(Keyring::default().decrypt_payment(id, &encrypted), Err(NotDecrypted::NoKey));
    assert_eq!(Keyring::default().encrypt_payment(id, &contents()), None);
    assert_eq!(keyring(&[0]).encrypt_payment(id, &contents()), None, "the key of look-ups encrypts nothing");
}

#[test]
fn every_bit_counts() {
    let keys = keyring(&[0, 1, 2, 3]);
    let id = Uuid::from_u128(42);
    let encrypted = keys.encrypt_payment(id, &contents()).unwrap();
    for bit in 0..8 * encrypted.len() {
        let mut changed = encrypted.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(keys.decrypt_payment(id, &changed).is_err(), "bit {bit}");
    }
    for length in 0..encrypted.len() {
        assert!(keys.decrypt_payment(id, &encrypted[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn the_newest_key_encrypts_and_each_decrypts() {
    let (old, id) = (keyring(&[0, 1]), Uuid::from_u128(42));
    let before = old.encrypt_payment(id, &contents()).unwrap();
    let keys = keyring(&[0, 1, 300]);
    let after = keys.encrypt_payment(id, &contents()).unwrap();
    assert_eq!([number_of(&before), number_of(&after)], [Some(1), Some(300)]);
    assert_eq!(keys.decrypt_payment(id, &before), Ok(contents()));
    assert_eq!(keys.decrypt_payment(id, &after), Ok(contents()));
    assert_eq!(old.decrypt_payment(id, &after), Err(NotDecrypted::NoKey));
}

#[test]
fn nothing_is_shown_by_debug() {
    let keys = keyring(&[0, 1]);
    let wrapping = WrappingKeys::parse(WrappingKeys::new_file().unwrap().as_bytes()).unwrap();
    let account = OfAccount { display_name: "Ada".to_owned(), iban: None };
    let shown = format!("{keys:?} {:?} {:?} {account:?} {wrapping:?}", keys.lookup(), contents());
    assert!(!shown.contains("Ada") && !shown.contains("DE89") && shown.len() < 150, "{shown}");
}

#[test]
fn a_payment_costs_few_bytes_more_than_in_the_clear() {
    let mut contents = contents();
    contents.metadata.clear();
    let plain = "Ada LovelaceDE89370400440532013000Invoice 42".len();
    let encrypted = keyring(&[0, 1]).encrypt_payment(Uuid::from_u128(42), &contents).unwrap();
    assert_eq!(encrypted.len(), plain + 1 + 3 * 2 + 16, "the key's number, a tag and a length each, the tag");
}
