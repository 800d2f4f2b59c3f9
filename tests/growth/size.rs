//! How large the tables are, and what is compared.

use std::{fmt, str::FromStr};

use clap::ValueEnum;
use harness::figure::number;

/// Something that grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Trial {
    /// Few payments stored, and many.
    Payments,
    /// Few accounts that pay, and many.
    Accounts,
    /// Few banks in the directory, and many.
    Banks,
    /// Few payments stored, and many that have moved to the archive.
    Retention,
    /// Memory with few payments in flight, and with many.
    Memory,
}

impl Trial {
    /// Everything.
    pub const ALL: [Self; 5] = [Self::Payments, Self::Accounts, Self::Banks, Self::Retention, Self::Memory];
}

/// What a ledger begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Payments that are over.
    pub payments: u32,
    /// Accounts that pay, each as often as any other.
    pub accounts: u32,
    /// Banks that are paid, each as often as any other.
    pub banks: u32,
    /// Whether the payments are in the archive.
    pub is_archived: bool,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { payments, accounts, banks, is_archived } = *self;
        let payments = of(payments, if is_archived { "archived payment" } else { "payment" });
        write!(f, "{payments}, {}, {}", of(accounts, "account"), of(banks, "bank"))
    }
}

/// So many of something, thousands apart.
pub fn of(count: u32, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        0..1_000 => format!("{count} {what}s"),
        _ => format!("{} {what}s", number(count.into())),
    }
}

/// The small number and the large one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The small one.
    pub small: u32,
    /// The large one.
    pub large: u32,
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Vec<u32> = text.split(',').filter_map(|number| number.parse().ok()).collect();
        match numbers.as_slice() {
            &[small, large] if text.split(',').count() == 2 && 0 < small && small < large => {
                Ok(Self { small, large })
            }
            _ => Err("must be a small whole number and a large one, like 10000,10000000".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pair, Size};

    #[test]
    fn a_pair_is_a_small_number_and_a_large_one() {
        assert_eq!("1,50".parse(), Ok(Pair { small: 1, large: 50 }));
        for bad in ["", "1", "0,5", "5,5", "5,1", "1,2,3", "1,x,3", "1,99999999999"] {
            assert!(bad.parse::<Pair>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_size_reads_as_people_write_it() {
        let size = Size { payments: 10_000_000, accounts: 999, banks: 1, is_archived: false };
        assert_eq!(size.to_string(), "10,000,000 payments, 999 accounts, 1 bank");
        let size = Size { is_archived: true, ..size };
        assert_eq!(size.to_string(), "10,000,000 archived payments, 999 accounts, 1 bank");
    }
}
