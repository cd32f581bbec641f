#!/bin/bash
# shellcheck disable=SC2154  # moddir, initdir, systemdsystemunitdir and others are dracut's.
# The agent in a dracut image. Written for dracut 059 and dracut-ng 10x.

check() {
    require_binaries vfio-bind-agent modprobe || return 1
    # Opt-in: dracut.conf.d/50-vfio-bind.conf asks for it.
    return 255
}

depends() {
    return 0
}

installkernel() {
    # In hostonly mode dracut leaves out what no device uses yet. A module that this kernel has
    # built in, or under another name, is no error to instmods.
    hostonly='' instmods vfio vfio_iommu_type1 vfio_virqfd vfio_pci_core vfio_pci
}

install() {
    inst_multiple vfio-bind-agent modprobe
    inst_multiple -o /etc/vfio-bind/policy.conf
    local conf
    for conf in "${dracutsysrootdir-}"/{usr/lib,etc}/modprobe.d/*.conf; do
        if grep -Eqs '^[[:space:]]*options[[:space:]]+vfio[-_]pci[[:space:]](.*[[:space:]])?ids=' "$conf"; then
            inst_simple "${conf#"${dracutsysrootdir-}"}"
            mkdir -p "$initdir/etc/vfio-bind"
            : > "$initdir/etc/vfio-bind/modprobe-ids"
        fi
    done
    if dracut_module_included "systemd"; then
        inst_simple "$systemdsystemunitdir/vfio-bind.service"
        $SYSTEMCTL -q --root "$initdir" add-wants sysinit.target vfio-bind.service
    else
        # The first of the first hooks: forced drivers are loaded before the last of them.
        inst_hook cmdline 00 "$moddir/vfio-bind.sh"
    fi
}
