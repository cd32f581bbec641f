//! Of the files of boot loaders the lines with the words for the kernel; passwords of menus are none of them.

use super::files::lines;
use super::taker::Taker;

/// Takes them.
pub(super) fn take(taker: &mut Taker<'_>) {
    let mut shell = vec![
        "etc/default/grub".to_owned(),
        "etc/default/limine".to_owned(),
        "etc/limine-entry-tool.d/90-vfio-bind.conf".to_owned(),
        "etc/sdboot-manage.conf".to_owned(),
        "etc/u-boot-menu/conf.d/vfio-bind.conf".to_owned(),
        "etc/zipl.conf".to_owned(),
    ];
    let directory = "etc/default/grub.d";
    shell.extend(
        taker
            .names(directory)
            .iter()
            .map(|name| format!("{directory}/{name}")),
    );
    for path in shell {
        lines(taker, &path, |taker, line| {
            let keys = [
                "GRUB_CMDLINE_LINUX",
                "KERNEL_CMDLINE",
                "LINUX_OPTIONS",
                "U_BOOT_PARAMETERS",
                "parameters",
            ];
            let line = line.trim();
            let is_one = keys.iter().any(|key| line.starts_with(key));
            let (key, value) = line.split_once('=').filter(|_| is_one)?;
            let value = value.trim().trim_matches(['"', '\'']);
            Some(format!("{key}=\"{}\"", taker.disguise.command_line(value)))
        });
    }
    let mut plain = vec!["etc/kernel/cmdline".to_owned()];
    for directory in ["etc/cmdline.d", "etc/kernel/cmdline.d"] {
        plain.extend(
            taker
                .names(directory)
                .iter()
                .map(|name| format!("{directory}/{name}")),
        );
    }
    for path in plain {
        lines(taker, &path, |taker, line| {
            match line.trim_start().starts_with('#') {
                true => Some(String::new()),
                false => Some(taker.disguise.command_line(line)),
            }
        });
    }
    let mut menus = vec![
        "boot/grub/grub.cfg".to_owned(),
        "boot/grub2/grub.cfg".to_owned(),
    ];
    for name in taker.names("boot/efi/EFI") {
        menus.push(format!("boot/efi/EFI/{name}/grub.cfg"));
    }
    for directory in [
        "boot/loader/entries",
        "boot/efi/loader/entries",
        "efi/loader/entries",
    ] {
        menus.extend(
            taker
                .names(directory)
                .iter()
                .map(|name| format!("{directory}/{name}")),
        );
    }
    for path in menus {
        lines(taker, &path, |taker, line| {
            let (command, rest) = line.trim().split_once(char::is_whitespace)?;
            let rest = rest.trim();
            match command {
                "linux" | "linux16" | "linuxefi" | "initrd" => {
                    let (file, line) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                    let file = taker.disguise.names(file);
                    let line = taker.disguise.command_line(line);
                    Some(format!("\t{command} {file} {line}").trim_end().to_owned())
                }
                "options" => Some(format!("options {}", taker.disguise.command_line(rest))),
                _ => None,
            }
        });
    }
    lines(taker, "boot/refind_linux.conf", |taker, line| {
        let options = line.split('"').nth(3)?;
        Some(format!(
            "\"Linux\" \"{}\"",
            taker.disguise.command_line(options)
        ))
    });
    for path in [
        "boot/limine.conf",
        "boot/limine/limine.conf",
        "boot/EFI/limine/limine.conf",
        "boot/extlinux/extlinux.conf",
        "boot/syslinux/syslinux.cfg",
    ] {
        lines(taker, path, |taker, line| {
            let line = line.trim();
            let keys = ["cmdline:", "kernel_cmdline:", "append ", "APPEND "];
            let key = keys.iter().find(|key| line.starts_with(*key))?;
            let rest = line.strip_prefix(key)?.trim();
            Some(format!("{key} {}", taker.disguise.command_line(rest)))
        });
    }
}
