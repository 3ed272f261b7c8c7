//! The `ip` scheme: an address, or a network as address and number of bits.

use std::net::IpAddr;

use super::scheme;
use crate::wire::Id;

/// The identity of a client at this address, written as Java writes addresses.
pub fn ip_identity(remote: IpAddr) -> Id {
    let id = match remote.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => v6.segments().map(|group| format!("{group:x}")).join(":"),
    };
    Id { scheme: scheme::IP.into(), id }
}

/// An address: the bytes of IPv4 (4) or IPv6 (16).
enum Address {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl Address {
    fn bytes(&self) -> &[u8] {
        match self {
            Address::V4(bytes) => bytes,
            Address::V6(bytes) => bytes,
        }
    }
}

/// Addresses with the same first bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Network {
    /// 4 or 16.
    family_bytes: usize,
    bits: u8,
    /// Zero behind the bits.
    prefix: [u8; 16],
}

impl Network {
    /// The network that a list names.
    pub(super) fn parse(id: &str) -> Option<Network> {
        let (address, bits) = parse_network(id)?;
        Some(Network::cut(&address, bits))
    }

    /// The network of a size that an address is in; nothing where it is of the other family.
    pub(super) fn containing(address: &str, (family_bytes, bits): (usize, u8)) -> Option<Network> {
        let address = parse(address).filter(|it| it.bytes().len() == family_bytes)?;
        Some(Network::cut(&address, usize::from(bits)))
    }

    /// Bytes of its addresses, and bits that they have in common.
    pub(super) fn size(&self) -> (usize, u8) {
        (self.family_bytes, self.bits)
    }

    fn cut(address: &Address, bits: usize) -> Network {
        let mut prefix = [0; 16];
        let family_bytes = address.bytes().len();
        prefix[..family_bytes].copy_from_slice(address.bytes());
        if let Some(cut) = prefix.get_mut(bits / 8) {
            *cut &= !(0xff_u8 >> (bits % 8));
        }
        prefix.iter_mut().skip(bits / 8 + 1).for_each(|byte| *byte = 0);
        Network { family_bytes, bits: u8::try_from(bits).expect("an address has 128 bits"), prefix }
    }
}

/// Whether a list may hold this identity.
pub(super) fn is_valid(id: &str) -> bool {
    parse_network(id).is_some()
}

/// Whether an address is in a network. The two families have no address in common.
pub(super) fn matches(remote: &str, network: &str) -> bool {
    let (Some(remote), Some((network, bits))) = (parse(remote), parse_network(network)) else {
        return false;
    };
    let (remote, network) = (remote.bytes(), network.bytes());
    remote.len() == network.len() && same_prefix(remote, network, bits)
}

fn same_prefix(one: &[u8], other: &[u8], bits: usize) -> bool {
    let (whole, rest) = (bits / 8, bits % 8);
    let mask = !(0xff_u8 >> rest);
    one[..whole] == other[..whole] && (rest == 0 || (one[whole] ^ other[whole]) & mask == 0)
}

fn parse_network(id: &str) -> Option<(Address, usize)> {
    let (address, bits) = match id.split_once('/') {
        None => (parse(id)?, None),
        Some((address, bits)) => (parse(address)?, Some(parse_number(bits, 10)?)),
    };
    let bits_max = address.bytes().len() * 8;
    let bits = bits.map_or(Some(bits_max), |bits| usize::try_from(bits).ok())?;
    (bits <= bits_max).then_some((address, bits))
}

fn parse(text: &str) -> Option<Address> {
    if text.contains(':') {
        parse_v6(text).map(Address::V6)
    } else {
        parse_v4(text).map(Address::V4)
    }
}

/// Four decimal numbers, which may have signs and leading zeros.
fn parse_v4(text: &str) -> Option<[u8; 4]> {
    let mut bytes = [0; 4];
    let mut parts = text.split('.');
    for byte in &mut bytes {
        *byte = u8::try_from(parse_number(parts.next()?, 10)?).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

/// Eight groups, or fewer around one `::` that stands for at least one. Neither scopes nor IPv4
/// in the last groups are known, as in ZooKeeper.
fn parse_v6(text: &str) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    match text.split_once("::") {
        None => {
            let groups = parse_groups(text)?;
            bytes = groups.try_into().ok()?;
        }
        Some((_, right)) if right.contains("::") => return None,
        Some((left, right)) => {
            let (left, right) = (parse_groups(left)?, parse_groups(right)?);
            if left.len() + right.len() >= bytes.len() {
                return None;
            }
            bytes[..left.len()].copy_from_slice(&left);
            bytes[16 - right.len()..].copy_from_slice(&right);
        }
    }
    Some(bytes)
}

fn parse_groups(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(16);
    if text.is_empty() {
        return Some(bytes);
    }
    for group in text.split(':') {
        if group.len() > 4 || bytes.len() == 16 {
            return None;
        }
        let value = parse_number(group, 16)?;
        bytes.extend_from_slice(&(value as u16).to_be_bytes());
    }
    Some(bytes)
}

/// A number as Java reads it: one sign is fine, an empty text is not.
fn parse_number(text: &str, radix: u32) -> Option<i32> {
    i32::from_str_radix(text, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_may_hold_what_zookeeper_takes_for_an_address() {
        let good = [
            "1.2.3.4",
            "01.2.3.4",
            "001.2.3.4",
            "+1.2.3.4",
            "-0.2.3.4",
            "1.2.3.4/0",
            "1.2.3.4/32",
            "1.2.3.4/+8",
            "::1",
            "::",
            "1::",
            "::1/128",
            "::1/0",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7::",
            "::FFFF",
            "+1::",
            "-1::",
            "::+1",
        ];
        for id in good {
            assert!(is_valid(id), "{id:?}");
        }
    }

    #[test]
    fn lists_may_not_hold_anything_else() {
        let bad = [
            "",
            "/8",
            "a",
            "localhost",
            " 1.2.3.4",
            "1.2.3.4 ",
            "1.2.3",
            "1.2.3.4.5",
            "256.1.1.1",
            "0x1.2.3.4",
            "1.2.3.4/33",
            "1.2.3.4/-1",
            "1.2.3.4/",
            "1.2.3.4/a",
            "1.2.3.4/8/8",
            "1.2.3.4:1",
            ":",
            ":1",
            "1:",
            "::1/129",
            "::1/",
            "::1/64/1",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:",
            "1:2:3:4:5:6:7:8:9",
            "::1:2:3:4:5:6:7:8",
            "1:2:3:4::5:6:7:8",
            "1::2::3",
            "1:::2",
            "12345::",
            "00001::",
            "g::",
            "::ffff:1.2.3.4",
            "[::1]",
            "fe80::1%eth0",
            "::1%",
            "1:2:3:4:5:6:1.2.3.4",
        ];
        for id in bad {
            assert!(!is_valid(id), "{id:?}");
        }
    }

    #[test]
    fn networks_are_compared_bit_by_bit() {
        assert!(matches("10.1.2.3", "10.1.2.3"));
        assert!(matches("10.1.2.3", "10.1.0.0/16"));
        assert!(matches("10.1.2.3", "10.1.2.2/31"));
        assert!(!matches("10.1.2.3", "10.1.2.2/32"));
        assert!(!matches("10.1.2.3", "10.1.2.1/31"));
        assert!(matches("10.1.2.3", "200.0.0.0/0"));
        assert!(!matches("10.1.2.3", "128.0.0.0/1"));
        assert!(matches("2001:db8:0:0:0:0:0:1", "2001:db8::/32"));
        assert!(matches("2001:db8:0:0:0:0:0:1", "2001:db8::1"));
        assert!(!matches("2001:db8:0:0:0:0:0:1", "2001:db8::2"));
        assert!(!matches("10.1.2.3", "::/0"));
        assert!(!matches("0:0:0:0:0:0:0:1", "0.0.0.0/0"));
        assert!(!matches("nonsense", "0.0.0.0/0"));
    }

    #[test]
    fn addresses_are_written_as_java_writes_them() {
        let id = |text: &str| ip_identity(text.parse().expect("an address")).id;
        assert_eq!(id("127.0.0.1"), "127.0.0.1");
        assert_eq!(id("::1"), "0:0:0:0:0:0:0:1");
        assert_eq!(id("2001:db8::A"), "2001:db8:0:0:0:0:0:a");
        assert_eq!(id("::ffff:10.0.0.1"), "10.0.0.1");
    }
}
