//! Nothing personal is left.

use proptest::prelude::*;
use vfio_bind_cli::capture;

use super::system::{Secrets, System, everything};

fn leaks(secrets: &Secrets) -> Vec<String> {
    let system = System::new(secrets);
    let (tree, _) = capture::take(&system.root).unwrap();
    let target = system.folder.path().join("capture/");
    tree.write(&target).unwrap();
    let bytes = everything(&target);
    let text = String::from_utf8_lossy(&bytes).to_lowercase();
    let found = secrets.all().into_iter().filter_map(|secret| {
        let at = text.find(&secret.to_lowercase())?;
        let around = text.get(at.saturating_sub(40)..(at + 60).min(text.len()));
        Some(format!("{secret}: {}", around.unwrap_or_default()))
    });
    found.collect()
}

#[test]
fn no_secret_is_in_a_capture() {
    assert_eq!(leaks(&Secrets::fixed()), [""; 0]);
}

#[test]
fn the_secrets_are_there_to_be_found() {
    let secrets = Secrets::fixed();
    let system = System::new(&secrets);
    let bytes = everything(&system.root);
    let text = String::from_utf8_lossy(&bytes).to_lowercase();
    // Those that only another spelling may have aside.
    for secret in [
        &secrets.host,
        &secrets.user,
        &secrets.serial,
        &secrets.mac,
        &secrets.uuid,
        &secrets.label,
    ] {
        assert!(text.contains(&secret.to_lowercase()), "{secret}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_secrets_are(
        host in "zq[a-z0-9]{6,10}",
        user in "zj[a-z]{5,9}",
        serial in "[A-Z0-9]{5}QZ[A-Z0-9]{6}",
        mac in "3[0-9a-f](:[0-9a-f]{2}){4}:a[0-9a-f]",
        uuid in "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
        label in "[A-Z]j[a-zA-Z]{6,10}",
        volume in "[a-z]j[a-z0-9]{4}-[a-z0-9]{3,8}",
        address in "1[3-9][0-9](\\.1[0-9]{2}){3}",
        password in "[a-zA-Z0-9!%+]{3}xq[a-zA-Z0-9]{6,12}",
        wwid in "eui\\.00253[0-9a-f]{11}",
    ) {
        let secrets = Secrets { host, user, serial, mac, uuid, label, volume, address, password, wwid };
        prop_assert_eq!(leaks(&secrets), [""; 0]);
    }
}
