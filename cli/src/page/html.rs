//! Words of HTML, with all that comes from outside escaped.

use std::fmt::Write as _;

/// A text that grows.
#[derive(Debug, Default)]
pub struct Html(String);

impl Html {
    /// Adds what is HTML by itself, as it is written in this program.
    pub fn raw(&mut self, html: &'static str) -> &mut Self {
        self.0.push_str(html);
        self
    }

    /// Adds a text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        escape(text, &mut self.0);
        self
    }

    /// Begins an element.
    pub fn open(&mut self, tag: &'static str, attributes: &[(&'static str, &str)]) -> &mut Self {
        // A string takes everything.
        let _ = write!(self.0, "<{tag}");
        for (name, value) in attributes {
            let _ = write!(self.0, " {name}=\"");
            escape(value, &mut self.0);
            self.0.push('"');
        }
        self.0.push('>');
        self
    }

    /// Ends it.
    pub fn close(&mut self, tag: &'static str) -> &mut Self {
        // As above.
        let _ = write!(self.0, "</{tag}>");
        self
    }

    /// Adds an element with a text in it.
    pub fn element(
        &mut self,
        tag: &'static str,
        attributes: &[(&'static str, &str)],
        text: &str,
    ) -> &mut Self {
        self.open(tag, attributes).text(text).close(tag)
    }

    /// All of it.
    pub fn finish(self) -> String {
        self.0
    }
}

/// What would be read as HTML, in texts and in attributes; and what would move a cursor or turn the order of
/// letters is a blank.
fn escape(text: &str, to: &mut String) {
    for letter in crate::terminal::visible(text).chars() {
        match letter {
            '&' => to.push_str("&amp;"),
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            '"' => to.push_str("&quot;"),
            '\'' => to.push_str("&#39;"),
            other => to.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_is_html() {
        let mut html = Html::default();
        html.element("a", &[("title", "\"'><script>")], "<b>&\u{202e}\u{1b}x");
        assert_eq!(
            html.finish(),
            "<a title=\"&quot;&#39;&gt;&lt;script&gt;\">&lt;b&gt;&amp;  x</a>"
        );
    }
}
