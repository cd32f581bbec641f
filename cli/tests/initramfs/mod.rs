//! Images of an initramfs that tests make.

use std::fs;
use std::process::Command;

use vfio_bind_cli::image::archive;

/// An image of these files, packed by a program that each system has.
pub fn image(files: &[(&str, &str)]) -> Vec<u8> {
    let files = files.iter().map(|(path, text)| (*path, text.as_bytes()));
    let bytes = archive::pack(files).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    Command::new("gzip")
        .arg("-c")
        .arg(file.path())
        .output()
        .unwrap()
        .stdout
}
