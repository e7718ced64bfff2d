//! The page around the pictures.

use super::html::Html;
use super::watch::{Row, Watch};
use crate::book::CURRENCY;
use crate::model::{Money, Timestamp};
use crate::replay::lines::OrderLine;
use crate::replay::recording::Header;
use crate::replay::words::{MODEL, closed_words, open_words, rounded, worst_words};
use crate::replay::world::World;
use std::collections::BTreeSet;

const STYLE: &str = include_str!("style.css");
/// Rows into which marks that lie close together are spread.
const LANES: usize = 6;
/// How wide a mark counts, in thousandths of the picture.
const MARK_WIDTH: i64 = 60;
/// Days are written out from this length on, ms.
const DAY_MS: i64 = 86_400_000;

/// One recording on the page.
pub struct Section {
    /// Its file.
    pub name: String,
    /// Its first line.
    pub header: Header,
    /// What was seen.
    pub watch: Watch,
    /// The sides at the end: one, or two.
    pub worlds: Vec<World>,
}

/// The whole page. `sides` names the policy files, one or two.
pub fn page(sides: &[String], sections: &[Section]) -> String {
    let mut out = Html::default();
    out.raw("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    out.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    out.raw("<meta name=\"color-scheme\" content=\"light dark\"><title>Backstop: what if</title><style>");
    out.raw(STYLE);
    out.raw("</style></head><body><main><h1>What if</h1><p class=\"sides\">");
    match sides {
        [own, other] => {
            out.raw("<span class=\"own\"><i></i><b>A</b> ").text(own);
            out.raw("</span> <span class=\"other\"><i></i><b>B</b> ")
                .text(other)
                .raw("</span>");
        }
        _ => {
            out.raw("<span class=\"own\"><i></i>")
                .text(sides.join(" + "))
                .raw("</span>");
        }
    }
    out.raw("</p><p class=\"model\">");
    for line in MODEL {
        out.text(line).raw(" ");
    }
    out.raw("</p>");
    if sections.len() > 1 {
        out.raw("<nav><ul>");
        for (number, section) in sections.iter().enumerate() {
            out.raw("<li><a href=\"#s")
                .text(number)
                .raw("\">")
                .text(&section.name)
                .raw("</a></li>");
        }
        out.raw("</ul></nav>");
    }
    for (number, section) in sections.iter().enumerate() {
        out.piece(&show(number, section));
    }
    out.raw("</main></body></html>\n");
    out.finish()
}

fn show(number: usize, section: &Section) -> Html {
    let mut out = Html::default();
    let (began, ended) = section.watch.between();
    out.raw("<section id=\"s")
        .text(number)
        .raw("\"><h2>")
        .text(&section.name)
        .raw("</h2><p>account <b>");
    out.text(&section.header.account)
        .raw("</b> on ")
        .text(&section.header.venue);
    out.raw(", ")
        .text(Timestamp::from_ms(began))
        .raw(" to ")
        .text(Timestamp::from_ms(ended))
        .raw("</p>");
    out.piece(&sums(section));
    let times = times(began, ended);
    let places: Vec<i64> = acting(section).map(|(_, row)| place(row, began, ended)).collect();
    let charts = section.watch.charts();
    for (index, chart) in charts.iter().enumerate() {
        out.piece(&chart.html(&times, &places));
        if index == 0 {
            out.piece(&lane(number, section));
        }
    }
    out.piece(&decisions(number, section));
    out.raw("</section>");
    out
}

/// How each side ended, beside what was recorded.
fn sums(section: &Section) -> Html {
    let mut out = Html::default();
    let heads: &[&'static str] = match section.worlds.len() {
        2 => &["recorded", "A, modelled", "B, modelled"],
        _ => &["recorded", "these policies, modelled"],
    };
    out.raw("<table class=\"sums\"><thead><tr><th></th>");
    for head in heads {
        out.raw("<th scope=\"col\">").raw(head).raw("</th>");
    }
    out.raw("</tr></thead><tbody>");
    let mut row = |name: &str, recorded: String, of: &dyn Fn(&World) -> String| {
        out.raw("<tr><th scope=\"row\">").text(name).raw("</th>");
        let cells = std::iter::once(recorded).chain(section.worlds.iter().map(of));
        for (head, cell) in heads.iter().zip(cells) {
            out.raw("<td data-of=\"")
                .raw(head)
                .raw("\">")
                .text(cell)
                .raw("</td>");
        }
        out.raw("</tr>");
    };
    let money = |money: Option<Money>| money.map_or("unknown".to_owned(), rounded);
    let recorded = section.worlds.first().map(|world| world.apart().recorded());
    let equity = section.watch.recorded_equity();
    row(&format!("Equity at the end, {CURRENCY}"), equity, &|world| {
        money(world.sums().equity)
    });
    row("Lowest equity", String::new(), &|world| {
        world.sums().lowest.map_or("unknown".into(), |(lowest, at)| {
            format!("{} at {at}", rounded(lowest))
        })
    });
    row("Worst margin ratio", String::new(), &|world| {
        worst_words(world.sums().worst)
    });
    let legs: BTreeSet<_> = section
        .worlds
        .iter()
        .flat_map(|world| world.apart().closed().keys())
        .collect();
    for leg in legs {
        row(&format!("Closed of {leg}"), String::new(), &|world| {
            let closed = world.apart().closed().get(leg);
            closed.map_or("nothing".into(), closed_words)
        });
    }
    row(
        "Open at the end",
        recorded.map_or(String::new(), open_words),
        &|world| {
            world
                .guard()
                .map_or(String::new(), |guard| open_words(guard.book()))
        },
    );
    row("Decisions", String::new(), &|world| {
        world.sums().decisions.to_string()
    });
    out.raw("</tbody></table>");
    out
}

/// Decisions that asked for something, with their numbers.
fn acting(section: &Section) -> impl Iterator<Item = (usize, &Row)> {
    let rows = section.watch.rows().iter().enumerate();
    rows.filter(|(_, row)| row.line.orders.iter().any(|order| order.kind == "reduce"))
}

/// Where a decision lies, in thousandths of the picture.
fn place(row: &Row, began: i64, ended: i64) -> i64 {
    let length = i128::from(ended.saturating_sub(began).max(1));
    let past = i128::from(row.line.at.saturating_sub(began).max(0));
    i64::try_from(past * 1_000 / length).unwrap_or(0).min(1_000)
}

/// Every decision on the time axis, a link to its explanation.
fn lane(number: usize, section: &Section) -> Html {
    let mut out = Html::default();
    if section.watch.rows().is_empty() {
        return out;
    }
    let (began, ended) = section.watch.between();
    out.raw("<figure><figcaption><b>Decisions</b> <small>on the same time; each leads to its explanation</small></figcaption>");
    let mut free = [i64::MIN; LANES];
    let mut marks = Html::default();
    let mut used = 1;
    for (index, row) in section.watch.rows().iter().enumerate() {
        let x = place(row, began, ended);
        let lane = free.iter().position(|free| *free <= x).unwrap_or(index % LANES);
        if let Some(free) = free.get_mut(lane) {
            *free = x + MARK_WIDTH;
        }
        used = used.max(lane + 1);
        marks
            .raw("<a class=\"")
            .raw(level(row))
            .raw(if row.side == 0 { "" } else { " b" });
        marks.raw("\" id=\"s").text(number).raw("m").text(index);
        marks.raw("\" href=\"#s").text(number).raw("d").text(index);
        marks.raw("\" style=\"left:").text(x / 10).raw(".").text(x % 10);
        marks
            .raw("%;top:")
            .text(lane * 3)
            .raw("ex\" title=\"")
            .text(title(row))
            .raw("\">");
        marks.text(index + 1).raw("</a>");
    }
    out.raw("<div class=\"lane\" style=\"height:")
        .text(used * 3)
        .raw("ex\">")
        .piece(&marks);
    out.raw("</div></figure>");
    out
}

fn title(row: &Row) -> String {
    let line = &row.line;
    let rung = line.rung.as_deref().unwrap_or("");
    format!("{} {rung} {}", line.policy, line.state)
}

fn level(row: &Row) -> &'static str {
    match (row.line.state.as_str(), row.line.rung.as_deref()) {
        ("ok", _) => "r0",
        (_, Some("flatten")) => "r4",
        (_, Some("reduce")) => "r3",
        (_, Some("block" | "cancel")) => "r2",
        _ => "r1",
    }
}

/// Every decision with its arithmetic.
fn decisions(number: usize, section: &Section) -> Html {
    let mut out = Html::default();
    let two = section.worlds.len() == 2;
    out.raw("<h3>Decisions</h3>");
    if section.watch.rows().is_empty() {
        out.raw("<p>None: nothing was decided.</p>");
        return out;
    }
    if section.watch.left_out() > 0 {
        out.raw("<p>")
            .text(section.watch.left_out())
            .raw(" later decisions are left out.</p>");
    }
    out.raw("<ol class=\"decisions\">");
    for (index, row) in section.watch.rows().iter().enumerate() {
        let line = &row.line;
        out.raw("<li id=\"s")
            .text(number)
            .raw("d")
            .text(index)
            .raw("\" class=\"")
            .raw(level(row))
            .raw("\">");
        out.raw("<p><a href=\"#s")
            .text(number)
            .raw("m")
            .text(index)
            .raw("\">");
        out.text(Timestamp::from_ms(line.at))
            .raw("</a> <b>")
            .text(title(row))
            .raw("</b>");
        if line.mode != "enforce" {
            out.raw(" <em>").text(&line.mode).raw("</em>");
        }
        if two {
            out.raw(match (row.is_only, row.side) {
                (false, _) => " <em>A and B</em>",
                (true, 0) => " <em class=\"own\">only A</em>",
                (true, _) => " <em class=\"other\">only B</em>",
            });
        }
        out.raw("</p><p>");
        // Most explanations name what they are about.
        if !line.why.starts_with(&line.scope) {
            out.text(&line.scope).raw(": ");
        }
        out.text(&line.why).raw("</p>");
        if !line.orders.is_empty() {
            out.raw("<p class=\"orders\">");
            for order in &line.orders {
                out.raw("<span>→ ").text(asked(order)).raw("</span> ");
            }
            out.raw("</p>");
        }
        out.raw("</li>");
    }
    out.raw("</ol>");
    out
}

fn asked(order: &OrderLine) -> String {
    let detail = match (&order.side, &order.quantity) {
        (Some(side), Some(quantity)) => format!(" {side} {quantity}"),
        _ => order.order_id.map_or(String::new(), |id| format!(" {id}")),
    };
    format!("{}{detail} {}", order.kind.replace('_', " "), order.symbol)
}

/// Five moments below a picture.
fn times(began: i64, ended: i64) -> Vec<(i64, String)> {
    let length = ended.saturating_sub(began).max(1);
    let moments = (0..=4_i64).map(|quarter| {
        let at = Timestamp::from_ms(began.saturating_add(length / 4 * quarter)).to_string();
        // 2026-11-25T07:43:31.788Z: the day, or the time of day.
        let part = if length >= 2 * DAY_MS {
            at.get(..10)
        } else {
            at.get(11..19)
        };
        (quarter * 250, part.unwrap_or(&at).to_owned())
    });
    moments.collect()
}
