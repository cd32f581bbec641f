//! The SR-IOV network device plugin for Kubernetes: its configuration file (README of the project).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vfio_bind_agent::policy::VFIO_PCI;

use super::device::{Device, Lot};
use super::text::{Exported, Settings};

pub(super) fn export(lot: Lot<'_>, settings: &Settings) -> Result<Exported, String> {
    type Key = (u32, u32, String);
    let mut pools: BTreeMap<Key, Vec<&Device>> = BTreeMap::new();
    for device in lot.devices {
        let driver = device.variant().unwrap_or(VFIO_PCI).to_owned();
        let key = (device.id.vendor, device.id.device, driver);
        pools.entry(key).or_default().push(device);
    }
    if let (Some(name), true) = (&settings.resource, pools.len() > 1) {
        return Err(format!(
            "--resource {name}: these are {} pools of a model and a driver each, and each wants a name; export them \
             one at a time",
            pools.len()
        ));
    }
    let mut list = Vec::new();
    for ((vendor, model, driver), devices) in &pools {
        list.push(pool(*vendor, *model, driver, devices, settings)?);
    }
    let text = serde_json::to_string_pretty(&json!({"resourceList": list}));
    let text = text.map_err(|error| format!("JSON: {error}"))? + "\n";
    Ok(Exported {
        text,
        notes: vec![
            "the plugin reads /etc/pcidp/config.json, as its ConfigMap sriovdp-config mounts it"
                .to_owned(),
        ],
    })
}

fn pool(
    vendor: u32,
    model: u32,
    driver: &str,
    devices: &[&Device],
    settings: &Settings,
) -> Result<Value, String> {
    let name = match &settings.resource {
        Some(name) => name.clone(),
        None => format!("vfio_{vendor:04x}_{model:04x}"),
    };
    let mut selectors = json!({
        "vendors": [format!("{vendor:04x}")],
        "devices": [format!("{model:04x}")],
        "drivers": [driver],
    });
    let names = interfaces(devices);
    if names.is_empty() {
        let addresses: Vec<_> = devices.iter().map(|one| one.address.to_string()).collect();
        selectors["pciAddresses"] = json!(addresses);
    } else {
        selectors["pfNames"] = json!(names);
    }
    let mut pool = json!({"resourceName": name, "selectors": selectors});
    // The classes that it looks at (`SupportedDevices` in pkg/types/types.go).
    for device in devices {
        match device.id.class >> 16 {
            0x02 => {}
            0x12 => pool["deviceType"] = json!("accelerator"),
            _ => {
                return Err(format!(
                    "{} ({}) is neither a network controller (class 02) nor an accelerator (class 12), and the \
                     plugin takes no other; see `--to kubevirt`",
                    device.address, device.name
                ));
            }
        }
    }
    Ok(pool)
}

/// Virtual functions by the interface of what makes them, `ens1f0#0-3,7`: it outlives a reboot. Empty where one of
/// the functions has none.
fn interfaces(devices: &[&Device]) -> Vec<String> {
    let mut indexes: BTreeMap<&str, Vec<u16>> = BTreeMap::new();
    for device in devices {
        let interfaces = device
            .maker
            .as_ref()
            .map(|maker| (&maker.interfaces[..], maker));
        let Some(([name], maker)) = interfaces else {
            return Vec::new();
        };
        indexes.entry(name).or_default().push(maker.index);
    }
    let each = indexes.into_iter();
    each.map(|(name, mut own)| {
        own.sort_unstable();
        format!("{name}#{}", ranges(&own))
    })
    .collect()
}

/// Sorted numbers as `0-3,7`.
fn ranges(numbers: &[u16]) -> String {
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, end)) if number.checked_sub(1) == Some(*end) => *end = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let runs = runs.into_iter().map(|(begin, end)| match begin == end {
        true => begin.to_string(),
        false => format!("{begin}-{end}"),
    });
    runs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_ranges() {
        for (numbers, expected) in [
            (&[0, 1, 2, 3, 7][..], "0-3,7"),
            (&[5], "5"),
            (&[0, 2, 3], "0,2-3"),
            (&[], ""),
        ] {
            assert_eq!(ranges(numbers), expected);
        }
    }
}
