//! The network between the parts: a proxy on every link, each of which can be told to misbehave.

pub mod proxy;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use harness::{
    BenchError,
    detour::{Detours, Link},
};

use proxy::{Proxy, Rule};

/// Every link, in the order of a payment's way.
pub const LINKS: [Link; 5] = [
    Link::ClientToGateway,
    Link::GatewayToPlatform,
    Link::PlatformToDatabase,
    Link::PlatformToChannel,
    Link::ChannelToBank,
];

/// What a link is called.
pub fn name(link: Link) -> &'static str {
    match link {
        Link::ClientToGateway => "client→gateway",
        Link::GatewayToPlatform => "gateway→platform",
        Link::PlatformToChannel => "platform→channel",
        Link::ChannelToBank => "channel→bank",
        Link::PlatformToDatabase => "platform→database",
    }
}

/// The proxies, each opened when its link's caller starts.
#[derive(Debug, Default)]
pub struct Net(Mutex<BTreeMap<Link, Arc<Proxy>>>);

impl Net {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Link, Arc<Proxy>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The proxy on a link.
    ///
    /// # Errors
    /// When nobody calls over it yet.
    pub fn proxy(&self, link: Link) -> Result<Arc<Proxy>, BenchError> {
        self.lock().get(&link).cloned().ok_or_else(|| format!("nobody calls over {} yet", name(link)).into())
    }

    /// Lets everything pass everywhere.
    pub fn heal(&self) {
        for proxy in self.lock().values() {
            proxy.set(Rule::Pass);
        }
    }
}

impl Detours for Net {
    fn detour(&self, link: Link, address: &str) -> Result<String, BenchError> {
        let mut proxies = self.lock();
        if let Some(proxy) = proxies.get(&link).filter(|proxy| proxy.leads_to(address)) {
            return Ok(proxy.address());
        }
        let proxy = Arc::new(Proxy::open(address, link == Link::PlatformToDatabase)?);
        let own = proxy.address();
        proxies.insert(link, proxy);
        Ok(own)
    }
}
