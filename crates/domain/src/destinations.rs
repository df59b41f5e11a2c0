//! Where the gateway connects to on behalf of people: a host that a person chose may stand on the open
//! internet, and nowhere else unless an administrator names its network. Otherwise whoever may write
//! down an address could reach what only the gateway's machine can.
//!
//! What counts is the address that is connected to, after names were looked up, whatever it is written
//! as.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::addresses::Networks;

/// How far a connection may reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Anywhere: an operator said where.
    #[default]
    Anywhere,
    /// Only where [`permits`] lets it: somebody else said where.
    Public,
}

/// Whether an address that a person chose may be connected to: one of the open internet, or of the
/// networks that an administrator has named.
pub fn permits(allowed: &Networks, address: IpAddr) -> bool {
    let address = bare(address);
    allowed.contains(address) || is_public(address)
}

/// The address that a packet goes to in the end: those of version 4 that stand in one of version 6
/// (mapped, compatible, NAT64, 6to4) are taken out.
fn bare(address: IpAddr) -> IpAddr {
    let IpAddr::V6(address) = address else {
        return address;
    };
    let [a, b, c, d, e, f, g, h] = address.segments();
    let tail = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b) {
        // `::` and `::1` are version 6's own
        (0, 0) if [c, d, e, f, g] == [0; 5] && h <= 1 => address.into(),
        (0, 0) if [c, d, e, f] == [0; 4] => tail(g, h),
        (0, 0) if [c, d, e] == [0; 3] && f == 0xffff => tail(g, h),
        (0, 0) if [c, d, f] == [0; 3] && e == 0xffff => tail(g, h),
        (0x64, 0xff9b) if [c, d, e, f] == [0; 4] => tail(g, h),
        (0x2002, _) => tail(b, c),
        _ => address.into(),
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_4(address),
        IpAddr::V6(address) => is_public_6(address),
    }
}

/// <https://www.iana.org/assignments/iana-ipv4-special-registry>
fn is_public_4(address: Ipv4Addr) -> bool {
    // answers with secrets of the machine at one provider of machines, from an address like any other
    const AZURE_HOST: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);
    let [a, b, c, _] = address.octets();
    let is_special = matches!(
        (a, b, c),
        (0 | 10 | 127, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224.., _, _)
    );
    !is_special && address != AZURE_HOST
}

/// <https://www.iana.org/assignments/iana-ipv6-special-registry>
fn is_public_6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // all that is routed lies here; local, link-local, multicast and the like do not
    let is_global = a & 0xe000 == 0x2000;
    let is_special = match (a, b) {
        // Teredo, benchmarks, ORCHID and what else was set apart
        (0x2001, 0..=0x1ff) => true,
        // for documents
        (0x2001, 0xdb8) | (0x3fff, 0..=0xfff) => true,
        _ => false,
    };
    is_global && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permitted(allowed: &[&str], address: &str) -> bool {
        let address = address.parse().unwrap();
        permits(&Networks::parse(allowed).unwrap(), address)
    }

    #[test]
    fn what_is_not_the_open_internet_is_refused() {
        for address in [
            "0.0.0.0",
            "10.0.0.7",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::10.0.0.1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:db8::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
        ] {
            assert!(!permitted(&[], address), "{address}");
        }
    }

    #[test]
    fn the_open_internet_is_permitted_however_it_is_written() {
        for address in [
            "1.1.1.1",
            "172.32.0.1",
            "192.169.0.1",
            "203.0.112.1",
            "2606:4700:4700::1111",
            "2001:4860:4860::8888",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
        ] {
            assert!(permitted(&[], address), "{address}");
        }
    }

    #[test]
    fn a_network_that_is_named_is_permitted_and_no_other() {
        let allowed = ["10.1.0.0/16", "fd00::/8"];
        for address in [
            "10.1.2.3",
            "::ffff:10.1.2.3",
            "64:ff9b::10.1.2.3",
            "fd00::7",
        ] {
            assert!(permitted(&allowed, address), "{address}");
        }
        for address in ["10.2.0.1", "::1", "fe80::1"] {
            assert!(!permitted(&allowed, address), "{address}");
        }
    }
}
