//! What a decision says, as the right-hand sides write it.

use backstop::book::BucketMargin;
use backstop::guard::Decision;
use backstop::guard::preview::{Effect, Preview, Standing};
use backstop::model::{Intent, Ratio};

/// The words for a decision, one piece for each thing in it.
pub fn words(decision: &Decision) -> Vec<String> {
    let mut words = Vec::new();
    for record in &decision.records {
        let mut text = record.policy.clone();
        if record.scope != "account" {
            text.push_str(&format!(" [{}]", record.scope));
        }
        if let Some(rung) = record.rung {
            text.push_str(&format!(" {rung}"));
        }
        text.push_str(&format!(" {}", record.state));
        if let (Some(value), Some(threshold)) = (record.value, record.threshold) {
            text.push_str(&format!(" {value}/{threshold}"));
        } else if record.state == "unknown" {
            text.push_str(&format!(" ({})", record.why));
        }
        if !record.orders.is_empty() {
            let orders: Vec<String> = record.orders.iter().map(intent).collect();
            text.push_str(&format!(": {}", orders.join(", ")));
        }
        words.push(text);
    }
    for note in &decision.notes {
        const TOLD: [&str; 11] = [
            "balances moved",
            "nobody takes",
            "verified",
            "aim",
            "worse one",
            "larger exposure",
            "stopped",
            "stuck",
            "venue's own",
            "not believed",
            "unknown reason",
        ];
        if note.text.starts_with("state ") || TOLD.iter().any(|part| note.text.contains(part)) {
            words.push(note.text.clone());
        }
    }
    if decision.needs.reconnect {
        words.push("reconnect".into());
    }
    match &decision.answer {
        Some(Ok(_)) => words.push("ok".into()),
        Some(Err(refusal)) => words.push(format!("refused: {refusal}")),
        None => {}
    }
    words
}

fn intent(intent: &Intent) -> String {
    match intent {
        Intent::Reduce(order) => {
            let price = match order.pricing() {
                backstop::model::Pricing::Market => String::new(),
                backstop::model::Pricing::Ioc(price) => format!(" ioc {price}"),
                backstop::model::Pricing::Resting(price) => format!(" resting {price}"),
            };
            format!("{} {} {}{price}", order.side(), order.qty(), order.leg())
        }
        Intent::Cancel(id) => format!("cancel {} {}", id.symbol, id.id),
        Intent::PlaceStop(stop) => format!("stop {} {} at {}", stop.side(), stop.leg(), stop.trigger()),
        Intent::CancelAll(symbol) => format!("cancel all {symbol}"),
        Intent::CancelAllConditional(symbol) => format!("cancel all conditional {symbol}"),
    }
}

/// What a look shows (of a policy, of `now`, of the `stops`, or what all is `worth`), as the right-hand sides write it.
pub fn look(preview: &Preview, what: &str) -> Vec<String> {
    match what {
        "now" => vec![effect(&preview.now)],
        "worth" => {
            let known =
                |worth: Result<String, String>| worth.unwrap_or_else(|why| format!("unknown ({why})"));
            let equity = preview
                .equity
                .as_ref()
                .map(ToString::to_string)
                .map_err(ToString::to_string);
            let mut words = vec![known(equity)];
            words.extend(preview.buckets.iter().map(|(bucket, margin)| {
                let ratio =
                    |margin: &BucketMargin| margin.ratio().map_or("no balance".into(), Ratio::percent);
                let margin = margin.as_ref().map(ratio).map_err(ToString::to_string);
                format!("{bucket} {}", known(margin))
            }));
            words
        }
        "stops" => {
            let stops = preview.positions.iter().map(|held| {
                let Some(cover) = &held.cover else {
                    return format!("{} unknown", held.leg);
                };
                let triggers = cover.stops.iter().map(|stop| stop.trigger);
                let triggers: Vec<String> = triggers
                    .map(|at| at.map_or("?".into(), |at| at.to_string()))
                    .collect();
                let (share, over) = (cover.share.percent(), cover.passed_over);
                format!(
                    "{} {share} at {}, {over} do not count",
                    held.leg,
                    triggers.join(" ")
                )
            });
            stops.collect()
        }
        id => {
            let judged = preview.policies.iter().filter(|judged| judged.id == id);
            let lines = judged.map(|judged| {
                let scope = judged
                    .scope
                    .as_ref()
                    .map_or("nothing".into(), ToString::to_string);
                let value = judged
                    .measured
                    .value()
                    .map_or(String::new(), |value| format!(" {value}"));
                let rungs = judged.rungs.iter().map(|rung| {
                    let room = rung
                        .headroom
                        .map_or(String::new(), |room| format!(" room {room}"));
                    let (action, standing) = (rung.action.name(), standing(&rung.standing));
                    format!("{action} {standing}{room}: {}", effect(&rung.effect))
                });
                let rungs: Vec<String> = rungs.collect();
                format!(
                    "[{scope}]{value} {} | {}",
                    standing(&judged.standing),
                    rungs.join(" | ")
                )
            });
            lines.collect()
        }
    }
}

/// How a look weighs the reductions of a policy.
pub fn weighed(preview: &Preview, id: &str) -> Vec<String> {
    let judged = preview.policies.iter().filter(|judged| judged.id == id);
    let reasons = judged.flat_map(|judged| judged.rungs.iter().flat_map(|rung| &rung.effect.reasons));
    reasons
        .map(|reasoning| format!("{} | {reasoning}", reasoning.plan))
        .collect()
}

fn standing(standing: &Standing) -> String {
    match standing {
        Standing::Unknown(why) => format!("unknown ({why})"),
        Standing::InForce(_) => "in force".into(),
        Standing::NotJudged => "not judged".into(),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn effect(effect: &Effect) -> String {
    let closes = effect.closes.iter().map(|close| {
        let slices = if close.slices == 1 {
            String::new()
        } else {
            format!(" in {}", close.slices)
        };
        format!("{} {} {}{slices}", close.side, close.quantity, close.leg)
    });
    let mut words: Vec<String> = closes.collect();
    if !words.is_empty() {
        words.push(format!(
            "cost {}",
            effect.cost.map_or("unknown".into(), |cost| cost.to_string())
        ));
    }
    let stops = effect.stops.iter();
    words.extend(stops.map(|stop| format!("stop {} {} at {}", stop.side(), stop.leg(), stop.trigger())));
    for (count, what) in [(effect.cancels, "cancelled"), (effect.sweeps, "swept")] {
        if count > 0 {
            words.push(format!("{count} {what}"));
        }
    }
    words.extend(
        effect
            .unsized_because
            .iter()
            .map(|why| format!("not sized: {why}")),
    );
    if words.is_empty() {
        "nothing".into()
    } else {
        words.join(", ")
    }
}
