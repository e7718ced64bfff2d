//! Orders that a policy itself wants cancelled (`cancel`): those that it names, one by one, and nothing else.

use super::plan::{Round, Sight};
use super::sweep::wants;
use super::{Demand, Driver};
use crate::model::{Intent, OrderId};
use crate::policy::Action;

/// Cancels what each policy names.
pub(super) fn offenders(sight: &Sight<'_>, round: &mut Round) {
    for (index, demand) in sight.demands.iter().enumerate() {
        if demand.action == Action::Cancel {
            for id in named(sight, demand) {
                wants(sight, round, Some(index), Intent::Cancel(id));
            }
        }
    }
}

fn named(sight: &Sight<'_>, demand: &Demand) -> Vec<OrderId> {
    let Driver::Rung { policy, scope, rung } = &demand.driver else {
        return Vec::new();
    };
    let policy = sight.policies.get(*policy);
    policy.map_or(Vec::new(), |policy| policy.offenders(sight.book, scope, *rung))
}
