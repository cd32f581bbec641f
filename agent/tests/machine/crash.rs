//! A kernel that was started to save the memory of one that crashed.

use crate::snapshots::messages;
use crate::support::{Card, FakeMachine, write};
use vfio_bind_agent::record::{EXIT_DONE, State, lines};
use vfio_bind_agent::run;

#[test]
fn a_crash_kernel_is_left_alone() {
    for (files, line) in [
        (
            &[][..] as &[(&str, &str)],
            "vfio.bind=01:00.0 elfcorehdr=0x7f000000",
        ),
        (&[], "vfio.bind=01:00.0 -- init elfcorehdr=0x7f000000"),
        (&[("proc/vmcore", "")], "vfio.bind=01:00.0"),
        (
            &[("proc/vmcore", "")],
            "vfio_pci.ids=1234:1111 vfio.bind=off",
        ),
        (&[("proc/vmcore", "")], "vfio.bind=banana"),
    ] {
        let machine = FakeMachine::new(&[Card::new("0000:01:00.0", 0x1b36, 0x0010, 0x01_0802, 3)]);
        for (file, text) in files {
            write(&machine, file, text);
        }
        let mut log = String::new();
        run::perform(&machine, line.as_bytes(), &|| 0, &mut |record| {
            assert_eq!(
                (record.exit(), record.state),
                (EXIT_DONE, State::CrashKernel),
                "{line}"
            );
            log = messages(|| lines::tell(record));
            record.exit()
        });
        let expected = "this kernel saves the memory of one that crashed: nothing is done\n";
        assert_eq!(log, expected, "{line}");
        assert_eq!(machine.take_events(), [""; 0], "{line}");
    }
}
