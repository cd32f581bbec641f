//! How much is told, and in what order.

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// All that is known.
    All,
    /// Nothing that tells who owns the machine: no addresses, and of mount points and other names that a person
    /// has chosen none.
    Impersonal,
}

/// A name with its numbers as numbers, so that `card10` comes behind `card9`.
#[must_use]
pub fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = vec![(String::new(), 0u64)];
    let mut in_number = false;
    for letter in name.chars() {
        if let Some(digit) = letter.to_digit(10) {
            if let Some((_, number)) = parts.last_mut() {
                *number = number.saturating_mul(10).saturating_add(digit.into());
            }
            in_number = true;
            continue;
        }
        if in_number {
            parts.push((String::new(), 0));
            in_number = false;
        }
        if let Some((text, _)) = parts.last_mut() {
            text.push(letter);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_their_numbers() {
        let mut names = ["card10", "card9", "1-4.10", "1-4.2", "1-4", "sda"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["1-4", "1-4.2", "1-4.10", "card9", "card10", "sda"]);
    }
}
