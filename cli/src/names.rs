//! What people call devices: the list pci.ids of the system.

use std::path::Path;

use pciid_parser::Database;
use vfio_bind_agent::pci::id::DeviceId;

use crate::terminal::one_line;

/// Where distributions have it.
const PLACES: [&str; 3] = [
    "usr/share/hwdata/pci.ids",
    "usr/share/misc/pci.ids",
    "var/lib/pciutils/pci.ids",
];

/// The names that a system has for devices; none where it has no list, which costs names and nothing else.
#[derive(Debug, Default)]
pub struct Names(Option<Database>);

impl Names {
    /// Reads the list of the system at `root`, else that of the running one: a captured tree has none.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        let roots = [root, Path::new("/")];
        let mut places = roots
            .iter()
            .flat_map(|root| PLACES.iter().map(move |place| root.join(place)));
        Self(places.find_map(|place| Database::read_from_file(place).ok()))
    }

    /// Whether there is a list.
    #[must_use]
    pub fn are_known(&self) -> bool {
        self.0.is_some()
    }

    /// What a function is called: vendor and model, or its IDs where the list does not know it.
    #[must_use]
    pub fn name(&self, id: &DeviceId) -> String {
        match (self.vendor(id), self.model(id)) {
            (Some(vendor), Some(model)) => format!("{vendor} {model}"),
            (Some(vendor), None) => format!("{vendor} {id}"),
            (None, _) => id.to_string(),
        }
    }

    /// The vendor, without the words that say what kind of company it is.
    #[must_use]
    pub fn vendor(&self, id: &DeviceId) -> Option<String> {
        let vendors = &self.0.as_ref()?.vendors;
        let vendor = vendors.get(&u16::try_from(id.vendor).ok()?)?;
        Some(short(&one_line(&vendor.name)))
    }

    /// The model.
    #[must_use]
    pub fn model(&self, id: &DeviceId) -> Option<String> {
        let vendors = &self.0.as_ref()?.vendors;
        let vendor = vendors.get(&u16::try_from(id.vendor).ok()?)?;
        let model = vendor.devices.get(&u16::try_from(id.device).ok()?)?;
        Some(one_line(&model.name))
    }
}

/// `Advanced Micro Devices, Inc. [AMD/ATI]` is `AMD/ATI`, and `NVIDIA Corporation` is `NVIDIA`.
fn short(vendor: &str) -> String {
    if let Some((_, rest)) = vendor.split_once('[')
        && let Some((short, _)) = rest.split_once(']')
        && !short.is_empty()
    {
        return short.to_owned();
    }
    const KINDS: [&str; 14] = [
        "Corporation",
        "Corp.",
        "Corp",
        "Inc.",
        "Inc",
        "Ltd.",
        "Ltd",
        "Co.",
        "Co",
        "Limited",
        "GmbH",
        "LLC",
        "AG",
        "Company",
    ];
    let mut words: Vec<&str> = vendor.split(' ').collect();
    while let [_, .., last] = words[..]
        && KINDS.contains(&last.trim_end_matches(','))
    {
        words.pop();
    }
    words.join(" ").trim_end_matches(',').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn names_are_those_of_the_list_else_the_ids() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("usr/share/misc");
        fs::create_dir_all(&directory).unwrap();
        let list = "10de  NVIDIA Corporation\n\t2204  GA102 [GeForce RTX 3090]\n\nC 03  Display controller\n\t00  VGA compatible controller\n";
        fs::write(directory.join("pci.ids"), list).unwrap();
        let names = Names::of(root.path());
        let id = |device| DeviceId {
            vendor: 0x10de,
            device,
            ..DeviceId::default()
        };
        assert_eq!(names.name(&id(0x2204)), "NVIDIA GA102 [GeForce RTX 3090]");
        assert_eq!(names.name(&id(0x2205)), "NVIDIA 10de:2205");
        assert_eq!(Names::default().name(&id(0x2204)), "10de:2204");
    }

    #[test]
    fn vendors_are_short() {
        for (long, expected) in [
            ("NVIDIA Corporation", "NVIDIA"),
            ("Advanced Micro Devices, Inc. [AMD/ATI]", "AMD/ATI"),
            ("Samsung Electronics Co Ltd", "Samsung Electronics"),
            ("Realtek Semiconductor Co., Ltd.", "Realtek Semiconductor"),
            ("Corporation", "Corporation"),
        ] {
            assert_eq!(short(long), expected);
        }
    }
}
