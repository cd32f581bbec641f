//! Where functions go in a guest: those of one device stay one device.

use super::device::Device;

/// A slot of the guest, with the functions in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot<'d> {
    /// Each with its number in the guest. One of them is 0: a guest looks at no slot without it.
    pub functions: Vec<(u8, &'d Device)>,
}

impl Slot<'_> {
    /// Whether the slot has more than one function.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.functions.len() > 1
    }
}

/// Puts functions into slots, in the order of their addresses. Virtual functions stay apart: they are devices of
/// their own, however their routing IDs fall into slots of the host. On IBM Z all do, for there a slot holds one.
#[must_use]
pub fn slots(devices: &[Device]) -> Vec<Slot<'_>> {
    let mut slots: Vec<Slot<'_>> = Vec::new();
    let mut sorted: Vec<_> = devices.iter().collect();
    sorted.sort_by_key(|device| device.address);
    for device in sorted {
        let alone = |one: &Device| one.maker.is_some() || one.zpci.is_some();
        let place = |one: &Device| (one.address.domain, one.address.bus, one.address.device);
        let same = slots.iter_mut().find(|slot| {
            let mut all = slot.functions.iter();
            all.all(|(_, other)| place(other) == place(device) && !alone(other))
        });
        let number = device.address.function;
        match same {
            Some(slot) if !alone(device) => slot.functions.push((number, device)),
            _ => slots.push(Slot {
                functions: vec![(number, device)],
            }),
        }
    }
    for slot in &mut slots {
        let has_first = slot.functions.iter().any(|(number, _)| *number == 0);
        if !has_first && let Some((number, _)) = slot.functions.first_mut() {
            *number = 0;
        }
    }
    slots
}

/// What a guest sees of several functions of one device, where its monitor cannot put them into one slot.
#[must_use]
pub fn apart(devices: &[Device], monitor: &str) -> Vec<String> {
    let shared = slots(devices).iter().any(Slot::is_shared);
    let note = shared.then(|| {
        format!(
            "{monitor} gives each function a slot of its own: what is one device here is several in the guest"
        )
    });
    note.into_iter().collect()
}

/// That a running guest takes devices into root ports only, and how many are named.
#[must_use]
pub fn wants_ports(wanted: usize, given: usize) -> String {
    format!(
        "a running guest takes devices into its free root ports: name {wanted} with --port ID (once for each), not \
         {given}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use vfio_bind_agent::pci::address::Address;
    use vfio_bind_agent::pci::id::DeviceId;

    fn device(address: &str) -> Device {
        Device {
            address: Address::parse(address.as_bytes()).unwrap(),
            id: DeviceId::default(),
            group: None,
            driver: None,
            name: String::new(),
            zpci: None,
            maker: None,
            node: None,
        }
    }

    #[test]
    fn functions_of_a_slot_stay_together_and_one_is_the_first() {
        let cases: [(&[&str], &[&[u8]]); 5] = [
            (&["0000:42:00.1", "0000:42:00.0"], &[&[0, 1]]),
            (&["0000:42:00.1", "0000:42:00.3"], &[&[0, 3]]),
            (&["0000:42:00.1"], &[&[0]]),
            (&["0000:42:00.0", "0000:43:00.0"], &[&[0], &[0]]),
            (&["0000:42:00.0", "0001:42:00.1"], &[&[0], &[0]]),
        ];
        for (addresses, expected) in cases {
            let devices: Vec<_> = addresses.iter().map(|one| device(one)).collect();
            let found: Vec<Vec<u8>> = slots(&devices)
                .iter()
                .map(|slot| slot.functions.iter().map(|(number, _)| *number).collect())
                .collect();
            assert_eq!(found, expected, "{addresses:?}");
        }
    }

    #[test]
    fn virtual_functions_and_those_of_ibm_z_have_slots_of_their_own() {
        use super::super::device::{Maker, Zpci};
        let mut devices = [device("0000:03:10.0"), device("0000:03:10.2")];
        for (index, one) in (0..).zip(&mut devices) {
            one.maker = Some(Maker {
                address: Address::parse(b"0000:03:00.0").unwrap(),
                index,
                interfaces: Vec::new(),
            });
        }
        assert_eq!(slots(&devices).len(), 2);
        let mut devices = [device("0001:00:00.0"), device("0001:00:00.1")];
        for (fid, one) in (0..).zip(&mut devices) {
            one.zpci = Some(Zpci { uid: 1, fid });
        }
        assert_eq!(slots(&devices).len(), 2);
    }
}
