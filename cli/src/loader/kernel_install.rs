//! systemd-boot whose entries kernel-install makes of /etc/kernel/cmdline.

use anyhow::Result;

use super::change::{Answer, BootLine, Change, Invocation, Stop};
use super::entry::{self, Entry};
use super::facts::Facts;
use super::line;
use super::one_line;
use super::uki;

const LINE: &str = "etc/kernel/cmdline";
const VENDORS: &str = "usr/lib/kernel/cmdline";

/// What the names of its files begin with.
fn tokens(facts: &Facts<'_>) -> Result<Vec<String>> {
    let mut tokens = Vec::new();
    for path in ["etc/kernel/entry-token", "etc/machine-id"] {
        let text = facts.view.text(path)?.unwrap_or_default();
        tokens.push(text.trim().to_owned());
    }
    tokens.extend(facts.systems.first().cloned());
    tokens.retain(|token| !token.is_empty());
    Ok(tokens)
}

/// Whether a name is one that it gives: a token and a version.
fn own(tokens: &[String], id: &str) -> bool {
    let version = |token: &String| {
        let rest = id.strip_prefix(token.as_str())?.strip_prefix('-')?;
        Some(rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    tokens.iter().any(|token| version(token) == Some(true))
}

/// Its entries. Of two with one name, that with a count of tries and that without, the first is the one that it
/// makes: without, unless it is told to count (/etc/kernel/tries).
fn entries(facts: &Facts<'_>) -> Result<Vec<Entry>> {
    let tokens = tokens(facts)?;
    let counts = facts.view.exists("etc/kernel/tries");
    let mut all = Vec::new();
    for directory in facts.boot_directories() {
        let mut found = entry::entries(facts.view, &format!("{directory}/loader/entries"))?;
        found.retain(|entry| own(&tokens, &entry.id()));
        let ids: Vec<_> = found.iter().map(Entry::id).collect();
        let place = |entry: &Entry| ids.iter().position(|id| *id == entry.id());
        found.sort_by_key(|entry| (place(entry), entry.counted() != counts));
        all.extend(found);
    }
    Ok(all)
}

/// Its unified images.
fn images(facts: &Facts<'_>) -> Result<Vec<String>> {
    let tokens = tokens(facts)?;
    let mut all = Vec::new();
    for directory in facts.boot_directories() {
        let names = facts.view.list(&format!("{directory}/EFI/Linux"))?;
        let found = names
            .into_iter()
            .filter(|name| own(&tokens, name) && name.ends_with(".efi"));
        all.extend(found.map(|name| format!("{directory}/EFI/Linux/{name}")));
    }
    all.sort_by(|one, two| entry::newer(two, one));
    Ok(all)
}

/// Whether it made the entry that booted: that is one of its own, and nothing else keeps them.
///
/// # Errors
/// Where they cannot be read.
pub fn signs(facts: &Facts<'_>) -> Result<bool> {
    let others = [
        "proxmox-boot-tool",
        "kernelstub",
        "sdboot-manage",
        "sdbootutil",
        "clr-boot-manager",
    ];
    let other = others.iter().any(|name| facts.view.program(name));
    if other || !facts.maybe_systemd_boot() || !facts.view.program("kernel-install") {
        return Ok(false);
    }
    let tokens = tokens(facts)?;
    Ok(match facts.selected()? {
        Some(selected) => own(&tokens, &selected),
        None => !entries(facts)?.is_empty() || !images(facts)?.is_empty(),
    })
}

/// The words of /etc/kernel/cmdline; where it is not there, those of the vendor's or of the newest entry, and
/// never those of this boot, which may be one for rescue.
///
/// # Errors
/// Where none says `root=`.
pub fn change(facts: &Facts<'_>, words: &[String]) -> Answer {
    let edit = if facts.view.exists(LINE) {
        one_line::behind_words(facts, LINE, words)?
    } else {
        let base = match facts.view.text(VENDORS)? {
            Some(text) => {
                let lines = text
                    .lines()
                    .filter(|line| !line.trim_start().starts_with('#'));
                lines.collect::<Vec<_>>().join(" ")
            }
            None => base(facts)?,
        };
        // Without the file kernel-install takes the running line, with our words in it after a boot: it stays
        // when they are taken out.
        one_line::new(facts, LINE, &base, words)?
    };
    Ok(Change::files(vec![edit], run(facts)?))
}

/// The line of the newest entry, without what kernel-install adds.
fn base(facts: &Facts<'_>) -> Result<String> {
    let line = lines(facts)?
        .into_iter()
        .next()
        .map(|line| line.line)
        .unwrap_or_default();
    let own = facts.owners(&line);
    let own = own
        .iter()
        .filter(|word| !word.starts_with("systemd.machine_id=") && !word.starts_with("initrd="));
    Ok(own.cloned().collect::<Vec<_>>().join(" "))
}

/// All kernels, or where it cannot do that (before systemd 255) or would pass over one, each that has an entry: it
/// looks for them in /usr/lib/modules, and Debian has them in /boot.
fn run(facts: &Facts<'_>) -> Result<Vec<Invocation>, Stop> {
    let program = facts.view.script("kernel-install")?.unwrap_or_default();
    let knows_all = program.windows(7).any(|piece| piece == b"add-all");
    let mut passes_over = false;
    let mut run = Vec::new();
    let ids: Vec<_> = entries(facts)?
        .iter()
        .map(Entry::id)
        .chain(images(facts)?.iter().filter_map(|path| {
            let stem = path.strip_suffix(".efi")?;
            Some(format!("{}.efi", entry::without_tries(stem)))
        }))
        .collect();
    let mut versions = facts.view.list("usr/lib/modules")?;
    if versions.is_empty() {
        versions = facts.view.list("lib/modules")?;
    }
    for version in versions {
        let with = |end: &str| format!("-{version}{end}");
        if !ids
            .iter()
            .any(|id| id.ends_with(&with(".conf")) || id.ends_with(&with(".efi")))
        {
            continue;
        }
        let own = format!("usr/lib/modules/{version}/vmlinuz");
        let places = [own, format!("boot/vmlinuz-{version}")];
        if let Some(at) = places.iter().position(|image| facts.view.exists(image)) {
            passes_over |= at > 0;
            let image = format!("/{}", places[at]);
            run.push(Invocation::new(["kernel-install", "add", &version, &image]));
        }
    }
    if knows_all && !passes_over {
        return Ok(vec![Invocation::new(["kernel-install", "add-all"])]);
    }
    if run.is_empty() {
        return Err(Stop::by_hand(
            "none of the kernels that have a boot entry is found in /usr/lib/modules or /boot",
            [format!(
                "write the words into /{LINE}, and run kernel-install add VERSION IMAGE for each kernel"
            )],
        ));
    }
    Ok(run)
}

/// Its entries and images.
///
/// # Errors
/// Where they cannot be read.
pub fn lines(facts: &Facts<'_>) -> Result<Vec<BootLine>> {
    let mut all: Vec<_> = entries(facts)?.iter().map(Entry::boot_line).collect();
    all.extend(uki::lines(facts.view, &images(facts)?)?);
    for line in &mut all {
        line.line = line::words(&line.line).join(" ");
    }
    Ok(all)
}
