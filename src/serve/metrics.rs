//! The status as Prometheus text, built anew for each scrape: nothing is counted twice.

use super::status::{AccountStatus, Status};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

/// The format's media type.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Prometheus knows no decimals: this is the one place where a number becomes inexact, and none is read back.
type Number = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Account {
    account: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    account: String,
    state: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Policy {
    account: String,
    policy: String,
    scope: String,
}

/// All metrics of a status, and how many tasks the process runs.
pub(super) fn text(status: &Status, tasks: usize) -> String {
    let mut registry = Registry::with_prefix("backstop");
    let running: Gauge = Gauge::default();
    running.set(i64::try_from(tasks).unwrap_or(i64::MAX));
    registry.register("tasks", "Tasks that the process runs", running);
    numbers(&mut registry, status);
    counts(&mut registry, status);
    states(&mut registry, status);
    policies(&mut registry, status);
    counters(&mut registry, status);
    let mut text = String::new();
    // Writing to a text cannot fail; if it did, half a scrape is worse than none.
    match encode(&mut text, &registry) {
        Ok(()) => text,
        Err(_) => String::new(),
    }
}

type Read = fn(&AccountStatus) -> &Option<String>;

fn of(account: &AccountStatus) -> Account {
    Account {
        account: account.label.clone(),
    }
}

fn numbers(registry: &mut Registry, status: &Status) {
    let all: [(&str, &str, Read); 4] = [
        ("equity", "Equity in the margin asset", |a| &a.equity),
        ("high_water", "Highest equity in the margin asset", |a| {
            &a.high_water
        }),
        ("drawdown_ratio", "Distance from the high-water mark", |a| {
            &a.drawdown
        }),
        ("margin_ratio", "Maintenance margin over margin balance", |a| {
            &a.margin_ratio
        }),
    ];
    for (name, help, read) in all {
        let family = Family::<Account, Number>::default();
        for account in &status.accounts {
            if let Some(value) = read(account).as_ref().and_then(|text| text.parse().ok()) {
                family.get_or_create(&of(account)).set(value);
            }
        }
        registry.register(name, help, family);
    }
}

fn counts(registry: &mut Registry, status: &Status) {
    let count = |length: usize| i64::try_from(length).ok();
    let positions = Family::<Account, Gauge>::default();
    let orders = Family::<Account, Gauge>::default();
    let latched = Family::<Account, Gauge>::default();
    let proof = Family::<Account, Gauge>::default();
    for account in &status.accounts {
        if let Some(length) = count(account.positions.len()) {
            positions.get_or_create(&of(account)).set(length);
        }
        if let Some(length) = count(account.orders.len()) {
            orders.get_or_create(&of(account)).set(length);
        }
        latched
            .get_or_create(&of(account))
            .set(account.latch.is_some().into());
        if let Some(at) = account.last_proof_ms {
            proof.get_or_create(&of(account)).set(at);
        }
    }
    registry.register("positions", "Positions that are not flat", positions);
    registry.register("open_orders", "Open orders of both stores", orders);
    registry.register("latched", "1 while a latch holds the account", latched);
    registry.register(
        "last_proof_milliseconds",
        "Unix time of the last proof of the account",
        proof,
    );
}

fn states(registry: &mut Registry, status: &Status) {
    let states = Family::<State, Gauge>::default();
    for account in &status.accounts {
        let label = State {
            account: account.label.clone(),
            state: account.state.clone(),
        };
        states.get_or_create(&label).set(1);
    }
    registry.register("account_state", "1 for the state of the account", states);
}

fn policies(registry: &mut Registry, status: &Status) {
    let values = Family::<Policy, Number>::default();
    let headrooms = Family::<Policy, Number>::default();
    for account in &status.accounts {
        for policy in &account.policies {
            let label = Policy {
                account: account.label.clone(),
                policy: policy.id.clone(),
                scope: policy.scope.clone(),
            };
            for (family, text) in [(&values, &policy.value), (&headrooms, &policy.headroom)] {
                if let Some(value) = text.as_ref().and_then(|text| text.parse().ok()) {
                    family.get_or_create(&label).set(value);
                }
            }
        }
    }
    registry.register("policy_value", "What the policy measures", values);
    registry.register(
        "policy_headroom",
        "Distance to the policy's next threshold",
        headrooms,
    );
}

fn counters(registry: &mut Registry, status: &Status) {
    let mut families: BTreeMap<String, Family<Account, Counter>> = BTreeMap::new();
    for account in &status.accounts {
        for (name, count) in &account.counters {
            let plain = |c: char| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_lowercase()
                } else {
                    '_'
                }
            };
            let name: String = name
                .strip_suffix("_total")
                .unwrap_or(name)
                .chars()
                .map(plain)
                .collect();
            families
                .entry(name)
                .or_default()
                .get_or_create(&of(account))
                .inc_by(*count);
        }
    }
    for (name, family) in families {
        registry.register(name, "Count since the start", family);
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::{LatchStatus, PolicyStatus};
    use super::*;

    #[test]
    fn pa_09_every_metric_has_the_prefix_its_labels_are_quoted_and_unknown_values_are_absent() {
        let account = AccountStatus {
            label: "ma\"in\n".into(),
            state: "armed".into(),
            equity: Some("9987.25".into()),
            latch: Some(LatchStatus::default()),
            policies: vec![PolicyStatus {
                id: "day".into(),
                scope: "A\"B\\C\n<D>".into(),
                headroom: Some("0.02".into()),
                ..PolicyStatus::default()
            }],
            counters: [("orders_total".to_owned(), 3), ("gaps".to_owned(), 1)].into(),
            ..AccountStatus::default()
        };
        let status = Status {
            accounts: vec![account],
        };
        let text = text(&status, 7);
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(samples.iter().all(|line| line.starts_with("backstop_")), "{text}");
        for expected in [
            "backstop_equity{account=\"ma\\\"in\\n\"} 9987.25",
            "backstop_orders_total{account=\"ma\\\"in\\n\"} 3",
            "backstop_tasks 7",
            "backstop_gaps_total{account=\"ma\\\"in\\n\"} 1",
            "backstop_latched{account=\"ma\\\"in\\n\"} 1",
            "backstop_account_state{account=\"ma\\\"in\\n\",state=\"armed\"} 1",
            "backstop_policy_headroom{account=\"ma\\\"in\\n\",policy=\"day\",scope=\"A\\\"B\\\\C\\n<D>\"} 0.02",
        ] {
            assert!(samples.contains(&expected), "{expected} in\n{text}");
        }
        assert!(
            !samples
                .iter()
                .any(|line| line.starts_with("backstop_margin_ratio")),
            "{text}"
        );
    }
}
