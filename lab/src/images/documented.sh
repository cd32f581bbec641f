#!/bin/bash
# Our mkinitcpio hooks under mkinitcpio's documented functions, for machines that have no
# mkinitcpio. Runs in a system with everything installed; prints a line per thing that is wrong.
# shellcheck disable=SC2317  # the hook, read at run time, calls the functions.

install=/usr/lib/initcpio/install/vfio-bind
runtime=/usr/lib/initcpio/hooks/vfio-bind
agent=/usr/bin/vfio-bind-agent
command=/usr/bin/vfio-bind
status=0
calls=()

wrong() {
    printf '%s: expected %s, got %s\n' "$@"
    status=1
}

# Each function does as little as its documentation promises.
# It fails, and bash shows a RETURN trap the status before `return N`, not N.
error() { calls+=("error $*") && return 1; }
warning() { calls+=("warning $*"); }
add_binary() { calls+=("add_binary $*"); }
add_module() { calls+=("add_module $*"); }
add_dir() { mkdir -p "$BUILDROOT$1"; }
add_file() { calls+=("add_file $*") && [[ -f $1 ]]; }
add_symlink() { calls+=("add_symlink $*"); }
add_runscript() { mkdir -p "$BUILDROOT/hooks" && install -m755 "$runtime" "$BUILDROOT/hooks/"; }

# What mkinitcpio counts: functions called add_* that fail.
failed=0
set -o functrace
trap '(( $? )) && [[ ${FUNCNAME[0]} == add_* ]] && failed=1' RETURN

# shellcheck source=/dev/null
. "$install"
run_build() {
    calls=() failed=0 BUILDROOT=$(mktemp -d)
    if [[ ${1-} == after-udev ]]; then
        mkdir "$BUILDROOT/hooks" && : >"$BUILDROOT/hooks/udev"
    fi
    build
}
# expect_call CASE CALL: there is a call that starts so.
expect_call() {
    [[ " ${calls[*]}" == *" $2"* ]] || wrong "$1" "$2" "${calls[*]}"
}

run_build
(( failed == 0 )) || wrong 'a whole installation' 'success' "${calls[*]}"
for call in "add_binary $agent" 'add_binary modprobe' 'add_module vfio_pci?' \
    'add_module vfio_iommu_type1?' 'add_module virtio_iommu?' 'add_file /usr/lib/systemd/system/vfio-bind.service' \
    'add_symlink /usr/lib/systemd/system/sysinit.target.wants/vfio-bind.service'; do
    expect_call 'a whole installation' "$call"
done
[[ " ${calls[*]}" != *policy.conf* ]] || wrong 'no policy' 'no policy.conf' "${calls[*]}"

# expect_protected CASE: the list is as the command printed it, and nothing was said of it.
expect_protected() {
    [[ $("$command" protected) == "$(<"$BUILDROOT/etc/vfio-bind/protected.conf")" ]] ||
        wrong "$1" 'what the command printed' 'something else'
    [[ " ${calls[*]}" != *warning* ]] || wrong "$1" 'no warning' "${calls[*]}"
}
# expect_unprotected CASE: a warning, no list, and a build that succeeds.
expect_unprotected() {
    (( failed == 0 )) || wrong "$1" 'success' "${calls[*]}"
    expect_call "$1" 'warning vfio-bind: the image does not protect the boot disk'
    [[ ! -e $BUILDROOT/etc/vfio-bind/protected.conf ]] || wrong "$1" 'no list' 'one'
}

expect_protected 'a whole installation'
mv "$command" "$command.away"
run_build
expect_unprotected 'without the command'
printf '#!/bin/sh\necho half\nexit 1\n' >"$command" && chmod 755 "$command"
run_build
expect_unprotected 'a command that fails'
mv "$command.away" "$command"

mkdir -p /etc/vfio-bind /etc/modprobe.d
echo 'vfio.bind=1234:1111' >/etc/vfio-bind/policy.conf
echo 'options vfio-pci ids=1234:1111' >/etc/modprobe.d/vfio.conf
run_build
expect_call 'a policy' 'add_file /etc/vfio-bind/policy.conf'
expect_call 'modprobe.d' 'add_file /etc/modprobe.d/vfio.conf'
expect_protected 'a policy and modprobe.d'
echo 'vfio.bnid=1234:1111' >>/etc/vfio-bind/policy.conf
run_build
expect_call 'a mistake' 'warning vfio-bind: %s /etc/vfio-bind/policy.conf:2: vfio.bnid is no parameter'
sed -i '$d' /etc/vfio-bind/policy.conf

# Not documented: the order of early hooks. Without it, a wrong place fails the build.
run_build after-udev
(( failed )) || wrong 'behind udev' 'a build that fails' 'success'
expect_call 'behind udev' "error HOOKS: 'udev'"
declare -A _runhooks=([early]=' udev vfio-bind lvm2')
run_build after-udev
(( failed == 0 )) || wrong 'behind udev, with a list' 'success' "${calls[*]}"
read -ra order <<<"${_runhooks[early]}"
[[ ${order[*]} == 'vfio-bind udev lvm2' ]] ||
    wrong 'behind udev, with a list' 'vfio-bind first' "${_runhooks[early]}"
# `-A vfio-bind` beside the drop-in.
_runhooks=([early]=' vfio-bind udev vfio-bind lvm2 vfio-bind')
run_build after-udev
read -ra order <<<"${_runhooks[early]}"
[[ ${order[*]} == 'vfio-bind udev lvm2' ]] ||
    wrong 'named three times' 'vfio-bind once, first' "${_runhooks[early]}"
unset _runhooks

# A fallback image carries what is protected, and the policy only where its owner says so.
_optskiphooks=(autodetect)
run_build
(( failed == 0 )) || wrong 'a fallback image' 'success' "${calls[*]}"
[[ " ${calls[*]}" != *'add_file /etc/'* ]] ||
    wrong 'a fallback image' 'no policy' "${calls[*]}"
expect_call 'a fallback image' 'warning vfio-bind: a fallback image'
[[ $("$command" protected) == "$(<"$BUILDROOT/etc/vfio-bind/protected.conf")" ]] ||
    wrong 'a fallback image' 'the list' 'another'
# shellcheck disable=SC2034  # the hook reads it.
vfio_bind_policy=yes
run_build
expect_call 'a fallback image that is to carry it' 'add_file /etc/vfio-bind/policy.conf'
expect_call 'a fallback image that is to carry it' 'add_file /etc/modprobe.d/vfio.conf'
unset _optskiphooks vfio_bind_policy

for file in "$agent" /usr/lib/systemd/system/vfio-bind{,-give-back}.service \
    /usr/lib/systemd/system/vfio-bind-root.target; do
    mv "$file" "$file.away"
    run_build
    (( failed )) || wrong "without $file" 'a build that fails' 'success'
    mv "$file.away" "$file"
done
chmod 644 "$agent"
run_build
(( failed )) || wrong 'an agent that is not executable' 'a build that fails' 'success'

# The runtime hook, in the shell that images have.
early() {
    busybox ash -c ". $runtime; run_earlyhook && echo on" 2>/dev/null
}
[[ $(early) == *on ]] || wrong 'an agent that is not executable' 'a boot that goes on' 'not'
printf '#!/bin/sh\nkill -SEGV $$\n' >"$agent.new" && chmod 755 "$agent.new" && mv "$agent.new" "$agent"
[[ $(early) == *on ]] || wrong 'an agent that crashes' 'a boot that goes on' 'not'
printf '#!/bin/sh\necho ran\n' >"$agent.new" && chmod 755 "$agent.new" && mv "$agent.new" "$agent"
[[ $(early) == *ran*on ]] || wrong 'an agent' 'a run' 'none'

# What init does where the root cannot be mounted. In a shell of its own: the hook changes functions.
emergency() {
    rm -rf /run/vfio-bind /tmp/mounted && mkdir -p /run/vfio-bind && : >/run/vfio-bind/report.json
    busybox ash -c "
        stat() { [ \$3 = / ] && echo 1 || cat /tmp/mounted 2>/dev/null || echo 1; }
        run_hookfunctions() { echo hooks; }
        resolve_device() { echo /dev/vda; }
        fsck_root() { :; }
        handler() { echo mount \$root \$1 && echo 2 >/tmp/mounted; }
        launch_interactive_shell() { echo shell; }
        mount_handler=handler HOOKS=udev root=/dev/x $1
        . $runtime
        run_emergencyhook && launch_interactive_shell 2>/dev/null && echo on" 2>/dev/null | tr '\n' ' '
}
expect_emergency() {
    local found
    found=$(emergency "$2")
    [[ $found == "$3" ]] || wrong "an emergency, $1" "$3" "$found"
}
# /init_functions is mkinitcpio's: that it is read shows in that there is no shell.
: >/init_functions
printf '#!/bin/sh\nexit 1\n' >"$agent.new" && chmod 755 "$agent.new" && mv "$agent.new" "$agent"
expect_emergency 'something given back' '' 'hooks mount /dev/vda /new_root on '
expect_emergency 'asked for' 'break=y' 'shell on '
expect_emergency 'of a file system with errors' 'fsckret=4' 'shell on '
expect_emergency 'of a root that fsck did not find' 'fsckret=255' 'hooks mount /dev/vda /new_root on '
printf '#!/bin/sh\nexit 0\n' >"$agent.new" && chmod 755 "$agent.new" && mv "$agent.new" "$agent"
expect_emergency 'nothing given back' '' 'shell on '

rm "$agent"
[[ $(early) == *on ]] || wrong 'no agent' 'a boot that goes on' 'not'

# The drop-in, read twice as by a user who has listed the hook as well.
HOOKS=(base udev autodetect)
for _ in 1 2; do
    # shellcheck source=/dev/null
    . /etc/mkinitcpio.conf.d/zz-vfio-bind.conf
done
[[ ${HOOKS[*]} == 'vfio-bind base udev autodetect' ]] || wrong 'the drop-in' 'vfio-bind once, first' "${HOOKS[*]}"
# Left behind without the hook, it asks for nothing.
rm "$install"
HOOKS=(base udev autodetect)
# shellcheck source=/dev/null
. /etc/mkinitcpio.conf.d/zz-vfio-bind.conf
[[ ${HOOKS[*]} == 'base udev autodetect' ]] || wrong 'the drop-in alone' 'no vfio-bind' "${HOOKS[*]}"
exit "$status"
