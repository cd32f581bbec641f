//! What executables for two architectures print, on the same machines.

use std::collections::BTreeSet;
use std::process::Command;

use crate::snapshots::REQUESTS;
use crate::support::FakeMachine;

/// Commands that start an executable, one to a line, their words separated by tabs.
const VARIABLE: &str = "VFIO_BIND_EXECUTABLES";

/// Exit status, standard output and standard error, or the signal that ended it.
fn answer(command: &str, arguments: &[&str]) -> (String, Option<i32>) {
    let mut words = command.split('\t');
    let mut program = Command::new(words.next().unwrap());
    let output = program.args(words).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{command}: {error}"));
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (
        format!("{}\n{}", output.status, text.join("\n")),
        output.status.code(),
    )
}

#[test]
#[ignore = "wants executables: `cargo xtask unit-tests --target TRIPLE` builds them"]
fn executables_for_two_architectures_answer_alike() {
    let commands = std::env::var(VARIABLE).expect(VARIABLE);
    let commands: Vec<_> = commands.lines().collect();
    let [first, others @ ..] = &commands[..] else {
        panic!("{VARIABLE} is empty");
    };
    assert!(!others.is_empty(), "{VARIABLE} names one executable only");
    let mut statuses = BTreeSet::new();
    let mut compare = |arguments: &[&str]| {
        let (expected, status) = answer(first, arguments);
        statuses.insert(status);
        for other in others {
            let (found, _) = answer(other, arguments);
            assert_eq!(found, expected, "{other} {arguments:?}, and {first}");
        }
    };
    for (name, lines) in REQUESTS {
        let machine = FakeMachine::from_topology(name);
        let root = machine.root().to_str().unwrap();
        for line in lines {
            let arguments = ["plan", "--root", root, "--cmdline", line];
            compare(&arguments);
            compare(&[&arguments[..], &["--json"]].concat());
        }
    }
    compare(&["--help"]);
    compare(&["--version"]);
    compare(&["plan", "--root", "/no such folder"]);
    compare(&["plan", "--cmdline"]);
    let expected = BTreeSet::from([Some(0), Some(1), Some(2)]);
    assert_eq!(statuses, expected, "not every status was seen");
}
