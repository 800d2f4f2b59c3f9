//! Which addresses are one caller's, for whoever counts by address.

use std::net::{IpAddr, Ipv6Addr};

/// The network that an address is in, by its first address: one of IPv6 is a customer's down to 64 bits (RFC 6177), one of IPv4 is all that
/// a customer has.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_ipv6_are_one_and_of_ipv4_are_not() {
        let network = |text: &str| network_of(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:0:1:ffff::1"), "2001:db8:0:1::");
        assert_eq!(network("2001:db8:0:2::1"), "2001:db8:0:2::");
        assert_eq!(network("192.0.2.1"), "192.0.2.1");
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
