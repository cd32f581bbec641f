//! What an ELF file is and what it needs.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use object::elf::{EM_AARCH64, EM_S390, EM_X86_64, ET_EXEC, PT_DYNAMIC, PT_INTERP};
use object::read::elf::{Dyn, ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, Object};
use qemu_tests::architecture::Architecture;

/// The agent is at most this large, in bytes.
#[must_use]
pub const fn agent_limit(architecture: Architecture) -> usize {
    let kibibytes = match architecture {
        // A seventh of it are the words of its messages, all that there is to go by in front of a machine that
        // does not start. Seven KiB keep what was said and write the record that later runs and other programs
        // read; ten make functions ready and undo that; four find out what need not be looked at: of the
        // system calls of a plan by address they save five in six on a machine of 64 functions. Eight take what
        // comes late: rules for udev, a run for one function, IDs for vfio-pci; nine make
        // virtual functions and know them. The shell that hooks are written for is twenty times as large.
        // On aarch64 an outliner takes back most of what four bytes an instruction cost.
        Architecture::X86_64 | Architecture::Aarch64 => 131,
        // Most instructions have six bytes, and LLVM has no outliner for it.
        Architecture::S390x => 152,
    };
    kibibytes * 1024
}

/// Demands that the agent at `path` runs where there is nothing, and is small. Gives its size in bytes.
///
/// # Errors
/// As [`check_static`], or where it is larger than [`agent_limit`].
pub fn check_agent(path: &Path, architecture: Architecture) -> Result<usize> {
    let size = check_static(path, architecture)?;
    let (show, limit) = (path.display(), agent_limit(architecture));
    ensure!(size <= limit, "{show} has {size} bytes, more than {limit}");
    Ok(size)
}

/// Demands that the agent at `path` runs where there is nothing: no loader, no libraries. Gives
/// its size in bytes.
///
/// # Errors
/// Where it is for other machines, would need something, or still has its symbols.
pub fn check_static(path: &Path, architecture: Architecture) -> Result<usize> {
    let bytes = read(path)?;
    let show = path.display();
    let file = parse(&bytes).with_context(|| format!("{show} is no ELF file"))?;
    let wanted = match architecture {
        Architecture::X86_64 => EM_X86_64,
        Architecture::Aarch64 => EM_AARCH64,
        Architecture::S390x => EM_S390,
    };
    let machine = file.elf_header().e_machine(file.endian());
    ensure!(
        machine == wanted,
        "{show}: ELF machine {machine} is not {architecture}, which is {wanted}"
    );
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
    Ok(bytes.len())
}

/// Cuts off the list of sections, which is for linkers and debuggers: half a kilobyte. Not every linker can
/// leave it out.
///
/// # Errors
/// Where it is no ELF file, or cannot be read or written.
pub fn drop_sections(path: &Path) -> Result<()> {
    let bytes = read(path)?;
    let cut =
        without_sections(&bytes).with_context(|| format!("{} is no ELF file", path.display()))?;
    if cut == bytes {
        return Ok(());
    }
    fs::write(path, cut).with_context(|| format!("write({})", path.display()))
}

fn without_sections(bytes: &[u8]) -> Result<Vec<u8>> {
    /// `e_shoff`, and `e_shnum` with `e_shstrndx`, of an `Elf64_Ehdr` (System V gABI, "ELF Header").
    const FIELDS: [std::ops::Range<usize>; 2] = [0x28..0x30, 0x3c..0x40];
    let file = parse(bytes)?;
    let endian = file.endian();
    let ends = file.elf_program_headers().iter().map(|header| {
        let (start, size) = header.file_range(endian);
        start + size
    });
    let header = file.elf_header();
    let headers = header.e_phoff(endian)
        + u64::from(header.e_phentsize(endian)) * u64::from(header.e_phnum(endian));
    let end = usize::try_from(ends.fold(headers, u64::max))?;
    let mut cut = bytes.get(..end).context("it ends too early")?.to_vec();
    for field in FIELDS {
        cut[field].fill(0);
    }
    Ok(cut)
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

/// The versions of libraries' symbols that the file at `path` needs, as `GLIBC_2.34`.
///
/// # Errors
/// Where it is no ELF file.
pub fn versions(path: &Path) -> Result<Vec<String>> {
    let bytes = read(path)?;
    find_versions(&bytes).with_context(|| format!("{} is no ELF file", path.display()))
}

fn find_versions(bytes: &[u8]) -> Result<Vec<String>> {
    let file = parse(bytes)?;
    let (endian, data) = (file.endian(), file.data());
    let sections = file.elf_section_table();
    let mut versions = Vec::new();
    let Some((libraries, names)) = sections.gnu_verneed(endian, data)? else {
        return Ok(versions);
    };
    let names = sections.strings(endian, data, names)?;
    for library in libraries {
        for version in library?.1 {
            let name = version?.name(endian, names)?;
            versions.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    Ok(versions)
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
    fn without_its_sections_a_program_is_loaded_as_before() {
        let program = fs::read("/bin/true").unwrap();
        let cut = without_sections(&program).unwrap();
        assert!(cut.len() < program.len());
        assert_eq!(without_sections(&cut).unwrap(), cut, "a second time");
        let segments = |bytes: &[u8]| parse(bytes).map(|file| file.elf_program_headers().len());
        assert_eq!(segments(&program).unwrap(), segments(&cut).unwrap());
        assert_eq!(cut[0x40..], program[0x40..cut.len()]);
        assert!(without_sections(b"#!/bin/sh").is_err());
    }

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
        let host = Architecture::host().unwrap();
        assert!(check_agent(&path, host).is_err());
        let versions = versions(&path).unwrap();
        assert!(versions.iter().any(|name| name.starts_with("GLIBC_2.")));
    }

    #[test]
    fn what_is_no_elf_file_is_named() {
        let path = Path::new("Cargo.toml");
        let error = check_agent(path, Architecture::Aarch64).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains("Cargo.toml"), "{error}");
    }

    /// An executable without segments, `length` bytes long.
    fn elf(machine: u16, big: bool, length: usize) -> Vec<u8> {
        let two = |number: u16| match big {
            true => number.to_be_bytes(),
            false => number.to_le_bytes(),
        };
        let mut bytes = vec![0; length.max(64)];
        bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1 + u8::from(big), 1]);
        // e_type, e_machine, e_version's last half, e_ehsize, e_phentsize.
        bytes[16..18].copy_from_slice(&two(2));
        bytes[18..20].copy_from_slice(&two(machine));
        let version = if big { 22 } else { 20 };
        bytes[version..version + 2].copy_from_slice(&two(1));
        bytes[52..54].copy_from_slice(&two(64));
        bytes[54..56].copy_from_slice(&two(56));
        bytes
    }

    #[test]
    fn each_architecture_has_its_machine_its_byte_order_and_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent");
        let check = |bytes: Vec<u8>, architecture| {
            fs::write(&path, bytes).unwrap();
            check_agent(&path, architecture).map_err(|error| format!("{error:#}"))
        };
        let all = [(62, false), (183, false), (22, true)];
        for (architecture, (machine, big)) in Architecture::ALL.into_iter().zip(all) {
            let limit = agent_limit(architecture);
            assert_eq!(check(elf(machine, big, limit), architecture), Ok(limit));
            let error = check(elf(machine, big, limit + 1), architecture).unwrap_err();
            assert!(error.contains(&format!("more than {limit}")), "{error}");
            let error = check(elf(3, big, 64), architecture).unwrap_err();
            assert!(error.contains("ELF machine 3 is not"), "{error}");
        }
    }
}
