//! Command lines that nobody meant.

use crate::machine::{GPU, GPU_AUDIO};
use crate::scenario::{Run, Scenario};

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut lines = malformed_lines().into_iter();
    let mut in_one_boot = Scenario::new(
        "malformed",
        "lines that cannot be understood are named, steal nothing and stop no boot",
        "vfio.bind=banana",
        Run::new("banana")
            .state("nothing-asked")
            .exit(2)
            .error("banana"),
    );
    in_one_boot.runs.extend(lines.by_ref());
    vec![
        in_one_boot,
        Scenario::new(
            "malformed-in-part",
            "the part of a bad line that can be understood is carried out",
            "vfio.bind=0000:42:00.0,banana vfio.onfail=maybe",
            Run::new("agent")
                .bound(&[GPU, GPU_AUDIO])
                .exit(2)
                .error("banana")
                .error("maybe"),
        ),
    ]
}

/// Lines of which nothing can be carried out, for runs of one boot.
fn malformed_lines() -> Vec<Run> {
    let line = |label: &str, cmdline: &str| {
        Run::new(label)
            .under(cmdline)
            .state("nothing-asked")
            .exit(2)
    };
    let too_long: String = format!("vfio_pci.ids=1234:1111{}", ",".repeat(1100));
    vec![
        line("function 8", "vfio.bind=0000:42:00.8").error("0000:42:00.8"),
        line("device 20", "vfio.bind=0000:42:20.0").error("0000:42:20.0"),
        line("three-digit bus", "vfio.bind=0000:042:00.0").error("0000:042:00.0"),
        line("no hexadecimal", "vfio.bind=0000:4g:00.0").error("0000:4g:00.0"),
        line("one ID too long", "vfio.bind=12345:1111").error("12345:1111"),
        line("unclosed quote", "quiet vfio.bind=\"banana split").error("banana split"),
        line("two dots", "vfio.bind=0000:42:00..0").error("0000:42:00..0"),
        line("control characters", "vfio.bind=\u{1}\u{7f}\u{e9}").error(""),
        // What was to be left alone is unknown: nothing is bound.
        Run::new("exclusion")
            .under("vfio.bind=0000:42:00.0,!banana")
            .refused(&[GPU])
            .quiet()
            .exit(1)
            .error("banana"),
        line("kernel's invalid ID", "vfio_pci.ids=1234").error("1234"),
        line("kernel's limit", &too_long).error("1024"),
        line("group policy alone", "vfio.group=everything").error("everything"),
        line("no index", "vfio.bind=vf:0000:03:00.0#all").error("vf:0000:03:00.0#all"),
        Run::new("nothing at all")
            .under("vfio.bind=")
            .state("nothing-asked")
            .warning("vfio.bind"),
        Run::new("only commas")
            .under("vfio.bind=,,, ")
            .state("nothing-asked")
            .warning("vfio.bind"),
    ]
}
