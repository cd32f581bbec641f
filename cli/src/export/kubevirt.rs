//! KubeVirt: the list of permitted host devices (its user guide, "Host Devices Assignment"). It knows models only.

use std::collections::BTreeMap;

use super::device::{Device, Lot};
use super::text::{Exported, Settings};

const START: &str = "\
apiVersion: kubevirt.io/v1
kind: KubeVirt
metadata:
  name: kubevirt
  namespace: kubevirt
spec:
  configuration:
    permittedHostDevices:
      pciHostDevices:
";

pub(super) fn export(lot: Lot<'_>, settings: &Settings) -> Result<Exported, String> {
    let mut models: BTreeMap<String, &Device> = BTreeMap::new();
    for device in lot.devices {
        models.entry(device.id.to_string()).or_insert(device);
    }
    if let (Some(name), true) = (&settings.resource, models.len() > 1) {
        return Err(format!(
            "--resource {name}: these are {} models, and each wants a name; export them one at a time",
            models.len()
        ));
    }
    let mut text = START.to_owned();
    let mut notes = Vec::new();
    let mut wanted = Vec::new();
    for model in models.keys() {
        let name = match &settings.resource {
            Some(name) => name.clone(),
            None => format!("vfio-bind/{}", model.replace(':', "_")),
        };
        let selector = model.to_uppercase();
        text += &format!(
            "        - pciVendorSelector: \"{selector}\"\n          resourceName: \"{name}\"\n"
        );
        wanted.push(format!(
            "{{name: {}, deviceName: {name}}}",
            name.rsplit('/').next().unwrap_or(&name).replace('_', "-")
        ));
    }
    for twin in lot.machine.iter().filter(|other| !other.chosen) {
        if models.contains_key(&twin.id.to_string()) {
            let state = if twin.is_lent() {
                "it is handed out as well"
            } else {
                "it is handed out as well as soon as vfio-pci has it"
            };
            notes.push(format!(
                "KubeVirt selects by ID alone, and {} has the same as what is exported ({}): {state}",
                twin.address, twin.id
            ));
        }
    }
    for device in lot.devices {
        if let Some(driver) = device.variant() {
            notes.push(format!(
                "{} is on {driver}; KubeVirt hands out what vfio-pci has: vfio.driver=vfio-pci",
                device.address
            ));
        }
    }
    notes.push(format!(
        "a guest asks for them under spec.template.spec.domain.devices: hostDevices: [{}]",
        wanted.join(", ")
    ));
    Ok(Exported { text, notes })
}
