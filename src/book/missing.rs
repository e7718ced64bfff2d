//! What the book lacks, by name.

use crate::model::{Asset, Leg, Symbol};
use std::fmt;

/// Something that a number needs and the book lacks. Unknown is not zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// No complete reading of the account yet.
    Snapshot,
    /// No mark price for a held contract.
    Mark(Symbol),
    /// The mark price of a held contract is stale.
    StaleMark(Symbol),
    /// The mark price of a held contract is far from its index.
    DoubtfulMark(Symbol),
    /// No entry price for a held position.
    Entry(Leg),
    /// No price for an asset that the account holds.
    Index(Asset),
    /// No rules for a held contract.
    Instrument(Symbol),
    /// No maintenance tiers for a held contract.
    Tiers(Symbol),
    /// Balances and positions are too old to judge by.
    StaleHoldings,
    /// A balance moved without the stream saying why, and transfers were not read since.
    Transfers,
    /// Money crossed the border, and it is not known what it was worth.
    Unclassified,
    /// There is no positive equity to compare with.
    NoEquity,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missing::Snapshot => f.write_str("the account was not read yet"),
            Missing::Mark(symbol) => write!(f, "no mark price for {symbol}"),
            Missing::StaleMark(symbol) => write!(f, "the mark price of {symbol} is stale"),
            Missing::DoubtfulMark(symbol) => {
                write!(f, "the mark price of {symbol} is far from its index price")
            }
            Missing::Entry(leg) => write!(f, "no entry price for {leg}"),
            Missing::Index(asset) => write!(f, "no price for the asset {asset}"),
            Missing::Instrument(symbol) => write!(f, "no contract rules for {symbol}"),
            Missing::Tiers(symbol) => write!(f, "no maintenance tiers for {symbol}"),
            Missing::StaleHoldings => f.write_str("balances and positions are too old to judge by"),
            Missing::Transfers => f.write_str("a balance moved and nothing explains it yet"),
            Missing::Unclassified => f.write_str("a transfer came in an asset whose price is not known"),
            Missing::NoEquity => f.write_str("no positive equity seen yet"),
        }
    }
}
