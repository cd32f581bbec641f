# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_vfio_bind_global_optspecs
    string join \n h/help V/version
end

function __fish_vfio_bind_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_vfio_bind_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_vfio_bind_using_subcommand
    set -l cmd (__fish_vfio_bind_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c vfio-bind -n "__fish_vfio_bind_needs_command" -s h -l help -d 'Print help'
complete -c vfio-bind -n "__fish_vfio_bind_needs_command" -s V -l version -d 'Print version'
complete -c vfio-bind -n "__fish_vfio_bind_needs_command" -f -a "list" -d 'Show the PCI functions by IOMMU group, what hangs behind each, and what can be lent'
complete -c vfio-bind -n "__fish_vfio_bind_needs_command" -f -a "plan" -d 'Print what the next boot would do, group by group; write nothing'
complete -c vfio-bind -n "__fish_vfio_bind_needs_command" -f -a "words" -d 'Print the words for the kernel command line that take these devices and nothing else'
complete -c vfio-bind -n "__fish_vfio_bind_needs_command" -f -a "setup" -d 'Put words on the kernel command line where this machine\'s boot loader keeps them'
complete -c vfio-bind -n "__fish_vfio_bind_needs_command" -f -a "status" -d 'Say what this boot did, whether it still is so, and what is different since the last good boot'
complete -c vfio-bind -n "__fish_vfio_bind_needs_command" -f -a "doctor" -d 'Look for all that keeps devices from being lent, and say what mends it'
complete -c vfio-bind -n "__fish_vfio_bind_needs_command" -f -a "bind" -d 'Bind what the policy asks for, now, and leave alone what is in use'
complete -c vfio-bind -n "__fish_vfio_bind_needs_command" -f -a "release" -d 'Give devices back to their native drivers, now'
complete -c vfio-bind -n "__fish_vfio_bind_needs_command" -f -a "export" -d 'Print what a virtual machine wants in order to get these devices'
complete -c vfio-bind -n "__fish_vfio_bind_needs_command" -f -a "capture" -d 'Write what vfio-bind reads of this machine into an archive, with nothing personal in it'
complete -c vfio-bind -n "__fish_vfio_bind_needs_command" -f -a "verify" -d 'Say whether what is asked for is so, and what was bound since the boot still is'
complete -c vfio-bind -n "__fish_vfio_bind_needs_command" -f -a "check" -d 'Look for mistakes in a policy file, line by line'
complete -c vfio-bind -n "__fish_vfio_bind_needs_command" -f -a "protected" -d 'Print a `vfio.protect=` line for each PCI function that the running system needs to boot'
complete -c vfio-bind -n "__fish_vfio_bind_needs_command" -f -a "udev" -d 'Bind a function that has come, where the policy asks for it: udev runs this'
complete -c vfio-bind -n "__fish_vfio_bind_needs_command" -f -a "help" -d 'Tell about a command, or about something one has to know: `help groups`'
complete -c vfio-bind -n "__fish_vfio_bind_needs_command" -f -a "completions" -d 'Print what a shell needs to complete commands and options'
complete -c vfio-bind -n "__fish_vfio_bind_needs_command" -f -a "sysfs" -d 'Read an attribute, or write to it'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand list" -l html -d 'Draw the machine as one page for a browser in FILE; `-` is standard output' -r -F
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand list" -l root -d 'A captured tree with the `sys`, `proc` and `etc` of another system' -r -F
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand list" -l tree -d 'Show the buses and bridges'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand list" -l all -d 'Show what belongs to the machine itself, too, and more of each function'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand list" -l json -d 'Print one JSON object (docs/schema/list.json)'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand list" -l personal -d 'Have what tells who owns the machine on the page: addresses, mount points, the name of the host'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand plan" -l cmdline -d 'In place of the running kernel command line' -r
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand plan" -l html -d 'Draw the machine and what the plan does to it as one page for a browser in FILE; `-` is standard output' -r -F
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand plan" -l root -d 'A captured tree with the `sys`, `proc`, `etc` and `boot` of another system' -r -F
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand plan" -l json -d 'One JSON object, as docs/schema/plan.json describes it'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand plan" -l personal -d 'Have what tells who owns the machine on the page: addresses, mount points, the name of the host'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand words" -l root -d 'A captured tree with the `sys`, `proc` and `etc` of another system' -r -F
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand words" -l import -d 'Give the words for what other managers hold (modprobe.d, driverctl, Unraid, Proxmox VE, ...), and say what to remove by hand'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand words" -l json -d 'One JSON object, as docs/schema/words.json describes it'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand words" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand setup" -l words -d 'These words, in place of those for the devices' -r
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand setup" -l root -d 'A captured tree: files are written there, and the programs that would be run are printed' -r -F
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand setup" -l loader -d 'The boot loader, where more than one may be in use' -r
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand setup" -l tools -d 'Programs to run in place of the system\'s, each in the tree' -r -F
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand setup" -l dry-run -d 'Show all of it, and write nothing'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand setup" -s y -l yes -d 'Do not ask'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand setup" -l undo -d 'Take out what was set'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand setup" -l try -d 'For the next boot alone: the one after it is as this one'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand setup" -l keep -d 'Set for good what was tried, in the boot that has it'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand setup" -l json -d 'Say it as one JSON object (docs/schema/setup.json)'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand setup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand status" -l root -d 'A captured tree with the `sys`, `proc` and `run` of another system' -r -F
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand status" -l json -d 'One JSON object (docs/schema/status.json)'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand doctor" -l root -d 'A captured tree with the `sys`, `proc`, `etc` and `boot` of another system' -r -F
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand doctor" -l brief -d 'Only what is WARN, FAIL or UNKNOWN'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand doctor" -l json -d 'One JSON object (docs/schema/doctor.json)'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand bind" -l root -d 'With --dry-run: a captured tree with the `sys`, `proc` and `etc` of another system' -r -F
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand bind" -l agent -d 'The agent to run, in place of the installed one' -r -F
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand bind" -l dry-run -d 'Show what would be done, and write nothing'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand bind" -l json -d 'One object for programs'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand bind" -l unfinished -d 'Only what the boot or a later run tried and did not bind, by the records; never what is in use'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand bind" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand release" -l root -d 'With --dry-run: a captured tree with the `sys`, `proc` and `run` of another system' -r -F
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand release" -l dry-run -d 'Say what would be done, and write nothing'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand release" -l json -d 'One object for programs'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand release" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand export" -l to -d 'Who is to read it' -r -f -a "libvirt\t'`<hostdev>` elements of a domain'
qemu\t'Arguments, or requests for the monitor'
stratovirt\t'Arguments, or requests for the monitor'
cloud-hypervisor\t'Arguments'
crosvm\t'Arguments'
firecracker\t'A member of the configuration file'
proxmox\t'Lines of a guest\'s configuration, or commands'
incus\t'Devices of an instance, or commands'
kubevirt\t'The list of permitted host devices'
sriov-device-plugin\t'The configuration file'
nfd\t'A feature file'
prometheus\t'A file for node_exporter'"
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand export" -l root -d 'A captured tree with the `sys` and `run` of another system' -r -F
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand export" -l output -d 'Write the text to a file, in one step, in place of standard output' -r -F
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand export" -l managed -d 'libvirt: whether it binds the devices and gives them back by itself; `no` where left out' -r -f -a "yes\t''
no\t''"
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand export" -l libvirt -d 'libvirt: its version, which decides what it is told of drivers made for one model' -r
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand export" -l monitor -d 'qemu, stratovirt: requests for the monitor (QMP) of a running guest, to take the devices or let go of them' -r -f -a "add\t'To take the functions'
del\t'To let go of them'"
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand export" -l port -d 'qemu, stratovirt: a free root port of the running guest; once for each device' -r
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand export" -l vm -d 'proxmox, incus: commands for this guest, in place of lines for its configuration' -r
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand export" -l resource -d 'proxmox, kubevirt, sriov-device-plugin: what the cluster calls the devices' -r
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand export" -l json -d 'One object for programs, with the text in it'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand export" -l iommufd -d 'qemu: open the devices by /dev/iommu (QEMU 9.0, Linux 6.8) in place of VFIO\'s groups'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand capture" -l root -d 'The root directory of another system' -r -F
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand capture" -l json -d 'One JSON object about what was written (docs/schema/capture.json)'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand capture" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand verify" -l root -d 'A directory with the `proc`, `sys`, `dev` and `run` of another system' -r -F
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand verify" -l json -d 'One JSON object (docs/schema/verify.json)'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand check" -l json -d 'One JSON object (docs/schema/check.json)'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand protected" -l root -d 'A directory with the `proc`, `sys` and `dev` of another system' -r -F
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand protected" -l now -d 'Add what is mounted, swapped to, in a pool or the way of the default route now'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand protected" -l json -d 'One JSON object (docs/schema/protected.json)'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand protected" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand udev" -l agent -d 'The agent to run, in place of the installed one' -r -F
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand udev" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand help" -s h -l help -d 'Print help'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand sysfs" -l root -r -F
complete -c vfio-bind -n "__fish_vfio_bind_using_subcommand sysfs" -s h -l help -d 'Print help (see more with \'--help\')'
