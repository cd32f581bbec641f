//! The list of what the machine boots from, where it is not whole.

use crate::support::{Card, Machine, bound, problems, write};
use vfio_bind::record::EXIT_DONE;
use vfio_bind::run;

#[test]
fn what_a_list_leaves_open_is_told_and_hinders_nothing() {
    let machine = Machine::new(&[Card::new("0000:42:00.0", 0x1234, 0x1111, 0x03_0000, 15)]);
    write(
        &machine,
        "etc/vfio-bind/protected.conf",
        "vfio.protect=00:1f.2@8086:2922 # /: sda\n\
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
