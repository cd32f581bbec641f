//! Unified kernel images: kernel, initramfs and command line in one EFI program, in sections of it
//! (<https://uapi-group.org/specifications/specs/unified_kernel_image/>).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Where a section is in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// Where it begins.
    pub start: u64,
    /// How long it is.
    pub length: u64,
}

/// The longest text of a section that is read.
const TEXT_MOST: u64 = 4096;

/// Finds a section of an EFI program; `None` where it has none of that name, or the file is no such program.
///
/// # Errors
/// What the read answered.
pub fn section(file: &mut File, name: &str) -> io::Result<Option<Section>> {
    let mut read = |at: u64, length: usize| -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(at))?;
        file.by_ref().take(length as u64).read_to_end(&mut bytes)?;
        Ok((bytes.len() == length).then_some(bytes))
    };
    let number = |bytes: &[u8], at: usize| {
        let four = bytes.get(at..at + 4)?;
        Some(u64::from(u32::from_le_bytes(four.try_into().ok()?)))
    };
    // The DOS header ends with the place of the PE header (PE Format, MS-DOS Stub).
    let Some(dos) = read(0, 64)?.filter(|dos| dos.starts_with(b"MZ")) else {
        return Ok(None);
    };
    let Some(at) = number(&dos, 60) else {
        return Ok(None);
    };
    let Some(header) = read(at, 24)?.filter(|header| header.starts_with(b"PE\0\0")) else {
        return Ok(None);
    };
    let count = usize::from(u16::from_le_bytes([header[6], header[7]]));
    let optional = u64::from(u16::from_le_bytes([header[20], header[21]]));
    let Some(table) = read(at + 24 + optional, count * 40)? else {
        return Ok(None);
    };
    let found = table.chunks_exact(40).find(|row| {
        let own = row[..8].split(|byte| *byte == 0).next().unwrap_or_default();
        own == name.as_bytes()
    });
    // VirtualSize is what it holds, SizeOfRawData that up to the next multiple of the alignment.
    let section = found.and_then(|row| {
        let (size, raw, start) = (number(row, 8)?, number(row, 16)?, number(row, 20)?);
        Some(Section {
            start,
            length: size.min(raw),
        })
    });
    Ok(section)
}

/// What a section of a program at `path` says, as the release of its kernel (`.uname`).
#[must_use]
pub fn text(path: &Path, name: &str) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let section = section(&mut file, name).ok()??;
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(section.start)).ok()?;
    file.take(section.length.min(TEXT_MOST))
        .read_to_end(&mut bytes)
        .ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let around = |letter: char| letter.is_whitespace() || letter == '\0';
    Some(text.trim_matches(around).to_owned())
}
