//! Markup that is ours, and text that is not: the one cannot be taken for the other (SE-10).

use std::fmt::{Display, Write};

/// A page as it grows.
#[derive(Clone, Debug, Default)]
pub struct Html(String);

impl Html {
    /// Adds markup. It is part of the program's own text, so nothing that was received can be in it.
    pub fn raw(&mut self, markup: &'static str) -> &mut Html {
        self.0.push_str(markup);
        self
    }

    /// Adds text, which stays text whatever is in it, also between quotation marks.
    pub fn text(&mut self, text: impl Display) -> &mut Html {
        // Writing to a string does not fail.
        let _ = write!(Escaped(&mut self.0), "{text}");
        self
    }

    /// Adds another piece of the page.
    pub fn piece(&mut self, other: &Html) -> &mut Html {
        self.0.push_str(&other.0);
        self
    }

    /// The page as text.
    pub fn finish(self) -> String {
        self.0
    }
}

struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for each in text.chars() {
            match each {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                other => self.0.push(other),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn se_10_text_stays_text() {
        let mut html = Html::default();
        html.raw("<b title=\"").text("\" onclick='x' & <i>").raw("\">");
        assert_eq!(
            html.finish(),
            "<b title=\"&quot; onclick=&#39;x&#39; &amp; &lt;i&gt;\">"
        );
    }
}
