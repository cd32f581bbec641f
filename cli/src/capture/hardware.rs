//! What hardware says of itself in bytes, without what tells one piece from another.

use super::disguise::{Disguise, Kind};

/// Where the extended capabilities of a configuration space begin.
const EXTENDED: usize = 0x100;
/// Access Control Services, and the Device Serial Number.
const ACS: u16 = 0x000d;
const SERIAL: u16 = 0x0003;

/// A configuration space: of its extended part only the list of capabilities, ACS, and a number in place of the
/// serial number. A maker may write there what it likes.
pub(super) fn configuration(disguise: &mut Disguise, config: Vec<u8>) -> Vec<u8> {
    if config.len() <= EXTENDED {
        return config;
    }
    let mut new = vec![0; config.len()];
    let mut copy = |range: std::ops::Range<usize>, from: &[u8]| {
        if let (Some(to), Some(from)) = (new.get_mut(range), from.get(..)) {
            let length = to.len().min(from.len());
            to[..length].copy_from_slice(&from[..length]);
        }
    };
    copy(0..EXTENDED, &config[..EXTENDED]);
    let word = |at: usize| {
        let bytes = config.get(at..at + 2)?;
        Some(u16::from_le_bytes([bytes[0], bytes[1]]))
    };
    let mut at = EXTENDED;
    for _ in 0..(config.len() - EXTENDED) / 4 {
        let (Some(id), Some(next)) = (word(at), word(at + 2)) else {
            break;
        };
        copy(at..at + 4, &config[at..at + 4]);
        if id == ACS
            && let Some(registers) = config.get(at + 4..at + 8)
        {
            copy(at + 4..at + 8, registers);
        }
        if id == SERIAL
            && let Some(number) = config.get(at + 4..at + 12)
        {
            // As `dsn:` spells it: the highest byte first.
            let text: Vec<_> = number
                .iter()
                .rev()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let stand_in = disguise.word(Kind::Serial, &text.join("-"));
            let bytes = stand_in.split('-').rev();
            let bytes: Vec<_> = bytes
                .filter_map(|byte| u8::from_str_radix(byte, 16).ok())
                .collect();
            copy(at + 4..at + 12, &bytes);
        }
        at = usize::from(next >> 4) & !3;
        if at < EXTENDED {
            break;
        }
    }
    new
}

/// The length of an EDID's first block, and where its four descriptors are (VESA E-EDID, 3.10).
const BLOCK: usize = 128;
const DESCRIPTORS: [usize; 4] = [54, 72, 90, 108];

/// An EDID's first block, without the monitor's serial number. What follows may have it again.
pub(super) fn edid(disguise: &mut Disguise, edid: Vec<u8>) -> Vec<u8> {
    let Some(block) = edid.get(..BLOCK) else {
        return Vec::new();
    };
    let mut block = block.to_vec();
    let number = block[12..16].to_vec();
    if number != [0; 4] {
        let text: String = number.iter().map(|byte| format!("{byte:02x}")).collect();
        let stand_in = disguise.word(Kind::Serial, &text);
        for (place, byte) in block[12..16].iter_mut().enumerate() {
            let digits = stand_in.get(2 * place..2 * place + 2);
            *byte = digits
                .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                .unwrap_or(0);
        }
    }
    for at in DESCRIPTORS {
        // 0 0 0 KIND 0, then a text that ends in a line feed: a serial number, or whatever its maker likes.
        let Some([0, 0, 0, 0xff | 0xfe, 0, text @ ..]) = block.get_mut(at..at + 18) else {
            continue;
        };
        let old = String::from_utf8_lossy(text).trim().to_owned();
        let new = disguise.word(Kind::Serial, &old);
        let bytes = new.bytes().chain([b'\n']).chain(std::iter::repeat(b' '));
        for (place, byte) in text.iter_mut().zip(bytes) {
            *place = byte;
        }
    }
    // No extension follows.
    block[126] = 0;
    let sum = block[..127]
        .iter()
        .fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    block[127] = sum.wrapping_neg();
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_is_replaced_and_the_list_stays() {
        let mut config = vec![0xaa; 4096];
        for (at, word) in [
            (0x100, 0x0003u16),
            (0x102, 0x1501),
            (0x150, ACS),
            (0x152, 1),
            (0x154, 0x1d),
            (0x156, 0x1d),
        ] {
            config[at..at + 2].copy_from_slice(&word.to_le_bytes());
        }
        config[0x104..0x10c].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        let mut disguise = Disguise::default();
        let new = configuration(&mut disguise, config.clone());
        assert_eq!(new[..0x104], config[..0x104]);
        assert_eq!(new[0x150..0x158], config[0x150..0x158]);
        assert_ne!(new[0x104..0x10c], config[0x104..0x10c]);
        assert!(new[0x200..].iter().all(|byte| *byte == 0));
        // The same number as in words of the policy.
        let word = disguise.text("vfio.bind=dsn:08-07-06-05-04-03-02-01");
        let digits: Vec<_> = new[0x104..0x10c]
            .iter()
            .rev()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(word, format!("vfio.bind=dsn:{}", digits.join("-")));
    }

    #[test]
    fn a_monitor_keeps_its_model_and_loses_its_number() {
        let mut block = vec![0u8; 256];
        block[12..16].copy_from_slice(&[9, 8, 7, 6]);
        block[54..72].copy_from_slice(b"\0\0\0\xfc\0DELL U2720Q\n ");
        block[72..90].copy_from_slice(b"\0\0\0\xff\0SECRET42\n    ");
        let new = edid(&mut Disguise::default(), block);
        assert_eq!(new.len(), BLOCK);
        assert!(new.windows(11).any(|part| part == b"DELL U2720Q"));
        assert!(!new.windows(6).any(|part| part == b"SECRET"));
        assert_ne!(new[12..16], [9, 8, 7, 6]);
        assert_eq!(new.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)), 0);
    }
}
