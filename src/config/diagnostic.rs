//! Mistakes in a file, each with its place: what the reader shows instead of giving up at the first one.

use annotate_snippets::{AnnotationKind, Group, Level, Origin as Path, Renderer, Snippet};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// Mistakes shown for one file. More than this is not a file with mistakes but another kind of file.
const ITEMS_MAX: usize = 100;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file is used all the same.
    Warning,
    /// The file is not used.
    Error,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The file as it was named, or `environment variable X`, or `flag --x`.
    pub file: String,
    /// Line, from 1; 0 when the finding has no place in a file.
    pub line: usize,
    /// Column in characters, from 1; 0 when the finding has no place in a file.
    pub column: usize,
    /// Bytes of the file that it is about.
    #[serde(skip)]
    pub span: Option<Range<usize>>,
    /// How bad it is.
    pub severity: Severity,
    /// Stable name of the rule that was broken.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// All findings about one input, with the text that they point into. Secrets in the text are masked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    /// In the order of the file.
    pub items: Vec<Diagnostic>,
    texts: BTreeMap<String, String>,
}

impl Diagnostics {
    /// One finding without a place in a file.
    pub fn single(file: &str, code: &'static str, message: impl Into<String>, hint: Option<String>) -> Self {
        let item = Diagnostic {
            file: file.into(),
            line: 0,
            column: 0,
            span: None,
            severity: Severity::Error,
            code,
            message: message.into(),
            hint,
        };
        Diagnostics {
            items: vec![item],
            texts: BTreeMap::new(),
        }
    }

    /// Findings about `text`, which must hold no secret; they are put in the order of the file.
    pub(super) fn new(file: &str, text: &str, mut items: Vec<Diagnostic>) -> Self {
        items.sort_by_key(|item| item.span.as_ref().map_or(0, |span| span.start));
        items.dedup();
        let left_out = items.len().saturating_sub(ITEMS_MAX);
        items.truncate(ITEMS_MAX);
        let mut all = Diagnostics {
            items,
            texts: BTreeMap::from([(file.to_owned(), text.to_owned())]),
        };
        if left_out > 0 {
            let more = format!("{left_out} more mistakes are not shown");
            all.items
                .extend(Diagnostics::single(file, "more", more, None).items);
        }
        all
    }

    /// Adds the findings about another input.
    pub fn extend(&mut self, other: Diagnostics) {
        self.items.extend(other.items);
        self.texts.extend(other.texts);
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether one of the findings is an error.
    pub fn has_errors(&self) -> bool {
        self.items.iter().any(|item| item.severity == Severity::Error)
    }

    /// For people: `error[code]: …`, the place, the line and the hint of each finding.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let all: Vec<String> = self
            .items
            .iter()
            .map(|item| self.render_one(item, &renderer))
            .collect();
        all.join("\n\n")
    }

    fn render_one(&self, item: &Diagnostic, renderer: &Renderer) -> String {
        let level = match item.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(visible(&item.message)).id(item.code);
        let place = self.texts.get(&item.file).zip(item.span.clone());
        let mut group: Group<'_> = match place {
            Some((text, span)) => title.element(
                Snippet::source(text.as_str())
                    .path(item.file.as_str())
                    .annotation(AnnotationKind::Primary.span(span)),
            ),
            None => title.element(Path::path(item.file.as_str())),
        };
        if let Some(hint) = &item.hint {
            group = group.element(Level::HELP.message(visible(hint)));
        }
        renderer.render(&[group])
    }
}

impl fmt::Display for Diagnostics {
    /// Without colour.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// Control characters of a file must not drive the reader's terminal.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// Line and column of a byte, both from 1, the column in characters.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = text.get(..end).unwrap_or("");
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_shows_its_line_and_its_hint_without_colour() {
        let text = "version = 1\nnaem = \"x\"\n";
        let (line, column) = position(text, 12);
        let item = Diagnostic {
            file: "policies/p.toml".into(),
            line,
            column,
            span: Some(12..16),
            severity: Severity::Error,
            code: "unknown-key",
            message: "unknown key `naem`".into(),
            hint: Some("did you mean `name`?".into()),
        };
        let shown = Diagnostics::new("policies/p.toml", text, vec![item]).to_string();
        for part in [
            "error[unknown-key]: unknown key `naem`",
            "--> policies/p.toml:2:1",
            "naem = \"x\"",
            "help: did you mean `name`?",
        ] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }

    #[test]
    fn positions_count_characters_and_never_panic() {
        for (text, offset, expected) in [
            ("", 0, (1, 1)),
            ("ab\ncd", 4, (2, 2)),
            ("é=1", 2, (1, 2)),
            ("é=1", 1, (1, 1)),
            ("ab", 99, (1, 3)),
        ] {
            assert_eq!(position(text, offset), expected, "{text:?} {offset}");
        }
    }
}
