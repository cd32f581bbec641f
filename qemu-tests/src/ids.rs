//! Values for `vfio_pci.ids=`, right and wrong, at random.
//!
//! They are drawn so that many of them match something: a comparison of empty sets proves little.

use fastrand::Rng;

use crate::machine::Device;

/// The kernel's buffer: a value of this many characters is rejected whole.
const KERNEL_LIMIT: usize = 1024;
/// The kernel's `PCI_ANY_ID`, as people write it.
const ANY: &str = "ffffffff";

/// `count` values that speak of `devices`. The same seed gives the same values.
#[must_use]
pub fn values(devices: &[Device], count: usize, seed: u64) -> Vec<String> {
    let mut generator = Generator {
        random: Rng::with_seed(seed),
        devices,
    };
    (0..count).map(|_| generator.value()).collect()
}

struct Generator<'a> {
    random: Rng,
    devices: &'a [Device],
}

impl Generator<'_> {
    fn one_in(&mut self, n: u32) -> bool {
        self.random.u32(0..n) == 0
    }

    fn pick<'b>(&mut self, choices: &[&'b str]) -> &'b str {
        choices[self.random.usize(0..choices.len())]
    }

    /// A whole value.
    fn value(&mut self) -> String {
        if self.one_in(20) {
            return self.around_the_limit();
        }
        let mut items = Vec::new();
        for _ in 0..self.random.usize(1..4) {
            items.push(self.item());
        }
        let value = items.join(",");
        match self.random.u32(0..24) {
            0 => format!("\"{value}\""),
            1 => format!("\"{value}"),
            2 => format!("{value}\""),
            3 => format!("{value} {}", self.item()),
            4 => format!(",{value},,"),
            5 => format!("\" {value}\""),
            6 => value.replacen(':', "\":\"", 1),
            7 => value.replace(':', ": "),
            _ => value,
        }
    }

    /// A value that matches something and is about as long as the kernel's buffer.
    fn around_the_limit(&mut self) -> String {
        let mut value = self.good();
        let length = self.random.usize(KERNEL_LIMIT - 3..KERNEL_LIMIT + 3);
        while value.len() < length {
            value.push(',');
        }
        value
    }

    /// One item.
    fn item(&mut self) -> String {
        match self.random.u32(0..10) {
            0 => String::new(),
            1 => self.junk(),
            2..=4 => {
                let item = self.good();
                self.spoil(&item)
            }
            _ => self.good(),
        }
    }

    /// An item that the kernel accepts, for a device of the machine or, by accident, for others.
    fn good(&mut self) -> String {
        let device = self.devices[self.random.usize(0..self.devices.len())];
        let mut fields: Vec<String> = device.ids.split(':').map(str::to_owned).collect();
        for field in &mut fields {
            if self.one_in(4) {
                ANY.clone_into(field);
            } else if self.one_in(16) {
                *field = format!("{:04x}", self.random.u16(..));
            }
        }
        let class = match self.random.u32(0..3) {
            0 => format!("{:08x}", self.random.u32(0..0x0d_0000)),
            _ => format!("00{}", device.class),
        };
        let mask = self.pick(&[
            "00ff0000", "00ffff00", "00ffffff", "ffffffff", "0", "ffff00ff",
        ]);
        fields.extend([class, mask.to_owned()]);
        fields.truncate(
            self.pick(&["2", "2", "4", "5", "6", "6"])
                .parse()
                .unwrap_or(2),
        );
        fields.join(":")
    }

    /// What a tired person makes of an item.
    fn spoil(&mut self, item: &str) -> String {
        let field = self.random.usize(0..item.split(':').count());
        let change = self.random.u32(0..12);
        let changed = |text: &str| match change {
            0 => format!("0x{text}"),
            1 => format!("0X{text}"),
            2 => text.to_uppercase(),
            3 => format!("0000{text}"),
            // More than 32 bits: the kernel keeps the low ones.
            4 => format!("1{text:0>8}"),
            5 => format!("{text}zz"),
            6 => String::new(),
            7 => format!("-{text}"),
            8 => format!("0x0x{text}"),
            _ => text.to_owned(),
        };
        let fields = item.split(':').enumerate();
        let fields: Vec<_> = fields
            .map(|(i, f)| if i == field { changed(f) } else { f.to_owned() })
            .collect();
        let item = fields.join(":");
        match change {
            9 => item.split(':').next().unwrap_or_default().to_owned(),
            10 => format!("{item}{}", self.junk()),
            11 => item.replacen(':', self.pick(&["::", ".", "-", ";", ": "]), 1),
            _ => item,
        }
    }

    /// Characters that such a value is made of, in no order.
    fn junk(&mut self) -> String {
        const CHARACTERS: &[u8] = b"0123456789abcdefABCDEFxX::::..--_@~!*'\" \t\\gz";
        let length = self.random.usize(1..16);
        let characters = (0..length).map(|_| CHARACTERS[self.random.usize(0..CHARACTERS.len())]);
        characters.map(char::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Iommu, pc};

    #[test]
    fn a_seed_is_a_list() {
        let devices = pc(Iommu::Intel).devices;
        assert_eq!(values(&devices, 50, 7), values(&devices, 50, 7));
        assert_ne!(values(&devices, 50, 7), values(&devices, 50, 8));
    }

    #[test]
    fn every_quirk_is_in_the_list() {
        let all = values(&pc(Iommu::Intel).devices, 400, 1);
        let has = |what: &str, test: &dyn Fn(&String) -> bool| {
            assert!(all.iter().any(test), "no value with {what}");
        };
        has("0x", &|value| value.contains("0x"));
        has("a quote", &|value| value.starts_with('"'));
        has("a space", &|value| value.contains(' '));
        has("a wildcard", &|value| value.contains(ANY));
        has("an empty item", &|value| value.contains(",,"));
        has("just too many characters", &|value| {
            value.len() == KERNEL_LIMIT
        });
        has("just not too many", &|value| {
            value.len() == KERNEL_LIMIT - 1
        });
        has("no second field", &|value| {
            !value.is_empty() && !value.contains(':')
        });
        has("a class and no mask", &|value| {
            value.matches(':').count() == 4
        });
        let odd = all.iter().find(|value| value.contains(['\0', '\n']));
        assert_eq!(odd, None, "neither fits a command line");
    }
}
