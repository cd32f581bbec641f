//! Systems whose /usr comes from an image: bootc and rpm-ostree make the boot entries.

use anyhow::Result;

use super::change::{Answer, BootLine, Change, Invocation, Stop};
use super::entry;
use super::facts::Facts;
use super::line;

const BOOTED: &str = "run/ostree-booted";

/// bootc that keeps words by who set them: the subcommand has a manual page, or answers.
///
/// # Errors
/// Where a directory is there and cannot be read.
pub fn bootc_signs(facts: &Facts<'_>) -> Result<bool> {
    if !facts.view.exists(BOOTED) || !facts.view.program("bootc") {
        return Ok(false);
    }
    let pages = facts.view.list("usr/share/man/man8")?;
    let page = pages
        .iter()
        .any(|name| name.starts_with("bootc-loader-entries-set-options-for-source."));
    Ok(page || (facts.knows)(&bootc(&["--help"])))
}

fn bootc(rest: &[&str]) -> Invocation {
    let words = ["bootc", "loader-entries", "set-options-for-source"]
        .iter()
        .chain(rest);
    Invocation(words.map(|word| (*word).to_owned()).collect())
}

/// All words, owned by us: what was there under our name is replaced.
///
/// # Errors
/// None.
pub fn bootc_change(_: &Facts<'_>, words: &[String]) -> Answer {
    let set = bootc(&["--source", "vfio-bind", "--options", &words.join(" ")]);
    let unset = bootc(&["--source", "vfio-bind"]);
    let mut change = Change::programs(vec![set], vec![unset]);
    change.notes.push(
        "the change is staged: the boot entries show it when the system goes down (ostree 2026.1 or later)".to_owned(),
    );
    Ok(change)
}

/// rpm-ostree.
///
/// # Errors
/// None.
pub fn rpm_ostree_signs(facts: &Facts<'_>) -> Result<bool> {
    Ok(facts.view.exists(BOOTED) && facts.view.program("rpm-ostree"))
}

/// One option for each word: more words in one option are one argument, which cannot be deleted word by word.
///
/// # Errors
/// Where the boot entries cannot be read.
pub fn rpm_ostree_change(facts: &Facts<'_>, words: &[String]) -> Answer {
    let entries = entry::entries(facts.view, "boot/loader/entries")?;
    let there = entries
        .first()
        .map(|entry| facts.owners(&entry.line))
        .unwrap_or_default();
    let (owners, new): (Vec<_>, Vec<_>) =
        words.iter().cloned().partition(|word| there.contains(word));
    // Older ones take a word with the same name for the same word, and then append nothing: that it is missing is
    // known here.
    let mut names: Vec<_> = there.iter().map(|word| line::key(word)).collect();
    let append = new.iter().map(|word| {
        let name = line::key(word);
        let option = if names.contains(&name) {
            "--append"
        } else {
            "--append-if-missing"
        };
        names.push(name);
        format!("{option}={word}")
    });
    let append: Vec<_> = append.collect();
    let delete = new.iter().map(|word| format!("--delete-if-present={word}"));
    let run = |options: Vec<String>| {
        let all = ["rpm-ostree".to_owned(), "kargs".to_owned()]
            .into_iter()
            .chain(options);
        vec![Invocation(all.collect())]
    };
    let mut change = Change::default();
    if !new.is_empty() {
        change = Change::programs(run(append), run(delete.collect()));
    }
    for word in &owners {
        change.notes.push(format!(
            "`{word}` is there already, and stays when the others are taken out"
        ));
    }
    change.owners = owners;
    // Boot entries are written when the system goes down; this tells of the deployment that is staged.
    change.ask = Some(Invocation::new(["rpm-ostree", "kargs"]));
    Ok(change)
}

/// Neither of them can do it.
///
/// # Errors
/// None.
pub fn other_signs(facts: &Facts<'_>) -> Result<bool> {
    Ok(facts.view.exists(BOOTED))
}

/// What to do in the image.
///
/// # Errors
/// Always: it is done by hand.
pub fn other_change(_: &Facts<'_>, words: &[String]) -> Answer {
    let list: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    Err(Stop::by_hand(
        "this system boots an image, and neither rpm-ostree nor a bootc that keeps words by their source is there",
        [
            format!(
                "in the image's build, write /usr/lib/bootc/kargs.d/vfio-bind.toml: kargs = [{}]",
                list.join(", ")
            ),
            "then build it and switch to it".to_owned(),
        ],
    ))
}

/// Entries are no proof before the next boot.
///
/// # Errors
/// None.
pub fn lines(_: &Facts<'_>) -> Result<Vec<BootLine>> {
    Ok(Vec::new())
}
