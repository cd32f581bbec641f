//! Which module files a set of modules needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// `modules.dep` and `modules.builtin` of a kernel.
#[derive(Debug)]
pub struct Index {
    /// From a module's name to its file and the files that it needs.
    files: BTreeMap<String, Vec<String>>,
    builtin: BTreeSet<String>,
}

impl Index {
    /// Reads the indexes in a kernel's folder of modules.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let text = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).with_context(|| format!("read({})", path.display()))
        };
        Ok(Self::parse(
            &text("modules.dep")?,
            &text("modules.builtin")?,
        ))
    }

    fn parse(dep: &str, builtin: &str) -> Self {
        let lines = dep.lines().filter_map(|line| line.split_once(':'));
        let files = lines.map(|(file, needed)| {
            let all = std::iter::once(file).chain(needed.split_whitespace());
            (name(file), all.map(str::to_owned).collect())
        });
        Self {
            files: files.collect(),
            builtin: builtin.lines().map(name).collect(),
        }
    }

    /// The name that this kernel has for a module.
    fn name_here(&self, module: &str) -> String {
        let new = name(module);
        let old = RENAMED.iter().find(|(other, _)| *other == new);
        match old.filter(|(_, old)| !self.files.contains_key(&new) && self.files.contains_key(*old))
        {
            Some((_, old)) => (*old).to_owned(),
            None => new,
        }
    }

    /// Lines for modprobe.d, by which modules have their present names in an older kernel.
    #[must_use]
    pub fn aliases(&self) -> String {
        let here = RENAMED.map(|(new, _)| (new, self.name_here(new)));
        let renamed = here.iter().filter(|(new, here)| new != here);
        renamed
            .map(|(new, here)| format!("alias {new} {here}\n"))
            .collect()
    }

    /// Whether the kernel has a module as a file.
    #[must_use]
    pub fn has(&self, module: &str) -> bool {
        self.files.contains_key(&name(module))
    }

    /// The files of `modules` and of all that they need, as paths in the folder. A module that is
    /// part of the kernel has none.
    ///
    /// # Errors
    /// Where the kernel has no such module.
    pub fn closure(&self, modules: &[&str]) -> Result<BTreeSet<&str>> {
        let mut closure = BTreeSet::new();
        for module in modules {
            match self.files.get(&self.name_here(module)) {
                Some(files) => closure.extend(files.iter().map(String::as_str)),
                None if self.builtin.contains(&name(module)) => {}
                None => bail!("this kernel has no module {module}, neither as a file nor built in"),
            }
        }
        Ok(closure)
    }
}

/// Modules by their names and the ones that they had in older kernels.
const RENAMED: [(&str, &str); 1] = [("bochs", "bochs_drm")];

/// A module's name from its path: `-` and `_` are the same to the kernel.
#[must_use]
pub fn name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "kernel/vfio/vfio.ko.xz:\n\
                       kernel/vfio/vfio-pci-core.ko.xz: kernel/vfio/vfio.ko.xz\n\
                       kernel/vfio/vfio-pci.ko.xz: kernel/vfio/vfio-pci-core.ko.xz kernel/vfio/vfio.ko.xz\n\
                       kernel/net/e1000.ko.xz:\n";

    #[test]
    fn a_module_brings_what_it_needs() {
        let index = Index::parse(DEP, "kernel/tty/serial/8250_pci.ko\n");
        let closure = index.closure(&["vfio_pci", "8250-pci"]).unwrap();
        assert_eq!(
            closure.into_iter().collect::<Vec<_>>(),
            [
                "kernel/vfio/vfio-pci-core.ko.xz",
                "kernel/vfio/vfio-pci.ko.xz",
                "kernel/vfio/vfio.ko.xz"
            ]
        );
    }

    #[test]
    fn a_module_may_have_an_older_name() {
        let index = Index::parse("kernel/drm/bochs-drm.ko:\n", "");
        let closure = index.closure(&["bochs"]).unwrap();
        assert!(closure.contains("kernel/drm/bochs-drm.ko"));
        assert_eq!(index.aliases(), "alias bochs bochs_drm\n");
        assert_eq!(Index::parse("kernel/drm/bochs.ko:\n", "").aliases(), "");
    }

    #[test]
    fn a_module_that_is_not_there_is_named() {
        let error = Index::parse(DEP, "")
            .closure(&["e1000", "e100"])
            .unwrap_err();
        assert!(error.to_string().contains("module e100,"), "{error}");
    }
}
