//! Looks names up, and gives nothing but addresses that may be dialled. What is checked is what is dialled: a name that means another address
//! a moment later (DNS rebinding) gains nothing.

use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    vec::IntoIter,
};

use common::public_address::is_public;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use proto::convert::Destinations;
use tower::Service;

/// Looks names up as the machine does.
#[derive(Clone, Debug)]
pub(super) struct PublicResolver {
    machine: GaiResolver,
    destinations: Destinations,
}

/// Why a name can't be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotReached {
    #[error("the name has no address")]
    NoAddress,
    #[error("the name has no address of the public internet")]
    Refused,
}

impl PublicResolver {
    pub(super) fn new(destinations: Destinations) -> Self {
        Self { machine: GaiResolver::new(), destinations }
    }
}

impl Service<Name> for PublicResolver {
    type Response = IntoIter<SocketAddr>;
    type Error = NotReached;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, NotReached>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NotReached>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (asked, destinations) = (self.machine.call(name), self.destinations);
        Box::pin(async move {
            let found = asked.await.map_err(|_| NotReached::NoAddress)?;
            that_may_be_dialled(found.collect(), destinations).map(Vec::into_iter)
        })
    }
}

fn that_may_be_dialled(
    mut addresses: Vec<SocketAddr>,
    destinations: Destinations,
) -> Result<Vec<SocketAddr>, NotReached> {
    if addresses.is_empty() {
        return Err(NotReached::NoAddress);
    }
    addresses.retain(|address| destinations == Destinations::Any || is_public(address.ip()));
    if addresses.is_empty() { Err(NotReached::Refused) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_of_this_machine_is_looked_up_and_refused() {
        let name = || "localhost".parse::<Name>().unwrap();
        let refused = PublicResolver::new(Destinations::Public).call(name()).await;
        assert_eq!(refused.map(drop), Err(NotReached::Refused));
        assert!(PublicResolver::new(Destinations::Any).call(name()).await.is_ok());
    }

    #[test]
    fn among_many_addresses_only_public_ones_are_left() {
        let addresses = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter().map(|address| address.parse().unwrap()).collect()
        };
        let mixed = addresses(&["10.0.0.1:443", "1.1.1.1:443", "[::1]:443", "[2606:4700::1]:443"]);
        let left = that_may_be_dialled(mixed, Destinations::Public);
        assert_eq!(left, Ok(addresses(&["1.1.1.1:443", "[2606:4700::1]:443"])));
        assert_eq!(that_may_be_dialled(Vec::new(), Destinations::Public), Err(NotReached::NoAddress));
    }
}
