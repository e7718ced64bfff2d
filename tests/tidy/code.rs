//! Rust text, seen just closely enough: what is code, and which paths it names.

/// A path as it is written, groups taken apart, with the line that it begins on.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Named {
    pub(super) line: usize,
    pub(super) segments: Vec<String>,
    /// `name!`
    pub(super) macro_call: bool,
}

/// The text with blanks for comments, strings and characters; lines stay where they are.
pub(super) fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        let before = if i == 0 { ' ' } else { at(i - 1) };
        let end = match at(i) {
            '/' if at(i + 1) == '/' => until(&chars, i, |i| at(i) == '\n'),
            '/' if at(i + 1) == '*' => block_comment(&chars, i),
            '"' => string(&chars, i),
            'r' if !word(before) || before == 'b' => raw_string(&chars, i),
            '\'' if at(i + 1) == '\\' => until(&chars, i + 3, |i| at(i) == '\'') + 1,
            '\'' if at(i + 2) == '\'' => i + 3,
            _ => i,
        };
        if end == i {
            out.push(at(i));
            i += 1;
        } else {
            let end = end.min(chars.len());
            out.extend(chars[i..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            i = end;
        }
    }
    out
}

fn word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn until(chars: &[char], from: usize, stop: impl Fn(usize) -> bool) -> usize {
    (from..chars.len()).find(|i| stop(*i)).unwrap_or(chars.len())
}

fn block_comment(chars: &[char], from: usize) -> usize {
    let (mut depth, mut i) = (0_usize, from);
    while i < chars.len() {
        match chars[i..].get(..2) {
            Some(['/', '*']) => (depth, i) = (depth + 1, i + 2),
            Some(['*', '/']) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    i
}

fn string(chars: &[char], from: usize) -> usize {
    let mut i = from + 1;
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    i
}

/// The end of `r"…"` or `r#"…"#`; `from` itself when no string begins there.
fn raw_string(chars: &[char], from: usize) -> usize {
    let hashes = chars[from + 1..].iter().take_while(|c| **c == '#').count();
    if chars.get(from + 1 + hashes) != Some(&'"') {
        return from;
    }
    let close: Vec<char> = std::iter::once('"')
        .chain(std::iter::repeat_n('#', hashes))
        .collect();
    let inside = from + 2 + hashes;
    until(chars, inside, |i| chars[i..].starts_with(&close)) + close.len()
}

/// Every path that code (see [`code`]) names, single names too.
pub(super) fn paths(code: &str) -> Vec<Named> {
    let tokens = tokens(code);
    let mut out = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        i = path(&tokens, i, &[], &mut out);
    }
    out
}

/// Reads a path that may begin at `i` and returns where to go on.
fn path(tokens: &[(usize, String)], mut i: usize, prefix: &[String], out: &mut Vec<Named>) -> usize {
    let is = |i: usize, what: &str| tokens.get(i).is_some_and(|(_, token)| token == what);
    let line = tokens[i].0;
    let mut segments = prefix.to_vec();
    while let Some((_, token)) = tokens.get(i).filter(|(_, token)| token.starts_with(word)) {
        segments.push(token.clone());
        i += 1;
        if !is(i, "::") {
            out.push(Named {
                line,
                segments,
                macro_call: is(i, "!") && !is(i + 1, "="),
            });
            return i;
        }
        i += 1;
    }
    if segments.is_empty() {
        return i + 1;
    }
    if !is(i, "{") {
        // `path::*` or `path::<T>`.
        out.push(Named {
            line,
            segments,
            macro_call: false,
        });
        return i;
    }
    i += 1;
    while i < tokens.len() && !is(i, "}") {
        i = path(tokens, i, &segments, out).max(i + 1);
        while i < tokens.len() && !is(i, ",") && !is(i, "}") {
            i += 1;
        }
        i += usize::from(is(i, ","));
    }
    i + 1
}

/// Words, `::`, and every other sign alone, each with its line.
fn tokens(code: &str) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if word(first) {
                rest.find(|c| !word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            let (token, after) = rest.split_at(length);
            out.push((number + 1, token.to_owned()));
            rest = after.trim_start();
        }
    }
    out
}

#[test]
fn comments_strings_and_characters_are_no_code() {
    for (text, expected) in [
        ("a // tokio\nb", "a\nb"),
        ("a /* x /* y */ z */ b", "a b"),
        (r#"a("tokio \" serde", b)"#, "a( , b)"),
        ("a(r#\"tokio \" serde\"#, b)", "a( , b)"),
        ("a('\"', 'x', '\\'', '\\u{1F600}') b", "a( , , , ) b"),
        (
            "fn f<'a>(x: &'a str) -> &'a str",
            "fn f<'a>(x: &'a str) -> &'a str",
        ),
        ("for r in rows", "for r in rows"),
    ] {
        let seen: Vec<String> = code(text)
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(seen.join("\n"), expected, "{text}");
    }
}

#[test]
fn groups_of_a_path_are_taken_apart() {
    for (text, expected) in [
        ("use crate::model::Qty;", "use crate::model::Qty"),
        (
            "use crate::{book::{Book, Link}, model};",
            "use crate::book::Book crate::book::Link crate::model",
        ),
        (
            "use std::{net, time::Duration as D};\nx",
            "use std::net std::time::Duration x",
        ),
        ("use super::*; todo!()", "use super todo!"),
        ("a != b", "a b"),
        ("crate::guard::Guard::<T>::new()", "crate::guard::Guard T new"),
        ("use crate::{", "use"),
    ] {
        let named = paths(text).into_iter().map(|named| {
            format!(
                "{}{}",
                named.segments.join("::"),
                if named.macro_call { "!" } else { "" }
            )
        });
        assert_eq!(named.collect::<Vec<_>>().join(" "), expected, "{text}");
    }
}
