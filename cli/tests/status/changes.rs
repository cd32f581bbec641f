//! What is different since the last good boot, and how that is remembered.

use std::fs;

use serde_json::Value;
use vfio_bind_cli::status::last_good::{self, FILE};

use super::system::{GPU, System};

#[test]
fn a_card_that_moved_is_known_again_with_new_words() {
    let system = System::new("vfio.bind=42:00.0", "vfio-pci", "i40e");
    last_good::keep(system.root(), &system.snapshot()).unwrap();
    system.write("proc/sys/kernel/random/boot_id", "second\n");
    system.remove(GPU);
    system.put("0000:44:00.0", "12341111", "03", 14, "nouveau");
    system.put("0000:45:00.0", "1b360010", "01", 16, "nvme");
    let (exit, out, _) = system.status(&[]);
    assert_eq!(exit, 1, "{out}");
    for piece in [
        "Since the last good boot",
        "0000:42:00.0 (1234:1111), which was bound, is 0000:44:00.0 now, known by its ID, which no other has; new \
         words: vfio.bind=0000:44:00.0@1234:1111",
        "0000:45:00.0 (1b36:0010) is new",
    ] {
        assert!(out.contains(piece), "{piece}: {out}");
    }
    system.remove("0000:44:00.0");
    let (_, out, _) = system.status(&[]);
    assert!(
        out.contains("0000:42:00.0 (1234:1111), which was bound, is gone"),
        "{out}"
    );
}

#[test]
fn a_good_boot_is_remembered_and_compared_with_the_one_before() {
    let system = System::new("vfio.bind=42:00.0", "vfio-pci", "i40e");
    let first = system.snapshot();
    assert_eq!(last_good::before(system.root(), &first).unwrap(), None);
    last_good::keep(system.root(), &first).unwrap();
    // Nothing of a boot is different from itself.
    assert_eq!(last_good::before(system.root(), &first).unwrap(), None);
    system.write("proc/sys/kernel/random/boot_id", "second\n");
    system.put("0000:45:00.0", "1b360010", "01", 16, "nvme");
    let second = system.snapshot();
    assert_eq!(
        last_good::before(system.root(), &second).unwrap(),
        Some(first.clone())
    );
    // What is new is told as long as the boot lasts, though it is remembered.
    for _ in 0..2 {
        last_good::keep(system.root(), &second).unwrap();
        assert_eq!(
            last_good::before(system.root(), &second).unwrap(),
            Some(first.clone())
        );
    }
    // So it is after another change in the same boot.
    system.put("0000:46:00.0", "1b360010", "01", 17, "nvme");
    let third = system.snapshot();
    last_good::keep(system.root(), &third).unwrap();
    assert_eq!(
        last_good::before(system.root(), &third).unwrap(),
        Some(first)
    );
    let text = fs::read_to_string(system.root().join(FILE)).unwrap();
    let schema: Value =
        serde_json::from_str(include_str!("../../../docs/schema/last-good.json")).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    assert!(jsonschema::is_valid(&schema, &value), "{text}");
    let folder = system.root().join(FILE);
    let beside: Vec<_> = fs::read_dir(folder.parent().unwrap()).unwrap().collect();
    assert_eq!(beside.len(), 1, "{beside:?}");
    // One that is damaged is replaced by the next good boot.
    system.write(FILE, "{");
    assert!(last_good::before(system.root(), &second).is_err());
    last_good::keep(system.root(), &second).unwrap();
    assert_eq!(last_good::before(system.root(), &second).unwrap(), None);
}

#[test]
fn what_cannot_be_written_leaves_nothing_behind() {
    let system = System::new("vfio.bind=42:00.0", "vfio-pci", "i40e");
    let first = system.snapshot();
    last_good::keep(system.root(), &first).unwrap();
    system.write("proc/sys/kernel/random/boot_id", "second\n");
    // In the way of what is written.
    let file = system.root().join(FILE);
    let kept = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let error = last_good::keep(system.root(), &system.snapshot()).unwrap_err();
    assert!(error.to_string().contains("last-good.json"), "{error}");
    fs::remove_dir(&file).unwrap();
    fs::write(&file, kept).unwrap();
    assert_eq!(
        last_good::before(system.root(), &system.snapshot()).unwrap(),
        Some(first)
    );
    let beside = fs::read_dir(file.parent().unwrap()).unwrap();
    assert_eq!(beside.count(), 1);
}
