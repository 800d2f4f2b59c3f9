//! Systems as the cells behind one gateway.

use std::fs;

use super::{KEY_FILE, Replica, Service, System};
use crate::{BenchError, detour::Link};

impl System {
    /// Has this system's gateways serve another one as well, as their next cell, which has this one's certificates
    /// ([`Setup::shared_certificates`](super::Setup::shared_certificates)). Those of the other end, and who asks it for its gateway finds these.
    ///
    /// # Errors
    /// When it doesn't come up like this.
    pub async fn serve_too(&mut self, other: &mut Self) -> Result<(), BenchError> {
        self.cells.push(other.urls(Link::GatewayToPlatform, Service::Platform, 0..other.setup.places)?);
        let cell = self.cells.len() + 1;
        let keys = |system: &Self| fs::read_to_string(system.folder().join(KEY_FILE));
        let others = keys(other)?.replace("[[key]]", &format!("[[key]]\ncell = {cell}"));
        fs::write(self.folder().join(KEY_FILE), keys(self)? + &others)?;
        let is_gateway = |replica: &Replica| replica.service == Service::Gateway;
        other.running.retain(|replica, _| !is_gateway(replica));
        let gateways: Vec<Replica> = self.running.keys().copied().filter(is_gateway).collect();
        for gateway in gateways {
            self.restart(gateway)?;
        }
        let addresses = self.addresses.iter().filter(|(replica, _)| is_gateway(replica));
        other.addresses.extend(addresses.map(|(replica, address)| (*replica, address.clone())));
        self.wait_for_health().await?;
        other.wait_for_health().await
    }
}
