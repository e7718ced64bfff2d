//! Orders of a test file: those of a bot, and those that are expected of the guard.

use super::super::fields::Fields;
use super::super::node::{Node, Problems};
use super::value::{decimal, positive, symbol};
use super::{BotOrder, OrderPattern, table};

const SIDES: [(&str, bool); 2] = [("BUY", true), ("SELL", false)];
const POSITION_SIDES: [(&str, &str); 3] = [("BOTH", "BOTH"), ("LONG", "LONG"), ("SHORT", "SHORT")];
const TYPES: [(&str, &str); 4] = [
    ("MARKET", "MARKET"),
    ("LIMIT", "LIMIT"),
    ("STOP_MARKET", "STOP_MARKET"),
    ("TAKE_PROFIT_MARKET", "TAKE_PROFIT_MARKET"),
];
const KINDS: [(&str, &str); 4] = [
    ("reduce", "reduce"),
    ("cancel", "cancel"),
    ("cancel_all", "cancel_all"),
    ("cancel_all_conditional", "cancel_all_conditional"),
];

/// An order of a bot; a `fill` is a market order, so its type is not said.
pub(super) fn bot(node: &Node, is_fill: bool, problems: &mut Problems) -> Option<BotOrder> {
    let what = if is_fill { "this fill" } else { "this order" };
    let mut fields = Fields::new(table(node, what, problems)?, node.place.clone(), what);
    let symbol = need(&mut fields, "symbol", problems).and_then(|node| symbol(node, "symbol", problems));
    let buys = match fields.choice("side", &SIDES, problems) {
        None if fields.get("side").is_none() => {
            fields.missing("side", "BUY or SELL".to_owned(), problems);
            None
        }
        side => side,
    };
    let position_side = fields.choice("position_side", &POSITION_SIDES, problems);
    let kind = if is_fill {
        "MARKET"
    } else {
        fields.choice("type", &TYPES, problems).unwrap_or("LIMIT")
    };
    let mut number = |name: &'static str| fields.get(name).and_then(|node| positive(node, name, problems));
    let quantity = number("quantity");
    let (price, trigger) = if is_fill {
        (None, None)
    } else {
        (number("price"), number("trigger"))
    };
    let is_stop = kind.ends_with("_MARKET");
    let needed = [
        ("quantity", quantity.is_none() && !is_stop),
        ("price", kind == "LIMIT" && price.is_none()),
        ("trigger", is_stop && trigger.is_none()),
    ];
    for (name, is_missing) in needed {
        if is_missing && fields.get(name).is_none() {
            fields.missing(name, format!("a {kind} order needs it"), problems);
        }
    }
    let mut order = BotOrder {
        symbol: symbol?,
        buys: buys?,
        position_side: position_side.unwrap_or("BOTH").to_owned(),
        kind: kind.to_owned(),
        quantity,
        price,
        trigger,
        reduce_only: false,
        client_id: None,
        refused: false,
    };
    if !is_fill {
        order.reduce_only = fields.flag("reduce_only", false, problems)?;
        order.client_id = fields.text("client_id", problems).map(str::to_owned);
        order.refused = fields.flag("refused", false, problems)?;
    }
    fields.finish(problems, |key| {
        (is_fill && key == "price").then(|| "a fill is at the present price: set it with `mark`".to_owned())
    });
    Some(order)
}

/// A request that is expected of the guard.
pub(super) fn pattern(node: &Node, problems: &mut Problems) -> Option<OrderPattern> {
    let what = "this expected order";
    let mut fields = Fields::new(table(node, what, problems)?, node.place.clone(), what);
    let side = fields.choice("side", &[("BUY", "BUY"), ("SELL", "SELL")], problems);
    let pattern = OrderPattern {
        kind: fields.choice("kind", &KINDS, problems).map(str::to_owned),
        symbol: fields
            .get("symbol")
            .and_then(|node| symbol(node, "symbol", problems)),
        side: side.map(str::to_owned),
        position_side: fields
            .choice("position_side", &POSITION_SIDES, problems)
            .map(str::to_owned),
        quantity: fields
            .get("quantity")
            .and_then(|node| decimal(node, "quantity", problems)),
    };
    if pattern == OrderPattern::default() {
        let hint = "such as { symbol = \"BTCUSDT\", side = \"SELL\", quantity = \"0.2\" }".to_owned();
        problems.error(&node.place, "empty", format!("{what} says nothing"), hint);
    }
    fields.finish(problems, |_| None);
    Some(pattern)
}

/// A key that must be there.
pub(super) fn need<'n>(
    fields: &mut Fields<'n>,
    name: &'static str,
    problems: &mut Problems,
) -> Option<&'n Node> {
    let node = fields.get(name);
    if node.is_none() {
        fields.missing(name, None, problems);
    }
    node
}
