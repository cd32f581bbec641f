//! Real machines, from the files that the agent's tests have.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::machine::{Row, System};

/// Vendors of these machines, as pci.ids has them.
const VENDORS: [(&str, &str); 14] = [
    ("1002", "Advanced Micro Devices, Inc. [AMD/ATI]"),
    ("1022", "Advanced Micro Devices, Inc. [AMD]"),
    ("10de", "NVIDIA Corporation"),
    ("10ec", "Realtek Semiconductor Co., Ltd."),
    ("1106", "VIA Technologies, Inc."),
    ("144d", "Samsung Electronics Co Ltd"),
    ("14c3", "MEDIATEK Corp."),
    ("14e4", "Broadcom Inc. and subsidiaries"),
    ("15b7", "Sandisk Corp"),
    ("1a03", "ASPEED Technology, Inc."),
    ("1b21", "ASMedia Technology Inc."),
    ("1cc1", "ADATA Technology Co., Ltd."),
    ("1def", "Ampere Computing, LLC"),
    ("8086", "Intel Corporation"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/tests/topologies")
}

/// All of them, by name.
pub fn names() -> Vec<String> {
    let files = fs::read_dir(folder()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names
        .filter_map(|name| Some(name.strip_suffix(".tsv")?.to_owned()))
        .collect();
    names.sort();
    names
}

/// One of them, as a directory.
pub fn system(name: &str) -> System {
    let text = fs::read_to_string(folder().join(format!("{name}.tsv"))).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split('\t').collect()).collect();
    let paths: Vec<_> = rows.iter().map(|row| path(&rows, row)).collect();
    let ids: Vec<_> = rows
        .iter()
        .map(|row| format!("{}:{}", row[2], row[3]))
        .collect();
    let functions: Vec<Row<'_>> = rows
        .iter()
        .zip(&paths)
        .zip(&ids)
        .map(|((row, path), id)| {
            let driver = if row[7] == "-" { "" } else { row[7] };
            (&**path, &**id, row[1], driver, row[8].parse().ok())
        })
        .collect();
    let system = System::of(&functions);
    fs::remove_dir_all(system.path("sys/class/iommu")).unwrap();
    if functions.iter().any(|function| function.4.is_some()) {
        let has = |vendor| rows.iter().any(|row| row[2] == vendor);
        let iommu = match () {
            () if has("1022") => "ivhd0",
            () if has("1def") => "smmu3.0x0000000023fc0000",
            () => "dmar0",
        };
        system.write(&format!("sys/class/iommu/{iommu}/x"), "");
    }
    for (row, path) in rows.iter().zip(&paths) {
        // Where there is a bridge, what lies beyond it ends with the highest bus of those behind it.
        if let Ok(first) = u8::from_str_radix(row[9], 16) {
            let behind = paths
                .iter()
                .zip(&rows)
                .filter(|(other, _)| other.starts_with(path.as_str()));
            let buses = behind.filter_map(|(_, other)| u8::from_str_radix(other[9], 16).ok());
            let last = buses.max().unwrap_or(first);
            system.file(path, "secondary_bus_number", &format!("{first}\n"));
            system.file(path, "subordinate_bus_number", &format!("{last}\n"));
        }
    }
    system
        .write("usr/share/misc/pci.ids", &pci_ids(&rows))
        .write("proc/cpuinfo", "vendor_id : GenuineIntel\n");
    system
}

/// Where sysfs has a function: below the bridges that lead to its bus.
fn path(rows: &[Vec<&str>], row: &[&str]) -> String {
    let (bus, _) = row[0].rsplit_once(':').unwrap();
    let (domain, number) = bus.rsplit_once(':').unwrap();
    let above = rows.iter().find(|other| {
        other[9] == number && other[0].starts_with(&format!("{domain}:")) && other[0] != row[0]
    });
    match above {
        Some(bridge) => format!("{}/{}", path(rows, bridge), row[0]),
        None => format!("pci{bus}/{}", row[0]),
    }
}

/// A list of the names that the file has.
fn pci_ids(rows: &[Vec<&str>]) -> String {
    let mut vendors: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for row in rows {
        vendors.entry(row[2]).or_default().insert(row[3], row[10]);
    }
    let mut text = String::new();
    for (vendor, devices) in vendors {
        let known = VENDORS.iter().find(|(id, _)| *id == vendor);
        let name = known.map_or_else(
            || format!("Vendor {vendor}"),
            |(_, name)| (*name).to_owned(),
        );
        writeln!(text, "{vendor}  {name}").unwrap();
        for (device, name) in devices {
            writeln!(text, "\t{device}  {name}").unwrap();
        }
    }
    text
}
