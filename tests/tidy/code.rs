//! Rust source as the words that the compiler sees.
//!
//! Comments and the insides of text literals are gone, so that a rule may be named in prose without being broken.
//! Not a parser: enough of one to find paths, macros and attributes in code that already compiles.

/// One word or sign of the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Counted from 1.
    pub line: usize,
    /// An identifier, a number with its suffix, `::`, or one sign; a text or character literal is `"`.
    pub text: String,
}

/// The tokens of a file, in order.
pub fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let (mut found, mut index, mut line) = (Vec::new(), 0, 1);
    while index < chars.len() {
        let start = index;
        let text = match (at(index), at(index + 1)) {
            ('/', '/') => {
                index = line_end(&chars, index);
                None
            }
            ('/', '*') => {
                index = comment_end(&chars, index);
                None
            }
            ('"', _) => {
                index = quote_end(&chars, index, '"');
                Some("\"".to_owned())
            }
            ('\'', '\\') => {
                index = quote_end(&chars, index, '\'');
                Some("\"".to_owned())
            }
            // A quote two further on closes a character; without it the quote opens a lifetime.
            ('\'', _) if at(index + 2) == '\'' => {
                index += 3;
                Some("\"".to_owned())
            }
            (':', ':') => {
                index += 2;
                Some("::".to_owned())
            }
            (first, _) if is_word(first) => {
                index = word_end(&chars, index);
                let word: String = chars[start..index].iter().collect();
                match raw_quote_end(&chars, index, &word) {
                    Some(end) => {
                        index = end;
                        Some("\"".to_owned())
                    }
                    None => Some(word),
                }
            }
            (sign, _) => {
                index += 1;
                (!sign.is_whitespace()).then(|| sign.to_string())
            }
        };
        found.extend(text.map(|text| Token { line, text }));
        line += chars[start..index.min(chars.len())]
            .iter()
            .filter(|c| **c == '\n')
            .count();
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_end(chars: &[char], start: usize) -> usize {
    chars[start..]
        .iter()
        .position(|c| *c == '\n')
        .map_or(chars.len(), |length| start + length)
}

/// Block comments nest.
fn comment_end(chars: &[char], start: usize) -> usize {
    let (mut index, mut depth) = (start, 0);
    while index + 1 < chars.len() {
        match (chars[index], chars[index + 1]) {
            ('/', '*') => (depth, index) = (depth + 1, index + 2),
            ('*', '/') => (depth, index) = (depth - 1, index + 2),
            _ => index += 1,
        }
        if depth == 0 {
            return index;
        }
    }
    chars.len()
}

fn quote_end(chars: &[char], start: usize, quote: char) -> usize {
    let mut index = start + 1;
    while index < chars.len() {
        match chars[index] {
            '\\' => index += 2,
            c if c == quote => return index + 1,
            _ => index += 1,
        }
    }
    chars.len()
}

/// A number keeps its fraction and suffix, so that `1.5f64` is one word; `1..2` and `1.max(2)` are not.
fn word_end(chars: &[char], start: usize) -> usize {
    let mut index = start;
    while index < chars.len() {
        let fraction = chars[index] == '.'
            && chars[start].is_ascii_digit()
            && chars.get(index + 1).is_some_and(char::is_ascii_digit);
        if !is_word(chars[index]) && !fraction {
            break;
        }
        index += 1;
    }
    index
}

/// Where a raw text literal ends whose prefix `word` has just been read, or nothing when none begins.
fn raw_quote_end(chars: &[char], start: usize, word: &str) -> Option<usize> {
    if !["r", "br", "cr"].contains(&word) {
        return None;
    }
    let hashes = chars[start..].iter().take_while(|c| **c == '#').count();
    if chars.get(start + hashes) != Some(&'"') {
        return None;
    }
    let mut close = vec!['"'];
    close.extend(std::iter::repeat_n('#', hashes));
    let body = start + hashes + 1;
    let length = chars[body..]
        .windows(close.len())
        .position(|window| *window == *close);
    Some(length.map_or(chars.len(), |length| body + length + close.len()))
}

#[test]
fn words_of_the_code_are_found_and_prose_is_not() {
    for (source, expected) in [
        ("use a::b;", "use a :: b ;"),
        ("// tokio\nx", "x"),
        ("/// f64 of [`HashMap`]\nfn f() {}", "fn f ( ) { }"),
        ("/* a /* b */ c */ d", "d"),
        (r#"let s = "crate::venue \" todo!()"; x"#, "let s = \" ; x"),
        ("let s = r\"crate::venue\\\"; x", "let s = \" ; x"),
        ("let s = r##\"a\"#b\"##; x", "let s = \" ; x"),
        ("r#type x", "r # type x"),
        (r"let c = '\''; x", "let c = \" ; x"),
        ("let c = '\"'; x", "let c = \" ; x"),
        ("fn f<'a>(x: &'a str)", "fn f < ' a > ( x : & ' a str )"),
        ("1.5f64 1..2 1.max(2)", "1.5f64 1 . . 2 1 . max ( 2 )"),
        ("\"open", "\""),
        ("/* open", ""),
    ] {
        let words: Vec<String> = tokens(source).into_iter().map(|token| token.text).collect();
        assert_eq!(words.join(" "), expected, "{source}");
    }
}

#[test]
fn lines_are_counted_through_comments_and_texts() {
    for (source, expected) in [
        ("x", 1),
        ("\n\nx", 3),
        ("/* a\n b */ x", 2),
        ("\"a\nb\" x", 2),
        ("// a\nx", 2),
    ] {
        assert_eq!(
            tokens(source).last().map(|token| token.line),
            Some(expected),
            "{source}"
        );
    }
}
