//! Unified kernel images that mkinitcpio makes.

use anyhow::Result;

use super::change::{Answer, BootLine, Change, FileEdit, Invocation, Stop};
use super::entry::rooted;
use super::facts::{Facts, Program};
use super::line;
use super::one_line;
use super::sourced;
use super::uki;

const PRESETS: &str = "etc/mkinitcpio.d";
const LINE: &str = "etc/kernel/cmdline";
const VENDORS: &str = "usr/lib/kernel/cmdline";
const FRAGMENTS: &str = "etc/cmdline.d";
const OWN: &str = "etc/cmdline.d/vfio-bind.conf";
/// The first version that reads /etc/cmdline.d.
const FRAGMENTS_SINCE: u32 = 36;

/// A setting of a preset.
struct Setting {
    preset: String,
    name: String,
    value: String,
}

fn settings(facts: &Facts<'_>) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    for preset in facts.view.files(PRESETS, ".preset")? {
        for command in sourced::understood(facts, &preset)? {
            let all = command.assignments().into_iter().map(|assignment| Setting {
                preset: preset.clone(),
                name: assignment.name.to_owned(),
                value: assignment.value.trim_matches(['"', '\'']).to_owned(),
            });
            settings.extend(all);
        }
    }
    Ok(settings)
}

/// The images that presets name, below the root; those for when nothing else boots last.
fn images(facts: &Facts<'_>) -> Result<Vec<String>> {
    let all = settings(facts)?.into_iter();
    let images = all
        .filter(|setting| setting.name.ends_with("_uki") || setting.name.ends_with("_efi_image"));
    let mut images: Vec<_> = images.collect();
    images.sort_by_key(|setting| !setting.name.starts_with("default"));
    Ok(images
        .into_iter()
        .map(|setting| setting.value.trim_start_matches('/').to_owned())
        .collect())
}

/// Whether a preset makes such an image, and it may be what booted.
///
/// # Errors
/// Where a preset cannot be read.
pub fn signs(facts: &Facts<'_>) -> Result<bool> {
    let program = matches!(
        facts.program,
        Program::SystemdBoot | Program::Unknown | Program::Refind
    );
    let grub = facts.program == Program::Unknown && facts.line.starts_with("BOOT_IMAGE=");
    if !program || grub || !facts.view.program("mkinitcpio") {
        return Ok(false);
    }
    let images = images(facts)?;
    Ok(match facts.selected()? {
        Some(selected) => images
            .iter()
            .any(|image| image.rsplit('/').next() == Some(selected.as_str())),
        None => !images.is_empty(),
    })
}

/// Its version, where the program says it.
fn version(facts: &Facts<'_>) -> Result<Option<u32>> {
    let program = facts.view.script("mkinitcpio")?.unwrap_or_default();
    let program = String::from_utf8_lossy(&program).into_owned();
    let of = |line: &str| {
        let value = line.strip_prefix("version=")?.trim_matches(['"', '\'']);
        let digits: String = value.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    Ok(program.lines().find_map(of))
}

/// A fragment, or where it would not be read or would be all that is read, a line in the file that counts.
///
/// # Errors
/// Where a preset has its own line, or nothing says what a line has to begin with.
pub fn change(facts: &Facts<'_>, words: &[String]) -> Answer {
    let settings = settings(facts)?;
    let run = vec![Invocation::new(["mkinitcpio", "-P"])];
    if let Some(own) = settings
        .iter()
        .find(|setting| setting.name.ends_with("_options") && setting.value.contains("--cmdline"))
    {
        return Err(Stop::by_hand(
            format!(
                "/{}: {} gives mkinitcpio a command line of its own: `{}`",
                own.preset, own.name, own.value
            ),
            [
                format!(
                    "add the words to the file that it names: {}",
                    words.join(" ")
                ),
                "then: mkinitcpio -P".to_owned(),
            ],
        ));
    }
    // A file that a preset names turns the fragments off for its image.
    let mut named: Vec<_> = settings
        .iter()
        .filter(|setting| setting.name.ends_with("_cmdline"))
        .collect();
    if !named.is_empty() {
        named.retain(|setting| !setting.name.starts_with("fallback"));
        named.dedup_by(|one, two| one.value == two.value);
        let edits = named.iter().map(|setting| {
            let path = setting.value.trim_start_matches('/');
            match setting.value.starts_with('/') && !setting.value.contains('$') {
                true => one_line::behind_words(facts, path, words),
                false => Err(Stop::by_hand(
                    format!(
                        "/{}: {}={} is not understood",
                        setting.preset, setting.name, setting.value
                    ),
                    [format!(
                        "add the words to that file, then run mkinitcpio -P: {}",
                        words.join(" ")
                    )],
                )),
            }
        });
        return Ok(Change::files(edits.collect::<Result<_, _>>()?, run));
    }
    let fragments = facts.view.files(FRAGMENTS, ".conf")?;
    let fragments = fragments.iter().any(|path| path != OWN);
    let reads_fragments =
        fragments || version(facts)?.is_none_or(|version| version >= FRAGMENTS_SINCE);
    let line = facts.view.exists(LINE);
    let edit = if reads_fragments && (line || fragments) {
        FileEdit::own(&facts.view.place(OWN)?, &format!("{}\n", words.join(" ")))
    } else if line {
        one_line::behind_words(facts, LINE, words)?
    } else if let Some(text) = facts.view.text(VENDORS)? {
        // Ours would take its place: it goes along, and is read again when ours is taken out.
        let kept = text.lines().filter(|line| !line.starts_with('#'));
        let kept = kept.collect::<Vec<_>>().join(" ");
        let path = if reads_fragments { OWN } else { LINE };
        FileEdit::own(
            &facts.view.place(path)?,
            &format!("{} {}\n", kept.trim(), words.join(" ")),
        )
    } else {
        // Without any file the running line is taken, with our words in it after a boot: the file stays.
        let path = if reads_fragments { OWN } else { LINE };
        one_line::new(facts, path, &base(facts)?, words)?
    };
    Ok(Change::files(vec![edit], run))
}

/// The line of the image that boots; where it cannot be read, that of this boot, without what loaders add.
fn base(facts: &Facts<'_>) -> Result<String> {
    let made = lines(facts)?
        .into_iter()
        .map(|line| line.line)
        .find(|line| rooted(line));
    let line = made.unwrap_or_else(|| facts.line.clone());
    let own = facts.owners(&line);
    let loaders = ["initrd=", "BOOT_IMAGE="];
    let own = own
        .iter()
        .filter(|word| !loaders.iter().any(|loader| word.starts_with(loader)));
    Ok(line::words(&own.cloned().collect::<Vec<_>>().join(" ")).join(" "))
}

/// The images' lines.
///
/// # Errors
/// Where one cannot be read.
pub fn lines(facts: &Facts<'_>) -> Result<Vec<BootLine>> {
    uki::lines(facts.view, &images(facts)?)
}
