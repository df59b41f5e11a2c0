//! Where a request comes from: the client's address behind proxies, and lists of networks.
//!
//! A header can say anything, so it is believed only as far as the proxies that wrote it are
//! configured to be trusted: read from its end, up to the first address that is not one of them.

use std::net::{IpAddr, Ipv6Addr};

use base::{Code, Error, Result};
use http::HeaderMap;

/// Addresses and networks. Empty: none is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

/// The addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    /// In one space: addresses of version 4 as `::ffff:a.b.c.d`.
    bits: u128,
    /// How many bits count.
    length: u32,
}

impl Networks {
    /// Reads addresses (`10.0.0.7`, `2001:db8::1`) and networks (`10.0.0.0/8`).
    ///
    /// # Errors
    /// [`Code::BadRequest`] naming the first entry that is neither.
    pub fn parse<T: AsRef<str>>(entries: &[T]) -> Result<Networks> {
        let read = |entry: &T| {
            let entry = entry.as_ref();
            Network::parse(entry).ok_or_else(|| {
                Error::new(
                    Code::BadRequest,
                    format!(
                        "'{entry}' is neither an address nor a network: write 10.0.0.7, 10.0.0.0/8, \
                         2001:db8::1 or 2001:db8::/32"
                    ),
                )
            })
        };
        entries
            .iter()
            .map(read)
            .collect::<Result<_>>()
            .map(Networks)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = bits(address);
        self.0.iter().any(|network| network.contains(bits))
    }

    /// Whether each of the others lies within one of these.
    pub fn covers(&self, others: &Networks) -> bool {
        let is_covered = |other: &Network| {
            let mut own = self.0.iter();
            own.any(|own| own.length <= other.length && own.contains(other.bits))
        };
        others.0.iter().all(is_covered)
    }
}

impl Network {
    fn parse(text: &str) -> Option<Network> {
        let (address, length) = match text.trim().split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (most, before) = match address {
            IpAddr::V4(_) => (32, 96),
            IpAddr::V6(_) => (128, 0),
        };
        let length = match length {
            // `+8` and ` 8` are numbers to the parser, and mistakes here
            Some(length) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
                length.parse().ok().filter(|length| *length <= most)?
            }
            Some(_) => return None,
            None => most,
        };
        Some(Network {
            bits: bits(address),
            length: before + length,
        })
    }

    fn contains(self, address: u128) -> bool {
        let differing = self.bits ^ address;
        // a shift by all bits would be an overflow: a network of length 0 is everything
        differing.checked_shr(128 - self.length).unwrap_or(0) == 0
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// An address without the clothes that proxies and sockets of version 6 put on it.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => address.to_ipv4_mapped().map_or(address.into(), IpAddr::V4),
        address => address,
    }
}

/// The client's address: the other end of the connection, or whom trusted proxies say they speak for
/// (`X-Forwarded-For`).
pub fn client(trusted: &Networks, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let mut client = plain(peer);
    if trusted.is_empty() || !trusted.contains(client) {
        return client;
    }
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    for line in lines {
        // what cannot be read cannot be believed, nor what stands before it
        let Ok(line) = line.to_str() else {
            return client;
        };
        for entry in line.rsplit(',') {
            let Some(address) = forwarded(entry) else {
                return client;
            };
            client = address;
            if !trusted.contains(client) {
                return client;
            }
        }
    }
    client
}

/// An address as proxies write it: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`.
fn forwarded(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let address = match entry.strip_prefix('[') {
        Some(rest) => IpAddr::V6(rest.split_once(']')?.0.parse::<Ipv6Addr>().ok()?),
        None => match entry.parse() {
            Ok(address) => address,
            Err(_) => entry.rsplit_once(':')?.0.parse().ok()?,
        },
    };
    Some(plain(address))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn networks(entries: &[&str]) -> Networks {
        Networks::parse(entries).unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            let value = HeaderValue::from_str(line).unwrap();
            headers.append("x-forwarded-for", value);
        }
        headers
    }

    #[test]
    fn networks_hold_what_begins_with_their_bits() {
        let list = networks(&["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", " 0.0.0.0/32 "]);
        for inside in [
            "10.255.0.1",
            "192.0.2.7",
            "2001:db8:ffff::1",
            "::ffff:10.1.2.3",
            "0.0.0.0",
        ] {
            assert!(list.contains(address(inside)), "{inside}");
        }
        for outside in [
            "11.0.0.0",
            "192.0.2.8",
            "2001:db9::",
            "::10.0.0.1",
            "0.0.0.1",
        ] {
            assert!(!list.contains(address(outside)), "{outside}");
        }
        assert!(networks(&["0.0.0.0/0"]).contains(address("203.0.113.9")));
        assert!(!networks(&["0.0.0.0/0"]).contains(address("2001:db8::1")));
        assert!(networks(&["::/0"]).contains(address("203.0.113.9")));
        assert!(!networks(&[]).contains(address("203.0.113.9")));
    }

    #[test]
    fn networks_cover_their_parts() {
        let own = networks(&["10.0.0.0/8", "192.0.2.7"]);
        assert!(own.covers(&networks(&["10.1.0.0/16", "10.0.0.1", "192.0.2.7"])));
        assert!(own.covers(&networks(&[])));
        for wider in ["0.0.0.0/0", "10.0.0.0/7", "192.0.2.0/24", "::/0"] {
            assert!(!own.covers(&networks(&["10.0.0.1", wider])), "{wider}");
        }
    }

    #[test]
    fn what_is_no_network_is_named() {
        for wrong in [
            "",
            "localhost",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0",
            "::/129",
            "10.0.0.0/",
        ] {
            let error = Networks::parse(&[wrong]).unwrap_err();
            assert_eq!(error.status(), 400, "{wrong}");
            assert!(error.message().contains(wrong));
        }
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted = networks(&["10.0.0.0/8"]);
        for (peer, lines, expected) in [
            // nobody in between
            ("203.0.113.9", vec![], "203.0.113.9"),
            // a client that writes the header itself
            ("203.0.113.9", vec!["198.51.100.1"], "203.0.113.9"),
            ("10.0.0.1", vec!["198.51.100.1"], "198.51.100.1"),
            // what the client made up stands before what the proxy saw
            ("10.0.0.1", vec!["127.0.0.1, 198.51.100.1"], "198.51.100.1"),
            (
                "10.0.0.1",
                vec!["127.0.0.1", "198.51.100.1, 10.0.0.2"],
                "198.51.100.1",
            ),
            // from within
            ("10.0.0.1", vec!["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            // unreadable: as far as it can be read
            ("10.0.0.1", vec!["198.51.100.1, unknown"], "10.0.0.1"),
            (
                "10.0.0.1",
                vec!["198.51.100.1, unknown, 10.0.0.2"],
                "10.0.0.2",
            ),
            // ports and brackets
            ("10.0.0.1", vec!["198.51.100.1:4711"], "198.51.100.1"),
            ("::ffff:10.0.0.1", vec!["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", vec!["::ffff:198.51.100.1"], "198.51.100.1"),
        ] {
            let client = client(&trusted, address(peer), &headers(&lines));
            assert_eq!(client, address(expected), "{peer} {lines:?}");
        }
        let nobody = client(
            &Networks::default(),
            address("10.0.0.1"),
            &headers(&["1.1.1.1"]),
        );
        assert_eq!(nobody, address("10.0.0.1"));
    }

    proptest! {
        #[test]
        fn an_address_is_in_every_network_of_its_own(any: u128, length in 0_u32..=128) {
            let address = Ipv6Addr::from_bits(any);
            let own = networks(&[&format!("{address}/{length}")]);
            prop_assert!(own.contains(address.into()));
            if length > 0 {
                let other = Ipv6Addr::from_bits(any ^ (1 << (128 - length)));
                prop_assert!(!own.contains(other.into()));
            }
        }

        #[test]
        fn no_header_moves_an_untrusted_peer(line in "[ -~]{0,80}", peer: u32) {
            let peer = IpAddr::V4(peer.into());
            let trusted = networks(&["192.0.2.0/24"]);
            prop_assume!(!trusted.contains(peer));
            prop_assert_eq!(client(&trusted, peer, &headers(&[&line])), peer);
        }

        #[test]
        fn what_stands_before_the_client_never_counts(made_up in "[0-9., a-f:\\[\\]]{0,60}", real: u32) {
            let real = IpAddr::V4(real.into());
            let trusted = networks(&["192.0.2.0/24"]);
            prop_assume!(!trusted.contains(real));
            let line = format!("{made_up}, {real}, 192.0.2.1");
            let seen = client(&trusted, address("192.0.2.2"), &headers(&[&line]));
            prop_assert_eq!(seen, real);
        }
    }
}
