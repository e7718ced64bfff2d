//! What was done on the account in a step, by whoever did it: for policies that judge behaviour and not holdings.

use crate::model::{Asset, Money, Order};

/// One act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// An order was seen for the first time. The first reading of a store tells what was there before, which is no act.
    Order(Order),
    /// Another setting of the account, in words.
    Setting(String),
    /// Money left the account; the amount is positive.
    TransferOut(Asset, Money),
}
