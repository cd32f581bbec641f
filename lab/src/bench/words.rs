//! Numbers and tables, worded.

/// A number, in millions where it is large.
#[must_use]
pub fn short(number: u64) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..10_000_000 => format!("{:.2}M", number as f64 / 1e6),
        _ => format!("{:.1}M", number as f64 / 1e6),
    }
}

/// A ratio, as exact as it may be taken.
#[must_use]
pub fn ratio(number: f64) -> String {
    match number {
        ..10.0 => format!("{number:.2}"),
        _ => format!("{number:.0}"),
    }
}

/// A table for a page.
#[must_use]
pub fn markdown(heading: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let heading: Vec<_> = heading.iter().map(ToString::to_string).collect();
    let rule: Vec<_> = heading.iter().map(|_| "---".to_owned()).collect();
    let rows: String = rows.iter().map(|row| line(row)).collect();
    line(&heading) + &line(&rule) + &rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (number, text) in [
            (0, "0"),
            (9_999, "9999"),
            (1_234_567, "1.23M"),
            (112_760_176, "112.8M"),
        ] {
            assert_eq!(short(number), text);
        }
        assert_eq!([0.294, 9.99, 207.6].map(ratio), ["0.29", "9.99", "208"]);
    }

    #[test]
    fn a_table_has_a_rule() {
        let rows = [vec!["1".to_owned(), "2".to_owned()]];
        assert_eq!(
            markdown(&["a", "b"], &rows),
            "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
        );
    }
}
