//! The role for Ansible: what its linter says, and what it does to a machine.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use lab::files;
use lab::rig::Rig;

use super::copied::{INPUT, output};

const FOLDER: &str = "fleets/ansible";
/// What the role writes.
const POLICY: &str = "etc/vfio-bind/policy.conf";
/// The system itself.
const INVENTORY: &str = "[hypervisors]\nlocalhost ansible_connection=local ansible_user=root \
                         ansible_python_interpreter=/usr/bin/python3\n";

pub(super) fn read(rig: &Rig<'_>, root: &Path) -> Result<String> {
    rig.install(root)?;
    let inventory = root.join(INPUT).join(FOLDER).join("inventory");
    files::write(&inventory, INVENTORY.as_bytes(), 0o644)?;
    within(
        root,
        "ansible-lint --offline --nocolor --profile production site.yml",
    )?;
    within(
        root,
        "ansible-playbook -i inventory --syntax-check site.yml",
    )?;
    let first = play(root, "")?;
    ensure!(
        first.contains("RUNNING HANDLER [vfio_bind : Rebuild the image]"),
        "no image was rebuilt:\n{first}"
    );
    let policy = || fs::read_to_string(root.join(POLICY)).context(POLICY);
    let asked = policy()?;
    ensure!(
        asked == "# Written by Ansible.\nvfio.bind=10de:2204\nvfio.group=strict\n",
        "the policy is {asked}"
    );
    let again = play(root, "")?;
    ensure!(
        again.contains("changed=0 "),
        "a second run changes something:\n{again}"
    );
    // A mistake stops it, before anything is written.
    let wrong = play(root, "{\"vfio_bind_policy\": [\"vfio.bnd=10de:2204\"]}");
    let said = wrong
        .err()
        .context("a word that means nothing was written")?;
    ensure!(format!("{said:#}").contains("vfio.bnd"), "{said:#}");
    ensure!(policy()? == asked, "a mistake is in the policy");
    play(root, "{\"vfio_bind_policy\": []}")?;
    ensure!(!root.join(POLICY).exists(), "the policy is still there");
    Ok("played four times, changed by two".to_owned())
}

/// Has the playbook carried out on the system itself, with other variables where some are given.
fn play(root: &Path, variables: &str) -> Result<String> {
    let run = "ansible-playbook -i inventory site.yml";
    match variables {
        "" => within(root, run),
        _ => within(root, &format!("{run} --extra-vars '{variables}'")),
    }
}

fn within(root: &Path, line: &str) -> Result<String> {
    let script = format!("cd {FOLDER} && {line}");
    output(root, &["sh", "-c", &script])
}
