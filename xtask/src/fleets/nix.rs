//! The module for NixOS: its grammar, and what comes out of it, beside the units that all others have.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use lab::rig::Rig;
use serde_json::Value;

use super::copied::{output, spoil};
use crate::workspace;

const MODULE: &str = "distributions/nixos/vfio-bind.nix";
/// What the module takes of nixpkgs' library, as it is for one module and no other: nixpkgs is not in Debian.
const EVALUATE: &str = r#"
let
  lib = {
    mkEnableOption = description: { inherit description; };
    mkOption = option: option;
    mkIf = condition: value: if condition then value else { };
    literalExpression = text: text;
    optionalAttrs = condition: value: if condition then value else { };
    types = { path = "path"; str = "str"; lines = "lines"; listOf = type: [ type ]; };
  };
  module = import ./distributions/nixos/vfio-bind.nix {
    inherit lib;
    config.boot.initrd = {
      systemd.enable = true;
      vfio-bind = { enable = true; agent = "/agent"; words = [ "vfio.bind=42:00.0" ]; protected = "vfio.protect=x"; };
    };
  };
in
module.config
"#;

pub(super) fn read(_: &Rig<'_>, root: &Path) -> Result<String> {
    let parse = || output(root, &["nix-instantiate", "--parse", MODULE]);
    parse()?;
    let words = [
        "--eval", "--strict", "--json", "--option", "store", "dummy://", "-E", EVALUATE,
    ];
    let text = output(root, &[&["nix-instantiate"], &words[..]].concat())?;
    let made: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    let boot = &made["boot"];
    ensure!(boot["kernelParams"][0] == "vfio.bind=42:00.0", "{boot}");
    ensure!(made["assertions"][0]["assertion"] == true, "{made}");
    let systemd = &boot["initrd"]["systemd"];
    let content = &systemd["contents"];
    ensure!(
        content["/usr/bin/vfio-bind-agent"]["source"] == "/agent",
        "{content}"
    );
    ensure!(
        content["/etc/vfio-bind/protected.conf"]["text"] == "vfio.protect=x",
        "{content}"
    );
    let mut count = 0;
    for (unit, made) in [
        ("vfio-bind.service", &systemd["services"]["vfio-bind"]),
        (
            "vfio-bind-give-back.service",
            &systemd["services"]["vfio-bind-give-back"],
        ),
        (
            "vfio-bind-root.target",
            &systemd["targets"]["vfio-bind-root"],
        ),
    ] {
        count += same(unit, made)?;
    }
    spoil(root, MODULE, "mkIf cfg.enable {", "mkIf cfg.enable (")?;
    ensure!(parse().is_err(), "Nix takes anything");
    Ok(format!("{count} settings of units as elsewhere"))
}

/// Whether a unit of the module says what the file of that name says; dracut's own units are not in a NixOS.
fn same(unit: &str, made: &Value) -> Result<usize> {
    let path = workspace::folder().join("systemd").join(unit);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut count = 0;
    for line in text.lines().filter(|line| !line.starts_with(['#', '['])) {
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let ours = |list: &str| made[list].as_array().cloned().unwrap_or_default();
        let found = match key {
            "Before" | "After" | "WantedBy" => {
                let list = match key {
                    "Before" => "before",
                    "After" => "after",
                    _ => "wantedBy",
                };
                let units = value.split(' ').filter(|unit| !unit.starts_with("dracut-"));
                units
                    .into_iter()
                    .all(|unit| ours(list).contains(&unit.into()))
            }
            "Description" => made["description"] == value,
            "Documentation" => true,
            _ => ["unitConfig", "serviceConfig"].iter().any(|section| {
                let said = &made[*section][key];
                let text = |said: &Value| match said {
                    Value::String(text) => text.clone(),
                    Value::Bool(truth) => (if *truth { "yes" } else { "no" }).to_owned(),
                    other => other.to_string(),
                };
                match said {
                    Value::Array(all) => all.iter().any(|one| text(one) == value),
                    one => text(one) == value,
                }
            }),
        };
        ensure!(found, "{unit} says {line}, and {MODULE} does not: {made}");
        count += 1;
    }
    Ok(count)
}
