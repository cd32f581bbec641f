//! Who may come late: the policy as rules for udev, so that nothing is started for what nobody asks about.
//!
//! A rule is as wide as it must be and the agent, which it starts, decides: what a path, a serial number or a
//! label means, no rule can tell. Written anew in each boot, for there is no policy in a package: where
//! nothing is asked for, there is no file.

use core::fmt::{self, Write};

use crate::machine::inventory::Function;
use crate::machine::sysfs::is_vfio;
use crate::pci::address::{Address, Slot};
use crate::pci::id::{ANY, IdPattern};
use crate::policy::selector::{Selector, StableName, Target};
use crate::record::{Record, State};
use crate::text::{Dec, Hex, Plain};

/// Where udev reads them, in the image and in the real root, which keeps /run. In front of those that load
/// native drivers (80-drivers.rules), which are not needed for what is taken.
pub const DIRECTORY: &str = "run/udev/rules.d";
/// The name of the file there.
pub const FILE: &str = "60-vfio-bind.rules";

const START: &str = "\
# Of this boot's policy, by vfio-bind-agent.
SUBSYSTEM!=\"pci\", GOTO=\"vfio_bind_end\"
";

/// udev tells of all that is there when it starts (`SYNTH_UUID` is set then, lib/kobject_uevent.c), in the
/// image and once more in the real root: of what is on VFIO nothing is new.
const END: &str = "\
LABEL=\"vfio_bind_run\"
ENV{.vfio_bind}!=\"1\", GOTO=\"vfio_bind_end\"
ENV{SYNTH_UUID}!=\"?*\", RUN+=\"/usr/bin/vfio-bind-agent udev $kernel\"
ENV{SYNTH_UUID}==\"?*\", DRIVER!=\"*vfio*\", RUN+=\"/usr/bin/vfio-bind-agent udev --replayed $kernel\"
LABEL=\"vfio_bind_end\"
";

/// Whether what comes later may be asked for.
#[must_use]
pub fn are_wanted(record: &Record<'_>) -> bool {
    let works = !matches!(
        record.state,
        State::Off | State::CrashKernel | State::DryRun | State::NothingAsked
    );
    // A run for one function that took nothing changes nothing.
    let changes = record.plan.focus.is_none() || record.took_something();
    let policy = record.policy;
    works && changes && policy.asks() && !policy.dry_run && !policy.forbids_binding()
}

/// Writes rules that start the agent with the word `udev` and the address of each function that comes and
/// may be asked for, or may share the IOMMU group of one that is lent.
///
/// # Errors
/// When the output takes no more.
pub fn write(record: &Record<'_>, output: &mut dyn Write) -> fmt::Result {
    output.write_str(START)?;
    let takes = || record.policy.selectors.iter().filter(|s| !s.excludes);
    let makes = record.policy.makings.iter().map(|making| &making.selector);
    for pf in takes().filter(|s| s.is_virtual()).chain(makes) {
        writeln!(
            output,
            "{PF}{}, TEST==\"sriov_totalvfs\", {MARK}",
            Matched(pf)
        )?;
    }
    output.write_str("ACTION!=\"add\", GOTO=\"vfio_bind_run\"\n")?;
    for selector in takes().filter(|s| !s.is_virtual()) {
        writeln!(output, "{}, {MARK}", Matched(selector))?;
    }
    let mut device = None;
    for function in lent(record) {
        // The run for what made it sees to all of them.
        if takes().any(|s| s.is_virtual() && s.points_at(function)) {
            continue;
        }
        let Address {
            domain,
            bus,
            device: number,
            ..
        } = function.address;
        let slot = Slot {
            domain,
            bus,
            device: number,
            function: None,
        };
        // What the kernel gives its group later than udev hears of it is known by its place alone.
        if device.replace(slot) != Some(slot) {
            writeln!(output, "KERNEL==\"{slot}\", {MARK}")?;
        }
        writeln!(
            output,
            "TEST==\"iommu_group/devices/{}\", {MARK}",
            function.address
        )?;
    }
    output.write_str(END)
}

/// What makes virtual functions: asked to once its driver is there, which may be so when udev starts, and looked
/// at when somebody else has asked it to. Those functions start nothing by themselves.
const PF: Plain<'_> = Plain("ACTION==\"add|bind|change\", ");
const MARK: Plain<'_> = Plain("ENV{.vfio_bind}=\"1\"");

/// What is on a vfio driver now.
fn lent<'a>(record: &'a Record<'a>) -> impl Iterator<Item = &'a Function> {
    record
        .inventory
        .iter()
        .filter_map(move |(index, function)| {
            let step = record.plan.place_of(index);
            let outcome = step.and_then(|at| record.outcomes.steps.get(at));
            let driver = outcome.map_or(&function.driver, |outcome| &outcome.driver);
            let lent = driver
                .as_ref()
                .is_some_and(|driver| is_vfio(driver.as_bytes()));
            lent.then_some(function)
        })
}

/// What udev can tell of a selector.
struct Matched<'a>(&'a Selector<'a>);

impl fmt::Display for Matched<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.target {
            Target::Id(pattern) => write!(f, "{}", Id(pattern))?,
            Target::Address(slot) => write!(f, "KERNEL==\"{slot}\"")?,
            // Buses change and the last step does not; where that is the first one, it is on the root bus.
            Target::Named(StableName::Path(path), _) => {
                let domain = Hex(path.domain(), 4);
                match path.below().last() {
                    Some((device, function)) => {
                        let (device, function) = (Hex(device.into(), 2), Dec(function.into()));
                        write!(f, "KERNEL==\"{domain}:*:{device}.{function}\"")?;
                    }
                    None => write!(f, "KERNEL==\"{}\"", path.start())?,
                }
            }
            Target::Named(..) => f.write_str("KERNEL==\"*\"")?,
        }
        match &self.0.expected {
            // One function of a device with the ID speaks for all of it.
            Some(pattern) if !self.0.names_one() => write!(f, ", {}", Id(pattern)),
            _ => Ok(()),
        }
    }
}

/// A pattern over `MODALIAS`, which comes with the event: nothing is read (`pci_uevent` in
/// drivers/pci/pci-driver.c). Of a mask that cuts through a digit the digit does not count.
struct Id<'a>(&'a IdPattern);

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [vendor, device, subvendor, subdevice, class, class_mask] = self.0.numbers();
        f.write_str("ENV{MODALIAS}==\"pci:")?;
        for (key, number) in [
            ("v", vendor),
            ("d", device),
            ("sv", subvendor),
            ("sd", subdevice),
        ] {
            f.write_str(key)?;
            match number {
                ANY => f.write_char('*')?,
                _ => digits(f, number, u32::MAX, 8, true)?,
            }
        }
        for (key, shift) in [("bc", 16), ("sc", 8), ("i", 0)] {
            f.write_str(key)?;
            // The interface alone is in small letters.
            digits(f, class >> shift, class_mask >> shift, 2, shift > 0)?;
        }
        f.write_char('"')
    }
}

/// The last `count` digits of a number in hexadecimal, `?` for those that a mask leaves out.
fn digits(
    f: &mut fmt::Formatter<'_>,
    number: u32,
    mask: u32,
    count: u32,
    capital: bool,
) -> fmt::Result {
    for place in (0..count).rev() {
        let shift = place.saturating_mul(4);
        let digit = char::from_digit(number >> shift & 0xf, 16).unwrap_or('?');
        f.write_char(match mask >> shift & 0xf {
            0xf if capital => digit.to_ascii_uppercase(),
            0xf => digit,
            _ => '?',
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::pci::id::DeviceId;
    use proptest::prelude::*;
    use std::format;
    use std::string::String;
    use std::string::ToString;

    /// As `modalias_show` in drivers/pci/pci-sysfs.c has it.
    fn modalias(id: &DeviceId) -> String {
        let DeviceId {
            vendor,
            device,
            subvendor,
            subdevice,
            class,
        } = id;
        let (base, sub, interface) = (class >> 16 & 0xff, class >> 8 & 0xff, class & 0xff);
        format!(
            "pci:v{vendor:08X}d{device:08X}sv{subvendor:08X}sd{subdevice:08X}bc{base:02X}sc{sub:02X}i{interface:02x}"
        )
    }

    /// As udev compares (fnmatch(3)), as far as rules here go.
    fn fits(glob: &[u8], text: &[u8]) -> bool {
        match (glob, text) {
            ([b'*', glob @ ..], _) => {
                fits(glob, text) || (0..text.len()).any(|at| fits(glob, &text[at + 1..]))
            }
            ([b'?', glob @ ..], [_, text @ ..]) => fits(glob, text),
            ([wanted, glob @ ..], [is, text @ ..]) => wanted == is && fits(glob, text),
            ([], []) => true,
            _ => false,
        }
    }

    fn some() -> impl Strategy<Value = u32> {
        prop_oneof![Just(ANY), 0u32..3, any::<u16>().prop_map(u32::from)]
    }

    proptest! {
        /// A rule that is too narrow loses a device; one that is too wide starts a process.
        #[test]
        fn what_is_meant_is_matched(
            (vendor, device, subvendor, subdevice) in (some(), some(), some(), some()),
            class in 0u32..0x100_0000, class_mask in prop_oneof![Just(0), Just(0xff_ffff), Just(0xff_ff00), any::<u32>()],
            flipped in any::<u32>(), fills: [u16; 4],
        ) {
            let pattern = IdPattern { vendor, device, subvendor, subdevice, class, class_mask };
            let fill = |number: u32, at: usize| if number == ANY { fills[at].into() } else { number };
            let id = DeviceId {
                vendor: fill(vendor, 0),
                device: fill(device, 1),
                subvendor: fill(subvendor, 2),
                subdevice: fill(subdevice, 3),
                class: (class ^ (flipped & !class_mask)) & 0xff_ffff,
            };
            prop_assert!(pattern.matches(&id));
            let shown = Id(&pattern).to_string();
            let glob = shown.strip_prefix("ENV{MODALIAS}==\"").unwrap().trim_end_matches('"');
            prop_assert!(fits(glob.as_bytes(), modalias(&id).as_bytes()), "{glob} {}", modalias(&id));
        }
    }
}
