//! The loop of one account: what arrives goes into its [`Drive`], what it decides goes out through its hands.

use super::hands::Hands;
use super::key::{Examiner, Findings};
use super::tape::Tape;
use super::{Outlets, RunError};
use crate::clock::Clock;
use crate::config::Timing;
use crate::event::Command;
use crate::exec::Executor;
use crate::guard::{Guard, Start};
use crate::journal::identity::Identity;
use crate::journal::state;
use crate::journal::store::{Loaded, Store, StoreError};
use crate::model::{Span, Timestamp};
use crate::policy::PolicySet;
use crate::replay::lines::{CommandLine, GuardLine, KeyLine, ResultLine};
use crate::replay::recording::{Entry, Header};
use crate::replay::{Drive, Fed};
use crate::serve::Request;
use crate::venue::binance::client::{self, Http, HttpConfig, SessionConfig};
use crate::venue::binance::sign::{ReadSigner, TradeSigner};
use secrecy::SecretString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Events waiting for the core: ten seconds of a thousand events a second, and a burst of ten thousand. When full, the
/// stream is cut and the account read afresh, because a gap is worse than a pause.
const EVENTS_MAX: usize = 16_384;
/// Outcomes waiting for the core; a flatten of every symbol at once fits.
const OUTCOMES_MAX: usize = 1_024;
/// How long the last save may take at shutdown; SPEC.md section 5 allows 5 s for all of it.
const LAST_SAVE: Duration = Duration::from_secs(2);

/// One account to guard.
pub struct Account {
    /// Its label.
    pub label: String,
    /// Its venue's name.
    pub venue: String,
    /// Address of the REST interface.
    pub rest_url: String,
    /// Address of the streams.
    pub stream_url: String,
    /// Address that tells the key's permissions.
    pub sapi_url: Option<String>,
    /// Whether real money may be behind it.
    pub is_mainnet: bool,
    /// The API key.
    pub key: SecretString,
    /// Its secret.
    pub secret: SecretString,
    /// Its times.
    pub timing: Timing,
    /// Its policies.
    pub policies: PolicySet,
    /// Digest of their text.
    pub digest: String,
    /// Whether orders are sent; else none can be.
    pub is_live: bool,
    /// Whether the operator says that this is a new key of the account whose state is kept.
    pub is_new_key: bool,
    /// Where everything received and decided is written, if anywhere.
    pub record: Option<PathBuf>,
}

/// Guards one account until `cancel`.
///
/// # Errors
///
/// [`RunError`] when it cannot begin, or its session ended.
pub async fn guard_account(
    account: Account,
    state_dir: &Path,
    clock: Clock,
    outlets: Outlets,
    mut commands: mpsc::Receiver<Request>,
    cancel: CancellationToken,
) -> Result<(), RunError> {
    let label = account.label.clone();
    // Before anything in the folder is touched.
    let identity = Identity::of(
        &label,
        &account.venue,
        &account.rest_url,
        &account.stream_url,
        &account.key,
    );
    identity
        .check(state_dir, &label, account.is_new_key)
        .map_err(|error| RunError::Refused(error.to_string()))?;
    let (store, loaded) = Store::open(state_dir, &label).map_err(|error| match error {
        StoreError::Held { .. } | StoreError::Newer { .. } => RunError::Refused(error.to_string()),
        other => RunError::Usage(format!("account {label}: {other}")),
    })?;
    let (start, begun) = begin(loaded, &account);
    if let Start::Lost(why) = &start {
        tracing::error!("account {label} starts latched, because its kept state is lost: {why}");
        let text = format!("the kept state is lost: {why}; latched until re-arm");
        if let Some(story) = &outlets.story {
            let _ = story.try_send(super::story::Told::text(clock.now(), text));
        }
    }
    let transfers_since = match &start {
        Start::Saved(saved) => saved.transfers.horizon,
        Start::Fresh | Start::Lost(_) => None,
    };
    let http = Http::new(HttpConfig::new(&account.rest_url), &account.key, clock.clone())
        .map_err(|error| RunError::Usage(format!("account {label}: {error}")))?;
    let http = Arc::new(http);
    let signer = || ReadSigner::new(&account.secret).map_err(|error| RunError::Usage(error.to_string()));
    let examiner = Examiner {
        http: Arc::clone(&http),
        signer: signer()?,
        sapi_url: account.sapi_url.clone(),
        is_mainnet: account.is_mainnet,
        identity,
        state_dir: state_dir.to_owned(),
        label: label.clone(),
    };
    let mut found = examiner.examine().await;
    allow(&account, &found)?;
    examiner.remember(&mut found).await;

    let (outcomes_in, mut outcomes) = mpsc::channel(OUTCOMES_MAX);
    let executor = if account.is_live {
        let trade = TradeSigner::new(&account.secret).map_err(|error| RunError::Usage(error.to_string()))?;
        Executor::live(
            Arc::clone(&http),
            trade,
            signer()?,
            outcomes_in.clone(),
            cancel.clone(),
        )
    } else {
        Executor::dry(outcomes_in.clone())
    };
    let (received_in, mut received) = mpsc::channel(EVENTS_MAX);
    let (wants, wanted) = client::wants();
    let session = SessionConfig {
        digest_interval: account.timing.digest_interval,
        keepalive: account.timing.keepalive,
        transfers_since,
        ..SessionConfig::new(&account.stream_url)
    };
    let mut session = tokio::spawn(client::run(
        session,
        Arc::clone(&http),
        signer()?,
        received_in,
        wanted,
        cancel.clone(),
    ));
    let mut warm = tokio::spawn({
        let (http, cancel) = (Arc::clone(&http), cancel.clone());
        async move { http.warm(cancel).await }
    });

    let (findings_in, mut findings) = mpsc::channel(1);
    let mut watch =
        tokio::spawn(examiner.watch(found.is_complete, account.timing, findings_in, cancel.clone()));

    let mut tape = match &account.record {
        Some(path) => {
            let header = Header::new(&account.venue, &label, clock.now());
            Some(Tape::open(path, &header).map_err(|error| RunError::Usage(format!("--record: {error}")))?)
        }
        None => None,
    };
    let guard = Guard::new(
        &label,
        account.policies.clone(),
        account.timing.blind_after,
        start,
    );
    if let Some(tape) = &mut tape {
        tape.write(&Entry::Guard(clock.now(), Box::new(begun)), clock.now());
    }
    let mut hands = Hands::new(
        &account,
        executor.clone(),
        store,
        wants,
        outlets,
        outcomes_in,
        tape,
        clock.now(),
    );
    let mut drive = Drive::new(guard);
    hands.examined(clock.now(), &found);
    hands.publish(drive.guard(), true);

    let ended = loop {
        let wake = drive.guard().deadline();
        tokio::select! {
            biased;
            () = cancel.cancelled() => break Ok(()),
            Some(request) = commands.recv() => {
                let at = drive.time_of(clock.now());
                let line = GuardLine::Command(CommandLine::from(&request.command));
                let is_rearm = matches!(request.command, Command::Rearm { .. });
                let mut answer = None;
                drive.feed(at, Fed::Command(request.command), |guard, mut decision| {
                    answer = decision.answer.take().or(answer.take());
                    hands.act(guard, decision);
                });
                hands.record(Entry::Guard(at, Box::new(line)), at);
                hands.publish(drive.guard(), true);
                if is_rearm && matches!(answer, Some(Ok(_))) {
                    hands.rearmed();
                }
                hands.reply(request.reply, answer.unwrap_or_else(|| Ok("done".into())));
            }
            Some((key, outcome)) = outcomes.recv() => {
                let at = drive.time_of(clock.now());
                let line = GuardLine::Outcome { of: KeyLine::from(&key), result: ResultLine::from(&outcome) };
                hands.told_outcome(&key, &outcome);
                drive.feed(at, Fed::Outcome(key, outcome), |guard, decision| hands.act(guard, decision));
                hands.record(Entry::Guard(at, Box::new(line)), at);
            }
            Some(item) = received.recv() => {
                let at = drive.time_of(item.at);
                drive.feed(at, Fed::Received(&item), |guard, decision| hands.act(guard, decision));
                hands.record(Entry::Received(item), at);
            }
            Some(found) = findings.recv() => hands.examined(clock.now(), &found),
            () = until(&clock, wake) => {
                let at = wake.unwrap_or(clock.now());
                drive.feed(at, Fed::Wake, |guard, decision| hands.act(guard, decision));
                hands.record_wake(at);
            }
            ended = &mut session => break Err(format!("the session of account {label} ended: {ended:?}")),
            ended = &mut watch => break Err(format!("the key of account {label} is no longer looked at: {ended:?}")),
            ended = &mut warm => break Err(format!("the connections of account {label} are no longer kept: {ended:?}")),
        }
        if executor.is_broken() {
            break Err(format!("the executor of account {label} is broken"));
        }
        hands.publish(drive.guard(), false);
    };
    hands.finish(drive.guard(), LAST_SAVE).await;
    match ended {
        Ok(()) => Ok(()),
        // A task that ended because of the stop is no failure.
        Err(_) if cancel.is_cancelled() => Ok(()),
        Err(why) => Err(RunError::Broken(why)),
    }
}

/// What the guard starts from, and the line that tells a recording of it.
fn begin(loaded: Loaded, account: &Account) -> (Start, GuardLine) {
    let line = |saved: Option<String>, lost: Option<String>| GuardLine::Start {
        policies: account.digest.clone(),
        saved,
        lost,
        blind_after: account.timing.blind_after.ms(),
    };
    match loaded {
        Loaded::Fresh => (Start::Fresh, line(None, None)),
        Loaded::State(text) => match state::read(&text) {
            // What a dry run latched was never done: a live one starts from its marks, not from its latches.
            Ok((saved, was_live)) if account.is_live && !was_live => {
                let saved = saved.without_trips();
                let text = state::write(&saved, false);
                (Start::Saved(Box::new(saved)), line(Some(text), None))
            }
            Ok((saved, _)) => (Start::Saved(Box::new(saved)), line(Some(text), None)),
            Err(error) => (
                Start::Lost(error.to_string()),
                line(None, Some(error.to_string())),
            ),
        },
        Loaded::Lost(why) => (Start::Lost(why.clone()), line(None, Some(why))),
    }
}

/// Whether a guard may begin with what was found about its key (SPEC.md section 8); what is allowed is told later.
fn allow(account: &Account, found: &Findings) -> Result<(), RunError> {
    let not_live = account.is_live.then_some(&found.not_live);
    let reasons: Vec<&str> = found
        .never
        .iter()
        .chain(not_live.into_iter().flatten())
        .map(String::as_str)
        .collect();
    if reasons.is_empty() {
        return Ok(());
    }
    Err(RunError::Refused(format!(
        "refused: account {}: {}",
        account.label,
        reasons.join("\n  and ")
    )))
}

/// Sleeps until the guard wants to be woken; for ever when it does not.
async fn until(clock: &Clock, wake: Option<Timestamp>) {
    match wake {
        Some(at) => {
            let left = at.since(clock.now()).max(Span::ZERO);
            tokio::time::sleep(Duration::from_millis(u64::try_from(left.ms()).unwrap_or(0))).await;
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::event::KillAction;
    use crate::guard::Saved;
    use crate::response::Kill;

    /// An account that is nowhere.
    pub(in crate::run) fn account(is_live: bool) -> Account {
        Account {
            label: "main".into(),
            venue: "sim".into(),
            rest_url: String::new(),
            stream_url: String::new(),
            sapi_url: None,
            is_mainnet: false,
            key: SecretString::from("key"),
            secret: SecretString::from("secret"),
            timing: Timing::default(),
            policies: PolicySet {
                name: "t".into(),
                policies: Vec::new(),
            },
            digest: String::new(),
            is_live,
            is_new_key: false,
            record: None,
        }
    }

    #[test]
    fn what_a_dry_run_latched_does_not_close_anything_live() {
        let kill = Kill {
            action: KillAction::Flatten,
            symbol: None,
            reason: "would have".into(),
            since: Timestamp::from_ms(1),
            fulfilled: false,
        };
        let saved = Saved {
            kills: vec![kill],
            ..Saved::default()
        };
        for (was_live, is_live, kept) in [
            (false, true, 0),
            (false, false, 1),
            (true, true, 1),
            (true, false, 1),
        ] {
            let loaded = Loaded::State(state::write(&saved, was_live));
            match begin(loaded, &account(is_live)).0 {
                Start::Saved(start) => assert_eq!(start.kills.len(), kept, "{was_live} -> {is_live}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
