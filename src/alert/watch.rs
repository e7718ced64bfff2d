//! From decisions to alerts: what changed since people were last told.
//!
//! The state of the guard is compared with what was told of it, so that the same record a second time tells nothing, and
//! after a restart everything that is in force is told once more. Rungs in shadow or off tell nobody.

use super::facts::Alert;
use super::wording::{self, InForce};
use crate::guard::{Decision, Guard, Severity, State};
use crate::model::Timestamp;
use crate::policy::{Measured, Mode};
use std::collections::BTreeMap;

/// What of one account people were told.
#[derive(Clone, Debug)]
pub struct Watch {
    is_live: bool,
    state: Option<State>,
    /// The highest rung in force, by policy and scope.
    rungs: BTreeMap<(String, String), usize>,
    /// Policies that cannot be judged, with the reason.
    unknown: BTreeMap<String, String>,
}

impl Watch {
    /// Nothing told yet.
    pub fn new(is_live: bool) -> Watch {
        Watch {
            is_live,
            state: None,
            rungs: BTreeMap::new(),
            unknown: BTreeMap::new(),
        }
    }

    /// What people are to be told of a decision that has records or notes; the guard is as it is after it.
    pub fn look(&mut self, guard: &Guard, decision: &Decision) -> Vec<Alert> {
        let mut alerts = Vec::new();
        if guard.book().is_ready() {
            self.rungs(guard, decision, &mut alerts);
            self.unknown(guard, decision.at, &mut alerts);
        }
        let state = guard.state();
        if self.state != Some(state) {
            alerts.push(wording::state(
                guard,
                decision.at,
                self.state,
                state,
                self.is_live,
            ));
            self.state = Some(state);
        }
        for note in &decision.notes {
            // The change of state is told above, with more to it.
            if !note.text.starts_with("state ") {
                alerts.push(wording::event(
                    guard.account(),
                    decision.at,
                    note.severity,
                    &note.text,
                ));
            }
        }
        alerts
    }

    /// Something that no decision says: about the key, say.
    pub fn note(account: &str, at: Timestamp, severity: Severity, text: &str) -> Alert {
        wording::event(account, at, severity, text)
    }

    /// The guard has ended.
    pub fn stopped(account: &str, at: Timestamp, why: Option<&str>) -> Alert {
        wording::stopped(account, at, why)
    }

    fn rungs(&mut self, guard: &Guard, decision: &Decision, alerts: &mut Vec<Alert>) {
        let mut now = BTreeMap::new();
        for policy in guard.policies() {
            for scope in policy.tracks.keys() {
                let Some(index) = wording::highest(policy, scope, Mode::Warn) else {
                    continue;
                };
                let key = (policy.spec.id.clone(), scope.to_string());
                if self.rungs.get(&key).is_none_or(|known| *known < index) {
                    let orders: Vec<_> = decision
                        .records
                        .iter()
                        .filter(|record| record.policy == key.0 && record.scope == key.1)
                        .flat_map(|record| record.orders.iter().cloned())
                        .collect();
                    let found = InForce {
                        guard,
                        policy,
                        scope,
                        index,
                        is_live: self.is_live,
                    };
                    alerts.extend(found.tripped(decision.at, &orders));
                }
                now.insert(key, index);
            }
        }
        let ended = self.rungs.keys().filter(|key| !now.contains_key(*key));
        alerts.extend(ended.map(|(policy, scope)| wording::over(guard, decision.at, policy, scope)));
        self.rungs = now;
    }

    fn unknown(&mut self, guard: &Guard, at: Timestamp, alerts: &mut Vec<Alert>) {
        let mut now = BTreeMap::new();
        for policy in guard
            .policies()
            .iter()
            .filter(|policy| policy.spec.mode >= Mode::Warn)
        {
            for track in policy.tracks.values() {
                if let Measured::Unknown(why) = &track.measured {
                    now.insert(policy.spec.id.clone(), why.to_string());
                }
            }
        }
        let is_another = now.keys().any(|policy| !self.unknown.contains_key(policy));
        let is_over = now.is_empty() && !self.unknown.is_empty();
        if is_another || is_over {
            let lines = now.iter().map(|(policy, why)| (policy.as_str(), why.as_str()));
            alerts.push(wording::unknown(guard, at, lines));
        }
        self.unknown = now;
    }
}
