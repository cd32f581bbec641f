//! What is done in a system, a command after another: what docs/install.md says, where nothing else is said.

/// Files in their places.
pub const LAY: &str = "cp -r --no-preserve=ownership target/install/. /";
/// The words for GRUB.
pub const GRUB_WORDS: &str = "\
echo 'GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT vfio.bind=0000:42:00.0\"' |
    tee /etc/default/grub.d/vfio-bind.cfg
update-grub";
/// What was booted, for systemd-boot.
pub const ENTRY_LINE: &str =
    "tr ' ' '\\n' </proc/cmdline | grep -v '^initrd=' | paste -sd ' ' | tee /etc/kernel/cmdline";
/// The words for it.
pub const ENTRY_WORDS: &str = "sed -i 's/$/ vfio.bind=0000:42:00.0/' /etc/kernel/cmdline";
/// The image; with systemd-boot its entry, too.
pub const REBUILD: &str = "update-initramfs -u";
/// The words of GRUB taken out.
pub const NO_GRUB_WORDS: &str = "rm /etc/default/grub.d/vfio-bind.cfg\nupdate-grub";
/// The words of systemd-boot taken out.
pub const NO_ENTRY_WORDS: &str = "sed -i 's/ vfio\\.bind=[^ ]*//g' /etc/kernel/cmdline";
/// The files taken away.
pub const NO_FILES: [&str; 2] = [
    "(cd target/install && find . ! -type d) | (cd / && xargs rm -f)",
    "rm -rf /etc/vfio-bind /var/lib/vfio-bind /usr/lib/dracut/modules.d/50vfio-bind",
];

/// An archive where GRUB finds it, or kernel-install's plugin.
pub const ARCHIVE: &str = "cp vfio-bind.img /boot/";
/// That archive and its words, for GRUB.
pub const GRUB_ARCHIVE: &str = "\
tee /etc/default/grub.d/vfio-bind.cfg <<'END'
GRUB_EARLY_INITRD_LINUX_CUSTOM=\"$GRUB_EARLY_INITRD_LINUX_CUSTOM vfio-bind.img\"
GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT rdinit=/usr/bin/vfio-bind-agent vfio.bind=0000:42:00.0\"
END
update-grub";
/// An archive and its words in an entry of systemd-boot.
pub const ENTRY_ARCHIVE: &str = "\
cp vfio-bind.img /boot/efi/
entry=$(ls /boot/efi/loader/entries/*-$(uname -r).conf)
echo 'initrd /vfio-bind.img' | tee -a $entry
sed -i 's|^options.*|& rdinit=/usr/bin/vfio-bind-agent vfio.bind=0000:42:00.0|' $entry";
/// An archive in each entry that kernel-install writes.
pub const PLUGIN: &str = "\
tee /etc/kernel/install.d/80-vfio-bind.install <<'END'
#!/bin/sh
[ \"$1\" != add ] || cp /boot/vfio-bind.img \"$KERNEL_INSTALL_STAGING_AREA/initrd-vfio-bind.img\"
END
chmod +x /etc/kernel/install.d/80-vfio-bind.install";
/// The archive taken away from GRUB, when its words are gone.
pub const NO_ARCHIVE: &str = "rm /boot/vfio-bind.img";
/// The archive and its words taken away from systemd-boot.
pub const NO_ENTRY_ARCHIVE: &str = "\
sed -i 's/ rdinit=[^ ]*//' /etc/kernel/cmdline
rm -f /etc/kernel/install.d/80-vfio-bind.install /boot/efi/*/*/initrd-vfio-bind.img /boot/efi/vfio-bind.img";

/// What the archive leaves alone is what this machine says of itself; the documents do not compare.
pub const SAME_LIST: &str = "\
target/install/usr/bin/vfio-bind protected >told.conf
cut -d'#' -f1 told.conf | diff --ignore-space-change protected.conf -";
/// What a person types in GRUB's menu, written into it: an archive behind the image.
pub const TYPED: &str = "\
sed -i 's|^initrd.*|& /boot/vfio-bind.img|' /boot/grub/grub.cfg
sed -i 's|^linux.*|& rdinit=/usr/bin/vfio-bind-agent vfio.bind=0000:42:00.0|' /boot/grub/grub.cfg";

/// Prints what is left, in the system and in the image.
pub const LEFT: [&str; 3] = [
    "find / /boot/efi -xdev -name '*vfio-bind*' ! -path '/root/*' ! -path '/proc/*'",
    "lsinitramfs /boot/initrd.img-$(uname -r) | grep vfio-bind || :",
    "grep -oE '(vfio|rdinit)[^ ]*' /proc/cmdline || :",
];

/// GRUB as its installation leaves it: the menu of the first boot is a few lines of the laboratory.
pub const MENU: &str = "grub-editenv /boot/grub/grubenv create\nupdate-grub";
/// Asks for the next boot only.
pub const TRY: &str = "vfio-bind setup --try --yes 42:00.0";
/// What was tried becomes what is.
pub const KEEP: &str = "vfio-bind setup --keep --yes";
/// The package.
pub const INSTALL: &str = "dpkg --install vfio-bind.deb";
/// No more of it, nor of what it was told.
pub const PURGE: &str = "dpkg --purge vfio-bind";
/// Every file, link and folder, with what each is. An image is made anew, with other times: what is in it counts.
pub const SUMS: &str = "\
cat >/root/sums.sh <<'END'
list() {
    find \"$@\" -xdev ! -name 'initrd.img*' -printf '%p %y %m %l\\n' | sort
    find \"$@\" -xdev -type f ! -name 'initrd.img*' -print0 | sort -z | xargs -0 md5sum
}
cd /
list etc boot boot/efi usr
unmkinitramfs boot/initrd.img-$(uname -r) root/image
cd root/image
list .
rm -r /root/image
END
sh -e /root/sums.sh >/root/before";
/// What is different since then.
pub const DIFFERENCE: &str = "sh -e /root/sums.sh >/root/after\ndiff /root/before /root/after || :";
/// Asks for every boot.
pub const SET: &str = "vfio-bind setup --yes 42:00.0";
/// Whether this boot did as asked.
pub const STATUS: &str = "vfio-bind status";
/// Takes it out.
pub const UNDO: &str = "vfio-bind setup --undo --yes";
/// The owner writes something of his own behind ours, for GRUB.
pub const GRUB_NOTE: &str = "echo '# a note of the owner' >>/etc/default/grub";
/// And for kernel-install.
pub const ENTRY_NOTE: &str =
    "sed -i 's/ mitigations=off/ mitigations=off quiet/' /etc/kernel/cmdline";
/// Which is there still; and prints what else is.
pub const GRUB_NOTE_STAYS: [&str; 2] = [
    "grep -qx '# a note of the owner' /etc/default/grub",
    "grep -rs vfio /etc/default /boot/grub/grub.cfg /boot/grub/custom.cfg || :",
];
/// And there.
pub const ENTRY_NOTE_STAYS: [&str; 2] = [
    "grep -q ' quiet' /etc/kernel/cmdline",
    "grep -rs vfio /etc/kernel /boot/efi/loader || :",
];
