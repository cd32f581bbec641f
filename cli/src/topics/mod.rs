//! What a person reads who has never heard of some of it: short texts, a file each.

/// The texts, by name, each beginning with its title.
pub const TOPICS: [(&str, &str); 5] = [
    ("groups", include_str!("groups.txt")),
    ("iommu", include_str!("iommu.txt")),
    ("words", include_str!("words.txt")),
    ("guest", include_str!("guest.txt")),
    ("undo", include_str!("undo.txt")),
];

/// The text about something.
#[must_use]
pub fn about(name: &str) -> Option<&'static str> {
    let mut topics = TOPICS.iter();
    topics
        .find(|(topic, _)| *topic == name)
        .map(|(_, text)| *text)
}

/// The title of a text.
#[must_use]
pub fn title(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Its paragraphs, in which a line that begins with blanks is one of its own.
pub fn paragraphs(text: &str) -> impl Iterator<Item = String> {
    text.split("\n\n").map(|paragraph| {
        let mut lines: Vec<String> = Vec::new();
        for line in paragraph.trim_end().lines() {
            match lines.last_mut() {
                Some(last) if !line.starts_with(' ') && !last.starts_with(' ') => {
                    last.push(' ');
                    last.push_str(line);
                }
                _ => lines.push(line.to_owned()),
            }
        }
        lines.join("\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_short_and_has_a_title() {
        for (name, text) in TOPICS {
            assert!(text.lines().count() <= 25, "{name}");
            assert!(
                !title(text).is_empty() && !title(text).ends_with('.'),
                "{name}"
            );
            assert!(
                text.lines().all(|line| line.chars().count() <= 120),
                "{name}"
            );
        }
    }

    #[test]
    fn lines_of_a_paragraph_are_one_and_examples_stay() {
        let text = "Title\n\none\ntwo\n\n  a    b\n  c    d\n";
        let found: Vec<_> = paragraphs(text).collect();
        assert_eq!(found, ["Title", "one two", "  a    b\n  c    d"]);
    }
}
