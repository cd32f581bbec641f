//! Unified kernel images: EFI programs with the kernel command line in a section of their own.

use anyhow::Result;

use super::change::BootLine;
use super::view::View;

/// The kernel command line in an image, where it has one: the section `.cmdline` (systemd-stub(7)) of a PE file
/// (Microsoft's "PE Format": the header's place at 3c, sections of 40 bytes behind the optional header).
#[must_use]
pub fn cmdline(image: &[u8]) -> Option<String> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(image.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| {
        let bytes = image.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    let header = u32_at(0x3c).filter(|_| image.starts_with(b"MZ"))?;
    if image.get(header..header + 4)? != b"PE\0\0" {
        return None;
    }
    let sections = usize::from(u16_at(header + 6)?);
    let first = header + 24 + usize::from(u16_at(header + 20)?);
    for number in 0..sections {
        let at = first + 40 * number;
        if image.get(at..at + 8)? != b".cmdline" {
            continue;
        }
        // What is in memory may be less than what the file has, which is filled up.
        let length = u32_at(at + 8)?.min(u32_at(at + 16)?);
        let start = u32_at(at + 20)?;
        let text = image.get(start..start.checked_add(length)?)?;
        let text = String::from_utf8_lossy(text);
        return Some(text.trim_matches(['\0', '\n', ' ']).to_owned());
    }
    None
}

/// The lines of the images at these places that have one.
///
/// # Errors
/// Where one is there and cannot be read.
pub fn lines(view: &View<'_>, paths: &[String]) -> Result<Vec<BootLine>> {
    let mut lines = Vec::new();
    for path in paths {
        let image = view.read(path)?.unwrap_or_default();
        let entry = path.rsplit('/').next().unwrap_or_default().to_owned();
        lines.extend(cmdline(&image).map(|line| BootLine { entry, line }));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PE file with one section.
    fn image(name: &[u8; 8], text: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 0x40];
        image[..2].copy_from_slice(b"MZ");
        image[0x3c] = 0x40;
        image.extend(b"PE\0\0");
        image.extend([0x64, 0x86, 1, 0]);
        image.extend([0; 16]);
        // No optional header: the section is next.
        let start = u32::try_from(image.len() + 40).unwrap();
        let length = u32::try_from(text.len()).unwrap();
        image.extend(name);
        image.extend(length.to_le_bytes());
        image.extend(0_u32.to_le_bytes());
        image.extend(length.to_le_bytes());
        image.extend(start.to_le_bytes());
        image.extend([0; 16]);
        image.extend(text);
        image
    }

    #[test]
    fn the_section_is_found_and_what_is_no_image_has_none() {
        let good = image(b".cmdline", b"root=1 quiet\n\0");
        assert_eq!(cmdline(&good).as_deref(), Some("root=1 quiet"));
        assert_eq!(cmdline(&image(b".linux\0\0", b"x")), None);
        for length in 0..good.len() {
            assert_eq!(cmdline(&good[..length]), None, "{length}");
        }
        assert_eq!(cmdline(b"stand-in for a unified kernel image"), None);
    }
}
