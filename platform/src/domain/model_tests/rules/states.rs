//! The tables of a payment's life, by example.

use crate::domain::payment::{State, TRANSITIONS};

#[test]
fn states_change_as_the_table_says() {
    use State::*;
    let table: [(State, &[State]); 9] = [
        (Held, &[Submitted, Investigate, Cancelled]),
        (Authorized, &[Authorized, Succeeded, Cancelled, Expired]),
        (Submitted, &[Held, Unknown, Investigate, Succeeded, Failed]),
        (Unknown, &[Held, Investigate, Succeeded, Failed]),
        (Investigate, &[Succeeded, Failed]),
        (Succeeded, &[]),
        (Failed, &[]),
        (Cancelled, &[]),
        (Expired, &[]),
    ];
    for (from, row) in table {
        for to in State::ALL {
            assert_eq!(from.may_become(to), row.contains(&to), "{from:?} to {to:?}");
        }
        assert_eq!(State::from_name(from.name()), Some(from));
    }
    assert_eq!(TRANSITIONS.len(), table.iter().map(|(_, row)| row.len()).sum::<usize>());
    assert_eq!(State::from_name("submitted"), None);
}
