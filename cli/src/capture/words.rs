//! Texts of a system with nothing personal left in them.
//!
//! Of what people choose (mount points, labels, values of the command line) only words are kept that are known to
//! be everybody's. Of what programs write (records, policies) whatever looks like a number of one machine is
//! replaced, and every word that was replaced elsewhere.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::disguise::{Disguise, Kind};

/// Words of mounts, tables and boot loaders that are everybody's.
const COMMON: &str = " 9p _netdev addr afs autofs aufs auto binfmt_misc bind bcachefs boot bpf btrfs bus by-id \
    by-label by-partlabel by-partuuid by-path by-uuid cache ceph cgroup cgroup2 cifs class commit compress \
    compress-force configfs conf.d console data debugfs default defaults dev devices devpts devtmpfs disk driver \
    drivers driver_override dm dump efi efivarfs errors erofs esp etc exec ext2 ext3 ext4 f2fs fat fd file \
    fmask fs fstab fuse fuse.lxcfs fuseblk gid group header hid home hugetlbfs initrd initrd.img initramfs \
    initramfs.img initramfs-linux.img intremap iocharset iso9660 kernel keyfile key lib lib64 linux lo local \
    logdev lost+found lowerdir lowerdir+ luks luks1 luks2 lz4 mapper master media mergerfs mnt mode modprobe.d \
    modules mount_tag mqueue nbd net nfs nfs4 nfsd noatime noauto nobarrier nodev nodiratime noexec nofail none \
    norecovery nosuid noswap ntfs ntfs3 opt ordered overlay partition pass path pci pcieport pid plain pri proc \
    propagate_from pstore quiet quota random ramfs rbd redirect_dir relatime remount-ro rd rd.luks read-only reset \
    resume ro root rootfs rpc_pipefs rpool rtdev run rw sbin securityfs selinuxfs self seclabel shared shm size \
    slave smb3 snap space_cache squashfs srv ssd state subvol subvolid swap swapfile sync sys sysfs sysroot system \
    systemd-1 tag tcp tmp tmpfs tracefs trans udev udf uid umask unbindable unreachable upperdir urandom usr utf8 \
    var version vers vfat vfio vfio-bind vfio-pci virtio virtio_fs virtiofs vmlinuz vmlinuz-linux wheel workdir x \
    pts ptmxmode hidepid cpu cpuset memory cgroup/unified unified docker overlay2 containers lxc flatpak snapd \
    x-initrd.mount x-systemd.automount x-systemd.device-timeout xfs zfs zpool zram zstd discard async lazytime \
    inode64 noquota logbufs logbsize attr2 shortname mixed codepage stripe data=ordered barrier acl user_xattr \
    dax nr_inodes nofail noload journal_path journal_dev PARTUUID UUID LABEL PARTLABEL ID EFI Linux BOOT GRUB \
    true false bin sh echo sbin/modprobe modprobe ignore-install and or the of in to is a it not protected \
    through file-system volume pool ";

/// Words of policies, of modprobe.d and of the agent's messages: a folder may be called so, and they stay all the same.
const GRAMMAR: &str = " bind group driver onfail protect unprotected sriov set force dry_run endpoints strict listed auto \
    native hold off class dsn slot label acpi vf reset_method d3cold_allowed ids options blacklist softdep install \
    pre post remove alias weakdep vfio pci iommu intel amd vfio_pci vfio_iommu_type1 intel_iommu amd_iommu function \
    functions device devices bound refused kernel boot display image memory nothing written ";

/// Bare words of a kernel command line that are everybody's, and names whose values are.
const KEPT: &str = " quiet splash ro rw nomodeset debug single rescue emergency rhgb nosmt noapic nolapic noacpi \
    maybe-ubiquity nointremap intel_iommu amd_iommu iommu intremap pci pcie_acs_override pcie_aspm pcie_ports \
    pcie_port_pm video console earlycon earlyprintk loglevel nokaslr mitigations hugepages hugepagesz \
    default_hugepagesz isolcpus nohz_full rcu_nocbs transparent_hugepage mem memmap swiotlb maxcpus nr_cpus \
    noresume nowatchdog fbcon vga panic oops net.ifnames biosdevname apparmor selinux security lockdown audit \
    zswap.enabled plymouth.enable systemd.show_status rd.udev.log_level udev.log_level systemd.unified_cgroup_hierarchy \
    amd_pstate intel_pstate intel_idle.max_cstate processor.max_cstate acpi acpi_osi acpi_enforce_resources \
    clocksource tsc nvme_core.default_ps_max_latency_us elfcorehdr crashkernel threadirqs preempt split_lock_detect \
    kvm.ignore_msrs kvm_intel.nested kvm_amd.nested kvm.nested initcall_blacklist module_blacklist modprobe.blacklist \
    rd.driver.blacklist rd.driver.pre efifb rd.systemd.show_status bgrt_disable cma numa_balancing -- ";

/// Names whose values name disks and files.
const PLACES: &str = " root resume BOOT_IMAGE initrd rootflags rootfstype init rdinit systemd.unit cryptdevice \
    cryptkey rd.luks.uuid rd.luks.name rd.luks.key rd.luks.options rd.lvm.lv rd.lvm.vg rd.md.uuid rd.zfs luks.uuid \
    luks.name luks.data luks.key luks.options zfs resume_offset mount.usr mount.usrfstype rootwait \
    systemd.verity_root_data systemd.verity_root_hash systemd.verity_usr_data systemd.verity_usr_hash ostree \
    boot subvol rd.luks rd.auto ";

fn is_listed(list: &str, word: &str) -> bool {
    !word.is_empty() && list.split_ascii_whitespace().any(|one| one == word)
}

/// A text in which each run of letters that are part of a word is replaced, and what is between them stays.
fn with_runs(
    text: &str,
    is_part: impl Fn(char) -> bool,
    mut replace: impl FnMut(&str) -> String,
) -> String {
    let mut new = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest
            .find(|c: char| is_part(c) != is_part(first))
            .unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        match is_part(first) {
            true => new.push_str(&replace(run)),
            false => new.push_str(run),
        }
        rest = after;
    }
    new
}

impl Disguise {
    /// A text that a program wrote, in which numbers of one machine may stand, and words that were replaced.
    pub fn text(&mut self, text: &str) -> String {
        let new = self.numbers(text);
        self.replaced_elsewhere(&new)
    }

    /// The same without the words: for names that have a meaning to programs.
    pub fn numbers(&mut self, text: &str) -> String {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-:._".contains(c);
        with_runs(text, is_part, |run| self.run(run))
    }

    /// A run of letters, digits and what numbers are written with.
    fn run(&mut self, run: &str) -> String {
        // A sentence may end behind it.
        let word = run.trim_end_matches(['.', ':', '-']);
        let tail = run.get(word.len()..).unwrap_or_default();
        let pairs = |between: char, count: usize| {
            let parts: Vec<_> = word.split(between).collect();
            let is_pair =
                |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
            parts.len() == count && parts.iter().all(is_pair)
        };
        // `dsn:`, `mac:`: what it is, then the number.
        if let Some((front, rest)) = word.split_once(':')
            && front
                .bytes()
                .any(|byte| byte.is_ascii_alphabetic() && !byte.is_ascii_hexdigit())
        {
            return format!("{}:{}{tail}", self.parts(front), self.run(rest));
        }
        let new = if is_uuid(word) || is_long_hex(word) {
            self.word(Kind::Uuid, word)
        } else if pairs(':', 6) || pairs('-', 6) {
            self.mac(word)
        } else if pairs('-', 8) {
            self.word(Kind::Serial, word)
        } else if let Ok(address) = word.parse::<Ipv4Addr>() {
            self.ipv4(address).to_string()
        } else if let Ok(address) = word.parse::<Ipv6Addr>() {
            self.ipv6(address).to_string()
        } else if let Some((front, digits)) = word.split_at_checked(3)
            && ["enx", "wlx", "wwx", "slx"].contains(&front)
            && digits.len() == 12
            && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            format!("{front}{}", self.mac(digits))
        } else if let Some(number) = word.strip_prefix("nqn.") {
            format!("nqn.{}", self.word(Kind::Serial, number))
        } else {
            // Of `lvm-uuid-ABC`, `0x5002538f` or `UUID.conf` a part may be a number of this machine.
            return self.parts(word) + tail;
        };
        new + tail
    }

    fn parts(&mut self, word: &str) -> String {
        if let Some(at) = (0..word.len().saturating_sub(35))
            .find(|at| word.get(*at..at + 36).is_some_and(is_uuid))
        {
            let (front, rest) = word.split_at(at);
            let (uuid, behind) = rest.split_at(36);
            return format!("{front}{}{}", self.word(Kind::Uuid, uuid), self.run(behind));
        }
        let pieces = word.split_inclusive(['-', '.', ':', '_']);
        let pieces = pieces.map(|piece| {
            let bare = piece.trim_end_matches(['-', '.', ':', '_']);
            let rest = piece.get(bare.len()..).unwrap_or_default();
            let number = bare.strip_prefix("0x").filter(|digits| digits.len() >= 16);
            match (is_long_hex(bare), number) {
                (true, _) => self.word(Kind::Uuid, bare) + rest,
                (_, None) if bare.len() == 16 && bare.bytes().all(|b| b.is_ascii_hexdigit()) => {
                    self.word(Kind::Serial, bare) + rest
                }
                // A world-wide name.
                (_, Some(digits)) if digits.trim_start_matches('0').len() > 12 => {
                    format!("0x{}{rest}", self.word(Kind::Serial, digits))
                }
                _ => piece.to_owned(),
            }
        });
        pieces.collect()
    }

    /// Sees to it that a word is replaced wherever it stands as one, unless it is everybody's.
    pub fn plant(&mut self, kind: Kind, word: &str) {
        let word = word.trim();
        if word.len() >= 3 && !is_listed(COMMON, word) && !is_listed(KEPT, word) {
            self.word(kind, word);
        }
    }

    /// Puts in what stands for the words that were replaced before, where they stand as words.
    pub fn replaced_elsewhere(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (old, new) in self.known() {
            // A short number is more likely another one.
            let is_number = old.bytes().all(|byte| byte.is_ascii_hexdigit());
            let least = if is_number { 8 } else { 3 };
            if old.len() < least || !text.contains(old) || is_listed(GRAMMAR, old) {
                continue;
            }
            let mut whole = String::with_capacity(text.len());
            let mut rest = text.as_str();
            while let Some(at) = rest.find(old) {
                let (front, found) = rest.split_at(at);
                let behind = found.get(old.len()..).unwrap_or_default();
                let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
                let before = whole.chars().chain(front.chars()).next_back();
                whole.push_str(front);
                let alone = !is_word(before) && !is_word(behind.chars().next());
                whole.push_str(if alone { new } else { old });
                rest = behind;
            }
            whole.push_str(rest);
            text = whole;
        }
        text
    }

    /// A text of names and paths that people chose: what is not everybody's is replaced.
    pub fn names(&mut self, text: &str) -> String {
        let is_part = |c: char| c.is_alphanumeric() || "_.+@-\\".contains(c);
        with_runs(text, is_part, |run| self.name(run))
    }

    /// One name.
    pub fn name(&mut self, name: &str) -> String {
        let lower = name.to_ascii_lowercase();
        if is_listed(COMMON, name) || is_device(&lower) || is_place(&lower) {
            return name.to_owned();
        }
        if let Ok(address) = name.parse::<Ipv4Addr>() {
            return self.ipv4(address).to_string();
        }
        let kernel = ["vmlinuz-", "initrd.img-", "initramfs-", "config-"];
        let release = |name: &str| name.starts_with(|c: char| c.is_ascii_digit());
        if kernel
            .iter()
            .any(|front| name.strip_prefix(front).is_some_and(release))
        {
            return name.to_owned();
        }
        let kind = if is_uuid(name) || is_long_hex(name) {
            Kind::Uuid
        } else {
            Kind::Name
        };
        self.word(kind, name)
    }

    /// A kernel command line.
    pub fn command_line(&mut self, line: &str) -> String {
        let mut quoted = false;
        let words = line.split(|c: char| {
            quoted ^= c == '"';
            c.is_whitespace() && !quoted
        });
        let words: Vec<_> = words.map(|word| self.parameter(word)).collect();
        words.join(" ")
    }

    /// One word of a command line.
    pub fn parameter(&mut self, word: &str) -> String {
        let Some((name, value)) = word.split_once('=') else {
            return match is_listed(KEPT, word) || is_listed(COMMON, word) || is_ours(word) {
                true => word.to_owned(),
                // A shell's or a loader's variable.
                false if word.starts_with('$') => word.to_owned(),
                false => self.word(Kind::Value, word),
            };
        };
        let plain = [
            "0", "1", "on", "off", "yes", "no", "y", "n", "Y", "N", "auto", "none", "force", "pt",
        ];
        // Who says `vfio` is meant by us; a name without a module is nobody's secret.
        let new = if is_ours(name) || is_listed(KEPT, name) {
            self.text(value)
        } else if is_listed(PLACES, name) {
            self.names(value)
        } else if plain.contains(&value) {
            value.to_owned()
        } else {
            self.word(Kind::Value, value)
        };
        format!("{name}={new}")
    }
}

fn is_ours(name: &str) -> bool {
    let name = name.replace('-', "_");
    let name = name
        .strip_prefix("rd.")
        .unwrap_or(&name)
        .trim_start_matches('"');
    ["vfio.", "vfio_pci.", "vfio_iommu_type1.", "iommu."]
        .iter()
        .any(|front| name.starts_with(front))
}

/// 8-4-4-4-12 digits.
fn is_uuid(word: &str) -> bool {
    let parts: Vec<_> = word.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12]
        && word
            .bytes()
            .all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// A machine's number, a LUKS UUID, a world-wide name.
fn is_long_hex(word: &str) -> bool {
    word.len() >= 24 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What the kernel calls disks, and numbers that are short.
fn is_device(name: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if digits(name) {
        return name.len() <= 8;
    }
    let fronts = [
        "nvme", "mmcblk", "dm-", "md", "zram", "loop", "sr", "nbd", "bcache", "pmem", "zd", "rbd",
        "tty", "hvc",
    ];
    let numbered = |rest: &str| {
        let mut parts = rest.split(['n', 'p', 's']);
        !rest.is_empty() && parts.all(digits)
    };
    if fronts
        .iter()
        .any(|front| name.strip_prefix(front).is_some_and(numbered))
    {
        return true;
    }
    let disks = ["sd", "vd", "hd", "xvd", "dasd"];
    disks.iter().any(|front| {
        let rest = name.strip_prefix(front).unwrap_or_default();
        let letters = rest.trim_end_matches(|c: char| c.is_ascii_digit());
        !letters.is_empty() && letters.len() <= 2 && letters.bytes().all(|b| b.is_ascii_lowercase())
    })
}

/// A part of a PCI address or path.
fn is_place(name: &str) -> bool {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match name.split_once('.') {
        Some((device, function)) => device.len() == 2 && is_number(device) && function.len() == 1,
        None => {
            name.len() <= 4 && is_number(name) && name.bytes().any(|byte| byte.is_ascii_digit())
        }
    }
}

/// The lines of a file of settings without their comments; as many as there were.
#[must_use]
pub fn without_comments(text: &str) -> String {
    let mut new = String::with_capacity(text.len());
    for line in text.lines() {
        let mut quoted = false;
        let mut blank = true;
        let end = line.char_indices().find(|(_, letter)| {
            let begins = *letter == '#' && blank && !quoted;
            quoted ^= *letter == '"';
            blank = letter.is_whitespace();
            begins
        });
        let end = end.map_or(line.len(), |(at, _)| at);
        new.push_str(line.get(..end).unwrap_or_default().trim_end());
        new.push('\n');
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_everybodys_stays() {
        let mut disguise = Disguise::default();
        for text in [
            "27 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw,errors=remount-ro",
            "/dev/sda1 /boot/efi vfat umask=0077 0 1",
        ] {
            assert_eq!(disguise.names(text), text);
        }
        for line in [
            "BOOT_IMAGE=/vmlinuz-6.1.0-18-amd64 root=/dev/sda1 ro quiet vfio.bind=0000:42:00.0@10de:1b80 vfio.force",
            "rd.vfio.bind=0000:00:1c.0/00.0 intel_iommu=on,igfx_off vfio-pci.ids=10de:1b80,10de:10f0 console=ttyS0,115200n8",
        ] {
            assert_eq!(disguise.command_line(line), line);
        }
        for text in [
            "0000:42:00.0: snd_hda_intel -> vfio-pci (vfio.bind=42:00.0); group 15 at 10de:1b80:1458:3702",
            "nvme0n1p2 through dm-0, pci10000:e0, 2.5 GT/s, v6.12.3-1 and 0x0000000023fc0000",
        ] {
            assert_eq!(disguise.text(text), text);
        }
    }

    #[test]
    fn what_is_not_everybodys_goes() {
        let mut disguise = Disguise::default();
        for (line, secrets) in [
            (
                "root=UUID=0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0 ro",
                vec!["0f1e2d3c"],
            ),
            (
                "ip=192.168.7.5::192.168.7.1:255.255.255.0:alicehost:eth0",
                vec!["192.168.7", "alicehost"],
            ),
            (
                "cryptdevice=/dev/alicevg/secret:croot token=hunter2 hunter3",
                vec!["alicevg", "hunter", "secret"],
            ),
            ("vfio.bind=dsn:00-11-22-ff-ff-33-44-55", vec!["11-22"]),
        ] {
            let new = disguise.command_line(line);
            for secret in secrets {
                assert!(!new.contains(secret), "{secret}: {new}");
            }
            assert!(new.contains('='), "{new}");
        }
        let host = disguise.word(Kind::Name, "alicehost");
        assert_eq!(
            disguise.text("on alicehost, not alicehosts"),
            format!("on {host}, not alicehosts")
        );
        for text in [
            "enx3c7c3f010203",
            "3c:7c:3f:01:02:03.",
            "wwn-0x5002538f31a0b1c2",
            "fe80::3e7c:3fff:fe01:203",
        ] {
            let new = disguise.text(text);
            assert!(
                !new.contains("3f01") && !new.contains("3f:01") && !new.contains("31a0"),
                "{new}"
            );
        }
    }

    #[test]
    fn comments_go_and_lines_stay() {
        let text = "# mine\nvfio.bind=42:00.0  # alice\nvfio.bind=\"label:a # b\"\n";
        assert_eq!(
            without_comments(text),
            "\nvfio.bind=42:00.0\nvfio.bind=\"label:a # b\"\n"
        );
    }
}
