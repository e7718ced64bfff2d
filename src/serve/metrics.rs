//! The state in Prometheus' text form, made anew for each scrape from the same copy that people see.

use super::status::Status;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Account {
    account: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InState {
    account: String,
    state: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Named {
    account: String,
    name: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfPolicy {
    account: String,
    policy: String,
}

/// A gauge of real numbers: metrics are for graphs, and are the one place where a decimal becomes a float.
type Real<L> = Family<L, Gauge<f64, AtomicU64>>;

/// The text of `GET /metrics`.
pub fn text(status: &Status) -> String {
    let mut registry = Registry::with_prefix("backstop");
    let states = Family::<InState, Gauge>::default();
    let (equity, drawdown, margin) = (
        Real::<Account>::default(),
        Real::<Account>::default(),
        Real::<Account>::default(),
    );
    let (positions, orders) = (
        Family::<Account, Gauge>::default(),
        Family::<Account, Gauge>::default(),
    );
    let values = Real::<OfPolicy>::default();
    let counters = Family::<Named, Counter>::default();
    registry.register("state", "1 for the state that the account is in", states.clone());
    registry.register("equity_usdt", "Wallets plus unrealised profit", equity.clone());
    registry.register(
        "drawdown_ratio",
        "Fall from the high-water mark",
        drawdown.clone(),
    );
    registry.register(
        "margin_ratio",
        "Maintenance margin over margin balance, worst bucket",
        margin.clone(),
    );
    registry.register("positions", "Positions that are not flat", positions.clone());
    registry.register("open_orders", "Open orders of both stores", orders.clone());
    registry.register(
        "policy_value",
        "Measurement of a policy at its worst scope",
        values.clone(),
    );
    registry.register(
        "events",
        "Things counted since the start, by name",
        counters.clone(),
    );
    for account in &status.accounts {
        let label = || Account {
            account: account.label.clone(),
        };
        states
            .get_or_create(&InState {
                account: account.label.clone(),
                state: account.state.clone(),
            })
            .set(1);
        for (family, text) in [
            (&equity, &account.equity),
            (&drawdown, &account.drawdown),
            (&margin, &account.margin_ratio),
        ] {
            // What is not known is absent from the scrape, and never zero.
            if let Some(value) = text.as_ref().and_then(|text| text.parse::<f64>().ok()) {
                family.get_or_create(&label()).set(value);
            }
        }
        positions
            .get_or_create(&label())
            .set(i64::try_from(account.positions.len()).unwrap_or(i64::MAX));
        orders
            .get_or_create(&label())
            .set(i64::try_from(account.orders.len()).unwrap_or(i64::MAX));
        for policy in &account.policies {
            if let Some(value) = policy.value.as_ref().and_then(|text| text.parse::<f64>().ok()) {
                let label = OfPolicy {
                    account: account.label.clone(),
                    policy: policy.id.clone(),
                };
                values.get_or_create(&label).set(value);
            }
        }
        for (name, count) in &account.counters {
            let label = Named {
                account: account.label.clone(),
                name: name.clone(),
            };
            counters.get_or_create(&label).inc_by(*count);
        }
    }
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = encode(&mut text, &registry);
    text
}
