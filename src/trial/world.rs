//! Guard, exchange, the way between them, and the time of all three.
//!
//! Time is a number that only [`World::run_until`] moves. Everything on its way waits in one queue by when it arrives and by
//! the order of sending, so the same calls give the same world. Nothing here knows what a test is.

use super::desk::{self, Look, Seen, Who};
use super::line::{Errand, Line};
use crate::event::{Command, Link, Outcome};
use crate::guard::{Decision, Guard, Saved, Start};
use crate::journal::state;
use crate::model::{Intent, IntentKey, Span, Timestamp};
use crate::policy::PolicySet;
use crate::replay::{Drive, Fed};
use crate::sim::{Exchange, HttpResponse, Outgoing, Scenario, Target};
use crate::venue::binance::client::reads::Kind;
use crate::venue::binance::outcome;
use crate::venue::binance::request::Mutation;
use crate::venue::binance::stream::{self, EVENTS};
use crate::venue::{Received, Via};
use std::collections::BTreeMap;

/// Things that may happen at one moment; a guard that is asked for more does not come to rest.
const ROUNDS_MAX: u32 = 10_000;

/// What a world begins with.
#[derive(Clone, Debug)]
pub struct Beginning {
    /// The account's label.
    pub account: String,
    /// The policies.
    pub set: PolicySet,
    /// When the account's state turns blind.
    pub blind_after: Span,
    /// The exchange's script.
    pub scenario: Scenario,
    /// When the exchange begins, Unix ms.
    pub exchange_at: i64,
    /// When the guard begins, Unix ms; not before the exchange.
    pub guard_at: i64,
    /// How long everything is on its way, in each direction.
    pub latency: Span,
    /// What happens to one private event on its way.
    pub tamper: Option<Tamper>,
}

/// Something that happens to one private event on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tamper {
    /// To which, counted from 0.
    pub nth: usize,
    /// What.
    pub what: Mishap,
}

/// What may happen to an event on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// It never arrives.
    Drop,
    /// It arrives twice.
    Duplicate,
    /// It arrives after the one behind it.
    Swap,
}

/// What a world tells whoever watches.
#[derive(Clone, Debug)]
pub enum Told {
    /// The guard decided.
    Decision(Box<Decision>),
    /// A request reached the exchange, or nothing.
    Sent(String),
    /// What became of a request.
    Outcome(IntentKey, Outcome),
    /// The private stream came or went.
    Link(Link),
}

/// On its way.
#[derive(Debug)]
enum Due {
    Errand(Errand, u64),
    Key(u16, String),
    Read(Kind, u64, Vec<(String, u16, String)>),
    Send(Box<Intent>),
    Outcome(IntentKey, Outcome),
    Look(Box<Look>),
    Private(String, String),
    Market(String),
}

/// A guard and an exchange in a time of their own.
pub struct World {
    beginning: Beginning,
    /// The exchange: the truth about the account.
    pub exchange: Exchange,
    drive: Option<Drive>,
    line: Line,
    queue: BTreeMap<(i64, u64), Due>,
    count: u64,
    now: i64,
    /// The streams are closed, or mute, until then.
    stream_down: i64,
    stream_mute: i64,
    /// Nothing gets through until then.
    network_down: i64,
    /// The machine sleeps, or the process is away, until then.
    away: i64,
    saved: Option<Saved>,
    told: Vec<(i64, Told)>,
    answer: Option<Result<String, String>>,
    revision: u64,
    events: usize,
    swapped: Option<String>,
    is_asleep: bool,
    is_restless: bool,
}

impl World {
    /// A world at the exchange's beginning.
    pub fn new(beginning: Beginning) -> World {
        let exchange = Exchange::new(beginning.scenario.clone(), beginning.exchange_at);
        World {
            exchange,
            drive: None,
            line: Line::new(Timestamp::from_ms(beginning.guard_at), None),
            queue: BTreeMap::new(),
            count: 0,
            now: beginning.exchange_at,
            stream_down: 0,
            stream_mute: 0,
            network_down: 0,
            away: beginning.guard_at,
            saved: None,
            told: Vec::new(),
            answer: None,
            revision: 0,
            events: 0,
            swapped: None,
            is_asleep: false,
            is_restless: false,
            beginning,
        }
    }

    /// The guard; `None` before it began and while its process is away.
    pub fn guard(&self) -> Option<&Guard> {
        self.drive.as_ref().map(Drive::guard)
    }

    /// The time, Unix ms.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// Private events that came as far as the guard so far, those that a mishap struck included.
    pub fn events(&self) -> usize {
        self.events
    }

    /// Whether more happened at one moment than a guard that comes to rest could ask for.
    pub fn is_restless(&self) -> bool {
        self.is_restless
    }

    /// Takes what was told, with its times.
    pub fn take_told(&mut self) -> Vec<(i64, Told)> {
        std::mem::take(&mut self.told)
    }

    /// Moves the time; everything that is due by then happens, in its order. `each` sees the guard after every decision.
    pub fn run_until(&mut self, until: i64, each: &mut dyn FnMut(&Guard, &Decision)) {
        let mut rounds = 0;
        while let Some(next) = self.next_due().filter(|next| *next <= until) {
            rounds = if next <= self.now { rounds + 1 } else { 0 };
            self.now = self.now.max(next);
            if ROUNDS_MAX < rounds {
                self.is_restless = true;
                break;
            }
            self.happen(each);
        }
        self.now = self.now.max(until);
    }

    fn next_due(&self) -> Option<i64> {
        let first = self.queue.keys().next().map(|(at, _)| *at);
        let own = match &self.drive {
            Some(drive) if self.away <= self.now => {
                let line = self.line.wake();
                line.into_iter()
                    .chain(drive.guard().deadline())
                    .min()
                    .map(Timestamp::ms)
            }
            _ => Some(self.away),
        };
        own.into_iter()
            .chain(first)
            .chain([self.exchange.next_due()])
            .min()
    }

    /// One round of what is due now.
    fn happen(&mut self, each: &mut dyn FnMut(&Guard, &Decision)) {
        if self.exchange.next_due() <= self.now {
            self.exchange.advance(self.now);
        }
        self.carry();
        if self.away <= self.now && self.drive.is_none() {
            self.begin();
        }
        if let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let due = entry.remove();
            self.arrive(due, each);
        }
        if self.drive.is_none() || self.now < self.away {
            return;
        }
        if std::mem::take(&mut self.is_asleep) {
            self.lose("the machine slept", each);
        }
        let now = self.time();
        for text in self.line.release(now, false) {
            self.feed(Fed::Received(&received(now, Via::Private(text))), each);
        }
        let epoch = self.line.epoch;
        for errand in self.line.start(now) {
            self.send(Due::Errand(errand, epoch));
        }
        let is_due = |guard: &Guard| guard.deadline().is_some_and(|at| at <= now);
        if self.guard().is_some_and(is_due) {
            self.feed(Fed::Wake, each);
        }
        self.carry();
    }

    fn time(&self) -> Timestamp {
        Timestamp::from_ms(self.now)
    }

    /// The guard's process begins, with what it kept.
    fn begin(&mut self) {
        let kept = self.saved.as_ref().map(|saved| state::write(saved, true));
        let start = match kept.as_deref().map(state::read) {
            None => Start::Fresh,
            Some(Ok((saved, _))) => Start::Saved(Box::new(saved)),
            Some(Err(error)) => Start::Lost(error.to_string()),
        };
        let since = match &start {
            Start::Saved(saved) => saved.transfers.horizon,
            Start::Fresh | Start::Lost(_) => None,
        };
        let Beginning {
            account,
            set,
            blind_after,
            ..
        } = &self.beginning;
        self.line = Line::new(self.time(), since);
        self.drive = Some(Drive::new(Guard::new(account, set.clone(), *blind_after, start)));
        self.revision = 0;
    }

    /// Puts something on its way.
    fn send(&mut self, due: Due) {
        self.later(self.beginning.latency, due);
    }

    fn later(&mut self, after: Span, due: Due) {
        self.count = self.count.wrapping_add(1);
        self.queue
            .insert((self.now.saturating_add(after.ms()), self.count), due);
    }

    /// Puts what the exchange says on its way.
    fn carry(&mut self) {
        for Outgoing { target, text } in self.exchange.drain() {
            if self.now < self.stream_down.max(self.network_down).max(self.away) {
                continue;
            }
            match target {
                Target::Private { listen_key, event } => {
                    if self.stream_mute <= self.now && EVENTS.split('/').any(|name| name == event) {
                        self.send(Due::Private(listen_key, text));
                    }
                }
                Target::Market { stream } => {
                    let symbol = stream.strip_suffix("@markPrice@1s").map(str::to_uppercase);
                    let watched = |symbol: String| self.line.watched.iter().any(|one| one.as_str() == symbol);
                    if symbol.is_some_and(watched) {
                        self.send(Due::Market(text));
                    }
                }
                Target::Everybody(_) => {}
            }
        }
    }

    /// Something reaches its end.
    fn arrive(&mut self, due: Due, each: &mut dyn FnMut(&Guard, &Decision)) {
        let now = self.time();
        let is_cut = self.now < self.network_down;
        match due {
            Due::Errand(errand, epoch) => {
                let back = self.run_errand(&errand, epoch, is_cut);
                self.send(back);
            }
            Due::Send(intent) => self.deliver(&intent, is_cut),
            _ if self.drive.is_none() || self.now < self.away => {}
            Due::Key(status, body) => self.connected(status, &body, each),
            Due::Read(kind, epoch, answers) => {
                if epoch == self.line.epoch || kind == Kind::Rules {
                    self.read(kind, answers, each);
                }
            }
            Due::Outcome(key, outcome) => {
                self.tell(Told::Outcome(key.clone(), outcome.clone()));
                self.feed(Fed::Outcome(key, outcome), each);
            }
            Due::Look(look) => {
                let exchange = (!is_cut).then_some(&mut self.exchange);
                match look.look(exchange, now) {
                    Seen::Known(key, outcome) => self.send(Due::Outcome(key, outcome)),
                    Seen::Again(look, pause) => self.later(pause, Due::Look(Box::new(look))),
                }
            }
            Due::Private(key, text) => self.private(&key, text, each),
            Due::Market(text) => {
                if self.stream_down.max(self.network_down) <= self.now {
                    self.feed(Fed::Received(&received(now, Via::Market(text))), each);
                }
            }
        }
    }

    fn run_errand(&mut self, errand: &Errand, epoch: u64, is_cut: bool) -> Due {
        let nothing = || (0, "nothing gets through".to_owned());
        match errand {
            Errand::Key | Errand::Keep if is_cut => {
                let (status, body) = nothing();
                Due::Key(status, body)
            }
            Errand::Key | Errand::Keep => {
                let HttpResponse { status, body, .. } = desk::ask(
                    &mut self.exchange,
                    self.now,
                    Who::Guard,
                    "POST",
                    "/fapi/v1/listenKey",
                    "",
                );
                Due::Key(status, body)
            }
            Errand::Read(kind) => {
                let mut answers = Vec::new();
                for read in kind.requests(self.line.transfers_since) {
                    answers.push(if is_cut {
                        let (status, body) = nothing();
                        (read.line(), status, body)
                    } else {
                        desk::read(&mut self.exchange, self.now, &read)
                    });
                }
                Due::Read(*kind, epoch, answers)
            }
        }
    }

    /// A mutation reaches the exchange, or the end of the wire.
    fn deliver(&mut self, intent: &Intent, is_cut: bool) {
        let mutation = Mutation::from_intent(intent);
        self.tell(Told::Sent(mutation.line()));
        let outcome = if is_cut {
            outcome::no_answer(false, "nothing gets through")
        } else {
            desk::mutate(&mut self.exchange, self.now, &mutation)
        };
        let is_open = matches!(outcome, Outcome::Unknown(_));
        self.send(Due::Outcome(intent.key(), outcome));
        match (is_open, intent) {
            (false, _) => {}
            (true, Intent::Reduce(order)) => {
                let look = Look::new(intent.symbol().clone(), order.id().clone(), self.time());
                self.send(Due::Look(Box::new(look)));
            }
            // The reading of the orders that it asks for tells.
            (true, Intent::PlaceStop(_)) => {}
            (true, _) => self.send(Due::Outcome(intent.key(), desk::cancel_again())),
        }
    }

    /// The answer about the stream's key is there.
    fn connected(&mut self, status: u16, body: &str, each: &mut dyn FnMut(&Guard, &Decision)) {
        if self.line.is_open() {
            return;
        }
        let is_up = self.stream_down.max(self.network_down) <= self.now;
        match stream::listen_key(body).filter(|_| status == 200 && is_up) {
            Some(key) => {
                self.line.opened(self.time(), key);
                self.link(Link::Up, each);
            }
            None => self.lose("the stream cannot be opened", each),
        }
    }

    fn read(
        &mut self,
        kind: Kind,
        answers: Vec<(String, u16, String)>,
        each: &mut dyn FnMut(&Guard, &Decision),
    ) {
        let now = self.time();
        let well = answers.iter().all(|(_, status, _)| *status == 200);
        self.line.ended(kind, well, now);
        for (request, status, body) in answers {
            let via = Via::Rest {
                request,
                status,
                body,
            };
            self.feed(Fed::Received(&received(now, via)), each);
        }
        if kind == Kind::Holdings && well {
            for text in self.line.release(now, true) {
                self.feed(Fed::Received(&received(now, Via::Private(text))), each);
            }
        }
    }

    /// A private event reaches the guard, unless a mishap struck.
    fn private(&mut self, key: &str, text: String, each: &mut dyn FnMut(&Guard, &Decision)) {
        if !self.line.hears(key) || self.now < self.stream_down.max(self.network_down) {
            return;
        }
        let struck = self.beginning.tamper.filter(|tamper| tamper.nth == self.events);
        self.events = self.events.saturating_add(1);
        let mut arriving = Vec::new();
        match struck.map(|tamper| tamper.what) {
            None => arriving.push(text),
            Some(Mishap::Drop) => {}
            Some(Mishap::Duplicate) => arriving.extend([text.clone(), text]),
            Some(Mishap::Swap) => {
                self.swapped = Some(text);
                return;
            }
        }
        arriving.extend(self.swapped.take());
        let now = self.time();
        for text in arriving {
            if let Some(text) = self.line.frame(text) {
                self.feed(Fed::Received(&received(now, Via::Private(text))), each);
            }
        }
    }

    fn link(&mut self, link: Link, each: &mut dyn FnMut(&Guard, &Decision)) {
        self.tell(Told::Link(link.clone()));
        let received = received(self.time(), Via::Link(link));
        self.feed(Fed::Received(&received), each);
    }

    /// The stream is gone, or is given up.
    fn lose(&mut self, why: &str, each: &mut dyn FnMut(&Guard, &Decision)) {
        let now = self.time();
        for text in self.line.lost(now) {
            self.feed(Fed::Received(&received(now, Via::Private(text))), each);
        }
        self.link(Link::Down(why.to_owned()), each);
    }

    fn tell(&mut self, told: Told) {
        self.told.push((self.now, told));
    }

    /// Feeds the guard and carries out what it decides.
    fn feed(&mut self, fed: Fed<'_>, each: &mut dyn FnMut(&Guard, &Decision)) {
        let now = self.time();
        let Some(drive) = &mut self.drive else { return };
        let mut decisions = Vec::new();
        drive.feed(now, fed, |guard, decision| {
            each(guard, &decision);
            decisions.push(decision);
        });
        for decision in decisions {
            self.act(decision, each);
        }
        let Some(drive) = &self.drive else { return };
        let book = drive.guard().book();
        if self.revision != book.revision() {
            self.revision = book.revision();
            self.line.watched.extend(book.watched());
        }
    }

    fn act(&mut self, mut decision: Decision, each: &mut dyn FnMut(&Guard, &Decision)) {
        if let Some(save) = decision.save.take() {
            self.saved = Some(save.saved);
        }
        for intent in &decision.intents {
            self.send(Due::Send(Box::new(intent.clone())));
        }
        for (symbol, id) in &decision.asks {
            let look = Look::new(symbol.clone(), id.clone(), self.time());
            self.send(Due::Look(Box::new(look)));
        }
        self.line.need(decision.needs, self.time());
        self.answer = decision.answer.take().or(self.answer.take());
        let reconnect = decision.needs.reconnect;
        if !(decision.records.is_empty() && decision.notes.is_empty() && decision.intents.is_empty()) {
            self.tell(Told::Decision(Box::new(decision)));
        }
        if reconnect && self.line.is_open() {
            self.lose("the stream left a change untold", each);
        }
    }

    /// The operator asks for something; the answer is the guard's. `None` while there is no guard.
    pub fn command(
        &mut self,
        command: Command,
        each: &mut dyn FnMut(&Guard, &Decision),
    ) -> Option<Result<String, String>> {
        self.drive.as_ref()?;
        self.answer = None;
        self.feed(Fed::Command(command), each);
        Some(self.answer.take().unwrap_or_else(|| Ok("done".into())))
    }

    /// A bot on the same account sends a request.
    pub fn bot(&mut self, method: &str, path: &str, query: &str) -> HttpResponse {
        desk::ask(&mut self.exchange, self.now, Who::Bot, method, path, query)
    }

    /// The streams are closed for this long, and cannot be opened.
    pub fn close_streams(&mut self, span: Span, each: &mut dyn FnMut(&Guard, &Decision)) {
        self.stream_down = self.stream_down.max(self.now.saturating_add(span.ms()));
        if self.line.is_open() {
            self.lose("connection lost", each);
        }
    }

    /// The private stream stays open and tells nothing for this long.
    pub fn mute_stream(&mut self, span: Span) {
        self.stream_mute = self.stream_mute.max(self.now.saturating_add(span.ms()));
    }

    /// Nothing gets through for this long.
    pub fn cut_network(&mut self, span: Span, each: &mut dyn FnMut(&Guard, &Decision)) {
        self.network_down = self.network_down.max(self.now.saturating_add(span.ms()));
        if self.line.is_open() {
            self.lose("connection lost", each);
        }
    }

    /// The guard's process ends and begins again after this long. What was durable is kept; an orderly end saves once more.
    pub fn restart(&mut self, crash: bool, gone: Span) {
        if let Some(drive) = self.drive.take().filter(|_| !crash) {
            self.saved = Some(drive.guard().saved_state());
        }
        self.drive = None;
        self.away = self.now.saturating_add(gone.ms());
        self.forget();
    }

    /// The machine sleeps: nothing is received, and no timer fires. It wakes to a dead connection.
    pub fn sleep(&mut self, span: Span) {
        self.away = self.now.saturating_add(span.ms());
        self.is_asleep = true;
        self.forget();
    }

    /// What was on its way to the guard is lost; what it sent arrives.
    fn forget(&mut self) {
        self.queue.retain(|_, due| matches!(due, Due::Send(_)));
    }
}

fn received(at: Timestamp, via: Via) -> Received {
    Received { at, via }
}
