//! What the operator may ask for: the kill switch, and the way back.

use super::Guard;
use super::decision::{Decision, Severity};
use crate::event::{Baseline, Command, KillAction};
use crate::model::{Symbol, Timestamp};
use crate::policy::Amount;
use crate::response::Kill;

/// Kills that may stand at once: one for everything and one for each symbol that somebody cares about.
const KILLS_MAX: usize = 256;

impl Guard {
    pub(super) fn command(&mut self, now: Timestamp, command: &Command, decision: &mut Decision) {
        match command {
            Command::Kill {
                action,
                symbol,
                reason,
            } => {
                decision.answer = Some(self.kill(now, *action, symbol.clone(), reason));
            }
            Command::Rearm { baseline } => {
                let answer = self.rearm(*baseline);
                let severity = if answer.is_ok() {
                    Severity::Info
                } else {
                    Severity::Warning
                };
                let text = answer
                    .clone()
                    .unwrap_or_else(|refusal| format!("re-arm refused: {refusal}"));
                decision.note(severity, text);
                decision.answer = Some(answer);
            }
            Command::KillFile(present) => {
                if *present && !self.kill_file {
                    let answer = self.kill(now, KillAction::Flatten, None, "the KILL file is there");
                    decision.answer = Some(answer);
                }
                self.kill_file = *present;
            }
        }
    }

    /// The kill switch: idempotent, and only ever harder.
    fn kill(
        &mut self,
        now: Timestamp,
        action: KillAction,
        symbol: Option<Symbol>,
        reason: &str,
    ) -> Result<String, String> {
        let place = symbol
            .as_ref()
            .map_or("everything".into(), |symbol| format!("{symbol}"));
        let done = match action {
            KillAction::Block => format!("entries are blocked in {place} until re-arm"),
            KillAction::Flatten => format!("closing {place}; it stays closed until re-arm"),
        };
        if let Some(kill) = self.kills.iter_mut().find(|kill| kill.symbol == symbol) {
            if kill.action >= action {
                return Ok(format!("already in force: {done}"));
            }
            *kill = Kill {
                action,
                symbol,
                reason: reason.into(),
                since: now,
                fulfilled: false,
            };
            return Ok(done);
        }
        match &symbol {
            // A kill of everything holds all that the weaker ones held.
            None => self.kills.retain(|kill| kill.action > action),
            Some(_) if self.kills.len() >= KILLS_MAX => {
                return Err(format!(
                    "{KILLS_MAX} kills stand already; kill the whole account instead"
                ));
            }
            Some(_) => {}
        }
        self.kills.push(Kill {
            action,
            symbol,
            reason: reason.into(),
            since: now,
            fulfilled: false,
        });
        Ok(done)
    }

    /// Releases kills and manual latches, unless what caused them still stands (POLICIES.md d.4).
    fn rearm(&mut self, baseline: Baseline) -> Result<String, String> {
        if self.kill_file {
            return Err("the KILL file is still in the state directory; remove it first".into());
        }
        if baseline == Baseline::Rebase && self.book.trusted_equity().is_err() {
            return Err("the baseline cannot be set anew: the present equity is not known".into());
        }
        for policy in &self.policies {
            let Some((rung, scope)) = policy.stands() else {
                continue;
            };
            let can_rebase = policy.spec.kind.has_baseline();
            if baseline == Baseline::Keep || !can_rebase {
                let at = policy.spec.ladder.get(rung).and_then(|rung| rung.at);
                let limit = at.map_or("its event".into(), |at| at.to_string());
                let numbers = policy.explain(&self.book, scope);
                let hint = if can_rebase {
                    "; `--baseline rebase` would count anew from here"
                } else {
                    ""
                };
                return Err(format!(
                    "policy {} still stands beyond {limit}: {numbers}{hint}",
                    policy.spec.id
                ));
            }
        }
        let kills = self.kills.len();
        self.kills.clear();
        self.flights.rearmed();
        for policy in &mut self.policies {
            policy.release();
            if baseline == Baseline::Rebase {
                policy.rebase(&self.book);
            }
        }
        let equity = self
            .book
            .equity()
            .map_or("unknown".into(), |equity| Amount::Money(equity).to_string());
        Ok(match baseline {
            Baseline::Keep => format!("re-armed; {kills} kill(s) released, baselines kept"),
            Baseline::Rebase => {
                format!("re-armed; {kills} kill(s) released, baselines set to the present equity {equity}")
            }
        })
    }
}
