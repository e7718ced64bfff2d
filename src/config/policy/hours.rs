//! The keys of `trading_window`: hours of the week, as `Mon-Fri 08:00-20:00`.

use super::kind::timezone;
use crate::config::fields::{Fields, short, texts};
use crate::config::node::Problems;
use crate::policy::spec::Kind;
use crate::policy::trading_window::{DAYS, Hours, TradingWindow};

/// Entries of one policy: a few for each day of a week.
const HOURS_MAX: usize = 50;
/// What is allowed when nothing is said (SPEC.md 4.1).
const USUAL: &str = "Mon-Fri 08:00-20:00";

pub(super) fn trading_window(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Kind> {
    let timezone = timezone(fields, problems);
    let Some(node) = fields.get("allow") else {
        let allow = parse(USUAL).into_iter().collect();
        return Some(Kind::TradingWindow(TradingWindow {
            allow,
            timezone: timezone?,
        }));
    };
    let written = texts(node, "allow", problems)?;
    if written.is_empty() || written.len() > HOURS_MAX {
        let message = format!("`allow` has {} entries, not 1 to {HOURS_MAX}", written.len());
        problems.error(&node.place, "hours", message, format!("write [\"{USUAL}\"]"));
        return None;
    }
    let mut allow = Vec::new();
    for (text, node) in &written {
        match parse(text) {
            Some(hours) => allow.push(hours),
            None => {
                let message = format!("`{}` is not hours of the week", short(text));
                let hint =
                    format!("write \"{USUAL}\", \"Sat,Sun 10:00-12:00\", or \"22:00-06:00\" for every night");
                problems.error(&node.place, "hours", message, hint);
            }
        }
    }
    let is_whole = allow.len() == written.len();
    let kind = Kind::TradingWindow(TradingWindow {
        allow,
        timezone: timezone?,
    });
    is_whole.then_some(kind)
}

/// `DAYS FROM-UNTIL`, or the hours alone for every day. Hours that end where they begin say nothing.
fn parse(text: &str) -> Option<Hours> {
    let (days, hours) = match text.split_once(' ') {
        Some((days, hours)) => (parse_days(days)?, hours),
        None => ([true; 7], text),
    };
    let (from, until) = hours.split_once('-')?;
    let (from, until) = (minute(from)?, minute(until)?);
    (from != until && from < 1_440).then_some(Hours { days, from, until })
}

/// `Mon`, `Mon-Fri`, `Sat,Sun`; a range may go over the end of the week.
fn parse_days(text: &str) -> Option<[bool; 7]> {
    let number = |name: &str| DAYS.iter().position(|day| *day == name);
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        let count = (last + 7 - first) % 7;
        for day in 0..=count {
            *days.get_mut((first + day) % 7)? = true;
        }
    }
    Some(days)
}

/// `HH:MM` as minutes of the day; `24:00` is its end.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |digits: &str| -> Option<u16> {
        let plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    let fine = (hours < 24 && minutes < 60) || (hours == 24 && minutes == 0);
    fine.then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_read_as_they_are_written() {
        for (text, expected) in [
            ("Mon-Fri 08:00-20:00", Some("Mon,Tue,Wed,Thu,Fri 08:00-20:00")),
            ("Sat,Sun 10:00-12:30", Some("Sat,Sun 10:00-12:30")),
            ("Fri-Mon 00:00-24:00", Some("Mon,Fri,Sat,Sun 00:00-24:00")),
            ("22:00-06:00", Some("22:00-06:00")),
            ("Wed 22:00-00:00", Some("Wed 22:00-00:00")),
            ("Wed 08:00-08:00", None),
            ("Wed 24:00-08:00", None),
            ("Wed 8:00-20:00", None),
            ("Wed 08:00-24:30", None),
            ("wed 08:00-20:00", None),
            ("Mon - Fri 08:00-20:00", None),
            ("Mon-Fri", None),
            ("", None),
        ] {
            let read = parse(text).map(|hours| hours.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }
}
