//! A look for a person, at a hundred columns: what fires first, then what is held, then every rung.

use super::json::{mode, said};
use super::{Look, Rights, what_if};
use crate::book::BucketMargin;
use crate::cli::status::money;
use crate::guard::preview::{Cover, Effect, Held, Judged, Preview, RungView, Standing};
use crate::model::{Money, PositionMode, Price, Ratio};
use crate::policy::{Action, Amount, Cut, Mode};
use crate::response::cut::COST;
use crate::response::weigh::Reasoning;
use std::fmt::Write;

const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
pub(super) const RED: &str = "\x1b[1;31m";
pub(super) const BOLD: &str = "\x1b[1m";
pub(super) const PLAIN: &str = "\x1b[0m";
/// Scopes of one policy that are shown, the nearest to a threshold; `--json` has all.
const SCOPES_MAX: usize = 5;
/// Columns of a page.
const WIDTH: usize = 100;
/// Where the text of a rung begins.
const RUNG_TEXT: usize = 42;

/// The page of one account. Escapes are in it; `anstream` takes them off where they cannot be shown.
pub(super) fn page(look: &Look) -> String {
    let mut page = String::new();
    // Writing into a string cannot fail.
    let _ = head(&mut page, look)
        .and_then(|()| now(&mut page, "NOW", &look.preview))
        .and_then(|()| bare(&mut page, look));
    let _ = holdings(&mut page, look).and_then(|()| match look.shock.is_nothing() {
        true => policies(&mut page, &look.preview.policies, None),
        false => what_if::section(&mut page, look),
    });
    page
}

fn head(page: &mut String, look: &Look) -> std::fmt::Result {
    let modes = match look.mode {
        None => format!("{RED}modes unknown{PLAIN}"),
        Some(mode) => format!(
            "{}, {}",
            if mode == PositionMode::Hedge {
                "hedge mode"
            } else {
                "one-way mode"
            },
            if look.is_multi_assets {
                "multi-assets mode"
            } else {
                "single-asset mode"
            }
        ),
    };
    let Look {
        label,
        venue,
        environment,
        ..
    } = look;
    writeln!(page, "{BOLD}{label}{PLAIN}   {venue}, {environment}   {modes}")?;
    let skew = match look.skew_ms {
        None => format!("{RED}not read{PLAIN}"),
        Some(0) => "the venue's is ours".into(),
        Some(ms) if ms > 0 => format!("the venue's is {ms} ms ahead of ours"),
        Some(ms) => format!("the venue's is {} ms behind ours", ms.saturating_abs()),
    };
    let trip = look
        .round_trip
        .map_or("unknown".into(), |trip| format!("{} ms", trip.ms()));
    let (used, limit) = look.weight;
    line(
        page,
        "clock",
        &format!("{skew}   round trip {trip}   weight {used} of {limit} a minute"),
    )?;
    line(page, "key", &rights(&look.rights))?;
    line(page, "kept", &look.kept)?;
    for failed in &look.failed {
        line(page, "FAILED", &format!("{RED}{failed}{PLAIN}"))?;
    }
    Ok(())
}

pub(super) fn line(page: &mut String, name: &str, text: &str) -> std::fmt::Result {
    wrapped(page, &format!("  {name:<8}"), text, 11)
}

fn rights(rights: &Rights) -> String {
    let known = match rights {
        Rights::Untold => return "the venue tells nothing of what it may do".into(),
        Rights::Unknown(why) => return format!("{RED}unknown: {why}{PLAIN}"),
        Rights::Known(known) => known,
    };
    let beyond = match (known.excessive().is_empty(), known.beyond_need()) {
        (_, beyond) if beyond.is_empty() => format!("{GREEN}no more than a guard needs{PLAIN}"),
        (true, beyond) => format!("{YELLOW}more than a guard needs: {}{PLAIN}", beyond.join(", ")),
        (false, beyond) => {
            format!(
                "{RED}MONEY CAN LEAVE BY IT, refused when live: {}{PLAIN}",
                beyond.join(", ")
            )
        }
    };
    let futures = if known.enable_futures {
        ""
    } else {
        "   MAY NOT TRADE FUTURES: a guard could not act"
    };
    let addresses = if known.ip_restrict {
        "restricted to addresses"
    } else {
        "from any address"
    };
    format!("{beyond}   {addresses}{RED}{futures}{PLAIN}")
}

/// What fires, before all else.
pub(super) fn now(page: &mut String, when: &str, preview: &Preview) -> std::fmt::Result {
    let mut fires = Vec::new();
    for kill in &preview.kills {
        fires.push(format!("kill switch: {kill}"));
    }
    for judged in &preview.policies {
        let mut grouped: Vec<(String, Vec<String>)> = Vec::new();
        for rung in &judged.rungs {
            let stands = match &rung.standing {
                Standing::Trips => format!("trips {}", when.to_lowercase()),
                Standing::InForce(since) => format!("in force since {since}"),
                Standing::Pending => format!("past its threshold, trips after {}", rung.hold),
                _ => continue,
            };
            let action = format!("{}{}", rung.action.name(), aside(rung.mode));
            match grouped.iter_mut().find(|(known, _)| *known == stands) {
                Some((_, actions)) => actions.push(action),
                None => grouped.push((stands, vec![action])),
            }
        }
        let scope = judged
            .scope
            .as_ref()
            .map_or(String::new(), |scope| format!(" ({scope})"));
        let told = grouped.into_iter();
        fires.extend(
            told.map(|(stands, actions)| format!("{}{scope}: {} {stands}", judged.id, actions.join(", "))),
        );
    }
    if preview
        .policies
        .iter()
        .any(|judged| matches!(judged.standing, Standing::Unknown(_)))
    {
        fires.push("not every policy can be judged, see below".into());
    }
    if fires.is_empty() {
        return line(page, when, &format!("{GREEN}nothing fires{PLAIN}"));
    }
    for (index, text) in fires.iter().enumerate() {
        let name = if index == 0 { when } else { "" };
        line(page, name, &format!("{RED}{text}{PLAIN}"))?;
    }
    if !preview.now.is_nothing() {
        line(page, "", &format!("→ {}", sends(&preview.now)))?;
    }
    Ok(())
}

/// Positions without a stop, before the numbers.
fn bare(page: &mut String, look: &Look) -> std::fmt::Result {
    let held = look.preview.positions.iter();
    let bare: Vec<String> = held
        .filter(|held| held.cover.as_ref().is_some_and(|cover| cover.share < Ratio::ONE))
        .map(|held| held.leg.to_string())
        .collect();
    match bare.is_empty() {
        true => Ok(()),
        false => line(
            page,
            "NO STOP",
            &format!("{RED}{} without a full stop at the venue{PLAIN}", bare.join(", ")),
        ),
    }
}

fn holdings(page: &mut String, look: &Look) -> std::fmt::Result {
    let preview = &look.preview;
    let equity = match (&preview.equity, &preview.wallets) {
        (Ok(equity), Ok(wallets)) => format!(
            "{BOLD}{}{PLAIN} USDT   wallets {}   open profit {}",
            cents(*equity),
            cents(*wallets),
            cents(*equity - *wallets)
        ),
        (Err(why), _) | (_, Err(why)) => format!("{RED}unknown: {why}{PLAIN}"),
    };
    line(page, "equity", &equity)?;
    for (bucket, margin) in &preview.buckets {
        let own = match margin {
            Ok(margin) => ratio(margin),
            Err(why) => format!("{RED}unknown: {why}{PLAIN}"),
        };
        let venue = said(&look.said, bucket).map_or("does not say".into(), |said| {
            ratio(&BucketMargin {
                maintenance: said.maintenance,
                balance: said.balance,
            })
        });
        line(page, "margin", &format!("{bucket}: {own}   the venue: {venue}"))?;
    }
    if preview.positions.is_empty() {
        let known = if preview.equity.is_ok() {
            "no position"
        } else {
            "unknown"
        };
        return line(page, "holds", known);
    }
    writeln!(page, "\n{BOLD}  positions{PLAIN}")?;
    for held in &preview.positions {
        position(page, held, look.said.liquidation.get(&held.leg).copied())?;
    }
    Ok(())
}

/// `40% = 6,000.00 of 15,000.00`
pub(super) fn ratio(margin: &BucketMargin) -> String {
    let ratio = margin.ratio().map_or("NO BALANCE".into(), Ratio::percent);
    format!(
        "{ratio} = {} of {}",
        cents(margin.maintenance),
        cents(margin.balance)
    )
}

fn position(page: &mut String, held: &Held, liquidation: Option<Price>) -> std::fmt::Result {
    let position = &held.position;
    let shown = |price: Option<Price>| price.map_or("unknown".into(), digits);
    let worth = held
        .mark
        .map_or("unknown".into(), |mark| cents(position.amount.notional(mark)));
    let profit = held
        .mark
        .and_then(|mark| position.unrealised(mark))
        .map_or("unknown".into(), cents);
    let (amount, entry, mark) = (position.amount, shown(position.entry), shown(held.mark));
    writeln!(
        page,
        "    {BOLD}{}{PLAIN}   {amount} from {entry}, now {mark}   worth {worth}   profit {profit}",
        held.leg
    )?;
    let away = liquidation.zip(held.mark).and_then(|(at, mark)| {
        let distance = Money::new(at.minus(mark).abs().decimal()).ok()?;
        distance.ratio_of(Money::new(mark.decimal()).ok()?)
    });
    let liquidation = match (liquidation, away) {
        (Some(at), Some(away)) => format!("the venue liquidates at {}, {} away", digits(at), away.percent()),
        _ => "the venue tells no liquidation price".into(),
    };
    writeln!(page, "      {}   {liquidation}", stops(held.cover.as_ref()))
}

fn stops(cover: Option<&Cover>) -> String {
    let Some(cover) = cover else {
        return format!("{RED}stops unknown: orders could not be read{PLAIN}");
    };
    let triggers = cover
        .stops
        .iter()
        .map(|stop| stop.trigger.map_or("trailing".into(), digits));
    let triggers: Vec<String> = triggers.collect();
    let stops = match (cover.share, triggers.is_empty()) {
        (_, true) => format!("{RED}NO STOP AT THE VENUE{PLAIN}"),
        (share, _) if share < Ratio::ONE => {
            format!(
                "{YELLOW}stops cover only {} at {}{PLAIN}",
                share.percent(),
                triggers.join(", ")
            )
        }
        (_, _) => format!("{GREEN}stop{PLAIN} at {}", triggers.join(", ")),
    };
    match cover.passed_over {
        0 => stops,
        count => format!("{stops} ({count} not counted: could open a position, or lies past the mark)"),
    }
}

/// Every policy with its rungs; `before` is how they stood, when something is supposed.
pub(super) fn policies(page: &mut String, all: &[Judged], before: Option<&[Judged]>) -> std::fmt::Result {
    let title = match before {
        None => "what each rung does, or would do if it tripped now",
        Some(_) => "what each rung would do then, or if it tripped then; in brackets as it is now",
    };
    writeln!(page, "\n{BOLD}  policies{PLAIN}   {title}")?;
    let mut ids: Vec<&str> = all.iter().map(|judged| judged.id.as_str()).collect();
    ids.dedup();
    for id in ids {
        let mut own: Vec<&Judged> = all.iter().filter(|judged| judged.id == id).collect();
        own.sort_by(|a, b| b.standing.cmp(&a.standing).then(nearest(a).cmp(&nearest(b))));
        for judged in own.iter().take(SCOPES_MAX) {
            let same = |known: &&Judged| (&known.id, &known.scope) == (&judged.id, &judged.scope);
            policy(page, judged, before.and_then(|before| before.iter().find(same)))?;
        }
        if own.len() > SCOPES_MAX {
            writeln!(
                page,
                "    {id}   and {} more, further away",
                own.len().saturating_sub(SCOPES_MAX)
            )?;
        }
    }
    let (share, when) = (COST.percent(), if before.is_some() { "then" } else { "now" });
    writeln!(
        page,
        "\n  Orders are as of {when}, at mark prices. Cost is {share} of what is closed: taker fee 0.05%, and as\n  much again for the spread."
    )
}

/// The least headroom of a policy, which may be negative.
fn nearest(judged: &Judged) -> Option<rust_decimal::Decimal> {
    judged
        .rungs
        .iter()
        .filter_map(|rung| rung.headroom)
        .map(|room| room.number())
        .min()
}

fn policy(page: &mut String, judged: &Judged, before: Option<&Judged>) -> std::fmt::Result {
    let (colour, state) = state(&judged.standing);
    let was = before.map_or(String::new(), |before| {
        let value = before
            .measured
            .value()
            .map_or(String::new(), |value| format!(" {value}"));
        format!("   [{}{value}]", self::state(&before.standing).1)
    });
    let name = format!("    {BOLD}{}{PLAIN}   {colour}{state}{PLAIN}  ", judged.id);
    wrapped(page, &name, &format!("{}{was}", judged.why), 6)?;
    if judged.standing == Standing::Off || judged.scope.is_none() {
        return Ok(());
    }
    for (index, rung) in judged.rungs.iter().enumerate() {
        let at = rung.at.map_or(String::new(), |at| format!("at {at}"));
        let row = format!("      {:<8}{at:<8} {:<18}", rung.action.name(), stands(rung));
        let was = before
            .and_then(|before| before.rungs.get(index))
            .map(stands)
            .filter(|was| !was.is_empty())
            .map_or(String::new(), |was| format!(" [{was}]"));
        wrapped(
            page,
            &row,
            format!("{}{}{was}", does(rung), aside(rung.mode)).trim_start(),
            RUNG_TEXT,
        )?;
        for reasoning in &rung.effect.reasons {
            weighed(page, reasoning)?;
        }
    }
    Ok(())
}

/// How a policy stands, in its colour.
fn state(standing: &Standing) -> (&'static str, &'static str) {
    match standing {
        Standing::Off => (PLAIN, "off"),
        Standing::Ok => (GREEN, "ok"),
        Standing::NotJudged => (YELLOW, "not judged"),
        Standing::Unknown(_) => (RED, "UNKNOWN"),
        Standing::Pending => (YELLOW, "PENDING"),
        Standing::Trips => (RED, "TRIPS"),
        Standing::InForce(_) => (RED, "IN FORCE"),
    }
}

/// A cut, what decides how much, and what could be done instead.
fn weighed(page: &mut String, reasoning: &Reasoning) -> std::fmt::Result {
    let start = " ".repeat(RUNG_TEXT.saturating_sub(1));
    let bound = reasoning
        .bound
        .as_ref()
        .map_or(String::new(), |bound| format!(", as much as {bound} asks"));
    wrapped(page, &start, &format!("{}{bound}", reasoning.plan), RUNG_TEXT)?;
    for other in &reasoning.others {
        wrapped(page, &start, &format!("instead: {other}"), RUNG_TEXT)?;
    }
    match reasoning.top_up {
        Some(top_up) => wrapped(
            page,
            &start,
            &format!("instead: add {} of collateral", cents(top_up)),
            RUNG_TEXT,
        ),
        None => Ok(()),
    }
}

/// `start` and then `text`, which goes on below itself where the page ends.
fn wrapped(page: &mut String, start: &str, text: &str, indent: usize) -> std::fmt::Result {
    let shown = |text: &str| anstream::adapter::strip_str(text).to_string().chars().count();
    let (mut line, mut length) = (start.to_owned(), shown(start));
    for word in text.split(' ') {
        let more = shown(word).saturating_add(1);
        if length.saturating_add(more) > WIDTH && length > indent {
            writeln!(page, "{}", line.trim_end())?;
            (line, length) = (" ".repeat(indent.saturating_sub(1)), indent.saturating_sub(1));
        }
        write!(line, " {word}")?;
        length = length.saturating_add(more);
    }
    writeln!(page, "{}", line.trim_end())
}

fn stands(rung: &RungView) -> String {
    match (&rung.standing, rung.headroom) {
        (Standing::Off, _) => "off".into(),
        (Standing::Trips, _) => "TRIPS".into(),
        (Standing::InForce(_), _) => "IN FORCE".into(),
        (Standing::Pending, _) => format!("PAST IT, in {}", rung.hold),
        (_, Some(Amount::Ratio(ratio))) => format!("{} points away", ratio.percent().trim_end_matches('%')),
        (_, Some(Amount::Money(room))) => format!("{} away", cents(room)),
        (_, Some(room)) => format!("{room} away"),
        (_, None) => String::new(),
    }
}

fn does(rung: &RungView) -> String {
    let effect = &rung.effect;
    let aim = match rung.action {
        Action::Alert => return String::new(),
        Action::Cancel | Action::Block if effect.cancels == 0 && effect.unsized_because.is_none() => {
            return "nothing to cancel".into();
        }
        Action::Reduce(Cut::To(to)) => format!("to {to}: "),
        Action::Reduce(Cut::Fraction(share)) => format!("{}: ", share.percent()),
        Action::PlaceStop(_) if effect.stops.is_empty() && effect.unsized_because.is_none() => {
            return "no stop to place".into();
        }
        Action::Cancel | Action::PlaceStop(_) | Action::Block | Action::Flatten => String::new(),
    };
    match &effect.unsized_because {
        Some(why) => format!("{aim}{RED}cannot be told: {why}{PLAIN}"),
        None if effect.closes.is_empty()
            && !matches!(rung.action, Action::Cancel | Action::PlaceStop(_) | Action::Block) =>
        {
            let rest = if effect.is_nothing() {
                String::new()
            } else {
                format!(", {}", sends(effect))
            };
            format!("{aim}nothing to close at present prices{rest}")
        }
        None => format!("{aim}{}", sends(effect)),
    }
}

/// `SELL 0.41 BTCUSDT in 2 orders, cancels 2 orders, sweeps 1 stop when flat; cost 24.24`
fn sends(effect: &Effect) -> String {
    let mut words: Vec<String> = effect
        .closes
        .iter()
        .map(|close| match close.slices {
            1 => format!("{} {} {}", close.side, close.quantity, close.leg),
            slices => format!(
                "{} {} {} in {slices} orders",
                close.side, close.quantity, close.leg
            ),
        })
        .collect();
    if effect.is_cut_short {
        words.push("and more".into());
    }
    words.extend(effect.stops.iter().map(|stop| {
        let (side, leg, trigger) = (stop.side(), stop.leg(), stop.trigger());
        format!("places a stop, {side} {leg} at {trigger}")
    }));
    if effect.cancels > 0 {
        words.push(format!("cancels {}", some(effect.cancels, "order")));
    }
    if effect.sweeps > 0 {
        words.push(format!("sweeps {} when flat", some(effect.sweeps, "stop")));
    }
    let cost = match effect.cost {
        _ if effect.closes.is_empty() => String::new(),
        Some(cost) => format!("; cost {}", cents(cost)),
        None => "; cost unknown".into(),
    };
    words.join(", ") + &cost
}

fn some(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn aside(of: Mode) -> String {
    match of {
        Mode::Shadow => format!(" ({}: only recorded)", mode(of)),
        Mode::Warn => format!(" ({}: only told)", mode(of)),
        Mode::Off | Mode::Enforce => String::new(),
    }
}

/// A price without digits that nobody reads: liquidation prices are quotients.
pub(super) fn digits(price: Price) -> String {
    let places = if price.decimal() >= rust_decimal::Decimal::ONE_HUNDRED {
        2
    } else {
        8
    };
    price.decimal().round_dp(places).normalize().to_string()
}

pub(super) fn cents(amount: Money) -> String {
    money(amount.decimal())
}
