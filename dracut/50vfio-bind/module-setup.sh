#!/bin/bash
# shellcheck disable=SC2154  # moddir, initdir and systemdsystemunitdir are dracut's.
# The agent in a dracut image. Written for dracut 059 and dracut-ng 10x.

agent=/usr/bin/vfio-bind-agent

# What does not pass here ends the build, for dracut.conf.d asks for this module by name.
check() {
    require_binaries "$agent" modprobe || return 1
    # Opt-in: dracut.conf.d/50-vfio-bind.conf.
    return 255
}

depends() {
    return 0
}

installkernel() {
    # In hostonly mode dracut leaves out what no device uses yet. A module that this kernel has
    # built in, or under another name, is no error.
    hostonly='' instmods -s vfio vfio_iommu_type1 vfio_virqfd vfio_pci_core vfio_pci
    # For the IOMMU of a virtual machine, and for groups that come with the first driver.
    hostonly='' instmods -s virtio_pci virtio_iommu pci_stub
}

# The controllers that this system boots from, for the agent to leave alone. Without the list it takes
# no storage but what is named one by one.
vfio_bind_protected() {
    local command=/usr/bin/vfio-bind conf=$initdir/etc/vfio-bind/protected.conf why

    if [[ ${dracutsysrootdir-} ]]; then
        why="that of a system in $dracutsysrootdir is not known here"
    elif [[ ! -x $command ]]; then
        why="$command is not installed"
    else
        mkdir -p "${conf%/*}"
        "$command" protected > "$conf" && return
        rm -f "$conf"
        why="'$command protected' failed"
    fi
    dwarn "vfio-bind: the image does not protect the boot disk, as it has no list: $why. What" \
        "stores (PCI class 01) will be taken only where vfio.bind= names it by address, path, slot" \
        "or serial number; an image that the running system builds, with $command installed, has" \
        "the list"
}

install() {
    local conf

    inst_multiple "$agent" modprobe
    inst_multiple -o /etc/vfio-bind/policy.conf
    vfio_bind_protected
    for conf in "${dracutsysrootdir-}"/{usr/lib,usr/local/lib,etc}/modprobe.d/*.conf; do
        if grep -Eqs '^[[:space:]]*options[[:space:]]+vfio[-_]pci' "$conf"; then
            inst_simple "${conf#"${dracutsysrootdir-}"}"
        fi
    done

    if dracut_module_included "systemd"; then
        # dracut orders its own hooks too late for this: systemd-modules-load does not wait for them.
        if ! inst_simple "$systemdsystemunitdir/vfio-bind.service"; then
            dfatal "vfio-bind: install($systemdsystemunitdir/vfio-bind.service): not there; the" \
                "image would not run the agent. Install the unit."
            exit 1
        fi
        $SYSTEMCTL -q --root "$initdir" add-wants sysinit.target vfio-bind.service
    else
        # The first of the first hooks: forced drivers are loaded by the second.
        inst_hook cmdline 00 "$moddir/vfio-bind.sh"
    fi
}
