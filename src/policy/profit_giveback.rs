//! Share of the period's best profit that was given back, deposits and withdrawals taken out.
//!
//! `profit = equity − base − flows since the reset`, `best` is the highest of it in this period, and the measure is
//! `(best − profit) ÷ best`. It is 0 until `best` has reached `arm_at`. Trips at or above a threshold; more than 100 % is
//! a loss of the period. Periods begin as those of `period_loss`, and so does the base; `initial` changes nothing
//! here. Unknown until equity is trusted; at first start the period counts from what is there, so that profit from
//! before is neither known nor guarded. The best survives a restart and an edit of the file: a tighter threshold
//! may be met at once, and a look before the start shows that. Recovers when the share is `clear` under the threshold,
//! or with the next period.
//!
//! Source: POLICIES.md b.1, b.3.

use super::period_loss::PeriodLoss;
use super::{Amount, Assessment, Measured, Memory, Scope, View};
use crate::book::{Book, Missing};
use crate::model::{Money, Ratio};

/// Share of the period's best profit that was given back.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfitGiveback {
    /// When periods begin, and what profit is counted from.
    pub period: PeriodLoss,
    /// The profit from which on it is guarded.
    pub arm_at: Money,
}

impl ProfitGiveback {
    pub(super) fn observe(&self, memory: &mut Memory, book: &Book) {
        let began = memory.since;
        self.period.observe(memory, book);
        if memory.since != began {
            memory.best = None;
        }
        if let (Ok(equity), Some(base)) = (book.trusted_equity(), memory.mark) {
            let profit = equity - base - memory.flows;
            memory.best = Some(memory.best.map_or(profit, |best| best.max(profit)));
        }
    }

    pub(super) fn assess(&self, view: View<'_>, out: &mut Vec<Assessment>) {
        let measured = match profit(view) {
            Err(why) => Measured::Unknown(why),
            Ok((_, best)) if best < self.arm_at => Measured::Value(Amount::Ratio(Ratio::ZERO)),
            Ok((profit, best)) => match (best - profit).ratio_of(best) {
                Some(share) => Measured::Value(Amount::Ratio(share)),
                None => Measured::Unknown(Missing::NoEquity),
            },
        };
        out.push(Assessment {
            scope: Scope::Account,
            measured,
        });
    }

    pub(super) fn explain(&self, view: View<'_>) -> String {
        let (profit, best) = match profit(view) {
            Ok(found) => found,
            Err(why) => return why.to_string(),
        };
        let m = Amount::Money;
        let note = view.memory.note.as_ref();
        let note = note.map_or(String::new(), |note| format!(" ({note})"));
        if best < self.arm_at {
            let arm_at = m(self.arm_at);
            return format!(
                "profit {}, best {}: not guarded before {arm_at}{note}",
                m(profit),
                m(best)
            );
        }
        let given = best - profit;
        let share = given.ratio_of(best).map_or("unknown".into(), Ratio::percent);
        format!(
            "best profit {} − profit {} = {}, which is {share}{note}",
            m(best),
            m(profit),
            m(given)
        )
    }
}

/// The profit of the period and its best.
fn profit(view: View<'_>) -> Result<(Money, Money), Missing> {
    let equity = view.book.trusted_equity()?;
    let (base, best) = view.memory.mark.zip(view.memory.best).ok_or(Missing::NoEquity)?;
    Ok((equity - base - view.memory.flows, best))
}
