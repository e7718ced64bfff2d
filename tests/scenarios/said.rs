//! What a decision says, as the right-hand sides write it.

use backstop::guard::Decision;
use backstop::model::Intent;

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
        const TOLD: [&str; 8] = [
            "verified",
            "aim",
            "worse one",
            "larger exposure",
            "stopped",
            "stuck",
            "venue's own",
            "not believed",
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
            };
            format!("{} {} {}{price}", order.side(), order.qty(), order.leg())
        }
        Intent::Cancel(id) => format!("cancel {} {}", id.symbol, id.id),
        Intent::CancelAll(symbol) => format!("cancel all {symbol}"),
        Intent::CancelAllConditional(symbol) => format!("cancel all conditional {symbol}"),
    }
}
