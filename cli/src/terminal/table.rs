//! Words in columns.

use comfy_table::{ContentArrangement, Table as Laid, TableStyle};

use super::{Screen, Tone, one_line};

/// Rows of cells under a heading; a cell that is too wide for the screen is wrapped, and no word of it lost.
#[derive(Clone, Debug, Default)]
pub struct Table {
    heading: Vec<String>,
    rows: Vec<Vec<Cell>>,
    indent: usize,
}

/// A cell of a table.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    tone: Option<Tone>,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            text: one_line(&text.into()),
            tone: None,
        }
    }
}

impl Cell {
    /// A cell in a tone.
    #[must_use]
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        let mut cell = Self::from(text);
        cell.tone = Some(tone);
        cell
    }
}

/// Stand for colours until the columns are laid out: they are as wide as nothing, and no cell has them.
const END: char = '\u{2060}';
const BEGINS: [(char, Tone); 5] = [
    ('\u{2061}', Tone::Good),
    ('\u{2062}', Tone::Warning),
    ('\u{2063}', Tone::Bad),
    ('\u{2064}', Tone::Faint),
    ('\u{2066}', Tone::Strong),
];

impl Table {
    /// An empty one; without a heading where that is empty.
    #[must_use]
    pub fn new(heading: &[&str]) -> Self {
        Self {
            heading: heading.iter().map(|&word| word.to_owned()).collect(),
            ..Self::default()
        }
    }

    /// The same, so many blanks to the right.
    #[must_use]
    pub fn indented(mut self, indent: usize) -> Self {
        self.indent = indent;
        self
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(cells.into());
    }

    /// Adds a row of any length.
    pub fn cells(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Whether it has no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, each with its end.
    #[must_use]
    pub fn lines(&self, screen: Screen) -> String {
        let mut table = Laid::new();
        table.load_style(TableStyle::new());
        table.set_content_arrangement(ContentArrangement::Disabled);
        let indent = u16::try_from(self.indent).unwrap_or(u16::MAX);
        if let Some(width) = screen.width {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            // Cells begin with a blank, which is taken away.
            table.set_width(width.saturating_sub(indent).saturating_add(1));
        }
        if !self.heading.is_empty() {
            let heading = self.heading.iter();
            table.set_header(heading.map(|word| marked(word, Some(Tone::Strong))));
        }
        let row = |cells: &Vec<Cell>| -> Vec<String> {
            let cells = cells.iter();
            cells.map(|cell| marked(&cell.text, cell.tone)).collect()
        };
        table.add_rows(self.rows.iter().map(row));
        let blanks = " ".repeat(self.indent);
        let mut text = String::new();
        for line in table.lines() {
            let line = line.strip_prefix(' ').unwrap_or(&line).trim_end();
            text.extend([&blanks, coloured(line, screen).trim_end(), "\n"]);
        }
        text
    }
}

/// Each word by itself, since a cell may be wrapped between two.
fn marked(text: &str, tone: Option<Tone>) -> String {
    let begin = BEGINS.iter().find(|(_, of)| Some(*of) == tone);
    let Some((begin, _)) = begin else {
        return text.to_owned();
    };
    let words = text.split(' ').map(|word| format!("{begin}{word}{END}"));
    words.collect::<Vec<_>>().join(" ")
}

fn coloured(line: &str, screen: Screen) -> String {
    let mut text = String::with_capacity(line.len());
    let mut tone = None;
    let mut word = String::new();
    for letter in line.chars() {
        let begun = BEGINS.iter().find(|(begin, _)| *begin == letter);
        match (begun, tone) {
            (Some((_, of)), _) => tone = Some(*of),
            (None, Some(of)) if letter == END => {
                text.push_str(&screen.paint(of, &word));
                word.clear();
                tone = None;
            }
            (None, Some(_)) => word.push(letter),
            (None, None) if letter == END => {}
            (None, None) => text.push(letter),
        }
    }
    // A word that was wider than its column is coloured up to the end of the first line.
    match tone {
        Some(of) => text + &screen.paint(of, &word),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_width::UnicodeWidthStr;

    fn table() -> Table {
        let mut table = Table::new(&["Function", "State", "Why"]);
        let why = "because its owner said so on the kernel's command line, and ".repeat(3);
        table.row([
            "0000:42:00.0".into(),
            Cell::toned("FAIL", Tone::Bad),
            why.into(),
        ]);
        table.row([
            "0000:42:00.1".into(),
            Cell::toned("not lendable", Tone::Warning),
            "ä\u{2066}ö\n".into(),
        ]);
        table
    }

    #[test]
    fn a_table_fits_and_keeps_every_word() {
        for width in [40, 60, 80, 200] {
            let screen = Screen {
                width: Some(width),
                colour: false,
            };
            let text = table().indented(2).lines(screen);
            assert!(
                text.lines().all(|line| line.width() <= usize::from(width)),
                "{width}\n{text}"
            );
            for word in ["0000:42:00.0", "FAIL", "Function", "lendable"] {
                assert!(text.contains(word), "{width}: {word}\n{text}");
            }
            assert_eq!(text.matches("because").count(), 3, "{text}");
            assert!(
                !text.contains(|letter| matches!(letter, '\u{2060}'..='\u{206f}')),
                "{text:?}"
            );
        }
    }

    #[test]
    fn piped_it_has_a_line_for_each_row_and_no_blanks_behind() {
        let text = table().lines(Screen::default());
        assert_eq!(text.lines().count(), 3);
        assert!(text.starts_with("Function"), "{text}");
        assert!(text.lines().all(|line| line.trim_end() == line), "{text:?}");
    }

    #[test]
    fn colours_change_no_column() {
        let plain = Screen {
            width: Some(60),
            colour: false,
        };
        let colour = Screen {
            colour: true,
            ..plain
        };
        let painted = table().lines(colour);
        assert!(painted.contains("\u{1b}["));
        assert_eq!(
            anstream::adapter::strip_str(&painted).to_string(),
            table().lines(plain)
        );
    }
}
