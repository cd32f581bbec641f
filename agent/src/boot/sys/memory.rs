//! The functions that the compiler calls without being asked. A libc would bring them.
//!
//! All accesses are volatile: a plain loop would be recognised and become a call of the very function it
//! is in. They move eight bytes at a time, wherever those lie, as each of the processors can.

use core::ffi::{c_char, c_int};

/// Eight bytes at any address.
#[derive(Clone, Copy)]
#[repr(C, packed)]
struct Word(u64);

const WORD: usize = size_of::<Word>();

/// # Safety
/// As C's `memcpy`.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller vouches for both ranges; the direction flag is clear by the ABI.
    unsafe {
        core::arch::asm!(
            "rep movsb",
            inout("rcx") count => _,
            inout("rdi") to => _,
            inout("rsi") from => _,
            options(nostack, preserves_flags)
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: the caller vouches for both ranges.
    unsafe {
        let mut at = 0;
        while count - at >= WORD {
            let word = from.add(at).cast::<Word>().read_volatile();
            to.add(at).cast::<Word>().write_volatile(word);
            at += WORD;
        }
        while at < count {
            to.add(at).write_volatile(from.add(at).read_volatile());
            at += 1;
        }
    }
    to
}

/// # Safety
/// As C's `memmove`.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if to.cast_const() <= from || to.cast_const() >= from.wrapping_add(count) {
        // SAFETY: forwards, no byte is overwritten before it is read.
        return unsafe { memcpy(to, from, count) };
    }
    let mut left = count;
    // SAFETY: the caller vouches for both ranges, and backwards nothing is overwritten before it is read: a
    // word is written above all that is left to read.
    unsafe {
        while left >= WORD {
            left -= WORD;
            let word = from.add(left).cast::<Word>().read_volatile();
            to.add(left).cast::<Word>().write_volatile(word);
        }
        while left > 0 {
            left -= 1;
            to.add(left).write_volatile(from.add(left).read_volatile());
        }
    }
    to
}

/// # Safety
/// As C's `memset`.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C" fn memset(to: *mut u8, value: c_int, count: usize) -> *mut u8 {
    let byte = value.to_le_bytes()[0];
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller vouches for the range; the direction flag is clear by the ABI.
    unsafe {
        core::arch::asm!(
            "rep stosb",
            inout("rcx") count => _,
            inout("rdi") to => _,
            in("al") byte,
            options(nostack, preserves_flags)
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: the caller vouches for the range.
    unsafe {
        let mut at = 0;
        while count - at >= WORD {
            let word = Word(u64::from_ne_bytes([byte; WORD]));
            to.add(at).cast::<Word>().write_volatile(word);
            at += WORD;
        }
        while at < count {
            to.add(at).write_volatile(byte);
            at += 1;
        }
    }
    to
}

/// # Safety
/// As C's `memcmp`.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, count: usize) -> c_int {
    let mut at = 0;
    // SAFETY: the caller vouches for both ranges.
    unsafe {
        let word = |from: *const u8, at| from.add(at).cast::<Word>().read_volatile().0;
        while count - at >= WORD && word(a, at) == word(b, at) {
            at += WORD;
        }
        while at < count {
            let (a, b) = (a.add(at).read_volatile(), b.add(at).read_volatile());
            if a != b {
                return c_int::from(a) - c_int::from(b);
            }
            at += 1;
        }
    }
    0
}

/// # Safety
/// As C's `bcmp`.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, count: usize) -> c_int {
    // SAFETY: the caller vouches for both ranges.
    unsafe { memcmp(a, b, count) }
}

/// # Safety
/// As C's `strlen`.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C" fn strlen(text: *const c_char) -> usize {
    let mut length = 0;
    // SAFETY: the caller vouches for a NUL at the end.
    while unsafe { text.add(length).read_volatile() } != 0 {
        length += 1;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than two words, and what is left over.
    const SIZE: usize = 40;

    fn filled() -> [u8; SIZE] {
        core::array::from_fn(|at| at as u8 * 5 + 1)
    }

    #[test]
    fn ranges_of_one_buffer_are_moved_whatever_their_distance() {
        for (from, to) in (0..12).flat_map(|from| (0..12).map(move |to| (from, to))) {
            for count in 0..=SIZE - 12 {
                let (mut ours, mut expected) = (filled(), filled());
                let start = ours.as_mut_ptr();
                // SAFETY: both ranges lie in the buffer.
                let answer = unsafe { memmove(start.add(to), start.add(from), count) };
                expected.copy_within(from..from + count, to);
                assert_eq!(answer, start.wrapping_add(to));
                assert_eq!(ours, expected, "{count} bytes from {from} to {to}");
            }
        }
    }

    #[test]
    fn a_range_is_copied_and_set_and_nothing_beside_it() {
        for (at, count) in (0..12).flat_map(|at| (0..=SIZE - 12).map(move |count| (at, count))) {
            let mut ours = [0xee; SIZE];
            // SAFETY: the range lies in both buffers.
            unsafe { memcpy(ours[at..].as_mut_ptr(), filled().as_ptr(), count) };
            assert_eq!(ours[at..at + count], filled()[..count]);
            let beside = |ours: &[u8; SIZE]| {
                ours[..at]
                    .iter()
                    .chain(&ours[at + count..])
                    .all(|byte| *byte == 0xee)
            };
            assert!(beside(&ours), "{count} bytes at {at}");
            // SAFETY: the range lies in the buffer.
            unsafe { memset(ours[at..].as_mut_ptr(), 0x1a5, count) };
            assert_eq!(ours[at..at + count], [0xa5; SIZE][..count]);
            assert!(beside(&ours), "{count} bytes at {at}");
        }
    }

    #[test]
    fn the_first_different_byte_decides() {
        for (count, at) in (0..SIZE).flat_map(|count| (0..SIZE).map(move |at| (count, at))) {
            for (byte, later) in [(0x00, 0xff), (0xff, 0x00)] {
                let (ours, mut theirs) = (filled(), filled());
                theirs[at] = byte;
                theirs[SIZE - 1] = if at == SIZE - 1 { byte } else { later };
                // SAFETY: the range lies in both buffers.
                let answer = unsafe { memcmp(ours.as_ptr(), theirs.as_ptr(), count) };
                let expected = ours[..count].cmp(&theirs[..count]);
                assert_eq!(answer.cmp(&0), expected, "{count} bytes, {byte:#x} at {at}");
                // SAFETY: as above.
                let same = unsafe { bcmp(ours.as_ptr(), theirs.as_ptr(), count) } == 0;
                assert_eq!(same, expected.is_eq());
            }
        }
    }

    #[test]
    fn a_text_ends_at_its_first_nul() {
        for (text, length) in [(c"", 0), (c"a", 1), (c"modprobe", 8)] {
            // SAFETY: each is a C string.
            assert_eq!(unsafe { strlen(text.as_ptr()) }, length);
        }
    }
}
