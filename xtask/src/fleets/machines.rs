//! What machines are made with: cloud-init, Ignition and what Butane makes of it, a MachineConfig, bootc's words.

use std::path::Path;

use anyhow::{Result, ensure};
use lab::rig::Rig;

use super::copied::{output, spoil};

/// cloud-init's own schema.
pub(super) fn cloud_init(_: &Rig<'_>, root: &Path) -> Result<String> {
    const FILE: &str = "fleets/cloud-init/user-data.yaml";
    // It wants them even to read a file; their package's script, which did not run here, writes them.
    const CERTIFICATES: &str =
        "cat /usr/share/ca-certificates/mozilla/*.crt >/etc/ssl/certs/ca-certificates.crt";
    output(root, &["sh", "-c", CERTIFICATES])?;
    let check = || output(root, &["cloud-init", "schema", "--config-file", FILE]);
    let told = check()?;
    spoil(root, FILE, "mode: reboot", "mode: sometimes")?;
    ensure!(check().is_err(), "cloud-init takes anything");
    Ok(told.lines().last().unwrap_or_default().to_owned())
}

/// Takes the Ignition configuration out of a MachineConfig, and says what else is in the files.
const SHAPES: &str = "\
import json, tomllib, yaml
read = lambda name: open('fleets/' + name)
bu, ign = yaml.safe_load(read('coreos/vfio-bind.bu')), json.load(read('coreos/vfio-bind.ign'))
assert (bu.pop('variant'), bu.pop('version')) == ('fcos', '1.4.0'), bu
assert ign.pop('ignition') == {'version': '3.3.0'}, ign
assert bu == {'kernel_arguments': {'should_exist': ign['kernelArguments']['shouldExist']}, 'systemd': ign['systemd']}
machine = yaml.safe_load(read('openshift/machine-config.yaml'))
assert (machine['apiVersion'], machine['kind']) == ('machineconfiguration.openshift.io/v1', 'MachineConfig')
assert machine['metadata']['labels'] == {'machineconfiguration.openshift.io/role': 'worker'}
spec = machine['spec']
assert set(spec) <= {'config', 'kernelArguments', 'osImageURL', 'extensions', 'fips', 'kernelType'}, spec
assert all(type(word) is str and ' ' not in word for word in spec['kernelArguments'])
json.dump(spec['config'], open('machine.ign', 'w'))
bootc = tomllib.load(open('fleets/bootc/50-vfio-bind.toml', 'rb'))
assert set(bootc) <= {'kargs', 'match-architectures'}, bootc
words = [ign['kernelArguments']['shouldExist'], bootc['kargs'], [w for w in spec['kernelArguments'] if 'vfio' in w]]
assert all(one == ['vfio.bind=10de:2204'] for one in words), words
";

/// ignition-validate, and what else can be told of files whose own readers are not in Debian: that the names are
/// those of their formats, and that all of them ask for the same.
pub(super) fn shapes(_: &Rig<'_>, root: &Path) -> Result<String> {
    const FILE: &str = "fleets/coreos/vfio-bind.ign";
    output(root, &["python3", "-c", SHAPES])?;
    let check = |file: &str| output(root, &["ignition-validate", file]);
    check("machine.ign")?;
    check(FILE)?;
    spoil(root, FILE, "kernelArguments", "kernelWords")?;
    ensure!(
        output(root, &["python3", "-c", SHAPES]).is_err(),
        "anything passes"
    );
    spoil(root, FILE, "3.3.0", "9.3.0")?;
    ensure!(check(FILE).is_err(), "ignition-validate takes anything");
    Ok("two of Ignition, and three that say the same".to_owned())
}
