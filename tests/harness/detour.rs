//! Ways between the parts of the system, on which a bench may put something of its own.

use std::fmt::Debug;

use crate::BenchError;

/// A way from one part to the one that it calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Link {
    /// Callers to the gateway. Whoever makes a [`crate::client::Client`] leads it.
    ClientToGateway,
    /// The gateway to the platform.
    GatewayToPlatform,
    /// The platform to the channel.
    PlatformToChannel,
    /// The channel to the banks.
    ChannelToBank,
    /// The platform to PostgreSQL.
    PlatformToDatabase,
}

/// Leads calls another way.
pub trait Detours: Debug + Send + Sync {
    /// Where the caller on `link` is to call, instead of at `address` (`host:port`). Asked at each start of the caller.
    ///
    /// # Errors
    /// When there is no other way.
    fn detour(&self, link: Link, address: &str) -> Result<String, BenchError>;
}
