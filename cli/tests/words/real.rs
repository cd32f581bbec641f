//! Every function of every captured machine: words that take exactly it and its group, or why not.
//!
//! What is expected is computed from the rows of the machine, as docs/policy.md says it.

use std::collections::BTreeSet;

use vfio_bind_cli::words::form::{Form, is_plain};
use vfio_bind_cli::words::{self, Words};

use crate::machine::{Machine, Row, names, rows};

const VMD: [&str; 10] = [
    "201d", "28c0", "467f", "4c3d", "7d0b", "9a0b", "a77f", "ad0b", "b06f", "b60b",
];

fn is_vmd(row: &Row) -> bool {
    row.ids[0] == 0x8086 && VMD.contains(&format!("{:04x}", row.ids[1]).as_str())
}

/// What words for these functions must take; why there are none.
fn expected(rows: &[Row], asked: &[&Row]) -> Result<BTreeSet<String>, &'static str> {
    let mut taken = BTreeSet::new();
    for row in asked {
        if row.secondary.is_some() {
            return Err("bridges are never bound");
        }
        if rows.iter().all(|row| row.group.is_none()) {
            return Err("no IOMMU");
        }
        let Some(group) = row.group else {
            // On Arm what has no driver may get one at its first probe.
            let on_arm = rows.iter().any(|row| row.ids[0] == 0x1def);
            if on_arm && row.driver.is_none() {
                taken.insert(row.address.clone());
                continue;
            }
            return Err("no IOMMU group");
        };
        let members = rows.iter().filter(|other| other.group == Some(group));
        let endpoints = members.filter(|other| other.secondary.is_none());
        for other in endpoints {
            let is_asked = asked.iter().any(|one| one.address == other.address);
            if is_vmd(other) && !is_asked {
                return Err("VMD");
            }
            if is_asked || !other.is_system() {
                taken.insert(other.address.clone());
            }
        }
    }
    Ok(taken)
}

fn check(
    name: &str,
    asked: &str,
    found: &anyhow::Result<Words>,
    wanted: &Result<BTreeSet<String>, &str>,
) {
    match (found, wanted) {
        (Ok(words), Ok(wanted)) => {
            let taken: BTreeSet<_> = words
                .takes
                .iter()
                .map(|one| one.address.to_string())
                .collect();
            assert_eq!(&taken, wanted, "{name}: {asked}: {:?}", words.words);
            for word in &words.words {
                assert!(is_plain(word), "{name}: {asked}: {word}");
                assert!(word.starts_with("vfio.bind="), "{word}");
            }
        }
        (Err(error), Err(why)) => {
            let error = format!("{error:#}");
            let said = match *why {
                "no IOMMU" => error.contains("the kernel uses no IOMMU; "),
                why => error.contains(why),
            };
            assert!(said, "{name}: {asked}: {error}, and not {why}");
            assert!(
                error.contains("cannot be bound: "),
                "{name}: {asked}: {error}"
            );
        }
        (Ok(words), Err(why)) => panic!("{name}: {asked}: {:?} in spite of {why}", words.words),
        (Err(error), Ok(wanted)) => panic!("{name}: {asked}: {error:#} in place of {wanted:?}"),
    }
}

#[test]
fn each_function_of_each_machine_has_words_that_take_it_and_its_group_or_a_reason() {
    let (mut given, mut refused) = (0, 0);
    for name in names() {
        let rows = rows(&name);
        let machine = Machine::with(&rows);
        for row in &rows {
            let found = words::for_devices(machine.root(), std::slice::from_ref(&row.address));
            check(&name, &row.address, &found, &expected(&rows, &[row]));
            let Ok(words) = found else {
                refused += 1;
                continue;
            };
            given += 1;
            let [selector] = &words.selectors[..] else {
                panic!("{name}: {}: {:?}", row.address, words.selectors);
            };
            // Of what is behind a bridge the address is no part of the words.
            let domain = row.address.split(':').next().unwrap();
            let behind = rows.iter().any(|other| {
                let bus = other.secondary.map(|bus| format!("{domain}:{bus:02x}"));
                other.address.starts_with(domain) && bus.as_deref() == Some(row.bus())
            });
            let form = match (domain.len(), behind) {
                (4, true) => Form::Path,
                (4, false) => Form::RootBus,
                _ => Form::Address,
            };
            assert_eq!(
                selector.form, form,
                "{name}: {}: {}",
                row.address, selector.text
            );
            assert_eq!(
                selector.text.starts_with(&row.address),
                form != Form::Path,
                "{}",
                selector.text
            );
            assert!(
                selector.text.ends_with(&format!("@{}", row.id())),
                "{}",
                selector.text
            );
        }
    }
    assert!(
        given > 300 && refused > 100,
        "{given} given, {refused} refused"
    );
}

#[test]
fn each_slot_of_each_machine_has_words_for_all_of_it_that_can_be_lent() {
    let mut several = 0;
    for name in names() {
        let rows = rows(&name);
        let machine = Machine::with(&rows);
        let slots: BTreeSet<_> = rows.iter().map(Row::slot).collect();
        for slot in slots {
            let of_slot: Vec<_> = rows.iter().filter(|row| row.slot() == slot).collect();
            let lendable = |row: &&&Row| row.secondary.is_none() && !row.is_system();
            let mut asked: Vec<_> = of_slot.iter().filter(lendable).copied().collect();
            if asked.is_empty() {
                asked = of_slot;
            }
            let found = words::for_devices(machine.root(), &[slot.to_owned()]);
            check(&name, slot, &found, &expected_of_slot(&rows, &asked));
            if let Ok(words) = found {
                assert_eq!(words.selectors.len(), asked.len(), "{name}: {slot}");
                several += usize::from(asked.len() > 1);
            }
        }
    }
    assert!(several > 20, "{several} slots of several functions");
}

/// As [`expected`]; of a whole slot the first reason that is found is not the only one.
fn expected_of_slot(rows: &[Row], asked: &[&Row]) -> Result<BTreeSet<String>, &'static str> {
    let mut reasons: Vec<_> = asked
        .iter()
        .filter_map(|_| expected(rows, asked).err())
        .collect();
    match reasons.pop() {
        Some(reason) => Err(reason),
        None => expected(rows, asked),
    }
}
