//! How fast the link to a function is, and how fast it could be.

use serde::Serialize;

use crate::storage::block::Sysfs;
use vfio_bind_agent::machine::sysfs::attribute;
use vfio_bind_agent::pci::address::Address;

/// A speed in tenths of a gigatransfer per second, and a number of lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// Tenths of a gigatransfer per second and lane: 80 is PCI Express 3.0's.
    pub decitransfers: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Rate {
    /// As `8.0 GT/s x16`.
    #[must_use]
    pub fn told(self) -> String {
        let Self {
            decitransfers: speed,
            lanes,
        } = self;
        format!("{}.{} GT/s x{lanes}", speed / 10, speed % 10)
    }

    fn is_below(self, other: Self) -> bool {
        self.decitransfers < other.decitransfers || self.lanes < other.lanes
    }
}

/// A link to a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// Now. Graphics cards and disks lower it while they are idle.
    pub now: Rate,
    /// The most that this end can.
    pub own_most: Rate,
    /// The most that both ends can; none where there is no port above, as in a chipset.
    pub most: Option<Rate>,
}

impl Link {
    /// Reads what a function shows of its own end. Nothing where it has no link, or sleeps: to look would wake it
    /// (`current_link_speed_show` in drivers/pci/pci-sysfs.c).
    #[must_use]
    pub fn read(sysfs: &Sysfs, address: Address) -> Option<Self> {
        let text = |name| sysfs.text(attribute(address, name).as_str());
        if text("power/runtime_status").as_deref() == Some("suspended") {
            return None;
        }
        let rate = |speed, width| {
            let lanes = text(width)?.parse().ok().filter(|lanes| *lanes > 0)?;
            Some(Rate {
                decitransfers: speed_of(&text(speed)?)?,
                lanes,
            })
        };
        Some(Self {
            now: rate("current_link_speed", "current_link_width")?,
            own_most: rate("max_link_speed", "max_link_width")?,
            most: None,
        })
    }

    /// The same with the other end known.
    #[must_use]
    pub fn to(self, port: Self) -> Self {
        let (own, other) = (self.own_most, port.own_most);
        let most = Rate {
            decitransfers: own.decitransfers.min(other.decitransfers),
            lanes: own.lanes.min(other.lanes),
        };
        Self {
            most: Some(most),
            ..self
        }
    }

    /// `8.0 GT/s x4, where both ends can 16.0 GT/s x16`, where it is so.
    #[must_use]
    pub fn told(self) -> Option<String> {
        let most = self.most.filter(|most| self.now.is_below(*most))?;
        Some(format!(
            "{}, where both ends can {}",
            self.now.told(),
            most.told()
        ))
    }
}

/// Reads `8.0 GT/s PCIe`; before Linux 5.8 it was `8 GT/s`. A link that is down is `Unknown`.
fn speed_of(text: &str) -> Option<u32> {
    let number = text.split_whitespace().next()?;
    let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
    let tenths: u32 = tenths.get(..1)?.parse().ok()?;
    whole
        .parse::<u32>()
        .ok()?
        .checked_mul(10)?
        .checked_add(tenths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_read_as_kernels_have_spelled_them() {
        for (text, expected) in [
            ("2.5 GT/s PCIe", Some(25)),
            ("16.0 GT/s PCIe", Some(160)),
            ("8 GT/s", Some(80)),
            ("Unknown", None),
            ("Unknown speed", None),
            ("", None),
            ("8. GT/s", None),
        ] {
            assert_eq!(speed_of(text), expected, "{text}");
        }
    }

    #[test]
    fn only_what_both_ends_can_is_missed() {
        let rate = |decitransfers, lanes| Rate {
            decitransfers,
            lanes,
        };
        let link = |now, own_most| Link {
            now,
            own_most,
            most: None,
        };
        let card = link(rate(80, 4), rate(160, 16));
        for (port, expected) in [
            (
                rate(160, 16),
                Some("8.0 GT/s x4, where both ends can 16.0 GT/s x16"),
            ),
            (
                rate(80, 16),
                Some("8.0 GT/s x4, where both ends can 8.0 GT/s x16"),
            ),
            (rate(80, 4), None),
            (rate(25, 1), None),
        ] {
            let told = card.to(link(rate(80, 4), port)).told();
            assert_eq!(told.as_deref(), expected, "{port:?}");
        }
        assert_eq!(card.told(), None);
    }
}
