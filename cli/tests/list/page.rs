//! The page.

use std::fs;

use vfio_bind_cli::facts::Machine;
use vfio_bind_cli::page::{self, Fate, PlanView, Planned};

use crate::machine::{GPU, GPU_AUDIO, NIC, System, USB, at};

/// Elements without an end.
const EMPTY: [&str; 2] = ["meta", "!DOCTYPE"];

/// That every element ends where it should, and that no attribute is without quotes.
#[track_caller]
fn is_well_formed(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once('<') {
        let (tag, behind) = after.split_once('>').unwrap();
        rest = behind;
        let name = tag.split_whitespace().next().unwrap();
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(
                open.pop(),
                Some(name),
                "before {}",
                &rest[..rest.len().min(80)]
            );
        } else if name == "style" {
            (_, rest) = rest.split_once("</style>").unwrap();
        } else if !EMPTY.contains(&name) {
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn nothing_personal_is_on_it_unless_asked_for() {
    let system = System::desktop();
    system.write("proc/sys/kernel/hostname", "alices-desktop\n");
    let machine = system.read();
    let personal = [
        "192.168.1.5",
        "/srv/alice",
        "vg-spare",
        "alices-desktop",
        "52:54:00:12:34:56",
    ];
    let page = page::text(&machine, None, false);
    is_well_formed(&page);
    for word in personal.iter().chain(&["http:", "https:", "<script"]) {
        assert!(!page.contains(word), "{word}");
    }
    for word in [
        "Samsung SSD 980 PRO",
        "DELL U2720Q",
        "Group 12",
        "Root bus 0000:00",
        "USB Receiver",
    ] {
        assert!(page.contains(word), "{word}");
    }
    let page = page::text(&machine, None, true);
    is_well_formed(&page);
    for word in personal {
        assert!(page.contains(word), "{word}");
    }
}

#[test]
fn what_devices_call_themselves_is_no_html() {
    let system = System::desktop();
    system.file(
        USB,
        "usb1/1-4/manufacturer",
        "</li><script>alert(1)</script>\n",
    );
    system.write(
        "usr/share/misc/pci.ids",
        "8086  <b>Intel & Co\n\t15f3  \"I225\" '<i>\n",
    );
    let page = page::text(&system.read(), None, true);
    is_well_formed(&page);
    assert!(!page.contains("<script") && !page.contains("<b>") && !page.contains("<i>"));
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "{page}"
    );
}

/// A plan that takes the NIC, and not the display.
fn planned(machine: &Machine) -> PlanView {
    let planned = |fate, why: &str| Planned {
        fate,
        why: why.to_owned(),
    };
    let functions = [
        (
            at(machine, NIC).address,
            planned(Fate::Taken, "vfio-pci takes it"),
        ),
        (
            at(machine, GPU).address,
            planned(Fate::Refused, "it is protected"),
        ),
        (
            at(machine, GPU_AUDIO).address,
            planned(Fate::Left, "it is not listed"),
        ),
    ];
    PlanView {
        words: "vfio.bind=02:00.0,01:00.0".to_owned(),
        functions: functions.into(),
    }
}

#[test]
fn what_a_plan_takes_is_told_on_it() {
    let system = System::desktop();
    let machine = system.read();
    let plan = planned(&machine);
    let page = page::text(&machine, Some(&plan), false);
    is_well_formed(&page);
    for word in [
        "What the plan does",
        "would be taken",
        "vfio-pci takes it",
        "it is protected",
    ] {
        assert!(page.contains(word), "{word}");
    }
    // What it is about comes first.
    let place = |word| page.find(word).unwrap();
    assert!(place("What the plan does") < place("What can be lent"));
}

#[test]
fn every_link_leads_somewhere_and_every_place_has_one_name() {
    for name in crate::topology::names() {
        let page = page::text(&crate::topology::system(&name).read(), None, false);
        is_well_formed(&page);
        let parts = |mark| {
            page.split(mark)
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap())
        };
        let places: Vec<_> = parts("id=\"").collect();
        for target in parts("href=\"#") {
            assert!(places.contains(&target), "{name}: #{target}");
        }
        let mut once = places.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), places.len(), "{name}");
    }
}

#[test]
fn the_file_is_there_whole() {
    let system = System::desktop();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    fs::write(&file, "old").unwrap();
    page::write(&file, &system.read(), None, false).unwrap();
    let page = fs::read_to_string(&file).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// The pages that a browser is shown (`cargo xtask page-test`): written where that is asked for.
#[test]
fn pages_for_a_browser() {
    let Some(folder) = std::env::var_os("VFIO_BIND_PAGES") else {
        return;
    };
    let folder = std::path::Path::new(&folder);
    let desktop = System::desktop();
    desktop.write("proc/sys/kernel/hostname", "alices-desktop\n");
    let machine = desktop.read();
    let write = |name: &str, machine: &Machine, plan: Option<&PlanView>, personal| {
        let file = folder.join(format!("{name}.html"));
        page::write(&file, machine, plan, personal).unwrap();
    };
    write("made-desktop", &machine, None, false);
    write("made-desktop-personal", &machine, None, true);
    write(
        "made-desktop-plan",
        &machine,
        Some(&planned(&machine)),
        false,
    );
    for name in crate::topology::names() {
        write(&name, &crate::topology::system(&name).read(), None, false);
    }
}
