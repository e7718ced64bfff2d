//! A picture of numbers over time: lines in SVG that stretches, words in HTML that does not.

use super::html::Html;
use super::series::{COLUMNS, Column, Series};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// Height of the drawing in its own units; every unit is a thousandth.
const HEIGHT: i64 = 1_000;
/// How far apart two words beside the picture stand at least, in the same units.
const WORDS_APART: i64 = 85;

/// How numbers are written beside the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// As they are.
    Plain,
    /// Fractions as percent.
    Percent,
}

/// How a line looks, by the names in the style sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The policies that the report is about.
    Own,
    /// The policies that they are compared with.
    Other,
    /// What was recorded.
    Recorded,
    /// A high-water mark or a base.
    Mark,
    /// Where a rung lies, by the action of the rung.
    Rung(u8),
}

impl Look {
    fn class(self) -> &'static str {
        match self {
            Look::Own => "own",
            Look::Other => "other",
            Look::Recorded => "recorded",
            Look::Mark => "mark",
            Look::Rung(1) => "r1",
            Look::Rung(2) => "r2",
            Look::Rung(3) => "r3",
            Look::Rung(_) => "r4",
        }
    }
}

/// One line of a picture.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name in the legend, or at the border for a rung.
    pub name: String,
    /// How it looks.
    pub look: Look,
    /// Its numbers.
    pub series: Series,
}

/// One picture.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// What must be known to read it.
    pub note: String,
    /// How numbers are written.
    pub unit: Unit,
    /// Whether zero is always in it.
    pub from_zero: bool,
    /// Numbers above this are cut off.
    pub cap: Option<Decimal>,
    /// Its lines, the rearmost first.
    pub lines: Vec<Line>,
}

impl Chart {
    /// As HTML; empty when nothing is known. `times` are the words below, each with its place in thousandths, and
    /// `moments` the places of what was decided.
    pub fn html(&self, times: &[(i64, String)], moments: &[i64]) -> Html {
        let mut out = Html::default();
        let Some((low, high)) = self.range() else {
            return out;
        };
        out.raw("<figure><figcaption><b>").text(&self.title).raw("</b>");
        if !self.note.is_empty() {
            out.raw(" <small>").text(&self.note).raw("</small>");
        }
        out.raw("</figcaption><ul class=\"legend\">");
        for line in self
            .lines
            .iter()
            .filter(|line| !matches!(line.look, Look::Rung(_)))
        {
            out.raw("<li class=\"").text(line.look.class()).raw("\"><i></i>");
            out.text(&line.name).raw("</li>");
        }
        out.raw("</ul><div class=\"plot\"><svg viewBox=\"0 0 ")
            .text(COLUMNS - 1)
            .raw(" ")
            .text(HEIGHT)
            .raw("\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"")
            .text(self.in_words())
            .raw("\">");
        let ticks = ticks(low, high);
        for tick in &ticks {
            let y = place(*tick, low, high);
            out.raw("<path class=\"grid\" d=\"M0 ").text(y).raw("H");
            out.text(COLUMNS - 1).raw("\"/>");
        }
        for moment in moments {
            let x = *moment * i64::try_from(COLUMNS - 1).unwrap_or(0) / HEIGHT;
            out.raw("<path class=\"moment\" d=\"M").text(x).raw(" 0V");
            out.text(HEIGHT).raw("\"/>");
        }
        for line in &self.lines {
            out.raw("<path class=\"").text(line.look.class()).raw("\" d=\"");
            out.text(path(line, low, high)).raw("\"/>");
        }
        out.raw("</svg>");
        for tick in &ticks {
            word(&mut out, "tick", place(*tick, low, high), &self.written(*tick));
        }
        for (y, text) in self.border(low, high) {
            word(&mut out, "at", y, &text);
        }
        out.raw("</div><div class=\"times\" aria-hidden=\"true\">");
        for (_, time) in times {
            out.raw("<span>").text(time).raw("</span>");
        }
        out.raw("</div></figure>");
        out
    }

    fn range(&self) -> Option<(Decimal, Decimal)> {
        let is_seen = |line: &Line| !matches!(line.look, Look::Rung(_)) && line.series.range().is_some();
        if !self.lines.iter().any(is_seen) {
            return None;
        }
        let ranges = self.lines.iter().filter_map(|line| line.series.range());
        let (low, high) = ranges.reduce(|(a, b), (c, d)| (a.min(c), b.max(d)))?;
        let (low, high) = if self.from_zero {
            (low.min(Decimal::ZERO), high.max(Decimal::ZERO))
        } else {
            (low, high)
        };
        let high = self.cap.map_or(high, |cap| high.min(cap)).max(low);
        // Room above and below; a line that never moves lies in the middle.
        let room = match high.checked_sub(low)? {
            width if width.is_zero() => high.abs().max(Decimal::ONE).checked_div(Decimal::TEN)?,
            width => width.checked_div(Decimal::from(20))?,
        };
        let below = if self.from_zero && low.is_zero() {
            low
        } else {
            low.checked_sub(room)?
        };
        Some((below, high.checked_add(room)?))
    }

    fn written(&self, value: Decimal) -> String {
        match self.unit {
            Unit::Plain => value.round_dp(4).normalize().to_string(),
            Unit::Percent => {
                let percent = value.checked_mul(Decimal::ONE_HUNDRED).unwrap_or(value);
                format!("{}%", percent.round_dp(1).normalize())
            }
        }
    }

    /// What somebody who does not see it should know.
    fn in_words(&self) -> String {
        let lines = self.lines.iter().filter_map(|line| {
            let (least, greatest) = line.series.range()?;
            let last = line.series.last()?;
            let (least, greatest, last) = (self.written(least), self.written(greatest), self.written(last));
            Some(format!(
                "{} between {least} and {greatest}, {last} at the end",
                line.name
            ))
        });
        format!("{}: {}", self.title, lines.collect::<Vec<_>>().join("; "))
    }

    /// The names of the rungs at the right border, spread so that each can be read.
    fn border(&self, low: Decimal, high: Decimal) -> Vec<(i64, String)> {
        let rungs = self
            .lines
            .iter()
            .filter(|line| matches!(line.look, Look::Rung(_)));
        let mut words: Vec<(i64, String)> = rungs
            .filter_map(|line| {
                let last = line.series.last().filter(|last| (low..=high).contains(last))?;
                Some((
                    place(last, low, high),
                    format!("{} {}", line.name, self.written(last)),
                ))
            })
            .collect();
        words.sort();
        let mut free = 0;
        for (y, _) in &mut words {
            *y = (*y).max(free);
            free = *y + WORDS_APART;
        }
        let mut bound = HEIGHT;
        for (y, _) in words.iter_mut().rev() {
            *y = (*y).min(bound);
            bound = *y - WORDS_APART;
        }
        words
    }
}

fn word(out: &mut Html, class: &'static str, y: i64, text: &str) {
    out.raw("<span class=\"").raw(class).raw("\" style=\"top:");
    out.text(y / 10).raw(".").text(y.rem_euclid(10)).raw("%\">");
    out.text(text).raw("</span>");
}

/// Where a number lies, in thousandths from above.
fn place(value: Decimal, low: Decimal, high: Decimal) -> i64 {
    let share = high.checked_sub(value).and_then(|down| {
        down.checked_div(high.checked_sub(low)?)?
            .checked_mul(Decimal::from(HEIGHT))
    });
    // What is cut off lies just outside.
    let y = share.and_then(|share| share.round().to_i64()).unwrap_or(HEIGHT);
    y.clamp(-20, HEIGHT + 20)
}

/// The way of the pen.
fn path(line: &Line, low: Decimal, high: Decimal) -> String {
    use std::fmt::Write;
    let mut way = String::new();
    let mut is_down = false;
    for (x, Column { seen, is_broken }) in line.series.columns().iter().enumerate() {
        let Some(seen) = seen else {
            if *is_broken {
                is_down = false;
            }
            continue;
        };
        let [first, least, greatest, last] = seen.map(|value| place(value, low, high));
        // Writing to a string does not fail.
        let _ = if is_down {
            // A number holds until the next one is known.
            write!(way, "H{x}V{first}")
        } else {
            write!(way, "M{x} {first}")
        };
        let mut at = first;
        for y in [least, greatest, last] {
            if y != at {
                let _ = write!(way, "V{y}");
                at = y;
            }
        }
        is_down = true;
    }
    if is_down {
        let _ = write!(way, "H{}", COLUMNS - 1);
    }
    way
}

/// Round numbers between two numbers, four or five of them.
fn ticks(low: Decimal, high: Decimal) -> Vec<Decimal> {
    let Some(rough) = high
        .checked_sub(low)
        .and_then(|width| width.checked_div(Decimal::from(5)))
        .filter(|rough| *rough > Decimal::ZERO)
    else {
        return Vec::new();
    };
    let round = (0..=24_u32).flat_map(|power| {
        [10_i64, 20, 25, 50].map(|digit| {
            let unit = match power {
                0..=12 => Decimal::new(digit, 13 - power),
                _ => Decimal::from(digit)
                    .checked_mul(Decimal::from(10_i64.saturating_pow(power - 13)))
                    .unwrap_or(Decimal::MAX),
            };
            unit.normalize()
        })
    });
    let Some(step) = round.into_iter().find(|step| *step >= rough) else {
        return Vec::new();
    };
    let first = low.checked_div(step).map(|steps| steps.ceil());
    let mut at = first.and_then(|steps| steps.checked_mul(step));
    let mut found = Vec::new();
    while let Some(tick) = at.filter(|tick| *tick <= high && found.len() < 8) {
        found.push(tick);
        at = tick.checked_add(step);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn ticks_are_round() {
        for (low, high, expected) in [
            ("0", "1.05", "0 0.25 0.5 0.75 1"),
            ("7714.81", "9700", "8000 8500 9000 9500"),
            ("-0.003", "0.0011", "-0.003 -0.002 -0.001 0 0.001"),
            ("5", "5", ""),
        ] {
            let found: Vec<String> = ticks(d(low), d(high))
                .iter()
                .map(|tick| tick.normalize().to_string())
                .collect();
            assert_eq!(found.join(" "), expected, "{low} {high}");
        }
    }

    #[test]
    fn the_pen_lifts_where_nothing_is_known_and_shows_every_extreme() {
        let mut series = Series::new((0, 599));
        for (at, value) in [(0, Some("0")), (1, Some("10")), (2, None), (3, Some("5"))] {
            series.add(at, value.map(d));
        }
        series.add(3, Some(d("10")));
        series.add(3, Some(d("5")));
        let line = Line {
            name: String::new(),
            look: Look::Own,
            series,
        };
        assert_eq!(path(&line, d("0"), d("10")), "M0 1000H1V0M3 500V0V500H599");
    }
}
