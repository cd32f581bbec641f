//! What a monitor calls itself: its EDID (VESA Enhanced EDID, release A, revision 2).

/// What all begin with.
const HEADER: [u8; 8] = [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];
/// Where the four descriptors of 18 bytes are, and what one begins with that has the name.
const DESCRIPTORS: std::ops::Range<usize> = 54..126;
const NAME: [u8; 5] = [0, 0, 0, 0xfc, 0];

/// The name of a monitor: its manufacturer's three letters and its own words, as `DEL U2720Q`; only the letters and
/// a number where it has no words. The serial number is not looked at. None where it is no EDID.
#[must_use]
pub fn name(edid: &[u8]) -> Option<String> {
    edid.strip_prefix(&HEADER)?;
    let (high, low) = (*edid.get(8)?, *edid.get(9)?);
    let packed = u16::from_be_bytes([high, low]);
    // Five bits each, and 1 is A.
    let letter = |shift: u32| char::from(b'@' + u8::try_from(packed >> shift & 31).unwrap_or(0));
    let maker: String = [10, 5, 0].map(letter).iter().collect();
    let mut descriptors = edid.get(DESCRIPTORS)?.chunks(18);
    let words = descriptors.find_map(|descriptor| {
        let text = descriptor.strip_prefix(&NAME)?;
        let text = text.split(|byte| *byte == b'\n').next()?;
        let text = String::from_utf8_lossy(text);
        Some(crate::terminal::one_line(&text)).filter(|text| !text.is_empty())
    });
    let product = u16::from_le_bytes([*edid.get(10)?, *edid.get(11)?]);
    Some(match words {
        // Many have their maker's name in their own.
        Some(words) if words.to_uppercase().starts_with(&maker) => words,
        Some(words) => format!("{maker} {words}"),
        None => format!("{maker} {product:04X}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edid(maker: [u8; 2], product: u16, descriptor: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 128];
        bytes[..8].copy_from_slice(&HEADER);
        bytes[8..10].copy_from_slice(&maker);
        bytes[10..12].copy_from_slice(&product.to_le_bytes());
        bytes[72..72 + descriptor.len()].copy_from_slice(descriptor);
        bytes
    }

    #[test]
    fn monitors_have_names() {
        const DELL: [u8; 2] = [0x10, 0xac];
        for (descriptor, expected) in [
            (&b"\0\0\0\xfc\0DELL U2720Q\n "[..], "DELL U2720Q"),
            (b"\0\0\0\xfc\0U2720Q\n", "DEL U2720Q"),
            (b"\0\0\0\xff\0SERIAL1\n", "DEL 41EB"),
            (b"\0\0\0\xfc\0\x1b[2J\n", "DEL [2J"),
        ] {
            let found = name(&edid(DELL, 0x41eb, descriptor));
            assert_eq!(found.as_deref(), Some(expected));
        }
        assert_eq!(name(&[]), None);
        assert_eq!(name(&[0; 128]), None);
        assert_eq!(name(&edid(DELL, 1, b"")[..60]), None);
    }
}
