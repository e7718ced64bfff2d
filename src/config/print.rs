//! The result of all layers, for `check --print`.

use super::{Config, Origin};
use std::fmt::Write;

/// Every value with where it came from, secrets masked.
pub fn print(config: &Config) -> String {
    let file = config
        .file
        .as_ref()
        .map_or("no file".to_owned(), |path| path.display().to_string());
    let lines: Vec<(String, &Origin)> = config
        .sources
        .iter()
        .map(|setting| (format!("{} = {}", setting.path, setting.value), &setting.origin))
        .collect();
    let longest = lines
        .iter()
        .map(|(line, _)| line.chars().count())
        .max()
        .unwrap_or(0);
    /// A longer line does not push the column of origins any further out.
    const COLUMN_MAX: usize = 76;
    let width = longest.min(COLUMN_MAX);
    lines.iter().fold(String::new(), |mut all, (line, origin)| {
        let origin = match origin {
            Origin::File(line) => format!("{file}:{line}"),
            other => other.to_string(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(all, "{line:width$}  # {origin}");
        all
    })
}
