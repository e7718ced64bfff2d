//! What would fire if money left and prices moved: the policies judge a copy of the account, and nothing else changes.
//!
//! The withdrawal comes first, by today's prices, and then all moves at once. What an exchange would do meanwhile is not
//! in it: no stop triggers, no order fills, nothing is liquidated.

use crate::guard::{Decision, Guard};
use crate::model::{Money, Ratio, Symbol};
use std::fmt;

/// What is supposed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shock {
    /// Leaves the cross wallet, in [`crate::book::CURRENCY`]; never negative.
    pub withdrawal: Money,
    /// What prices do; a contract by its name comes before all.
    pub moves: Vec<Move>,
}

/// A move of mark prices.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// The contract; `None` for all of them.
    pub symbol: Option<Symbol>,
    /// The change as a fraction: −0.08 is 8 % down. Above −1.
    pub by: Ratio,
}

/// Why a shock cannot be played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The account was not read, so nothing can be supposed of it.
    NotRead,
    /// The cross wallet holds less, namely this.
    Short(Money),
    /// The venue lists no such contract.
    NoContract(Symbol),
    /// The move leaves no price that a contract may have.
    NoPrice(Symbol),
}

impl Shock {
    /// Whether nothing is supposed.
    pub fn is_nothing(&self) -> bool {
        self.withdrawal.is_zero() && self.moves.is_empty()
    }

    /// How many times its price a contract is worth after the moves; `None` when none is about it.
    pub fn times(&self, symbol: &Symbol) -> Option<Ratio> {
        let own = self.moves.iter().find(|it| it.symbol.as_ref() == Some(symbol));
        let all = || self.moves.iter().find(|it| it.symbol.is_none());
        own.or_else(all).map(|it| Ratio::ONE + it.by)
    }
}

impl Guard {
    /// A copy of this guard that has lived through the shock; this one stays as it is.
    ///
    /// # Errors
    ///
    /// [`Refused`] when the account was not read, or when the shock makes no sense of it.
    pub fn shocked(&self, shock: &Shock) -> Result<Guard, Refused> {
        if !self.book.is_ready() {
            return Err(Refused::NotRead);
        }
        for symbol in shock.moves.iter().filter_map(|it| it.symbol.as_ref()) {
            self.book
                .instrument(symbol)
                .map_err(|_| Refused::NoContract(symbol.clone()))?;
        }
        let (mut then, mut unheard) = (self.clone(), Decision::default());
        if !shock.withdrawal.is_zero() {
            then.book
                .suppose_withdrawn(shock.withdrawal)
                .map_err(Refused::Short)?;
            then.judge(&mut unheard);
        }
        then.book
            .suppose_moved(|symbol| shock.times(symbol))
            .map_err(Refused::NoPrice)?;
        then.judge(&mut unheard);
        Ok(then)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::NotRead => {
                f.write_str("the account could not be read, so nothing can be supposed of it")
            }
            Refused::Short(holds) => write!(
                f,
                "--withdraw: the cross wallet holds only {holds} {}; write at most that",
                crate::book::CURRENCY
            ),
            Refused::NoContract(symbol) => write!(
                f,
                "--shock {symbol}: the venue lists no such contract; write its full name such as BTCUSDT, or * for all"
            ),
            Refused::NoPrice(symbol) => write!(
                f,
                "--shock: {symbol} would have no price that a contract may have; write a smaller move"
            ),
        }
    }
}
