//! From a test's script to a world: its beginning, and what happens in it at which time.
//!
//! Prices, money and funding go into the exchange's own script; everything else happens through the world. At one moment
//! prices move first, then money, then the rest in the order of the file.

use super::world::{Beginning, World};
use crate::config::trial::{BotOrder, Script, Step, Trouble, What};
use crate::event::{Baseline, Command, KillAction};
use crate::guard::{Decision, Guard};
use crate::model::{Span, Symbol, Timestamp};
use crate::policy::PolicySet;
use crate::sim::scenario::{
    AccountScript, At, FundingScript, Point, PositionScript, SymbolScript, TransferScript,
};
use crate::sim::{EventKind, EventScript, Scenario};
use rust_decimal::Decimal;
use url::form_urlencoded::Serializer;

/// The exchange's first step is one tenth of a second after its beginning, and it tells prices then and every second after:
/// so that prices come at the whole seconds of the test.
const LEAD: Span = Span::from_ms(100);
/// How long everything is on its way, in each direction: a good line to the venue.
const LATENCY: Span = Span::from_ms(5);
/// When an account turns blind (SPEC.md section 3).
const BLIND_AFTER: Span = Span::from_secs(15);
/// The label of the account.
pub const ACCOUNT: &str = "main";

/// The beginning of a test's world.
pub fn beginning(script: &Script, set: &PolicySet) -> Beginning {
    Beginning {
        account: ACCOUNT.into(),
        set: set.clone(),
        blind_after: BLIND_AFTER,
        scenario: scenario(script),
        exchange_at: script.start.ms().saturating_sub(LEAD.ms()),
        guard_at: script.start.ms(),
        latency: LATENCY,
        tamper: None,
    }
}

/// The test's time as the exchange counts it.
fn at(span: Span) -> At {
    At(span.ms().saturating_add(LEAD.ms()))
}

fn scenario(script: &Script) -> Scenario {
    let (mut transfer, mut funding) = (Vec::new(), Vec::new());
    for step in &script.steps {
        match &step.what {
            What::Transfer(amounts) => {
                transfer.extend(amounts.iter().map(|(asset, amount)| TransferScript {
                    at: at(step.at),
                    asset: asset.clone(),
                    amount: *amount,
                }))
            }
            What::Funding(rates) => funding.extend(rates.iter().map(|(symbol, rate)| FundingScript {
                at: at(step.at),
                symbol: symbol.clone(),
                rate: *rate,
            })),
            _ => {}
        }
    }
    let symbols = script
        .marks
        .iter()
        .map(|(name, price)| symbol(script, name, *price));
    Scenario {
        name: script.name.clone(),
        description: String::new(),
        seed: 0,
        duration: At(i64::MAX),
        // The venue's own threshold is secret: it calls when a step says so.
        margin_call_at: Decimal::MAX,
        taker_fee: script.fee,
        maker_fee: script.fee,
        reduce_only_conflicts: false,
        symbol: symbols.collect(),
        account: account(script),
        order: Vec::new(),
        bot: Vec::new(),
        transfer,
        funding,
        fault: Vec::new(),
        trigger_ms: At(0),
        event: Vec::new(),
        load: Vec::new(),
    }
}

fn account(script: &Script) -> AccountScript {
    let position = script.positions.iter().map(|held| PositionScript {
        symbol: held.symbol.clone(),
        side: held.side.clone(),
        quantity: held.quantity,
        entry_price: held.entry,
        isolated_wallet: held.isolated_wallet,
        leverage: held.leverage,
    });
    AccountScript {
        hedge: script.hedge,
        multi_assets: script.multi_assets,
        portfolio_margin: false,
        key: Default::default(),
        wallet: script.wallet.clone(),
        buffer: Default::default(),
        tradfi_signed: true,
        position: position.collect(),
    }
}

/// A contract with its price over time: it stays until a step moves it.
fn symbol(script: &Script, name: &str, first: Decimal) -> SymbolScript {
    let mut path = vec![Point {
        at: At(0),
        price: first,
    }];
    let mut price = first;
    for step in &script.steps {
        let (target, span) = match &step.what {
            What::Mark(prices) => (prices.get(name), Span::ZERO),
            What::Ramp(prices, span) => (prices.get(name), *span),
            _ => continue,
        };
        let Some(target) = target else { continue };
        // A jump is a line of one millisecond.
        let from = At(at(step.at).0 - i64::from(span == Span::ZERO));
        let until = At(at(step.at).0 + span.ms());
        path.push(Point { at: from, price });
        path.push(Point {
            at: until,
            price: *target,
        });
        price = *target;
    }
    let rules = script.instruments.get(name).cloned().unwrap_or_default();
    SymbolScript {
        name: name.to_owned(),
        path,
        noise_bps: 0,
        // Fills are at the mark: one deep level without a spread, so that sums come out round.
        spread_bps: 0,
        depth: Some(Decimal::from(1_000_000_000)),
        level_bps: 1,
        levels: 1,
        tick: rules.tick,
        step: rules.step,
        market_max: rules.market_max,
        min_notional: rules.min_notional,
        tiers: rules.tiers,
        contract_type: None,
        status: None,
    }
}

/// Lets a step happen now. What belongs to the exchange's script has happened by itself.
///
/// # Errors
///
/// Why it could not happen, or that it was answered otherwise than the step says.
pub fn apply(world: &mut World, step: &Step, each: &mut dyn FnMut(&Guard, &Decision)) -> Result<(), String> {
    match &step.what {
        What::Mark(_) | What::Ramp(..) | What::Transfer(_) | What::Funding(_) => {}
        What::Fill(order) | What::Order(order) => return place(world, order),
        What::Cancel { symbol, client_id } => return cancel(world, symbol, client_id.as_deref()),
        What::MarginCall(symbols) => {
            for symbol in symbols {
                venue(world, EventKind::MarginCall, symbol, None);
            }
        }
        What::Stream(Trouble::Down, span) => world.close_streams(*span, each),
        What::Stream(Trouble::Silent, span) => world.mute_stream(*span),
        What::Network(span) => world.cut_network(*span, each),
        What::Restart { crash, gone } => world.restart(*crash, *gone),
        What::Sleep(span) => world.sleep(*span),
        What::Kill { flatten, symbol } => {
            let action = if *flatten {
                KillAction::Flatten
            } else {
                KillAction::Block
            };
            let symbol = symbol.as_deref().map(Symbol::new).transpose();
            let kill = Command::Kill {
                action,
                symbol: symbol.map_err(|error| error.to_string())?,
                reason: "the test says so".into(),
            };
            return answered(world.command(kill, each), false);
        }
        What::Rearm { rebase, refused } => {
            let baseline = if *rebase { Baseline::Rebase } else { Baseline::Keep };
            return answered(world.command(Command::Rearm { baseline }, each), *refused);
        }
        What::Adl { symbol, fraction } => venue(world, EventKind::Adl, symbol, Some(*fraction)),
        What::Settle(symbol) => venue(world, EventKind::Settle, symbol, None),
        What::Halt(symbol) => venue(world, EventKind::Halt, symbol, None),
        What::Resume(symbol) => venue(world, EventKind::Resume, symbol, None),
    }
    Ok(())
}

fn answered(answer: Option<Result<String, String>>, refused: bool) -> Result<(), String> {
    match (answer, refused) {
        (None, _) => Err("no guard is running to be told".into()),
        (Some(Ok(_)), false) | (Some(Err(_)), true) => Ok(()),
        (Some(Err(why)), false) => Err(format!("the guard refused: {why}")),
        (Some(Ok(done)), true) => Err(format!("the guard was to refuse, and did: {done}")),
    }
}

fn venue(world: &mut World, kind: EventKind, symbol: &str, fraction: Option<Decimal>) {
    world.exchange.event(&EventScript::now(kind, symbol, fraction));
}

/// A bot places an order; that the venue refuses it is an error unless it is expected.
fn place(world: &mut World, order: &BotOrder) -> Result<(), String> {
    let is_conditional = order.trigger.is_some();
    let mut query = Serializer::new(String::new());
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    };
    let number = |value: Option<Decimal>| value.map(|value| value.normalize().to_string());
    add("symbol", Some(order.symbol.clone()));
    add("side", Some(if order.buys { "BUY" } else { "SELL" }.into()));
    add("type", Some(order.kind.clone()));
    add(
        "positionSide",
        (order.position_side != "BOTH").then(|| order.position_side.clone()),
    );
    add("quantity", number(order.quantity));
    add("price", number(order.price));
    add("triggerPrice", number(order.trigger));
    add("timeInForce", (order.kind == "LIMIT").then(|| "GTC".into()));
    add("reduceOnly", order.reduce_only.then(|| "true".into()));
    add("closePosition", order.quantity.is_none().then(|| "true".into()));
    add("workingType", is_conditional.then(|| "MARK_PRICE".into()));
    add("algoType", is_conditional.then(|| "CONDITIONAL".into()));
    let name = if is_conditional {
        "clientAlgoId"
    } else {
        "newClientOrderId"
    };
    add(name, order.client_id.clone());
    let path = if is_conditional {
        "/fapi/v1/algoOrder"
    } else {
        "/fapi/v1/order"
    };
    let answer = world.bot("POST", path, &query.finish());
    match (answer.status, order.refused) {
        (200, false) => Ok(()),
        (200, true) => Err("the venue was to refuse this order, and took it".into()),
        (_, true) => Ok(()),
        (status, false) => Err(format!("the venue refused this order: {status} {}", answer.body)),
    }
}

/// A bot cancels; that there is nothing to cancel is no error, because the guard may have been there first.
fn cancel(world: &mut World, symbol: &str, client_id: Option<&str>) -> Result<(), String> {
    let mut query = Serializer::new(String::new());
    query.append_pair("symbol", symbol);
    if let Some(client_id) = client_id {
        query.append_pair("origClientOrderId", client_id);
        let answer = world.bot("DELETE", "/fapi/v1/order", &query.finish());
        if answer.status != 200 {
            let mut query = Serializer::new(String::new());
            query.append_pair("clientAlgoId", client_id);
            world.bot("DELETE", "/fapi/v1/algoOrder", &query.finish());
        }
    } else {
        let query = query.finish();
        world.bot("DELETE", "/fapi/v1/allOpenOrders", &query);
        world.bot("DELETE", "/fapi/v1/algoOpenOrders", &query);
    }
    Ok(())
}

/// The moment of a test's time, Unix ms.
pub fn moment(start: Timestamp, since: Span) -> i64 {
    start.after(since).ms()
}
