//! The name that was probably meant.

/// The known name nearest to `wrong`, when one is near enough to be a slip of the hand.
pub(super) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Longer words are no slips; comparing them costs time.
    const LEN_MAX: usize = 64;
    let wrong = wrong.to_lowercase();
    let length = wrong.chars().count();
    if length > LEN_MAX {
        return None;
    }
    known
        .into_iter()
        .map(|name| (distance(&wrong, &name.to_lowercase()), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| *distance <= 1 + length.max(name.len()) / 4)
        .map(|(_, name)| name)
}

/// `did you mean …?`, or the whole list when nothing is near.
pub(super) fn suggestion<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(wrong, known.clone()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("known here: {}", list(known)),
    }
}

/// `a`, `b`, `c` in backquotes.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// Insertions, deletions and substitutions between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for (to, pair) in b.iter().zip(row.windows(2)) {
            let &[diagonal, above] = pair else { continue };
            left = (diagonal + usize::from(from != *to)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["margin_ratio", "drawdown", "blind", "at", "action"];
        for (wrong, expected) in [
            ("margin-ratio", Some("margin_ratio")),
            ("draw_down", Some("drawdown")),
            ("Blind", Some("blind")),
            ("acton", Some("action")),
            ("whatever_it_is", None),
            ("", Some("at")),
        ] {
            let expected = if wrong.is_empty() { None } else { expected };
            assert_eq!(nearest(wrong, known), expected, "{wrong}");
        }
    }
}
