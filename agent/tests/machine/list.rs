//! The list of what the machine boots from, where it is not whole.

use crate::support::{Card, FakeMachine, bound, open, problems, write};
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::record::EXIT_DONE;
use vfio_bind_agent::run;

#[test]
fn what_a_list_leaves_open_is_told_and_hinders_nothing_but_storage() {
    let machine = FakeMachine::new(&[
        Card::new("0000:42:00.0", 0x1234, 0x1111, 0x03_0000, 15),
        Card::new("0000:43:00.0", 0x8086, 0x2922, 0x01_0601, 16),
    ]);
    write(
        &machine,
        "etc/vfio-bind/protected.conf",
        "vfio.protect=43:00.0@8086:2922 # /: sda\n\
         vfio.unprotected=\"/srv: /etc/fstab wants UUID=7, which is not there now\"\n",
    );
    let told = "what the machine boots from is not all known: /srv: /etc/fstab wants UUID=7, which is \
                not there now; name its function with vfio.protect=";
    let run = |line: &[u8]| {
        let mut seen = None;
        let exit = run::perform(&machine, line, &|| 0, &mut |record| {
            seen = Some((problems(record), bound(record), record.policy.is_empty()));
            record.exit()
        });
        (seen.unwrap(), exit)
    };
    let ((problems, bound, _), exit) = run(b"vfio.bind=42:00.0");
    assert_eq!(problems, [told]);
    assert_eq!(bound, ["0000:42:00.0"]);
    assert_eq!(exit, EXIT_DONE);
    // Where nothing is asked for, nothing is told.
    let ((_, _, quiet), exit) = run(b"quiet");
    assert!(quiet);
    assert_eq!(exit, EXIT_DONE);
}

#[test]
fn what_is_handed_over_stands_for_the_files_of_the_system() {
    let machine = FakeMachine::new(&[Card::new("0000:42:00.0", 0x1234, 0x1111, 0x03_0000, 15)]);
    write(&machine, "etc/vfio-bind/policy.conf", "vfio.bind=42:00.0\n");
    write(
        &machine,
        "run/vfio-bind/run-1/protected.conf",
        "vfio.protect=42:00.0\n",
    );
    let selectors = |tree: &Tree, line: &[u8]| {
        let mut found = Vec::new();
        run::rehearse(tree, line, run::Extent::Whole, &mut |record| {
            let selectors = record.policy.selectors.iter();
            found = selectors
                .map(|s| format!("{} {}", s.source, s.target))
                .collect();
            0
        });
        found
    };
    let tree = open(machine.root());
    assert_eq!(selectors(&tree, b""), ["vfio.bind 0000:42:00.0"]);
    // Without a policy in it, there is none.
    let tree = tree.with_policy_in(b"run/vfio-bind/run-1");
    assert_eq!(selectors(&tree, b""), ["protected.conf 0000:42:00.0"]);
    write(
        &machine,
        "run/vfio-bind/run-1/policy.conf",
        "vfio.bind=8086:1111\n",
    );
    assert_eq!(
        selectors(&tree, b""),
        ["protected.conf 0000:42:00.0", "vfio.bind 8086:1111"]
    );
}
