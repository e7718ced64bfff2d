//! Everything the core can be told: what the venue says, what became of our requests, what the operator wants, and
//! that time has passed.

use crate::model::{
    Asset, AssetIndex, Balance, Instrument, IntentKey, Leg, MarginType, MarkPrice, Money, Order, Position,
    PositionMode, Price, Qty, Span, Store, Symbol, Tier, Timestamp,
};
use std::fmt;

/// One input of the core. One frame, or one reading of the account, is one input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// The venue said something, or was asked and answered.
    Venue(Event),
    /// What is known of a request that the core asked for.
    Outcome(IntentKey, Outcome),
    /// The operator wants something.
    Command(Command),
    /// Time has passed.
    Tick,
}

/// A fact from the venue, in our words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The private stream came or went.
    Link(Link),
    /// Balances or positions changed; what is absent is unchanged.
    Account(AccountUpdate),
    /// An order of either store changed.
    Order(Order),
    /// The venue calls for margin.
    MarginCall(MarginCall),
    /// Something about the account's settings changed, without saying enough: read them again.
    SettingsChanged,
    /// Mark prices; one array frame is one event.
    Marks(Vec<MarkPrice>),
    /// Balances and positions read over REST: the digest, and the core of a snapshot.
    Holdings(Holdings),
    /// All open orders of one store, read over REST.
    OpenOrders(Store, Vec<Order>),
    /// Position mode and asset mode, read over REST.
    Settings(Settings),
    /// Margin type by symbol, read over REST.
    MarginTypes(Vec<(Symbol, MarginType)>),
    /// The rules of all contracts, read over REST, without tiers.
    Rules(Vec<Instrument>),
    /// Maintenance tiers by symbol, read over REST.
    Tiers(Vec<(Symbol, Vec<Tier>)>),
    /// What assets are worth.
    AssetIndexes(Vec<AssetIndex>),
    /// Transfers in and out of the account, read over REST; may repeat what the stream said.
    Transfers(Vec<Transfer>),
    /// A fill, told early and in short: a reason to look, never to book.
    FillHint(Symbol),
    /// A read failed: nothing is known from it, least of all that something is zero.
    ReadFailed(Reading),
    /// The venue refuses the key when asked for balances and positions (LI-09).
    KeyRefused,
    /// A kind of event that this version does not know, or a frame that could not be read.
    Unknown(String),
}

/// What a REST read is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reading {
    /// Balances and positions.
    Holdings,
    /// Open orders of a store.
    OpenOrders(Store),
    /// Modes of the account.
    Settings,
    /// Margin types.
    MarginTypes,
    /// Contract rules.
    Rules,
    /// Maintenance tiers.
    Tiers,
    /// Asset indexes.
    AssetIndexes,
    /// Transfers.
    Transfers,
}

/// The state of the private stream's connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Link {
    /// Connected; nothing is proven by that.
    Up,
    /// Gone, with the reason.
    Down(String),
}

/// A change of balances and positions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountUpdate {
    /// Why.
    pub reason: Reason,
    /// Balances that changed.
    pub balances: Vec<BalanceChange>,
    /// Positions that changed.
    pub positions: Vec<PositionChange>,
    /// When, by the matching engine.
    pub at: Timestamp,
}

/// One balance that changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BalanceChange {
    /// The asset.
    pub asset: Asset,
    /// New wallet balance.
    pub wallet: Money,
    /// New cross wallet balance.
    pub cross_wallet: Money,
    /// The change that is not trading profit or commission.
    pub change: Money,
}

/// One position that changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PositionChange {
    /// Which.
    pub leg: Leg,
    /// New signed amount.
    pub amount: Qty,
    /// New entry price; `None` when flat.
    pub entry: Option<Price>,
    /// Margin type.
    pub margin: Option<MarginType>,
    /// Isolated wallet.
    pub isolated_wallet: Money,
}

/// Why balances changed, as far as it decides between profit and flow.
///
/// Source: POLICIES.md b.1, table of `ACCOUNT_UPDATE.a.m`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Money entered or left the account: deposits, withdrawals, transfers, and their reversal.
    External,
    /// Money moved inside: cross to isolated, auto-exchange.
    Internal,
    /// Trading, funding, fees, insurance: profit and loss.
    Profit,
    /// Not known to be either.
    Unclassified(String),
}

/// The venue's margin call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MarginCall {
    /// Cross wallet balance, when a cross position is called.
    pub cross_wallet: Option<Money>,
    /// The positions concerned.
    pub positions: Vec<CalledPosition>,
    /// When the event was made.
    pub at: Timestamp,
}

/// A position that a margin call names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CalledPosition {
    /// Which.
    pub leg: Leg,
    /// Signed amount.
    pub amount: Qty,
    /// Margin type.
    pub margin: MarginType,
    /// Mark price, if it could be read.
    pub mark: Option<Price>,
    /// Maintenance margin that the venue requires, if it could be read.
    pub maintenance: Option<Money>,
}

/// Balances and positions, read together over REST. Complete: what is absent is zero.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holdings {
    /// Every balance.
    pub balances: Vec<(Asset, Balance)>,
    /// Every position that is not flat.
    pub positions: Vec<(Leg, Position)>,
    /// The mark prices that came with them.
    pub marks: Vec<MarkPrice>,
    /// Legs on which two answers of the venue contradict each other for good; the larger exposure is assumed (MO-09).
    pub disputed: Vec<Leg>,
    /// Where the venue says that it would liquidate each leg, as far as it says so; at cross an estimate.
    pub liquidations: Vec<(Leg, Price)>,
    /// What the venue itself counts of margin; `None` when it does not say, or not readably.
    pub claims: Option<Claims>,
}

/// What the venue itself counts of margin, from one answer and so all at the same marks.
///
/// Source: binance-usdm.md 5.3 and 9.2, read 2026-11-22.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claims {
    /// By asset, in it: maintenance of all positions, isolated ones too; and cross wallet plus cross profit.
    pub assets: Vec<(Asset, Claim)>,
    /// By leg: its own maintenance; and its isolated wallet plus its profit.
    pub legs: Vec<(Leg, LegClaim)>,
    /// The totals: in multi-assets mode the whole account, in US dollars.
    pub whole: Claim,
}

/// Maintenance margin and margin balance by the venue's own count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// What it demands.
    pub maintenance: Money,
    /// What it sees there.
    pub balance: Money,
}

/// What the venue counts for one leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LegClaim {
    /// Its size at the mark price that the venue counted with, never negative.
    pub notional: Money,
    /// Maintenance, and isolated wallet plus profit.
    pub margin: Claim,
}

/// Modes of the account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// One-way or hedge.
    pub mode: PositionMode,
    /// Whether all assets back all positions.
    pub multi_assets: bool,
}

/// Money that crossed the account's border.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// The venue's transaction id.
    pub id: i64,
    /// The asset.
    pub asset: Asset,
    /// Positive when it came in.
    pub amount: Money,
    /// When.
    pub at: Timestamp,
}

/// What is known of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The venue took it; for an order, how far it got.
    Accepted(Option<Report>),
    /// The venue refused it, and it had no effect.
    Rejected(Rejection),
    /// It may or may not have happened; the executor is finding out.
    Unknown(Doubt),
    /// There was nothing left to do: the order to cancel is already over.
    Done,
    /// Dry run: it was not sent.
    Suppressed,
}

/// How far an order got.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Filled so far.
    pub executed: Qty,
    /// Whether it is over.
    pub terminal: bool,
    /// When, by the venue.
    pub at: Timestamp,
    /// The reduce-only flag as the venue took it; `None` when it did not say (OR-13).
    pub reduce_only: Option<bool>,
}

impl From<&Order> for Report {
    fn from(order: &Order) -> Report {
        Report {
            executed: order.executed,
            terminal: order.status.is_terminal(),
            at: order.at,
            reduce_only: Some(order.reduce_only),
        }
    }
}

/// A refusal with proof.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejection {
    /// The venue's code; 0 when the guard itself did not send it.
    pub code: i64,
    /// The venue's words.
    pub message: String,
    /// What it means for what to do next.
    pub kind: RejectionKind,
}

/// What a refusal means for what to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RejectionKind {
    /// Nothing to reduce, or other closing orders hold it: read again; if something is left, cancel them first.
    Conflict,
    /// The order's form does not fit the position mode: read the settings again.
    Mode,
    /// The size breaks a rule: read the rules again.
    Size,
    /// The market has no counterparty inside the band: smaller, or at the band's edge.
    Band,
    /// Not executed, try again after this long: overload, rate limits, clock.
    Retry(Span),
    /// The key may not do this.
    Powerless,
    /// The venue is liquidating the account or has closed the symbol.
    Stuck,
    /// Never executed: the query by client order id proved it absent.
    Absent,
    /// Anything else: the request itself is wrong.
    Structural,
}

/// Why the outcome of a request is not known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Doubt {
    /// HTTP status, if one came.
    pub status: Option<u16>,
    /// The venue's code, if one came.
    pub code: Option<i64>,
    /// In words.
    pub why: String,
}

/// What the operator wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// The kill switch.
    Kill {
        /// How hard.
        action: KillAction,
        /// One symbol, or everything.
        symbol: Option<Symbol>,
        /// For the record.
        reason: String,
    },
    /// Release the latches.
    Rearm {
        /// What becomes of high-water marks and period bases.
        baseline: Baseline,
    },
    /// The KILL file appeared or went away.
    KillFile(bool),
}

/// What a kill does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum KillAction {
    /// Cancel what could add exposure, and keep doing so.
    Block,
    /// Close everything in scope and stay closed.
    Flatten,
}

/// What re-arming does to high-water marks and period bases.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Baseline {
    /// They stay; re-arm is refused while the condition stands.
    Keep,
    /// They are set to the present equity.
    Rebase,
}

/// What a failed reading was about, for people.
impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reading::Holdings => "balances and positions",
            Reading::OpenOrders(Store::Regular) => "open orders",
            Reading::OpenOrders(Store::Conditional) => "open conditional orders",
            Reading::Settings => "account settings",
            Reading::MarginTypes => "margin types",
            Reading::Rules => "contract rules",
            Reading::Tiers => "maintenance tiers",
            Reading::AssetIndexes => "asset prices",
            Reading::Transfers => "transfers",
        })
    }
}
