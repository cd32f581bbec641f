//! The choice on the terminal.

use std::fs;

use vfio_bind_cli::choice;

use crate::machine::{Machine, desktop};

/// What is chosen with these lines typed, and what was shown.
fn choose(machine: &Machine, typed: &str) -> (Option<Vec<String>>, String) {
    let mut shown = Vec::new();
    let chosen = choice::choose(machine.root(), typed.as_bytes(), &mut shown).unwrap();
    let chosen = chosen.map(|all| all.iter().map(ToString::to_string).collect());
    (chosen, String::from_utf8(shown).unwrap())
}

/// The number that stands before a device.
fn number(shown: &str, device: &str) -> String {
    let line = shown
        .lines()
        .find(|line| line.contains(device) && line.contains(". "));
    let line = line.unwrap_or_else(|| panic!("{device}: {shown}"));
    line.split('.').next().unwrap().to_owned()
}

fn screen() -> Machine {
    let machine = desktop();
    fs::write(machine.device("0000:01:00.0").join("boot_vga"), "1\n").unwrap();
    machine.behind("0000:02:00.0", "net/enp2s0", "net");
    machine.write(
        "etc/vfio-bind/protected.conf",
        "vfio.protect=0000:00:1d.0/00.0@144d:a808  # /: nvme0n1p2\n",
    );
    machine
}

#[test]
fn what_a_number_means_is_shown_before_and_after_it_is_given() {
    let machine = screen();
    let (none, shown) = choose(&machine, "");
    assert_eq!(none, None);
    for piece in [
        "NVIDIA GA102 [GeForce RTX 3090] in 0000:01:00\n   0000:01:00.0 display, nouveau, group 6\n",
        "     it drives your console\n",
        "   0000:01:00.1 audio/video, snd_hda_intel, group 7\n",
        "     behind it: ",
        "These cannot be lent:\n  144d:a808 in 0000:04:00: ",
        "the system needs 0000:04:00.0",
    ] {
        assert!(shown.contains(piece), "{piece}: {shown}");
    }
    // What cannot be lent has no number.
    let numbered = shown
        .lines()
        .filter(|line| line.contains(". "))
        .collect::<Vec<_>>()
        .join("\n");
    assert!(!numbered.contains("0000:04:00"), "{shown}");
    let gpu = number(&shown, "0000:01:00");
    let (chosen, shown) = choose(&machine, &format!("{gpu}\nyes\n"));
    let functions = ["0000:01:00.0", "0000:01:00.1"].map(str::to_owned);
    assert_eq!(chosen.as_deref(), Some(&functions[..]));
    let confirmed = shown.split("You chose:").nth(1).unwrap();
    for piece in [
        "  NVIDIA GA102 [GeForce RTX 3090] in 0000:01:00\n",
        "  the host loses it: 0000:01:00.0 the machine boots on this display\n",
    ] {
        assert!(confirmed.contains(piece), "{piece}: {confirmed}");
    }
}

#[test]
fn every_step_can_be_taken_back_and_nothing_is_chosen_by_accident() {
    let machine = screen();
    let (_, shown) = choose(&machine, "");
    let (gpu, nic) = (number(&shown, "0000:01:00"), number(&shown, "0000:02:00"));
    for (typed, expected) in [
        (String::new(), None),
        ("\n".to_owned(), None),
        (gpu.clone(), None),
        (format!("{gpu}\n"), None),
        (format!("{gpu}\n\n"), None),
        (format!("{gpu}\nno\n"), None),
        (
            format!("{gpu}\nback\n{nic}\ny\n"),
            Some(&["0000:02:00.0"][..]),
        ),
        (
            format!("99\n0\nx\n-1\n{nic}\nwhat\nYES\n"),
            Some(&["0000:02:00.0"]),
        ),
        (
            format!("{nic}, {gpu} {nic}\nyes\n"),
            Some(&["0000:01:00.0", "0000:01:00.1", "0000:02:00.0"]),
        ),
    ] {
        let (chosen, shown) = choose(&machine, &typed);
        let expected =
            expected.map(|all| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
        assert_eq!(chosen, expected, "{typed:?}: {shown}");
    }
    let (_, shown) = choose(&machine, "99\n");
    assert!(shown.contains("`99`: a number from 1 to "), "{shown}");
}

#[test]
fn what_shares_a_group_goes_with_it_and_is_shown() {
    let machine = Machine::of("amd-ryzen-b550-desktop");
    let (_, shown) = choose(&machine, "");
    let nic = number(&shown, "0000:04:00");
    let (_, shown) = choose(&machine, &format!("{nic}\nback\n\n"));
    let confirmed = shown.split("You chose:").nth(1).unwrap();
    for mate in ["0000:02:00.0", "0000:02:00.1", "0000:05:00.0"] {
        assert!(
            confirmed.contains(&format!("  goes with it: {mate} ")),
            "{mate}: {confirmed}"
        );
    }
    let machine = Machine::of("iommu-off-laptop-hybrid-vmd");
    let (chosen, shown) = choose(&machine, "1\nyes\n");
    assert_eq!(chosen, None);
    assert!(shown.contains("the kernel uses no IOMMU"), "{shown}");
    assert!(
        shown.ends_with("There is nothing here that can be lent.\n"),
        "{shown}"
    );
}
