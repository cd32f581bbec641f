//! Whether vfio-pci will be there.

use std::fs;
use std::path::Path;

use vfio_bind_agent::machine::Root;
use vfio_bind_agent::machine::sysfs::driver_directory;
use vfio_bind_agent::policy::VFIO_PCI;

use crate::image::{self, Image};

/// That vfio-pci is missing, from the kernel or from the image that will boot; nothing where it is there or
/// nobody knows.
#[must_use]
pub fn missing(root: &Path, tree: &impl Root, image: Option<&Image>) -> Option<String> {
    let release = fs::read_to_string(root.join("proc/sys/kernel/osrelease")).ok()?;
    let release = release.trim();
    let list = |name: &str| {
        let places = ["lib/modules", "usr/lib/modules"].into_iter();
        let mut lists = places.map(|place| root.join(place).join(release).join(name));
        lists.find_map(|path| fs::read_to_string(path).ok())
    };
    let has = |list: &str| {
        let mut lines = list
            .lines()
            .filter_map(|line| line.split(':').next()?.rsplit('/').next());
        lines.any(|file| file.replace('_', "-").split(".ko").next() == Some(VFIO_PCI))
    };
    if list("modules.builtin").as_deref().is_some_and(has) {
        return None;
    }
    // Without the list nobody knows; but what is registered is there.
    let modules = list("modules.dep");
    if modules.as_deref().is_some_and(|modules| !has(modules))
        && !tree.exists(&driver_directory(VFIO_PCI))
    {
        return Some(format!(
            "Linux {release} has no module vfio-pci, so nothing would be bound: boot a kernel with \
             CONFIG_VFIO_PCI, or install the package with the rest of its modules"
        ));
    }
    let image = image.filter(|image| !image.contents.vfio_pci)?;
    modules.is_some().then(|| {
        format!(
            "{} has no module vfio-pci, so nothing would be bound; build it anew{}",
            image.path.display(),
            image::rebuild(root)
        )
    })
}
