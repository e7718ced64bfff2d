//! The words. Each sentence is for a person who knows the account and was asleep.

use super::facts::{Alert, Phase, Topic};
use super::price::price_of;
use crate::guard::{Guard, Severity, State};
use crate::model::{Intent, Pricing, Store, Timestamp};
use crate::policy::envelope::{Policy, RungState};
use crate::policy::{Action, Amount, Cut, Kind, Latch, Mode, Rung, Scope};

/// Requests named in one alert; a grid has hundreds of orders.
const REQUESTS_MAX: usize = 6;
/// Causes and positions named in one alert.
const NAMED_MAX: usize = 4;

/// A rung that is in force.
pub struct InForce<'a> {
    /// Whose it is.
    pub guard: &'a Guard,
    /// Its policy.
    pub policy: &'a Policy,
    /// Over what.
    pub scope: &'a Scope,
    /// Its place in the ladder.
    pub index: usize,
    /// Whether orders are sent.
    pub is_live: bool,
}

impl InForce<'_> {
    /// It tripped, and led to these requests so far.
    pub fn tripped(&self, at: Timestamp, orders: &[Intent]) -> Option<Alert> {
        let rung = self.policy.spec.ladder.get(self.index)?;
        let track = self.policy.tracks.get(self.scope)?;
        let acts = self.policy.mode(rung) == Mode::Enforce;
        let severity = match rung.action {
            Action::Reduce(_) | Action::Flatten if acts => Severity::Critical,
            _ if matches!(self.policy.spec.kind, Kind::MarginCall(_)) => Severity::Critical,
            _ => Severity::Warning,
        };
        let account = self.guard.account();
        let (value, effect) = (track.measured.value(), effect(rung.action));
        let what = match (rung.at, value) {
            (Some(at), Some(value)) => format!("{} {value}, limit {at}", measure(&self.policy.spec.kind)),
            (Some(at), None) => format!(
                "{} beyond every limit, the last being {at}",
                measure(&self.policy.spec.kind)
            ),
            (None, _) => measure(&self.policy.spec.kind).to_owned(),
        };
        let place = place(self.scope);
        let then = if acts {
            effect
        } else {
            format!("only a warning, else {effect}")
        };
        let topic = topic(account, &self.policy.spec.id, self.scope);
        let title = format!("{account}{}{place}: {what}: {then}", mark(self.is_live));
        let mut alert = Alert::new(topic, at, severity, Phase::Begins, title);
        alert.rung = Some(rung.action.name());
        alert.why = self.policy.explain(self.guard.book(), self.scope);
        alert.value = value.map(number);
        alert.threshold = rung.at.map(number);
        alert.done = self.done(rung, acts, orders);
        alert.next = self.next();
        alert.otherwise = self.otherwise(rung, acts);
        alert.instead = instead(&self.policy.spec.kind, rung.action, acts, account);
        Some(alert)
    }

    fn done(&self, rung: &Rung, acts: bool, orders: &[Intent]) -> Vec<String> {
        if !acts {
            return vec![format!(
                "nothing: policy {} is set to warn here",
                self.policy.spec.id
            )];
        }
        if rung.action == Action::Alert {
            return Vec::new();
        }
        let dry = if self.is_live {
            ""
        } else {
            "not sent, this is a dry run: "
        };
        let mut lines: Vec<String> = orders
            .iter()
            .take(REQUESTS_MAX)
            .map(|intent| format!("{dry}{}", request(intent)))
            .collect();
        if orders.len() > REQUESTS_MAX {
            lines.push(format!("and {} requests more", orders.len() - REQUESTS_MAX));
        }
        if lines.is_empty() {
            lines.push(match rung.action {
                Action::Block => format!("{dry}no order stands that could add to the position"),
                _ => format!("{dry}no order of its own yet"),
            });
        }
        lines
    }

    /// The next rung that does something or warns.
    fn next(&self) -> Option<String> {
        let track = self.policy.tracks.get(self.scope)?;
        let rung = self
            .policy
            .spec
            .ladder
            .get(self.index + 1..)?
            .iter()
            .find(|rung| self.policy.mode(rung) >= Mode::Warn)?;
        let at = rung.at?;
        let would = match self.policy.mode(rung) {
            Mode::Enforce => "",
            _ => "a warning only, else ",
        };
        let mut text = format!("{would}{} at {at}", effect(rung.action));
        if let Some(headroom) = self.policy.headroom(rung, &track.measured) {
            let points = if let Amount::Ratio(_) = headroom {
                " points"
            } else {
                ""
            };
            let rest = headroom.to_string();
            let rest = if points.is_empty() {
                rest.as_str()
            } else {
                rest.trim_end_matches('%')
            };
            text.push_str(&format!(", {rest}{points} away"));
        }
        if let Some((leg, price)) = price_of(self.guard.book(), self.policy, self.scope, rung) {
            let shown = price.decimal().round_sf(6).unwrap_or(price.decimal()).normalize();
            text.push_str(&format!(", near {shown} in {}", leg.symbol));
        }
        Some(text)
    }

    fn otherwise(&self, rung: &Rung, acts: bool) -> String {
        if !self.is_live {
            return "nothing is closed or cancelled, whatever happens: this is a dry run".into();
        }
        if !acts {
            return "nothing is closed or cancelled at this limit".into();
        }
        let until = match self.policy.latch(rung) {
            Latch::Manual => "until you re-arm",
            Latch::UntilReset => "until the period ends and the loss is inside the limit",
            Latch::UntilClear | Latch::For(_) => "until it is back inside the limit",
        };
        match rung.action {
            Action::Alert if self.next().is_some() => {
                "nothing is closed or cancelled before the next limit".into()
            }
            Action::Alert => "Backstop does nothing about it by itself".into(),
            Action::Cancel => "Backstop cancels just the orders that this is about".into(),
            Action::PlaceStop(distance) => format!(
                "Backstop places a stop {} away from the mark price that can only close the position",
                distance.percent()
            ),
            Action::Block => format!("orders that could add to a position are cancelled on sight, {until}"),
            Action::Reduce(cut) => format!(
                "Backstop cuts until {} is reached, and cancels what could add to a position {until}",
                aim(cut)
            ),
            Action::Flatten => format!("everything is closed, and new positions are closed again {until}"),
        }
    }
}

/// What ended: no rung is in force over this any more.
pub fn over(guard: &Guard, at: Timestamp, policy: &str, scope: &str) -> Alert {
    let account = guard.account();
    let known = guard.policies().iter().find(|known| known.spec.id == policy);
    let track = known.and_then(|known| known.tracks.iter().find(|(over, _)| over.to_string() == scope));
    let topic = Topic {
        account: account.into(),
        policy: policy.into(),
        scope: scope.into(),
    };
    let value = track.and_then(|(_, track)| track.measured.value());
    let now = value.map_or(String::new(), |value| format!(", now {value}"));
    let title = format!("{account}: policy {policy} is back inside its limits{now}");
    let mut alert = Alert::new(topic, at, Severity::Info, Phase::Over, title);
    if let (Some(known), Some((over, _))) = (known, track) {
        alert.why = known.explain(guard.book(), over);
    }
    alert.value = value.map(number);
    alert
}

/// These policies cannot be judged; none means that they can again.
pub fn unknown<'a>(guard: &Guard, at: Timestamp, which: impl Iterator<Item = (&'a str, &'a str)>) -> Alert {
    let account = guard.account();
    let topic = topic_of(account, "unknown");
    let lines: Vec<String> = which.map(|(policy, why)| format!("{policy}: {why}")).collect();
    if lines.is_empty() {
        let title = format!("{account}: every policy can be judged again");
        return Alert::new(topic, at, Severity::Info, Phase::Over, title);
    }
    let policies = if lines.len() == 1 {
        "1 policy".to_owned()
    } else {
        format!("{} policies", lines.len())
    };
    let title = format!("{account}: {policies} cannot be judged, because a number is missing");
    let mut alert = Alert::new(topic, at, Severity::Warning, Phase::Begins, title);
    alert.why = lines.into_iter().take(NAMED_MAX).collect::<Vec<_>>().join("; ");
    alert.otherwise =
        "what is in force stays in force; nothing new trips and nothing clears for lack of a number".into();
    alert.instead = "look at the account in the venue's own app".into();
    alert
}

/// The account changed its state.
pub fn state(guard: &Guard, at: Timestamp, from: Option<State>, to: State, is_live: bool) -> Alert {
    let account = guard.account();
    let (severity, phase) = match to {
        State::Starting => (Severity::Info, Phase::Begins),
        State::Armed => (Severity::Info, Phase::Over),
        State::Blocked | State::Reducing | State::Blind => (Severity::Warning, Phase::Begins),
        State::Flattening | State::Latched | State::Powerless => (Severity::Critical, Phase::Begins),
    };
    let (what, otherwise, instead) = match to {
        State::Starting => ("is being read; nothing is judged yet", String::new(), ""),
        State::Armed => ("is watched, and nothing is in force", String::new(), ""),
        State::Blocked => (
            "takes no new exposure",
            "orders that could add to a position are cancelled on sight until the cause is gone".into(),
            "",
        ),
        State::Reducing => (
            "is being cut",
            "Backstop goes on until its aim is reached".into(),
            "",
        ),
        State::Flattening => (
            "is being closed",
            "Backstop goes on until the venue shows no position and no order".into(),
            "",
        ),
        State::Latched => (
            "is held, and waits for a person",
            "it stays so; new positions are closed and new entries cancelled".into(),
            "find out why, then: backstop rearm --account ",
        ),
        State::Blind => (
            "cannot be seen",
            "the policies for blindness act as they are written; all others wait".into(),
            "look at the venue's status page, at its app, and at this machine's network",
        ),
        State::Powerless => (
            "cannot be protected: the venue refuses the key",
            "nothing is closed or cancelled, whatever happens".into(),
            "close what must be closed in the venue's app; then look at the key, its rights and its addresses",
        ),
    };
    let from = from.map_or(String::new(), |from| format!("{from} -> "));
    let title = format!("{account}{}: the account {what} ({from}{to})", mark(is_live));
    let mut alert = Alert::new(topic_of(account, "state"), at, severity, phase, title);
    alert.why = [cause(guard, to), holdings(guard)]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ");
    alert.otherwise = match (is_live, otherwise.is_empty()) {
        (false, false) => "nothing is closed or cancelled, whatever happens: this is a dry run".into(),
        _ => otherwise,
    };
    alert.instead = match to {
        State::Latched => format!("{instead}{account}"),
        _ => instead.to_owned(),
    };
    alert
}

/// Something that happened, in the guard's own words.
pub fn event(account: &str, at: Timestamp, severity: Severity, text: &str) -> Alert {
    let title = format!("{account}: {text}");
    Alert::new(topic_of(account, "event"), at, severity, Phase::Happened, title)
}

/// The guard of an account has ended.
pub fn stopped(account: &str, at: Timestamp, why: Option<&str>) -> Alert {
    let severity = if why.is_some() {
        Severity::Critical
    } else {
        Severity::Warning
    };
    let title = format!("{account}: Backstop has stopped; nobody guards the account (stopped)");
    let mut alert = Alert::new(topic_of(account, "state"), at, severity, Phase::Happened, title);
    alert.why = why.unwrap_or("it was asked to").to_owned();
    alert.otherwise = "positions and orders stay as they are, and no limit is watched".into();
    alert.instead = "start it again: backstop run".into();
    alert
}

fn topic(account: &str, policy: &str, scope: &Scope) -> Topic {
    Topic {
        account: account.into(),
        policy: policy.into(),
        scope: scope.to_string(),
    }
}

fn topic_of(account: &str, policy: &str) -> Topic {
    Topic {
        account: account.into(),
        policy: policy.into(),
        scope: String::new(),
    }
}

/// What shows that nothing is done.
fn mark(is_live: bool) -> &'static str {
    if is_live { "" } else { " (dry run)" }
}

fn place(scope: &Scope) -> String {
    match scope {
        Scope::Account => String::new(),
        other => format!(" ({other})"),
    }
}

fn measure(kind: &Kind) -> &'static str {
    match kind {
        Kind::MarginRatio(_) => "margin ratio",
        Kind::MarginCall(_) => "the venue calls for margin",
        Kind::MaxPosition(_) => "position",
        Kind::Drawdown(_) => "drawdown",
        Kind::PeriodLoss(_) => "loss of the period",
        Kind::Blind(_) => "no sign of life for",
        Kind::LiquidationDistance(_) => "distance to liquidation",
        Kind::MaxExposure(_) => "exposure",
        Kind::LossVelocity(_) => "fall within the window",
        Kind::ProfitGiveback(_) => "profit given back",
        Kind::TradingWindow(_) => "outside the hours of trading",
        Kind::SymbolAllowlist(_) => "a contract that is not allowed",
        Kind::ForcedEvent(_) => "the venue closed something by force",
        Kind::LossStreak(_) => "losing trades in a row",
        Kind::UnprotectedPosition(_) => "position without a stop for",
        Kind::OrphanOrders(_) => "closing order without a position for",
        Kind::OrderLimits(_) => "orders beyond their limits",
        Kind::ForeignActivity(_) => "something that your programs did not do",
    }
}

fn effect(action: Action) -> String {
    match action {
        Action::Alert => "look at it".into(),
        Action::Cancel => "these orders are cancelled".into(),
        Action::PlaceStop(_) => "a stop is placed".into(),
        Action::Block => "entries are blocked".into(),
        Action::Reduce(cut) => format!("positions are cut to {}", aim(cut)),
        Action::Flatten => "everything is closed".into(),
    }
}

fn aim(cut: Cut) -> String {
    match cut {
        Cut::To(amount) => amount.to_string(),
        Cut::Fraction(share) => format!("{} less", share.percent()),
    }
}

fn instead(kind: &Kind, action: Action, acts: bool, account: &str) -> String {
    if action == Action::Flatten && acts {
        return format!("when you want to trade again: backstop rearm --account {account}");
    }
    match kind {
        Kind::MarginRatio(_) | Kind::MarginCall(_) | Kind::LiquidationDistance(_) => {
            "add margin, or close a part yourself"
        }
        Kind::MaxExposure(_) => "close a part of what you hold yourself",
        Kind::LossVelocity(_) | Kind::ProfitGiveback(_) | Kind::LossStreak(_) => {
            "close yourself what you no longer want to hold, and pause what trades the account"
        }
        Kind::TradingWindow(_) | Kind::SymbolAllowlist(_) => "stop what trades there, and close it yourself",
        Kind::ForcedEvent(_) => "look at what is left, and at the margin of every position",
        Kind::UnprotectedPosition(_) => "place a stop yourself, or close the position",
        Kind::OrphanOrders(_) | Kind::OrderLimits(_) => "cancel these orders, and look at what sends them",
        Kind::ForeignActivity(_) => {
            "find out who did it; when it was nobody of yours, take the key and the password away from them"
        }
        Kind::MaxPosition(_) => "close a part yourself, or cancel the orders that add to it",
        Kind::Drawdown(_) | Kind::PeriodLoss(_) => "close yourself what you no longer want to hold",
        Kind::Blind(_) => "look at the venue's status page, at its app, and at this machine's network",
    }
    .into()
}

/// A request in words.
fn request(intent: &Intent) -> String {
    match intent {
        Intent::Reduce(order) => {
            let how = match order.pricing() {
                Pricing::Market => "at market".to_owned(),
                Pricing::Ioc(price) => format!("at {price} or better"),
                Pricing::Resting(price) => format!("at {price} or better, waiting for a taker"),
            };
            format!(
                "{} {} {} {how}, reduce-only",
                order.side(),
                order.qty(),
                order.leg()
            )
        }
        Intent::PlaceStop(stop) => format!(
            "stop {} {} at {}, closes the position and nothing else",
            stop.side(),
            stop.leg(),
            stop.trigger()
        ),
        Intent::Cancel(id) => {
            let kind = if id.store == Store::Regular {
                "order"
            } else {
                "conditional order"
            };
            format!("cancel {kind} {} in {}", id.id, id.symbol)
        }
        Intent::CancelAll(symbol) => format!("cancel all orders in {symbol}"),
        Intent::CancelAllConditional(symbol) => format!("cancel all conditional orders in {symbol}"),
    }
}

/// What holds the account, in the order of the policies.
fn cause(guard: &Guard, state: State) -> String {
    match state {
        State::Armed | State::Starting | State::Powerless => return String::new(),
        State::Blind => {
            let link = guard.book().link();
            let age = link
                .proof_age()
                .map_or("an unknown time".into(), |age| age.to_string());
            return format!("no proof of life for {age}");
        }
        _ => {}
    }
    let kills = guard.kills().iter().map(|kill| {
        let place = kill
            .symbol
            .as_ref()
            .map_or("everything", |symbol| symbol.as_str());
        format!("kill switch over {place}: {}", kill.reason)
    });
    let rungs = guard.policies().iter().flat_map(|policy| {
        policy.tracks.keys().filter_map(|scope| {
            let rung = policy.spec.ladder.get(highest(policy, scope, Mode::Enforce)?)?;
            (rung.action != Action::Alert).then(|| {
                format!(
                    "{} {}: {}",
                    policy.spec.id,
                    rung.action.name(),
                    policy.explain(guard.book(), scope)
                )
            })
        })
    });
    kills.chain(rungs).take(NAMED_MAX).collect::<Vec<_>>().join("; ")
}

/// The highest rung in force over a scope, of those that run at least in this mode.
pub fn highest(policy: &Policy, scope: &Scope, least: Mode) -> Option<usize> {
    let track = policy.tracks.get(scope)?;
    let rungs = track.rungs.iter().zip(&policy.spec.ladder).enumerate();
    rungs
        .filter(|(_, (state, rung))| matches!(state, RungState::Tripped(_)) && policy.mode(rung) >= least)
        .map(|(index, _)| index)
        .next_back()
}

fn holdings(guard: &Guard) -> String {
    let book = guard.book();
    if !book.is_ready() {
        return String::new();
    }
    let equity = book
        .equity()
        .map_or("unknown".into(), |equity| Amount::Money(equity).to_string());
    let held: Vec<String> = book
        .positions()
        .map(|(leg, position)| match book.last_mark(&leg.symbol) {
            Some(mark) => format!("{} {leg} at {mark}", position.amount),
            None => format!("{} {leg}", position.amount),
        })
        .collect();
    let more = held.len().saturating_sub(NAMED_MAX);
    let mut shown = held.into_iter().take(NAMED_MAX).collect::<Vec<_>>().join(", ");
    if more > 0 {
        shown.push_str(&format!(" and {more} more"));
    }
    let held = if shown.is_empty() {
        "no position".into()
    } else {
        shown
    };
    format!("equity {equity}, {held}")
}

fn number(amount: Amount) -> String {
    amount.number().normalize().to_string()
}
