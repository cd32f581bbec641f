//! Firecracker: `vfio` of its configuration file (docs of the project; experimental there).

use serde_json::json;

use super::device::Lot;
use super::guest::apart;
use super::text::Exported;

pub(super) fn export(lot: Lot<'_>) -> Result<Exported, String> {
    let devices = lot.devices.iter().enumerate();
    let devices: Vec<_> = devices
        .map(|(at, device)| json!({"id": format!("device{at}"), "path_on_host": device.path()}))
        .collect();
    let text = serde_json::to_string_pretty(&json!({"vfio": devices}));
    let mut notes = apart(lot.devices, "Firecracker");
    notes.push(
        "put the member `vfio` into the configuration file; Firecracker calls this experimental and wants --enable-pci"
            .to_owned(),
    );
    Ok(Exported {
        text: text.map_err(|error| format!("JSON: {error}"))? + "\n",
        notes,
    })
}
