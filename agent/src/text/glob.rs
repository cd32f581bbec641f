//! Patterns as depmod and kmod have them.

/// Whether `text` fits a pattern in which `*` stands for any letters.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    let mut retry = None;
    loop {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => return true,
            (Some((b'*', rest)), _) => {
                pattern = rest;
                retry = Some((rest, text));
            }
            (Some((p, pattern_rest)), Some((t, text_rest))) if p.eq_ignore_ascii_case(t) => {
                (pattern, text) = (pattern_rest, text_rest);
            }
            // Back to the last `*`, which takes one letter more: as often as there are letters.
            _ => match retry {
                Some((rest, [_, after @ ..])) => {
                    (pattern, text) = (rest, after);
                    retry = Some((rest, after));
                }
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("a", "", false),
            ("", "a", false),
            ("*", "", true),
            ("*", "abc", true),
            ("a*c", "abbc", true),
            ("a*c", "abbcd", false),
            ("v*d0000101E*", "v000015B3d0000101Esv1", true),
            ("*ab*ab", "aababxab", true),
            ("vABCD", "vabcd", true),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_pattern_made_of_a_text_fits_it(text in "[ab]{0,12}", cut in 0usize..12, to in 0usize..12) {
            let (from, to) = (cut.min(text.len()), to.clamp(cut.min(text.len()), text.len().max(cut)));
            let to = to.min(text.len());
            let pattern = std::format!("{}*{}", &text[..from], &text[to..]);
            prop_assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
    }
}
