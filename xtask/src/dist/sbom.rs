//! The bill of materials of the executables, in CycloneDX's JSON.

use anyhow::Result;
use serde_json::{Value, json};

use super::linked::{Crate, Linked};
use super::{Package, sha256};

/// What `package` is made of; `compiler` brought the standard library.
///
/// # Errors
/// Where an executable cannot be read.
pub fn text(package: &Package<'_>, linked: &Linked, compiler: &str) -> Result<String> {
    let file = |path: &std::path::Path, place: &str| -> Result<Value> {
        Ok(json!({
            "type": "file",
            "bom-ref": format!("/{place}"),
            "name": format!("/{place}"),
            "hashes": [{ "alg": "SHA-256", "content": sha256(path)? }],
        }))
    };
    let (name, version) = ("vfio-bind", package.version);
    let top = format!("{name}-{version}");
    let library = json!({
        "type": "library",
        "bom-ref": "rust-std",
        "name": "Rust's standard library",
        "version": compiler,
        "licenses": [{ "expression": "MIT OR Apache-2.0" }],
    });
    let crates = linked.0.iter().map(|(one, facts)| {
        let mut component = json!({
            "type": "library",
            "bom-ref": reference(one),
            "name": one.0,
            "version": one.1,
            "licenses": [{ "expression": facts.licence }],
        });
        if let Some(sum) = &facts.checksum {
            component["purl"] = json!(reference(one));
            component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
        }
        component
    });
    let needs = linked.0.iter().map(|(one, facts)| {
        let all: Vec<_> = facts.needs.iter().map(reference).collect();
        json!({ "ref": reference(one), "dependsOn": all })
    });
    let roots = linked.roots().into_iter().map(reference);
    let roots: Vec<_> = roots.chain(["rust-std".to_owned()]).collect();
    let executables = package.executables;
    let bom = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": package.time.format("+%FT%TZ")?,
            "component": {
                "type": "application",
                "bom-ref": top,
                "name": name,
                "version": version,
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
                "components": [
                    file(executables.agent, lab::supply::AGENT)?,
                    file(executables.command, lab::supply::COMMAND)?,
                ],
            },
        },
        "components": crates.chain([library]).collect::<Vec<_>>(),
        "dependencies": needs
            .chain([json!({ "ref": top, "dependsOn": roots })])
            .collect::<Vec<_>>(),
    });
    Ok(format!("{bom:#}\n"))
}

/// A crate's name in the bill: its package URL.
fn reference((name, version): &Crate) -> String {
    format!("pkg:cargo/{name}@{version}")
}
