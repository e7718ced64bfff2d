//! What a look supposes: a withdrawal, and mark prices that move. Done to copies of the book, never to the guard's own.

use super::{Book, CURRENCY};
use crate::model::{Asset, Money, Ratio, Symbol};

impl Book {
    /// Begins a step in which `amount`, in [`CURRENCY`], has left the cross wallet, known to be a withdrawal.
    ///
    /// # Errors
    ///
    /// What the cross wallet holds, when that is less.
    pub fn suppose_withdrawn(&mut self, amount: Money) -> Result<(), Money> {
        let now = self.now;
        self.begin(now);
        let asset = Asset::new(CURRENCY).ok();
        let purse = asset.and_then(|asset| self.purses.get_mut(&asset));
        let Some(purse) = purse else {
            return Err(Money::ZERO);
        };
        let balance = &mut purse.balance;
        if balance.cross_wallet < amount {
            return Err(balance.cross_wallet.max(Money::ZERO));
        }
        balance.wallet = balance.wallet - amount;
        balance.cross_wallet = balance.cross_wallet - amount;
        self.flow = Some(-amount);
        Ok(())
    }

    /// Begins a step in which mark prices, and the indexes behind them, are this many times what they were; `None`
    /// leaves a contract as it is. Ages stay: a stale price is stale after a move too. What assets are worth stays.
    ///
    /// # Errors
    ///
    /// The contract whose price would be none.
    pub fn suppose_moved(&mut self, times: impl Fn(&Symbol) -> Option<Ratio>) -> Result<(), Symbol> {
        let now = self.now;
        self.begin(now);
        for (symbol, mark) in &mut self.marks {
            let Some(times) = times(symbol) else { continue };
            mark.price = mark.price.times(times).ok_or_else(|| symbol.clone())?;
            if let Some((index, _)) = &mut mark.index {
                *index = index.times(times).ok_or_else(|| symbol.clone())?;
            }
        }
        Ok(())
    }
}
