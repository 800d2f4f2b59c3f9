//! What a load consists of.

use std::time::Duration;

use rand::{
    Rng, RngExt,
    distr::{Distribution, weighted::WeightedIndex},
};

use crate::{BenchError, system::BANKS};

/// What is paid, from whom to whom.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Accounts that pay, for each bank, drawn evenly.
    pub payers: usize,
    /// Merchants at each bank.
    pub payees: u32,
    /// Which of them is paid.
    pub spread: Spread,
    /// Of a hundred payments, how many go to a merchant with an account on the ledger, without a bank.
    pub on_us_percent: u8,
    /// Of a hundred payments, how many are made from accounts without money, and refused.
    pub refused_percent: u8,
    /// The banks that are paid in turn, by their numbers in [`BANKS`].
    pub banks: Vec<usize>,
    /// IBANs that are paid in place of the banks' merchants, if there are any.
    pub ibans: Vec<String>,
    /// Connections to the gateway.
    pub connections: usize,
    /// What all request ids begin with. Loads with the same prefix share their accounts, never their payments.
    pub prefix: String,
    /// How long a caller waits for an answer.
    pub deadline: Duration,
}

impl Default for Plan {
    /// Evenly to merchants at all banks.
    fn default() -> Self {
        Self {
            payers: 1_000,
            payees: 1_000,
            spread: Spread::Uniform,
            on_us_percent: 0,
            refused_percent: 0,
            banks: (0..BANKS.len()).collect(),
            ibans: Vec::new(),
            connections: 8,
            prefix: "load".to_owned(),
            deadline: Duration::from_secs(5),
        }
    }
}

impl Plan {
    /// Says what cannot be done.
    pub(super) fn check(&self) -> Result<(), BenchError> {
        let complaint = if self.payers == 0 {
            "a load needs a payer"
        } else if self.payees == 0 {
            "a load needs a payee"
        } else if self.connections == 0 {
            "a load needs a connection"
        } else if self.banks.is_empty() || self.banks.iter().any(|bank| *bank >= BANKS.len()) {
            "a load needs banks of the bench"
        } else if self.on_us_percent > 100 || self.refused_percent > 100 {
            "a share is at most 100 %"
        } else {
            return Ok(());
        };
        Err(complaint.into())
    }
}

/// Which payee is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Each as often as any other.
    Uniform,
    /// The first most often, the n-th a n-th of that (Zipf with exponent 1): a few merchants have most of the customers.
    Zipf,
    /// One hot merchant, at one bank; what stays on the ledger goes to one account there.
    One,
}

/// Draws which of so many payees is paid.
#[derive(Clone, Debug)]
pub(super) enum Draw {
    Evenly(usize),
    Weighted(WeightedIndex<f64>),
}

impl Draw {
    /// Of so many payees.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn new(spread: Spread, payees: u32) -> Result<Self, BenchError> {
        Ok(match spread {
            Spread::Uniform => Self::Evenly(usize::try_from(payees)?),
            Spread::Zipf => {
                Self::Weighted(WeightedIndex::new((1..=payees).map(|rank| 1.0 / f64::from(rank)))?)
            }
            Spread::One => Self::Evenly(1),
        })
    }

    /// The next payee's number.
    pub(super) fn next(&self, rng: &mut impl Rng) -> usize {
        match self {
            Self::Evenly(payees) => rng.random_range(0..*payees),
            Self::Weighted(weights) => weights.sample(rng),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::SmallRng};

    use super::{Draw, Plan, Spread};

    /// How often each of a hundred payees is drawn in a hundred thousand.
    fn drawn(spread: Spread) -> Vec<u32> {
        let draw = Draw::new(spread, 100).unwrap();
        let mut rng = SmallRng::seed_from_u64(1);
        let mut counts = vec![0; 100];
        for _ in 0..100_000 {
            counts[draw.next(&mut rng)] += 1;
        }
        counts
    }

    #[test]
    fn zipf_pays_the_first_n_times_as_often_as_the_nth() {
        let counts = drawn(Spread::Zipf);
        // The sum of 1/1 to 1/100 is 5.187: the first has 19,278 of 100,000.
        assert!((18_800..19_800).contains(&counts[0]), "{}", counts[0]);
        for rank in [2, 5, 10, 100] {
            let expected = 19_278 / rank;
            let got = counts[usize::try_from(rank).unwrap() - 1];
            assert!(got.abs_diff(expected) < expected / 4, "rank {rank}: {got}, expected {expected}");
        }
    }

    #[test]
    fn an_even_spread_pays_all_alike() {
        let counts = drawn(Spread::Uniform);
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
    }

    #[test]
    fn one_hot_merchant_is_the_only_one() {
        assert_eq!(drawn(Spread::One)[0], 100_000);
    }

    #[test]
    fn a_plan_that_cannot_be_done_is_refused() {
        Plan::default().check().unwrap();
        let bad = [
            Plan { payers: 0, ..Plan::default() },
            Plan { payees: 0, ..Plan::default() },
            Plan { connections: 0, ..Plan::default() },
            Plan { banks: vec![], ..Plan::default() },
            Plan { banks: vec![99], ..Plan::default() },
            Plan { on_us_percent: 101, ..Plan::default() },
        ];
        for plan in bad {
            assert!(plan.check().is_err(), "{plan:?}");
        }
    }
}
