#!/bin/bash
# shellcheck disable=SC2154  # moddir, initdir and systemdsystemunitdir are dracut's.
# The agent in a dracut image. Written for dracut 059 and dracut-ng 10x.

agent=/usr/bin/vfio-bind-agent

# What does not pass here ends the build, for dracut.conf.d asks for this module by name.
check() {
    local program

    for program in "$agent" modprobe; do
        if ! find_binary "$program" &> /dev/null; then
            derror "vfio-bind: $program is not there, and no image is built without it: install it, or" \
                "remove 50-vfio-bind.conf from dracut.conf.d"
            return 1
        fi
    done
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
    # For the IOMMU of a virtual machine.
    hostonly='' instmods -s virtio_pci virtio_iommu
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

# What this system asks for beside the kernel command line. An image for any machine, or for the day on
# which this one does not come up, must not take what was asked for on the day that it was made: those are
# called for by --no-hostonly. A configuration without hostonly, as Debian's, is no such wish.
vfio_bind_policy() {
    local conf found=()

    [[ ! -e ${dracutsysrootdir-}/etc/vfio-bind/policy.conf ]] || found=(/etc/vfio-bind/policy.conf)
    for conf in "${dracutsysrootdir-}"/{usr/lib,usr/local/lib,etc}/modprobe.d/*.conf; do
        if grep -Eqs '^[[:space:]]*options[[:space:]]+vfio[-_]pci' "$conf"; then
            found+=("${conf#"${dracutsysrootdir-}"}")
        fi
    done
    ((${#found[@]})) || return 0
    if [[ ${hostonly_l-} == no && ${vfio_bind_policy-} != yes ]]; then
        dwarn "vfio-bind: a generic image (--no-hostonly): it protects what this system boots from, but" \
            "does not carry ${found[*]}, and takes what the kernel command line names;" \
            "vfio_bind_policy=yes in dracut.conf.d makes it carry them"
        return 0
    fi
    inst_multiple "${found[@]}"
    # What is wrong in it costs a boot.
    conf=${dracutsysrootdir-}/etc/vfio-bind/policy.conf
    if [[ -e $conf && -x /usr/bin/vfio-bind ]]; then
        while read -r conf; do
            dwarn "vfio-bind: $conf"
        done < <(/usr/bin/vfio-bind check "$conf")
    fi
}

install() {
    inst_multiple "$agent" modprobe
    vfio_bind_policy
    vfio_bind_protected

    # For a root that does not appear. The queue then waits anew.
    inst_hook initqueue/timeout 10 "$moddir/give-back.sh"
    if dracut_module_included "systemd"; then
        # dracut orders its own hooks too late for this: systemd-modules-load does not wait for them.
        if ! inst_simple "$systemdsystemunitdir/vfio-bind.service"; then
            dfatal "vfio-bind: install($systemdsystemunitdir/vfio-bind.service): not there; the" \
                "image would not run the agent. Install the unit."
            exit 1
        fi
        $SYSTEMCTL -q --root "$initdir" add-wants sysinit.target vfio-bind.service
        inst_simple "$systemdsystemunitdir/vfio-bind-give-back.service"
        $SYSTEMCTL -q --root "$initdir" add-wants emergency.target vfio-bind-give-back.service
        # The queue above runs only where a module asks for it; and dracut's systemd waits for a root
        # device without an end.
        inst_simple "$systemdsystemunitdir/vfio-bind-root.target"
        $SYSTEMCTL -q --root "$initdir" add-wants sysinit.target vfio-bind-root.target
        if dracut_module_included "dracut-systemd"; then
            mkdir -p "$initdir$systemdsystemunitdir/vfio-bind-root.target.d"
            # Two thirds of the 180 s that the queue waits.
            printf '[Unit]\nJobTimeoutSec=120\n' \
                > "$initdir$systemdsystemunitdir/vfio-bind-root.target.d/50-dracut.conf"
        fi
    else
        # The first of the first hooks: forced drivers are loaded by the second.
        inst_hook cmdline 00 "$moddir/vfio-bind.sh"
    fi
}
