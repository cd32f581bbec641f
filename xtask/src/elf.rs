//! What an ELF file is and what it needs.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use object::elf::{ET_EXEC, PT_DYNAMIC, PT_INTERP};
use object::read::elf::{Dyn, ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, Object};

/// The agent is at most this large, in bytes.
pub const AGENT_LIMIT: usize = 78 * 1024;

/// Demands that the agent at `path` runs where there is nothing: no loader, no libraries. Gives
/// its size in bytes.
///
/// # Errors
/// Where it would need something, still has its symbols, or is larger than [`AGENT_LIMIT`].
pub fn check_agent(path: &Path) -> Result<usize> {
    let bytes = read(path)?;
    let show = path.display();
    let file = parse(&bytes).with_context(|| format!("{show} is no ELF file"))?;
    let kind = file.elf_header().e_type(file.endian());
    ensure!(
        kind == ET_EXEC,
        "{show}: ELF type {kind} wants to be relocated, {ET_EXEC} does not"
    );
    for header in file.elf_program_headers() {
        let kind = header.p_type(file.endian());
        ensure!(
            kind != PT_INTERP,
            "{show} needs a loader: it has a PT_INTERP segment"
        );
        ensure!(
            kind != PT_DYNAMIC,
            "{show} is linked dynamically: it has a PT_DYNAMIC segment"
        );
    }
    ensure!(file.symbol_table().is_none(), "{show} is not stripped");
    ensure!(
        bytes.len() <= AGENT_LIMIT,
        "{show} has {} bytes, more than {AGENT_LIMIT}",
        bytes.len()
    );
    Ok(bytes.len())
}

/// What an executable or library needs to be loaded.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The path of the loader, as written in the file.
    pub loader: Option<String>,
    /// The names of libraries.
    pub libraries: Vec<String>,
}

/// Reads what the file at `path` needs.
///
/// # Errors
/// Where it is no ELF file.
pub fn needs(path: &Path) -> Result<Needs> {
    let bytes = read(path)?;
    find_needs(&bytes).with_context(|| format!("{} is no ELF file", path.display()))
}

fn find_needs(bytes: &[u8]) -> Result<Needs> {
    let file = parse(bytes)?;
    let (endian, data) = (file.endian(), file.data());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut needs = Needs::default();
    for header in file.elf_program_headers() {
        if let Some(loader) = header.interpreter(endian, data)? {
            needs.loader = Some(text(loader));
        }
    }
    let sections = file.elf_section_table();
    if let Some((entries, names)) = sections.dynamic(endian, data)? {
        let names = sections.strings(endian, data, names)?;
        for entry in entries
            .iter()
            .filter(|entry| entry.tag(endian) == object::elf::DT_NEEDED)
        {
            needs.libraries.push(text(entry.string(endian, names)?));
        }
    }
    Ok(needs)
}

fn parse(bytes: &[u8]) -> Result<ElfFile64<'_, Endianness>> {
    Ok(ElfFile64::parse(bytes)?)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read({})", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_needs_a_loader_and_is_no_agent() {
        let path = std::env::current_exe().unwrap();
        let needs = needs(&path).unwrap();
        assert!(needs.loader.is_some_and(|loader| loader.contains("ld")));
        assert!(
            needs
                .libraries
                .iter()
                .any(|name| name.starts_with("libc.so"))
        );
        assert!(check_agent(&path).is_err());
    }

    #[test]
    fn what_is_no_elf_file_is_named() {
        let error = format!("{:#}", check_agent(Path::new("Cargo.toml")).unwrap_err());
        assert!(error.contains("Cargo.toml"), "{error}");
    }
}
