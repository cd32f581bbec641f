//! Words in place of those that tell whose machine it is: the same for the same within one capture, and others in
//! the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, Ipv6Addr};

/// What a word was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Of a device.
    Serial,
    /// Of a network interface.
    Mac,
    /// Of a host.
    Ip,
    /// Of a file system, a partition, a volume, a boot.
    Uuid,
    /// Of a host, a user, a volume, a folder, a label.
    Name,
    /// On a kernel command line.
    Value,
}

impl Kind {
    /// What several of them are called.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Serial => "serial numbers",
            Self::Mac => "MAC addresses",
            Self::Ip => "IP addresses",
            Self::Uuid => "UUIDs",
            Self::Name => "names of hosts, users, volumes, folders and labels",
            Self::Value => "values of the kernel command line",
        }
    }

    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Serial,
        Self::Mac,
        Self::Ip,
        Self::Uuid,
        Self::Name,
        Self::Value,
    ];
}

/// What stands for what in one capture.
#[derive(Debug, Default)]
pub struct Disguise {
    key: RandomState,
    known: BTreeMap<String, String>,
    given: BTreeSet<String>,
    counted: BTreeSet<(Kind, String)>,
}

impl Disguise {
    /// How many words of a kind were replaced, each once.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.counted.iter().filter(|(one, _)| *one == kind).count()
    }

    /// The words that were replaced so far, with what stands for them; the longest first.
    pub(super) fn known(&self) -> Vec<(&str, &str)> {
        let known = self.known.iter();
        let mut known: Vec<_> = known
            .map(|(old, new)| (old.as_str(), new.as_str()))
            .collect();
        known.sort_by_key(|(old, _)| std::cmp::Reverse(old.len()));
        known
    }

    fn count_in(&mut self, kind: Kind, word: &str) {
        self.counted.insert((kind, word.to_owned()));
    }

    /// What stands for a word: as long, with digits for digits and letters for letters, so that what reads it
    /// reads this as well.
    pub fn word(&mut self, kind: Kind, word: &str) -> String {
        let word = word.trim();
        if !word.chars().any(char::is_alphanumeric) {
            return word.to_owned();
        }
        self.count_in(kind, word);
        if let Some(known) = self.known.get(word) {
            return known.clone();
        }
        let hex = word
            .chars()
            .all(|c| c.is_ascii_hexdigit() || !c.is_ascii_alphanumeric());
        let mut new = word.to_owned();
        // Short words have few to stand for them: they get longer ones.
        for round in 0..64u32 {
            new = self.like(word, hex, round);
            if round >= 8 {
                new.push_str(&self.like("aaaa", false, round));
            }
            if new != word && !self.given.contains(&new) && !self.known.contains_key(&new) {
                break;
            }
        }
        self.given.insert(new.clone());
        self.known.insert(word.to_owned(), new.clone());
        new
    }

    fn like(&self, word: &str, hex: bool, round: u32) -> String {
        let mut text = String::with_capacity(word.len());
        for (place, letter) in word.chars().enumerate() {
            let number = self.key.hash_one((word, place, round));
            let pick = |from: &[u8]| {
                let at = usize::try_from(number % (from.len() as u64)).unwrap_or(0);
                char::from(from.get(at).copied().unwrap_or(b'x'))
            };
            text.push(match letter {
                '0'..='9' if !hex => pick(b"0123456789"),
                '0'..='9' | 'a'..='f' if hex => pick(b"0123456789abcdef"),
                'A'..='F' if hex => pick(b"0123456789ABCDEF"),
                'a'..='z' => pick(b"abcdefghijklmnopqrstuvwxyz"),
                'A'..='Z' => pick(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
                letter if letter.is_alphanumeric() => pick(b"abcdefghijklmnopqrstuvwxyz"),
                other => other,
            });
        }
        text
    }

    /// What stands for a MAC address, in whatever way it is written: a local one. Those of nobody stay.
    pub fn mac(&mut self, text: &str) -> String {
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        let digits = digits.to_ascii_lowercase();
        if digits.chars().all(|c| c == '0') || digits.chars().all(|c| c == 'f') {
            return text.to_owned();
        }
        self.count_in(Kind::Mac, &digits);
        let number = self.key.hash_one(("mac", &digits));
        // Locally administered, of one host.
        let new = format!("02{:010x}", number & 0xff_ffff_ffff);
        let mut new = new.chars();
        let like = |c: char| match c.is_ascii_hexdigit() {
            true => new.next().unwrap_or('0'),
            false => c,
        };
        text.chars().map(like).collect()
    }

    /// What stands for an address: those of one network stay in one, so that routes lead where they did.
    pub fn ipv4(&mut self, address: Ipv4Addr) -> Ipv4Addr {
        if address.is_unspecified() || address.is_loopback() || address.is_broadcast() {
            return address;
        }
        self.count_in(Kind::Ip, &address.to_string());
        let bits = address.to_bits();
        let flips = (0..32).map(|place| {
            let before = u64::from(bits) >> (32 - place);
            let flip = self.key.hash_one(("ip", place, before)) & 1;
            u32::try_from(flip).unwrap_or(0) << (31 - place)
        });
        Ipv4Addr::from_bits(flips.fold(bits, |bits, flip| bits ^ flip))
    }

    /// The same for an address of version 6.
    pub fn ipv6(&mut self, address: Ipv6Addr) -> Ipv6Addr {
        if address.is_unspecified() || address.is_loopback() {
            return address;
        }
        self.count_in(Kind::Ip, &address.to_string());
        let bits = address.to_bits();
        // What kind of an address it is stays: of a link, of a group of hosts.
        let kept = if address.is_unicast_link_local() || address.is_multicast() {
            16
        } else {
            3
        };
        let flips = (kept..128).map(|place| {
            let before = bits >> (128 - place);
            let flip = self.key.hash_one(("ip6", place, before)) & 1;
            u128::from(flip) << (127 - place)
        });
        Ipv6Addr::from_bits(flips.fold(bits, |bits, flip| bits ^ flip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_the_same_and_looks_like_it() {
        let mut disguise = Disguise::default();
        let uuid = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
        let new = disguise.word(Kind::Uuid, uuid);
        assert_eq!((new.len(), new == uuid), (uuid.len(), false));
        let shape = |text: &str| text.replace(|c: char| c.is_ascii_hexdigit(), "x");
        assert_eq!(shape(&new), shape(uuid));
        assert_eq!(disguise.word(Kind::Uuid, uuid), new);
        assert_ne!(Disguise::default().word(Kind::Uuid, uuid), new);
        assert_eq!(disguise.count(Kind::Uuid), 1);
        // One letter each, and no two alike.
        let short: BTreeSet<_> = ('a'..='z')
            .map(|c| disguise.word(Kind::Name, &c.to_string()))
            .collect();
        assert_eq!(short.len(), 26);
    }

    #[test]
    fn a_mac_is_one_however_it_is_written() {
        let mut disguise = Disguise::default();
        let colons = disguise.mac("3c:7c:3f:01:02:03");
        assert!(colons.starts_with("02:"), "{colons}");
        assert_eq!(disguise.mac("3c7c3f010203"), colons.replace(':', ""));
        assert_eq!(disguise.mac("00:00:00:00:00:00"), "00:00:00:00:00:00");
        assert_eq!(disguise.count(Kind::Mac), 1);
    }

    #[test]
    fn networks_stay_networks() {
        let mut disguise = Disguise::default();
        let [one, other] = ["192.168.7.1", "192.168.7.77"].map(|text| {
            let address: Ipv4Addr = text.parse().unwrap();
            disguise.ipv4(address).octets()
        });
        assert_eq!(one[..3], other[..3]);
        assert_ne!(one, other);
        let link: Ipv6Addr = "fe80::3e7c:3fff:fe01:203".parse().unwrap();
        let new = disguise.ipv6(link);
        assert!(new.is_unicast_link_local() && new != link, "{new}");
        assert_eq!(disguise.ipv4(Ipv4Addr::UNSPECIFIED), Ipv4Addr::UNSPECIFIED);
    }
}
