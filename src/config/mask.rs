//! Secrets in a configuration text, hidden before anything shows a line of it.

use super::node::{Node, Problems, Value};
use std::collections::BTreeMap;

/// Whether a key sounds as if its value were a secret itself. A slip of the hand such as `api_secert` counts.
pub(super) fn is_secret_key(key: &str) -> bool {
    let key = key.trim().trim_matches(['"', '\'']).to_lowercase();
    let sounds = key.starts_with("api")
        || ["key", "secret", "token", "pass", "credential", "hmac"]
            .iter()
            .any(|word| key.contains(word));
    // The address of a channel of alerts is its password.
    (sounds || key == "url") && !key.ends_with("_file") && key != "key_type"
}

/// Whether a value given as the name of a file looks like the secret itself.
pub(super) fn looks_like_a_secret(value: &str) -> bool {
    value.len() >= 32
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+=-_".contains(&b))
        || value.contains("-----BEGIN")
}

/// Hides what follows a secret's key, also in a text that is no TOML. The result is as long as the text.
pub(super) fn hide(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut until: Option<&str> = None; // the end of a text of several lines
    for line in text.split_inclusive('\n') {
        if let Some(end) = until {
            shown.push_str(&stars(line));
            if line.contains(end) {
                until = None;
            }
            continue;
        }
        match secret_from(line) {
            Some(at) => {
                let (open, hidden) = line.split_at_checked(at).unwrap_or((line, ""));
                shown.push_str(open);
                shown.push_str(&stars(hidden));
                until = ["\"\"\"", "'''"]
                    .into_iter()
                    .find(|quotes| hidden.matches(quotes).count() == 1);
            }
            None => shown.push_str(line),
        }
    }
    shown
}

/// Hides the values of secret keys in a parsed text.
pub(super) fn hide_nodes(table: &BTreeMap<String, Node>, problems: &mut Problems) {
    for (key, node) in table {
        match &node.value {
            _ if is_secret_key(key) => problems.mask(&node.place),
            Value::Text(text) if key.ends_with("_file") && looks_like_a_secret(text) => {
                problems.mask(&node.place)
            }
            Value::Text(text) if text.contains('@') && text.contains("://") => problems.mask(&node.place),
            Value::Table(inner) => hide_nodes(inner, problems),
            Value::List(all) => {
                for each in all {
                    if let Value::Table(inner) = &each.value {
                        hide_nodes(inner, problems);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Where the value of a secret key begins in a line.
fn secret_from(line: &str) -> Option<usize> {
    line.match_indices('=')
        .find(|(at, _)| {
            let before = line.get(..*at).unwrap_or("").trim_end();
            let word = |c: char| c.is_alphanumeric() || "_-\"'".contains(c);
            let key = before.rsplit(|c: char| !word(c)).next().unwrap_or("");
            is_secret_key(key)
        })
        .map(|(at, _)| at + 1)
}

fn stars(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            ' ' | '\n' | '\r' | '\t' => c.to_string(),
            _ => "*".repeat(c.len_utf8()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn se_01_what_follows_a_secret_key_is_hidden() {
        for (text, expected) in [
            ("api_key = \"abc\"\n", "api_key = *****\n"),
            ("api_secert=\"abc\" # x", "api_secert=***** * *"),
            ("m = { api_key = \"abc\" }", "m = { api_key = ***** *"),
            ("api_key_file = \"abc\"", "api_key_file = \"abc\""),
            ("key_type = \"hmac\"", "key_type = \"hmac\""),
            ("\"api_key\" = \"é\"", "\"api_key\" = ****"),
            ("token = '''\na\n'''\nb = 1\n", "token = ***\n*\n***\nb = 1\n"),
            ("keepalive = \"20m\"", "keepalive = \"20m\""),
            ("sapi_url = \"\"", "sapi_url = \"\""),
            ("url = \"https://h/x\"", "url = *************"),
        ] {
            assert_eq!(hide(text), expected, "{text}");
            assert_eq!(hide(text).len(), text.len());
        }
    }
}
