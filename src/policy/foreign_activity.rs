//! What is done on the account by others than its owner's own programs.
//!
//! Fires when an order shows whose client order id begins with none of `client_id_prefixes`, when leverage, margin type,
//! position mode or asset mode are changed, and when money leaves the account; for a minute from the newest of these, and
//! for as long as such an order is open. The record names the id of the order, which is all that the venue tells of who
//! sent it. Without `client_id_prefixes` no order is foreign. The guard's own orders and those that the venue places by
//! itself never count. What was set before the guard first read it is no change, an order that was open then is foreign
//! all the same. Before the account was read it is unknown. Does not cover acts that leave no trace in the stream or in a
//! reading, such as an order that came and went while both were away.
//!
//! Source: POLICIES.md b.7.

use super::{Assessment, Measured, Memory, PolicySpec, Scope, SymbolFilter, View};
use crate::book::{Act, Book, Missing};
use crate::model::{ClientOrderId, Order, Span, Timestamp};

/// How long an act counts.
const LASTS: Span = Span::from_secs(60);
/// Open orders that an explanation names.
const NAMED_MAX: usize = 3;

/// What is done by others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForeignActivity {
    /// How the client order ids of the owner's own programs begin; `None`: orders are not judged.
    pub client_id_prefixes: Option<Vec<String>>,
}

impl ForeignActivity {
    pub(super) fn observe(&self, memory: &mut Memory, spec: &PolicySpec, book: &Book) {
        for act in book.acts() {
            let told = match act {
                Act::Order(order) if !self.is_foreign(&spec.symbols, order) => continue,
                Act::Order(order) => describe(order),
                Act::Setting(what) => format!("{what} was changed"),
                Act::TransferOut(asset, amount) => format!("{amount} {asset} left the account"),
            };
            memory.foreign = Some((book.now(), told));
        }
    }

    fn is_foreign(&self, symbols: &SymbolFilter, order: &Order) -> bool {
        let Some(prefixes) = &self.client_id_prefixes else {
            return false;
        };
        let is_known = order.client_id.as_ref().is_some_and(|id| {
            id.is_ours()
                || prefixes
                    .iter()
                    .any(|prefix| id.as_str().starts_with(prefix.as_str()))
        });
        !is_known && order.forced().is_none() && symbols.covers(&order.id.symbol)
    }

    fn open<'a>(&'a self, view: View<'a>) -> impl Iterator<Item = &'a Order> {
        let orders = view.book.orders().iter();
        orders.filter(move |order| self.is_foreign(&view.spec.symbols, order))
    }

    pub(super) fn assess(&self, view: View<'_>, out: &mut Vec<Assessment>) {
        let now = view.book.now();
        let recent = view.memory.foreign.as_ref().map(|(at, _)| *at);
        let recent = recent.filter(|at| now.since(*at) < LASTS);
        let open = self.open(view).map(|order| order.at).max();
        let measured = match recent.max(open) {
            _ if !view.book.is_ready() => Measured::Unknown(Missing::Snapshot),
            Some(at) => Measured::Fired(at),
            None => Measured::Quiet,
        };
        out.push(Assessment {
            scope: Scope::Account,
            measured,
        });
    }

    pub(super) fn explain(&self, view: View<'_>) -> String {
        let mut told = Vec::new();
        if let Some((at, what)) = &view.memory.foreign {
            told.push(format!("{what}, {} ago", view.book.now().since(*at)));
        }
        let open: Vec<&Order> = self.open(view).collect();
        told.extend(
            open.iter()
                .take(NAMED_MAX)
                .map(|order| format!("open: {}", describe(order))),
        );
        if open.len() > NAMED_MAX {
            told.push(format!("and {} more", open.len() - NAMED_MAX));
        }
        if told.is_empty() {
            told.push("nobody else was seen on the account".into());
        }
        told.join("; ")
    }

    pub(super) fn next_change(&self, view: View<'_>) -> Option<Timestamp> {
        view.memory.foreign.as_ref().map(|(at, _)| at.after(LASTS))
    }
}

/// An order, and the id that its sender gave it.
fn describe(order: &Order) -> String {
    let name = order
        .client_id
        .as_ref()
        .map_or("without a name", ClientOrderId::as_str);
    format!("order {name}: {} {} {}", order.side, order.quantity, order.leg())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d6_ids_outside_the_prefixes_are_foreign_and_ours_and_the_venues_never_are() {
        let symbols = SymbolFilter::new(vec!["BTC*".into()]);
        for (prefixes, client, symbol, expected) in [
            (Some(&["bot-"][..]), Some("bot-7"), "BTCUSDT", false),
            (Some(&["bot-"]), Some("web_7"), "BTCUSDT", true),
            (Some(&["bot-"]), Some("Bot-7"), "BTCUSDT", true),
            (Some(&["bot-"]), None, "BTCUSDT", true),
            (Some(&["bot-"]), Some("web_7"), "ALTUSDT", false),
            (Some(&["bot-"]), Some("bs-7"), "BTCUSDT", false),
            (Some(&["bot-"]), Some("autoclose-7"), "BTCUSDT", false),
            (Some(&[]), Some("bot-7"), "BTCUSDT", true),
            (None, Some("web_7"), "BTCUSDT", false),
        ] {
            let policy = ForeignActivity {
                client_id_prefixes: prefixes.map(|all| all.iter().map(|one| (*one).to_owned()).collect()),
            };
            let order = Order {
                id: crate::model::OrderId {
                    store: crate::model::Store::Regular,
                    symbol: symbol.parse().unwrap(),
                    id: 1,
                },
                client_id: client.map(|id| ClientOrderId::new(id).unwrap()),
                side: crate::model::Side::Buy,
                position_side: crate::model::PositionSide::Both,
                kind: crate::model::OrderKind::Limit,
                price: None,
                trigger: None,
                quantity: "1".parse().unwrap(),
                executed: "0".parse().unwrap(),
                average: None,
                trade: None,
                reduce_only: false,
                close_position: false,
                status: crate::model::OrderStatus::New,
                at: Timestamp::from_ms(1),
            };
            assert_eq!(
                policy.is_foreign(&symbols, &order),
                expected,
                "{prefixes:?} {client:?} {symbol}"
            );
            let told = describe(&order);
            assert!(told.contains(client.unwrap_or("without a name")), "{told}");
        }
    }
}
