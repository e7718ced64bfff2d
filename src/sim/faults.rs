//! What goes wrong on purpose: at the venue, on its streams, on the way to it (FAILURES.md section 8).
//!
//! Faults stand in a scenario's `[[fault]]` tables or come over the control route, in the same words. One seed decides
//! every chance. Pure: time comes in, and what is struck is asked for by whoever it would strike.

use super::scenario::At;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Faults at a time; a script has a handful.
pub const FAULTS_MAX: usize = 256;

/// One thing that goes wrong.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// From this time of the script on; over the control route: from now on, whatever it says.
    #[serde(default)]
    pub from: Option<At>,
    /// Until this time; over the control route: for this long.
    #[serde(default)]
    pub until: Option<At>,
    /// How likely it strikes each time that it could, in percent; faults that last are certain.
    #[serde(default = "always")]
    pub percent: u32,
    /// How often it strikes at most.
    #[serde(default)]
    pub times: Option<u32>,
    /// `rest` or `stream` for faults of the network; both when absent.
    #[serde(default)]
    pub side: Option<Side>,
    /// What goes wrong.
    pub what: What,
}

/// Which connections a fault of the network is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Requests.
    Rest,
    /// Streams.
    Stream,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum What {
    // The network.
    /// Connections are reset, and new ones too.
    Cut,
    /// Connections stay open and nothing passes, in neither direction; new ones are accepted and stay silent.
    HalfOpen,
    /// New connections are accepted and nothing passes; those that are open go on.
    Stall,
    /// A connection is reset after this many bytes.
    Reset {
        /// Bytes that pass before.
        after: u64,
        /// Counted on what the client sends, not on what it receives.
        #[serde(default)]
        upload: bool,
    },
    /// Everything takes longer.
    Latency {
        /// At least this long, in each direction.
        ms: u64,
        /// And up to this much more.
        #[serde(default)]
        jitter_ms: u64,
    },
    /// Everything arrives in pieces of this many bytes.
    Split {
        /// Largest piece.
        bytes: usize,
    },

    // The streams.
    /// Events are lost.
    Drop {
        /// Name of the event, `*` for every private one; market frames by `markPriceUpdate`.
        event: String,
    },
    /// Events arrive again.
    Duplicate {
        /// As for `drop`.
        event: String,
        /// How often more.
        #[serde(default = "one")]
        copies: u32,
        /// How much later at most.
        #[serde(default)]
        within_ms: i64,
    },
    /// Events arrive later, each by a time of its own, so that others overtake them.
    Delay {
        /// As for `drop`.
        event: String,
        /// At most by this.
        within_ms: i64,
    },
    /// Another text arrives instead of an event.
    Garble {
        /// As for `drop`.
        event: String,
        /// The text.
        text: String,
    },
    /// A text arrives on every private socket, once.
    Say {
        /// The text.
        text: String,
    },
    /// Something that is no text arrives on every socket, once.
    Utter {
        /// What.
        form: Form,
    },
    /// Every socket is closed, once.
    Close {
        /// The code.
        code: u16,
        /// The reason.
        #[serde(default)]
        reason: String,
    },
    /// Pings without end.
    Pings {
        /// So many.
        per_second: u32,
    },
    /// Only the newest socket of a listenKey is told anything (ST-08).
    NewestOnly,
    /// Subscriptions are not acknowledged.
    NoAcks,

    // Requests of the guard's key.
    /// A request is answered with something else.
    Answer(Answer),
    /// A request is never answered.
    Silence {
        /// Which: `POST /fapi/v1/order`; a `*` at its end stands for anything.
        route: String,
        /// Whether it is carried out all the same.
        #[serde(default)]
        executed: bool,
    },

    // The venue.
    /// Readings show the account as it was this long ago.
    ReadLag {
        /// At most five seconds.
        ms: i64,
    },
    /// Cancel-all says that it is done, and cancels only so much of what is open.
    CancelSubset {
        /// In percent, rounded down.
        done_percent: usize,
    },
    /// Reduce-only orders are taken as ordinary ones.
    IgnoreReduceOnly,
    /// Orders that could open something are refused with -1008.
    Overload,
    /// Nobody is in the book.
    EmptyBook,
    /// The listenKey expires, once.
    ExpireKey {
        /// Without `listenKeyExpired`.
        #[serde(default)]
        silent: bool,
    },
    /// Somebody deletes the listenKey, once; sockets stay open.
    DeleteKey,
    /// The venue's clock is off.
    Clock {
        /// By this much.
        offset_ms: i64,
        /// And by so much more for each second that passes, in millionths.
        #[serde(default)]
        drift_ppm: i64,
    },
}

/// An answer instead of the venue's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Which request: `POST /fapi/v1/order`; a `*` at its end stands for anything.
    pub route: String,
    /// HTTP status.
    pub status: u16,
    /// The body as it is; else the refusal with `code`.
    #[serde(default)]
    pub body: Option<String>,
    /// How often the body is repeated.
    #[serde(default = "one")]
    pub repeat: u32,
    /// Code of a refusal.
    #[serde(default)]
    pub code: i64,
    /// Words of a refusal.
    #[serde(default)]
    pub message: String,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Whether the request is carried out all the same.
    #[serde(default)]
    pub executed: bool,
    /// Only requests that name this in their query, such as a symbol.
    #[serde(default)]
    pub naming: Option<String>,
}

/// A frame that is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A binary frame.
    Binary,
    /// A text frame that is not UTF-8.
    NotUtf8,
    /// A text frame of 17 MiB.
    Oversized,
    /// A text in three fragments: an unknown event.
    Fragments,
}

/// What the network does now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// Connections are reset.
    pub cut: bool,
    /// Nothing passes.
    pub frozen: bool,
    /// Nothing passes on connections made from now on.
    pub stalled: bool,
    /// Reset after so many bytes, of the upload or not, in so many percent of the connections.
    pub reset: Option<(u64, bool, u32)>,
    /// Delay and jitter, ms.
    pub latency: Option<(u64, u64)>,
    /// Largest piece.
    pub split: Option<usize>,
}

/// A fault that stands, with what became of it.
#[derive(Clone, Debug, Serialize)]
struct Standing {
    from: i64,
    until: i64,
    struck: u32,
    fault: Fault,
}

/// Every fault of an exchange.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    standing: Vec<Standing>,
    random: u64,
    /// How often each kind struck.
    struck: BTreeMap<&'static str, u64>,
}

impl Faults {
    /// The faults of a script.
    pub fn new(faults: &[Fault], seed: u64) -> Faults {
        let mut all = Faults {
            standing: Vec::new(),
            // The generator's state must not be zero.
            random: (seed ^ 0x9e37_79b9_7f4a_7c15).max(1),
            struck: BTreeMap::new(),
        };
        for fault in faults.iter().take(FAULTS_MAX) {
            let from = fault.from.map_or(0, |at| at.0);
            let until = fault.until.map_or(i64::MAX, |at| at.0);
            all.stand(fault.clone(), from, until);
        }
        all
    }

    /// A fault that begins now, `at` ms after the start; `false` when there are too many already.
    pub fn add(&mut self, fault: Fault, at: i64) -> bool {
        self.standing.retain(|one| one.until > at);
        if self.standing.len() >= FAULTS_MAX {
            return false;
        }
        let until = fault.until.map_or(i64::MAX, |span| at.saturating_add(span.0));
        self.stand(fault, at, until);
        true
    }

    fn stand(&mut self, fault: Fault, from: i64, until: i64) {
        self.standing.push(Standing {
            from,
            until,
            struck: 0,
            fault,
        });
    }

    /// Everything heals.
    pub fn clear(&mut self) {
        self.standing.clear();
    }

    /// How often each kind struck.
    pub fn struck(&self) -> BTreeMap<String, u64> {
        self.struck
            .iter()
            .map(|(kind, count)| ((*kind).to_owned(), *count))
            .collect()
    }

    /// Whether a fault strikes here and now: the first that stands, fits, and has luck.
    pub fn strikes(&mut self, at: i64, fits: impl Fn(&What) -> bool) -> Option<What> {
        for index in 0..self.standing.len() {
            let Some(one) = self.standing.get(index) else {
                break;
            };
            let spent = one.fault.times.is_some_and(|times| one.struck >= times);
            if at < one.from || at >= one.until || spent || !fits(&one.fault.what) {
                continue;
            }
            let percent = one.fault.percent;
            if self.below(100) >= u64::from(percent) {
                continue;
            }
            let one = self.standing.get_mut(index)?;
            one.struck = one.struck.saturating_add(1);
            let what = one.fault.what.clone();
            *self.struck.entry(what.kind()).or_insert(0) += 1;
            return Some(what);
        }
        None
    }

    /// Faults that happen once, and are due. Those that last are counted when they begin.
    pub fn happenings(&mut self, at: i64) -> Vec<What> {
        let mut due = Vec::new();
        for one in &mut self.standing {
            let what = &one.fault.what;
            let begins = at >= one.from && at < one.until && one.struck == 0;
            if begins && (what.happens_once() || what.lasts()) {
                one.struck = 1;
                *self.struck.entry(what.kind()).or_insert(0) += 1;
                if what.happens_once() {
                    due.push(what.clone());
                }
            }
        }
        due
    }

    /// A state of the venue that lasts, without chance: the first that fits.
    pub fn lasting<T>(&self, at: i64, pick: impl Fn(&What, i64) -> Option<T>) -> Option<T> {
        self.standing
            .iter()
            .filter(|one| at >= one.from && at < one.until)
            .find_map(|one| pick(&one.fault.what, at - one.from))
    }

    /// What the network does on one side.
    pub fn wire(&self, at: i64, side: Side) -> Wire {
        let mut wire = Wire::default();
        let standing = self.standing.iter().filter(|one| {
            at >= one.from && at < one.until && one.fault.side.is_none_or(|known| known == side)
        });
        for one in standing {
            match one.fault.what {
                What::Cut => wire.cut = true,
                What::HalfOpen => wire.frozen = true,
                What::Stall => wire.stalled = true,
                What::Reset { after, upload } => wire.reset = Some((after, upload, one.fault.percent)),
                What::Latency { ms, jitter_ms } => wire.latency = Some((ms, jitter_ms)),
                What::Split { bytes } => wire.split = Some(bytes.max(1)),
                _ => {}
            }
        }
        wire
    }

    /// A number below `limit`, which is not zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        // xorshift64*: any good mixer does; the seed decides it.
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let mixed = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        mixed.checked_rem(limit).unwrap_or(0)
    }

    /// A time of at most `within` ms.
    pub fn delay(&mut self, within: i64) -> i64 {
        let span = u64::try_from(within).unwrap_or(0).saturating_add(1);
        i64::try_from(self.below(span)).unwrap_or(0)
    }
}

impl What {
    /// Its name in a script.
    pub fn kind(&self) -> &'static str {
        match self {
            What::Cut => "cut",
            What::HalfOpen => "half_open",
            What::Stall => "stall",
            What::Reset { .. } => "reset",
            What::Latency { .. } => "latency",
            What::Split { .. } => "split",
            What::Drop { .. } => "drop",
            What::Duplicate { .. } => "duplicate",
            What::Delay { .. } => "delay",
            What::Garble { .. } => "garble",
            What::Say { .. } => "say",
            What::Utter { .. } => "utter",
            What::Close { .. } => "close",
            What::Pings { .. } => "pings",
            What::NewestOnly => "newest_only",
            What::NoAcks => "no_acks",
            What::Answer(_) => "answer",
            What::Silence { .. } => "silence",
            What::ReadLag { .. } => "read_lag",
            What::CancelSubset { .. } => "cancel_subset",
            What::IgnoreReduceOnly => "ignore_reduce_only",
            What::Overload => "overload",
            What::EmptyBook => "empty_book",
            What::ExpireKey { .. } => "expire_key",
            What::DeleteKey => "delete_key",
            What::Clock { .. } => "clock",
        }
    }

    fn happens_once(&self) -> bool {
        matches!(
            self,
            What::Say { .. }
                | What::Utter { .. }
                | What::Close { .. }
                | What::ExpireKey { .. }
                | What::DeleteKey
        )
    }

    /// Whether it is a state of network or venue, without chance.
    fn lasts(&self) -> bool {
        matches!(
            self,
            What::Cut
                | What::HalfOpen
                | What::Stall
                | What::Reset { .. }
                | What::Latency { .. }
                | What::Split { .. }
                | What::Pings { .. }
                | What::NewestOnly
                | What::ReadLag { .. }
                | What::EmptyBook
                | What::Clock { .. }
        )
    }

    /// Whether it is for this event: by name, or any private one.
    pub fn is_for_event(&self, name: &str, is_private: bool) -> bool {
        let (What::Drop { event }
        | What::Duplicate { event, .. }
        | What::Delay { event, .. }
        | What::Garble { event, .. }) = self
        else {
            return false;
        };
        event == name || (event == "*" && is_private)
    }

    /// Whether it is for this request.
    pub fn is_for_request(&self, line: &str, query: &str) -> bool {
        let (route, naming) = match self {
            What::Answer(answer) => (&answer.route, answer.naming.as_deref()),
            What::Silence { route, .. } => (route, None),
            _ => return false,
        };
        let fits = match route.strip_suffix('*') {
            Some(start) => line.starts_with(start),
            None => line == route,
        };
        fits && naming.is_none_or(|text| query.contains(text))
    }
}

fn always() -> u32 {
    100
}
fn one() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Scenario;

    fn fault(text: &str) -> Fault {
        toml_edit::de::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn drops(faults: &mut Faults, at: i64) -> bool {
        faults
            .strikes(at, |what| what.is_for_event("ORDER_TRADE_UPDATE", true))
            .is_some()
    }

    #[test]
    fn a_fault_strikes_in_its_time_as_often_as_it_may() {
        let one = fault("from = '1s'\nuntil = '3s'\ntimes = 2\nwhat = { drop = { event = '*' } }");
        let mut faults = Faults::new(&[one], 7);
        let struck: Vec<bool> = [0, 999, 1_000, 2_000, 2_500, 3_000]
            .into_iter()
            .map(|at| drops(&mut faults, at))
            .collect();
        assert_eq!(struck, [false, false, true, true, false, false]);
        assert_eq!(faults.struck().get("drop"), Some(&2));
    }

    #[test]
    fn one_seed_decides_every_chance() {
        let run = |seed| {
            let one = fault("percent = 30\nwhat = { drop = { event = 'ORDER_TRADE_UPDATE' } }");
            let mut faults = Faults::new(&[one], seed);
            (0..1_000).map(|at| drops(&mut faults, at)).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let hits = run(3).into_iter().filter(|hit| *hit).count();
        assert!((230..370).contains(&hits), "{hits} of 1000 at 30 %");
    }

    #[test]
    fn a_fault_is_on_its_side_of_the_network_or_on_both() {
        let faults = [
            fault("side = 'stream'\nwhat = 'cut'"),
            fault("what = { latency = { ms = 20 } }"),
            fault("from = '9s'\nwhat = 'half_open'"),
        ];
        let faults = Faults::new(&faults, 1);
        let rest = faults.wire(0, Side::Rest);
        assert_eq!(
            (rest.cut, rest.frozen, rest.latency),
            (false, false, Some((20, 0)))
        );
        assert!(faults.wire(0, Side::Stream).cut);
        assert!(faults.wire(9_000, Side::Rest).frozen);
    }

    #[test]
    fn what_happens_once_happens_once() {
        let mut faults = Faults::new(
            &[fault("from = '1s'\nwhat = { expire_key = { silent = true } }")],
            1,
        );
        assert_eq!(faults.happenings(0), []);
        assert_eq!(faults.happenings(1_000), [What::ExpireKey { silent: true }]);
        assert_eq!(faults.happenings(2_000), []);
    }

    #[test]
    fn every_kind_of_fault_is_shown_by_the_example() {
        let example = Scenario::parse(include_str!("../../fixtures/config/faults.toml")).unwrap();
        let shown: std::collections::BTreeSet<&str> =
            example.fault.iter().map(|fault| fault.what.kind()).collect();
        // A new kind is a new line here and in the example.
        assert_eq!(shown.len(), 26, "{shown:?}");
        // What a scenario says can be said over the control route.
        for fault in &example.fault {
            let text = serde_json::to_string(fault).unwrap();
            let again: Fault = serde_json::from_str(&text).unwrap();
            assert_eq!(again.what, fault.what, "{text}");
        }
    }

    #[test]
    fn unknown_words_are_refused() {
        for text in [
            "what = 'cuts'",
            "what = { drop = { events = '*' } }",
            "whom = 1\nwhat = 'cut'",
            "side = 'udp'\nwhat = 'cut'",
            "until = 'soon'\nwhat = 'cut'",
        ] {
            assert!(toml_edit::de::from_str::<Fault>(text).is_err(), "{text}");
        }
    }
}
