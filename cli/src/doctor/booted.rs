//! What was set, beside what was booted: the commonest cause of all.

use std::collections::BTreeSet;

use super::configured::{self, Setting, own_words};
use super::finding::{Answer, Said};
use super::system::System;

/// Whether the words that are set are those of this boot.
pub(super) fn set_not_booted(system: &System<'_>) -> Answer {
    let Some(line) = &system.line else {
        return Ok(Said::unknown(
            "/proc/cmdline could not be read",
            "mount /proc",
        ));
    };
    let booted: BTreeSet<_> = own_words(line).into_iter().collect();
    let settings = configured::all(system)?;
    let (at_boot, edited): (Vec<_>, Vec<_>) = settings.iter().partition(|one| one.at_boot);
    let set_at_boot = words(&at_boot);
    let set = words(&edited);
    // What the loader reads and did not hand over comes first: the owner did all but restart.
    for one in &at_boot {
        let missing = missing(one, &booted);
        if !missing.is_empty() {
            return Ok(Said::fail(
                format!("{} set in /{}, and not in this boot: {}", is(&missing), one.place, missing.join(" ")),
                "restart the machine; if it was restarted since, another entry of the boot menu or another \
                 configuration was booted",
            )
            .from(&one.place)
            .from("proc/cmdline"));
        }
    }
    for one in &edited {
        let missing = missing(one, &booted);
        if missing.is_empty() {
            continue;
        }
        let not_made = missing.iter().any(|word| !set_at_boot.contains(word));
        let mend = match (not_made, at_boot.is_empty()) {
            (true, false) => format!("run {}, then restart the machine", one.apply),
            _ => format!(
                "restart the machine; if that was done, run {} before",
                one.apply
            ),
        };
        let beside = match (not_made, at_boot.first()) {
            (true, Some(made)) => format!(", nor in /{}", made.place),
            _ => String::new(),
        };
        return Ok(Said::fail(
            format!(
                "{} set in /{}, and not in this boot{beside}: {}",
                is(&missing),
                one.place,
                missing.join(" ")
            ),
            mend,
        )
        .from(&one.place)
        .from("proc/cmdline"));
    }
    let known = !at_boot.is_empty() && at_boot.iter().all(|one| one.whole);
    let gone: Vec<_> = booted
        .iter()
        .filter(|word| !set.contains(*word) && !set_at_boot.contains(*word))
        .cloned()
        .collect();
    if known && !gone.is_empty() {
        let place = at_boot
            .first()
            .map(|one| one.place.clone())
            .unwrap_or_default();
        return Ok(Said::warn(
            format!(
                "this boot has {}, and /{place} has it no more",
                gone.join(" ")
            ),
            "set it with the boot loader, where the next boot is to have it as well",
        )
        .from(place)
        .from("proc/cmdline"));
    }
    if booted.is_empty() {
        return Ok(
            Said::not_applicable("no words of VFIO are set, nor booted").from("proc/cmdline")
        );
    }
    let what = booted.iter().cloned().collect::<Vec<_>>().join(" ");
    let places = settings
        .iter()
        .filter(|one| !own_words(&one.line).is_empty());
    let places: BTreeSet<_> = places.map(|one| one.place.clone()).collect();
    let mut said = match places.is_empty() {
        false => Said::pass(format!("what is set is what was booted: {what}")),
        true => Said::pass(format!(
            "booted: {what}; no configuration of a boot loader was found that has it"
        )),
    };
    for place in places {
        said = said.from(place);
    }
    Ok(said.from("proc/cmdline"))
}

fn is(words: &[String]) -> &'static str {
    if words.len() == 1 {
        "one word is"
    } else {
        "words are"
    }
}

fn words(settings: &[&Setting]) -> BTreeSet<String> {
    settings
        .iter()
        .flat_map(|one| own_words(&one.line))
        .collect()
}

/// What a setting has and the boot has not.
fn missing(one: &Setting, booted: &BTreeSet<String>) -> Vec<String> {
    let words = own_words(&one.line).into_iter();
    words.filter(|word| !booted.contains(word)).collect()
}
