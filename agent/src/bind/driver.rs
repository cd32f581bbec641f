//! The vfio driver that suits a function best: `vfio.driver=auto`.

use crate::machine::alias_index::Aliases;
use crate::machine::inventory::Inventory;
use crate::machine::sysfs::{driver_directory, path};
use crate::machine::{Loading, Machine, Root};
use crate::plan::decision::{Decision, MAX_VARIANTS, Plan};
use crate::text::{Dec, DriverName, Plain, name};

/// Gives each function that is to be bound the driver that suits it best.
#[inline(never)] // Inlined, it makes the executable larger.
pub fn choose(root: &dyn Root, inventory: &Inventory, plan: &mut Plan) {
    let Some(aliases) = Aliases::open(root) else {
        return;
    };
    for step in &mut plan.steps {
        let Some(function) = inventory.get(step.function) else {
            continue;
        };
        if step.decision != Decision::Bind {
            continue;
        }
        let driver = match aliases.best(&function.id) {
            Ok(Some(module)) => registered(root, &module).unwrap_or(module),
            Ok(None) => continue,
            Err(errno) => {
                let answer = crate::text::errno::Answer(errno);
                let file = &aliases.file;
                warn!(file; "{file}: {answer}; vfio-pci is used");
                return;
            }
        };
        let known = plan.variants.iter().position(|other| *other == driver);
        let at = known.unwrap_or(plan.variants.len());
        if known.is_none() && plan.variants.push(driver).is_err() {
            warn!(
                function.address;
                "{}: more than {} vfio drivers; vfio-pci is used",
                function.address,
                Dec(MAX_VARIANTS as u64)
            );
            continue;
        }
        step.variant = u8::try_from(at).ok();
    }
}

/// Loads the modules of the drivers that were [chosen](choose), for only then it shows what they call
/// their drivers: xe_vfio_pci's is xe-vfio-pci. Functions whose module does not load, or registers none,
/// are left to vfio-pci. This takes nothing from anybody: a driver of that kind matches by its override
/// only.
#[inline(never)] // Inlined, it makes the executable larger.
pub fn load(host: &impl Machine, plan: &mut Plan) {
    for at in (0..MAX_VARIANTS).rev() {
        let Some(variant) = plan.variants.get_mut(at) else {
            continue;
        };
        if host.exists(&driver_directory(variant)) {
            continue;
        }
        let answer = host.load_module(variant, Loading::default());
        if let Some(driver) = registered(host, variant) {
            *variant = driver;
            continue;
        }
        match answer {
            Err(error) => warn!(variant; "{variant}: {error}; vfio-pci is used"),
            Ok(()) => warn!(variant; "{variant} is loaded and has no PCI driver; vfio-pci is used"),
        }
        let this = u8::try_from(at).ok();
        for step in plan.steps.iter_mut().filter(|step| step.variant == this) {
            step.variant = None;
        }
    }
}

/// The PCI driver that a module has registered: a link of `/sys/module/M/drivers`, which is named for
/// the bus and the driver (`module_add_driver` in drivers/base/module.c).
fn registered(root: &dyn Root, module: &str) -> Option<DriverName> {
    let mut found = None;
    let drivers = path(format_args!("sys/module/{}/drivers", Plain(module)));
    // Where there is no such directory there is no such driver.
    let _ = root.list(&drivers, &mut |entry| {
        if let Some(driver) = entry.strip_prefix(b"pci:") {
            found = Some(name(driver));
        }
    });
    found
}
