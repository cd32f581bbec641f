//! The command `vfio-bind protected` on a system of which it cannot know everything.

use std::fs;
use std::process::Command;

use vfio_bind_agent::policy::Policy;
use vfio_bind_agent::policy::sources::Sources;

#[test]
fn a_list_that_is_not_whole_says_so_to_the_agent() {
    let root = tempfile::tempdir().unwrap();
    for folder in ["proc/self", "sys", "dev"] {
        fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    // A chroot that is no mount of its own.
    fs::write(root.path().join("proc/self/mountinfo"), "").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_vfio-bind"))
        .args(["protected", "--root"])
        .arg(root.path())
        .output()
        .unwrap();
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success(), "{err}");
    assert!(out.starts_with("vfio.unprotected=\"/: "), "{out}");
    assert_eq!(out.lines().count(), 1, "{out}");
    assert!(err.contains("names it by address"), "{err}");
    let policy = Policy::read(&Sources {
        protected: Some(out.as_bytes()),
        ..Sources::default()
    });
    assert!(!policy.listed && policy.problems.len() == 1);
}
