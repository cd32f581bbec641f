//! Tables for a terminal of 100 columns.

use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};

/// How wide a table may be.
const WIDTH: u16 = 100;

/// A table with a heading; cells that are too wide are wrapped.
#[must_use]
pub fn render(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    let rule = LineStyle::none().fill('─').junction('─');
    table.load_style(TableStyle::new().header_separator(rule));
    table
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH);
    table.set_header(heading).add_rows(rows);
    table
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits_and_keeps_every_word() {
        let reason = "because its owner said so on the kernel's command line, and ".repeat(3);
        let text = render(
            &["Function", "Why"],
            &[vec!["0000:42:00.0".to_owned(), reason]],
        );
        assert!(
            text.lines()
                .all(|line| line.chars().count() <= usize::from(WIDTH)),
            "{text}"
        );
        assert_eq!(text.matches("because").count(), 3);
        assert!(text.contains("0000:42:00.0"));
    }
}
