//! Who is measured, and how.

use std::fmt;

/// Somebody who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// Rialto end to end, every payer and merchant as often as any other.
    Rialto,
    /// The same, with one merchant who is always paid.
    HotMerchant,
    /// The same hops, and nothing done on them: each on a runtime as tokio makes it.
    EchoChain,
    /// The same, each hop on one thread, as Rialto's services are.
    LeanEchoChain,
    /// pgbench's TPC-B on the same PostgreSQL.
    TpcB,
    /// The naive design.
    Naive,
}

/// How hard it is pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// So many calls are under way all the time.
    InFlight(usize),
    /// So many calls come a second, whatever becomes of them.
    PerSecond(u32),
}

/// One measurement of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// Of whom.
    pub contender: Contender,
    /// How.
    pub pressure: Pressure,
}

impl Contender {
    /// Everyone, in the order of the tables.
    pub const ALL: [Self; 6] =
        [Self::Rialto, Self::HotMerchant, Self::EchoChain, Self::LeanEchoChain, Self::TpcB, Self::Naive];

    /// For programs.
    pub fn key(self) -> &'static str {
        match self {
            Self::Rialto => "rialto",
            Self::HotMerchant => "hot_merchant",
            Self::EchoChain => "echo_chain",
            Self::LeanEchoChain => "lean_echo_chain",
            Self::TpcB => "tpcb",
            Self::Naive => "naive",
        }
    }

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Rialto => "Rialto",
            Self::HotMerchant => "Rialto, one hot merchant",
            Self::EchoChain => "echo chain",
            Self::LeanEchoChain => "lean echo chain",
            Self::TpcB => "pgbench TPC-B",
            Self::Naive => "naive design",
        }
    }

    /// For the head of a narrow column.
    pub fn short_title(self) -> &'static str {
        match self {
            Self::HotMerchant => "hot merchant",
            Self::TpcB => "TPC-B",
            Self::Naive => "naive",
            Self::Rialto | Self::EchoChain | Self::LeanEchoChain => self.title(),
        }
    }

    /// Whether it writes to PostgreSQL.
    pub fn writes(self) -> bool {
        !matches!(self, Self::EchoChain | Self::LeanEchoChain)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = self.contender.title();
        match (self.contender, self.pressure) {
            (Contender::TpcB, _) => write!(f, "{title}"),
            (_, Pressure::InFlight(calls)) => write!(f, "{title}, {calls} in flight"),
            (_, Pressure::PerSecond(calls)) => write!(f, "{title}, {calls}/s"),
        }
    }
}
