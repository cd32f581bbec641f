//! The words of a kernel command line.

/// The words of a line as the kernel parts them (lib/cmdline.c, `next_arg`): blanks between double quotes part
/// nothing.
#[must_use]
pub fn words(line: &str) -> Vec<&str> {
    let mut quoted = false;
    line.split(|c: char| {
        quoted ^= c == '"';
        c.is_ascii_whitespace() && !quoted
    })
    .filter(|word| !word.is_empty())
    .collect()
}

/// The name in front of the value; `-` and `_` are equal to the kernel.
#[must_use]
pub fn key(word: &str) -> String {
    let name = word.split('=').next().unwrap_or(word);
    name.replace('-', "_")
}

/// Whether a line has all of these words.
#[must_use]
pub fn has(line: &str, wanted: &[String]) -> bool {
    let there = words(line);
    wanted.iter().all(|word| there.contains(&word.as_str()))
}

/// A line without these words.
#[must_use]
pub fn without(line: &str, gone: &[String]) -> String {
    let left = words(line).into_iter();
    let left: Vec<_> = left
        .filter(|word| !gone.iter().any(|gone| gone == word))
        .collect();
    left.join(" ")
}

/// Why a word cannot be set: shells, GRUB and the tools of boot loaders each have characters of their own, and
/// these are none of any.
#[must_use]
pub fn fault(word: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:,=/*@!+~".contains(c);
    if let Some(c) = word.chars().find(|c| !plain(*c)) {
        return Some(format!(
            "`{word}`: {c:?} means something else to a boot loader or its tools; write what needs it into \
             /etc/vfio-bind/policy.conf"
        ));
    }
    let name = word.split('=').next().unwrap_or(word);
    if name.is_empty() || !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Some(format!(
            "`{word}` is no parameter, such as vfio.bind=0000:42:00.0"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parted_as_the_kernel_does() {
        for (line, expected) in [
            ("a  b\tc\n", vec!["a", "b", "c"]),
            ("a=\"x y\" b", vec!["a=\"x y\"", "b"]),
            ("\"a=x y\" b", vec!["\"a=x y\"", "b"]),
            ("", vec![]),
        ] {
            assert_eq!(words(line), expected, "{line:?}");
        }
        let ours = ["vfio.bind=1".to_owned(), "x".to_owned()];
        assert!(has("x y vfio.bind=1", &ours));
        assert!(!has("xy vfio.bind=1", &ours));
        assert_eq!(
            without("x y vfio.bind=1 vfio.bind=12", &ours),
            "y vfio.bind=12"
        );
    }

    #[test]
    fn what_a_shell_or_grub_would_read_is_no_word() {
        for word in [
            "vfio.bind=0000:42:00.0",
            "vfio.group=strict",
            "iommu=pt",
            "vfio.bind=!10de:*:1:2",
        ] {
            assert_eq!(fault(word), None, "{word}");
        }
        for word in [
            "a=$b", "a=`b`", "a=\"b\"", "a='b'", "a=b\\c", "a;b", "a#b", "=x", "a b", "é", "-x", "",
        ] {
            assert!(fault(word).is_some(), "{word}");
        }
    }
}
