//! EFI's partition of a system on a disk, as the packages of Debian leave it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use qemu_tests::installed::Loader;

use super::guest::MACHINE_ID;
use crate::files;
use crate::program;
use crate::system;

/// Where firmware looks for a loader.
const REMOVABLE: &str = "EFI/BOOT/BOOTX64.EFI";

/// What decides on it.
#[derive(Clone, Copy, Debug)]
pub struct Esp<'a> {
    /// What boots the system.
    pub loader: Loader,
    /// The system's files, with its kernel and its image in /boot.
    pub root: &'a Path,
    /// Its kernel.
    pub release: &'a str,
    /// The words of the kernel command line, besides those for the root.
    pub words: &'a str,
    /// Where files are made.
    pub folder: &'a Path,
}

impl Esp<'_> {
    /// Its files, by their places there: the loader, and what leads it on.
    ///
    /// # Errors
    /// Where one cannot be made.
    pub fn files(&self) -> Result<Vec<(String, PathBuf)>> {
        match self.loader {
            Loader::Grub => self.grub(),
            Loader::SystemdBoot => self.entry(),
            Loader::Unified => self.unified(),
        }
    }

    fn grub(&self) -> Result<Vec<(String, PathBuf)>> {
        let lead = "search.fs_label root root\nset prefix=($root)'/boot/grub'\n\
                    configfile $prefix/grub.cfg\n";
        let program = "usr/lib/grub/x86_64-efi/monolithic/grubx64.efi";
        Ok(vec![
            (REMOVABLE.to_owned(), self.root.join(program)),
            (
                "EFI/debian/grub.cfg".to_owned(),
                self.text("grub.cfg", lead)?,
            ),
        ])
    }

    fn systemd_boot(&self) -> Result<Vec<(String, PathBuf)>> {
        let folder = self.root.join("usr/lib/systemd/boot/efi");
        // The package with the stub of unified images has a loader of its own, and needs no signed one.
        let names = ["systemd-bootx64.efi.signed", "systemd-bootx64.efi"];
        let mut loaders = names.map(|name| folder.join(name)).into_iter();
        let loader = loaders
            .find(|path| path.is_file())
            .with_context(|| format!("{}: no systemd-boot there", folder.display()))?;
        Ok(vec![
            (REMOVABLE.to_owned(), loader.clone()),
            ("EFI/systemd/systemd-bootx64.efi".to_owned(), loader),
            (
                "loader/loader.conf".to_owned(),
                self.text("loader.conf", "timeout 0\n")?,
            ),
        ])
    }

    fn entry(&self) -> Result<Vec<(String, PathBuf)>> {
        let release = self.release;
        let folder = format!("{MACHINE_ID}/{release}");
        let image = format!("initrd.img-{release}");
        let entry = format!(
            "title Debian\nversion {release}\nlinux /{folder}/linux\n\
             initrd /{folder}/{image}\noptions {}\n",
            self.line()
        );
        let mut all = self.systemd_boot()?;
        all.extend([
            (
                format!("loader/entries/{MACHINE_ID}-{release}.conf"),
                self.text("entry.conf", &entry)?,
            ),
            (
                format!("{folder}/linux"),
                self.root.join(format!("boot/vmlinuz-{release}")),
            ),
            (
                format!("{folder}/{image}"),
                self.root.join("boot").join(image),
            ),
        ]);
        Ok(all)
    }

    fn unified(&self) -> Result<Vec<(String, PathBuf)>> {
        let release = self.release;
        let made = "tmp/unified.efi";
        let words = [
            "ukify".to_owned(),
            "build".to_owned(),
            format!("--linux=/boot/vmlinuz-{release}"),
            format!("--initrd=/boot/initrd.img-{release}"),
            format!("--uname={release}"),
            format!("--cmdline={}", self.line()),
            format!("--output=/{made}"),
        ];
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        program::output(&mut system::command(self.root, &words)?)
            .context("the first unified kernel image")?;
        let image = self.folder.join("unified.efi");
        std::fs::rename(self.root.join(made), &image)
            .with_context(|| format!("rename({made}, {})", image.display()))?;
        let mut all = self.systemd_boot()?;
        all.push((format!("EFI/Linux/{MACHINE_ID}-{release}.efi"), image));
        Ok(all)
    }

    /// The kernel command line.
    fn line(&self) -> String {
        format!("root=LABEL=root ro {}", self.words)
    }

    fn text(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        files::write(&path, text.as_bytes(), 0o644)?;
        Ok(path)
    }
}
