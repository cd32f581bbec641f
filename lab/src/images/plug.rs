//! The script of an image that has a card plugged in.

use std::path::Path;

use anyhow::Result;
use qemu_tests::hotplug::{EARLY, LOADED, MODULES};

use super::tool::Tool;
use crate::files;

/// Has the images of a tool ask the host for a card where the command line says so, once udev has looked at
/// all that is there, and wait for it.
///
/// # Errors
/// Where it cannot be written.
pub fn add_script(tool: &Tool, root: &Path) -> Result<()> {
    // dracut reads its hooks into its own shell.
    let body = format!(
        "plug() {{
    card=
    for word in $(cat /proc/cmdline); do
        case $word in
        {LOADED}*) modprobe \"${{word#*=}}\" ;;
        {EARLY}*) card=${{word#*=}} ;;
        esac
    done
    [ -n \"$card\" ] || return 0
    echo \"<1>vfio-plug[add ${{card%@*}}]\" >/dev/kmsg
    for _ in $(seq 900); do
        [ ! -e \"/sys/bus/pci/devices/${{card#*@}}/config\" ] || break
        sleep 0.1
    done
    # The probe comes behind the event.
    sleep 1
    udevadm settle --timeout=60 || :
}}
plug
"
    );
    match tool {
        Tool::InitramfsTools(_) => {
            let place = root.join("etc/initramfs-tools/scripts/init-premount/plug");
            let script = format!("#!/bin/sh\n[ \"$1\" != prereqs ] || exit 0\n{body}");
            files::write(&place, script.as_bytes(), 0o755)
        }
        Tool::Dracut(..) => {
            const HOOK: &str = "usr/lib/dracut/hooks/pre-mount/plug.sh";
            files::write(&root.join(HOOK), body.as_bytes(), 0o755)?;
            let wanted = format!(
                "add_drivers+=\" {} \"\ninstall_items+=\" /{HOOK} /usr/bin/seq \"\n",
                MODULES.join(" ")
            );
            let place = root.join("etc/dracut.conf.d/plug.conf");
            files::write(&place, wanted.as_bytes(), 0o644)
        }
        _ => anyhow::bail!("{} has no such script", tool.name()),
    }
}
