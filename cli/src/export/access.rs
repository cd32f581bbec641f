//! Who may open what was lent: said for monitors that their owner starts. Those that a daemon of root starts see to
//! it themselves.

use super::device::Device;
use crate::next::access::RULES;

/// A sentence for each thing that a user without root's rights needs.
#[must_use]
pub fn notes(devices: &[Device], iommufd: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let nodes: Vec<_> = devices
        .iter()
        .filter_map(|device| node(device, iommufd))
        .collect();
    if let Some((first, _)) = nodes.first() {
        let mut rules: Vec<_> = nodes.iter().map(|(_, rule)| rule.clone()).collect();
        rules.sort();
        rules.dedup();
        notes.push(format!(
            "{first} is root's; for a user write into {RULES}: {}",
            rules.join(" and ")
        ));
    }
    notes.push(
        "the guest's whole memory is locked: where its monitor is not started by root, let its user lock that much \
         and some more (`ulimit -l`, LimitMEMLOCK= of a unit)"
            .to_owned(),
    );
    notes
}

/// What is opened for a function, and the rule that gives it to a user. A group's number may be another one after
/// the next boot; the address in the rule for iommufd is not.
fn node(device: &Device, iommufd: bool) -> Option<(String, String)> {
    if iommufd {
        let node = device.node.as_deref()?;
        let rule = format!(
            "SUBSYSTEM==\"vfio-dev\", KERNELS==\"{}\", OWNER=\"USER\"",
            device.address
        );
        return Some((format!("/dev/vfio/devices/{node}"), rule));
    }
    let group = device.group?;
    let rule = format!("SUBSYSTEM==\"vfio\", KERNEL==\"{group}\", OWNER=\"USER\"");
    Some((format!("/dev/vfio/{group}"), rule))
}
