//! Images of an initramfs that tests make.

use std::fs;
use std::io::Write as _;
use std::process::Command;

use cpio::newc;

/// An image of these files, packed by a program that each system has.
pub fn image(files: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, text) in files {
        let length = u32::try_from(text.len()).unwrap();
        let mut entry = newc::Builder::new(name)
            .mode(0o100_644)
            .write(&mut bytes, length);
        entry.write_all(text.as_bytes()).unwrap();
        entry.finish().unwrap();
    }
    newc::trailer(&mut bytes).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    Command::new("gzip")
        .arg("-c")
        .arg(file.path())
        .output()
        .unwrap()
        .stdout
}
