//! Backstop: an independent risk guard for crypto-futures accounts. It can only shrink risk.
//!
//! # From above
//!
//! One event travels: a frame is received ([`venue::binance::client`]), translated ([`venue::binance::session`]), queued,
//! and given to [`guard::Guard::step`] through [`replay::Drive`]. The step folds it into the [`book`], lets every
//! [`policy`] measure, and plans ([`response::plan`]) what is still missing. The [`run`] loop makes what must survive
//! durable ([`journal`]), hands the rest to the executor ([`exec`]), and shows copies of it all to people ([`serve`]).
//! What became of a request comes back as another input of the same loop.
//!
//! # Rooms
//!
//! | Room | Holds |
//! | --- | --- |
//! | [`model`] | values with units, symbols, instruments, positions, orders, and [`model::Intent`]: all that can be asked |
//! | [`event`] | everything the core can be told |
//! | [`book`] | the account as a fold of events: margin, equity, transfers, orders, the stream's proofs of life |
//! | [`policy`] | one type of policy a file, and the envelope around all of them |
//! | [`response`] | demands, flights (what is in the air), stops (where reduce-only was ignored), the cut, the plan |
//! | [`guard`] | [`guard::Guard::step`] and [`guard::Guard::deadline`]; [`guard::preview`], a look that decides nothing |
//! | [`venue`] | Binance USD-M: wire, parse, request, sign, outcome, session are pure; `client` is the only IO |
//! | [`exec`] | sends each order once, and asks the venue when the answer left it open |
//! | [`journal`] | the kept state, its text form, its store, whose it is, and a look at it; the KILL file |
//! | [`alert`] | what people are told away from the screen: wording, grouping, channels |
//! | [`serve`] | the control API |
//! | [`sim`] | the embedded exchange; all but its server is pure |
//! | [`replay`] | recordings, the drive that live runs and replays share, what-if ([`replay::world`]) and its report |
//! | [`config`] | the configuration and the policy files, with their diagnostics |
//! | [`trial`] | policy tests: guard and exchange in virtual time, verdicts, coverage, mutants |
//! | [`clock`] | the only reader of time |
//! | [`run`] | tasks and channels |
//! | [`drill`] | proves the chain with play money: a trader of its own against the real run |
//! | [`cli`] | a file a verb |
//!
//! Uses go one way: `cli -> drill -> run -> {exec, serve, alert, journal, replay, sim} -> guard -> response -> policy -> book -> event ->
//! model`, and `{exec, sim, replay} -> venue -> {event, model}`; `cli -> trial -> {journal, replay, sim, config}`. A test keeps it so (`tests/tidy`).
//!
//! # Invariants
//!
//! * No type of the guard can ask for an order that opens or grows a position. [`model::ReduceOrder`] is made in one
//!   place, against a position, and is clamped to the newest one again at the moment of sending. The drill's trader can
//!   open one; it cannot be made without [`venue::binance::play::PlayVenue`], proof that only play money is at stake.
//! * The core is told everything and touches nothing: no clock, socket, file, environment, randomness or float in
//!   `model`, `event`, `book`, `policy`, `response` and `guard`. The same inputs give the same decisions.
//! * A dry run has no signer for mutations: [`exec::Executor::dry`] holds none, and [`venue::binance::sign::ReadSigner`]
//!   cannot sign one.
//! * Unknown is a verdict. What is missing, stale or failed is named ([`book::Missing`]); it is never zero, and it neither
//!   trips nor clears a rung.
//! * A refusal needs proof. Everything else leaves an order unknown until the venue or the position says.
//! * A latch is released by a re-arm and by nothing else: no restart, edit, reconnect or midnight does it.
//! * Every queue, map and retry has a limit, with its reason beside it.
//!
//! # Deliberately absent
//!
//! No order type of the guard that could open a position; no transfer, withdrawal or leverage change, no mode change by
//! the guard; no deletion of a listenKey; no retry in the HTTP layer; no lock between a frame and the request that answers it.

pub mod alert;
pub mod book;
pub mod cli;
pub mod clock;
pub mod config;
pub mod drill;
pub mod event;
pub mod exec;
pub mod guard;
pub mod journal;
pub mod model;
pub mod policy;
pub mod replay;
pub mod response;
pub mod run;
pub mod serve;
pub mod sim;
pub mod trial;
pub mod venue;
