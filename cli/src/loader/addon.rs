//! Unified kernel images that nothing here makes: an addon that their stub adds to the line (systemd-stub(7)).

use anyhow::Result;

use super::change::{Answer, BootLine, Change, Invocation, Stop};
use super::facts::Facts;
use super::kernel_install;
use super::mkinitcpio;
use super::uki;

/// The first stub that reads addons.
const SINCE: u32 = 254;
const NAME: &str = "loader/addons/vfio-bind.addon.efi";

/// The EFI system partition: of the directories that may be it, the one that has EFI programs.
fn partition(facts: &Facts<'_>) -> Option<&'static str> {
    facts
        .boot_directories()
        .into_iter()
        .find(|directory| facts.view.exists(&format!("{directory}/EFI")))
}

fn program(facts: &Facts<'_>) -> Option<&'static str> {
    match facts.view.program("ukify") {
        true => Some("ukify"),
        false => facts
            .view
            .exists("usr/lib/systemd/ukify")
            .then_some("/usr/lib/systemd/ukify"),
    }
}

/// Whether a stub that reads addons started the kernel.
///
/// # Errors
/// Where the variables cannot be read.
pub fn signs(facts: &Facts<'_>) -> Result<bool> {
    let stub = facts.stub()?.unwrap_or_default();
    let version = stub.strip_prefix("systemd-stub ").unwrap_or_default();
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    let new = digits.parse::<u32>().is_ok_and(|version| version >= SINCE);
    Ok(new
        && program(facts).is_some()
        && !mkinitcpio::signs(facts)?
        && !kernel_install::signs(facts)?)
}

/// An addon with the words.
///
/// # Errors
/// Where only signed ones are started, or the partition is not mounted.
pub fn change(facts: &Facts<'_>, words: &[String]) -> Answer {
    let line = words.join(" ");
    let program = program(facts).unwrap_or("ukify");
    let Some(partition) = partition(facts) else {
        return Err(Stop::by_hand(
            "the EFI system partition is not found in /efi, /boot/efi or /boot",
            [format!(
                "mount it, then: {program} build --cmdline='{line}' --output=ESP/{NAME}"
            )],
        ));
    };
    let output = format!("/{partition}/{NAME}");
    if facts.secure_boot()? {
        return Err(Stop::by_hand(
            "Secure Boot is on: an addon is read only where it is signed by a key that the firmware knows",
            [format!(
                "{program} build --cmdline='{line}' --output={output} --secureboot-private-key=KEY \
                 --secureboot-certificate=CERTIFICATE"
            )],
        ));
    }
    let mut set = Vec::new();
    if let Some((directory, _)) = output.rsplit_once('/')
        && !facts.view.exists(directory)
    {
        set.push(Invocation::new(["mkdir", "-p", directory]));
    }
    let words = [format!("--cmdline={line}"), format!("--output={output}")];
    set.push(Invocation::new([program, "build", &words[0], &words[1]]));
    Ok(Change::programs(
        set,
        vec![Invocation::new(["rm", "-f", &output])],
    ))
}

/// What the addon adds.
///
/// # Errors
/// Where it cannot be read.
pub fn lines(facts: &Facts<'_>) -> Result<Vec<BootLine>> {
    let addons: Vec<_> = partition(facts)
        .map(|partition| format!("{partition}/{NAME}"))
        .into_iter()
        .collect();
    uki::lines(facts.view, &addons)
}
