//! The guard under test: the real loop of one account, with its own state folder, its status, its events and its door.

use super::Trouble;
use crate::alert::Alerts;
use crate::clock::Clock;
use crate::config::{Timing, policy};
use crate::event::Command;
use crate::model::Span;
use crate::replay::lines::DecisionLine;
use crate::replay::{play, recording};
use crate::run::account::{Account, guard_account};
use crate::run::{Outlets, RunError};
use crate::serve::status::AccountStatus;
use crate::serve::{Request, Status};
use secrecy::SecretString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Events that may wait for the drill; a step makes some dozens.
const EVENTS_KEPT: usize = 4_096;
/// The label of the guarded account: it is in records and client order ids.
const LABEL: &str = "drill";
/// A command is answered when it is durable, at the latest after a second.
const REPLY_WITHIN: Duration = Duration::from_secs(5);
/// A guard stops within 5 s (SPEC.md section 5).
const STOP_WITHIN: Duration = Duration::from_secs(6);

/// What a guard under drill is made of.
#[derive(Clone)]
pub struct Site {
    /// The venue's name.
    pub venue: String,
    /// Address of its REST interface.
    pub rest_url: String,
    /// Address of its streams.
    pub stream_url: String,
    /// Address that tells the key's permissions.
    pub sapi_url: Option<String>,
    /// The guard's key.
    pub key: SecretString,
    /// Its secret.
    pub secret: SecretString,
    /// Its times.
    pub timing: Timing,
    /// A folder of this drill alone.
    pub folder: PathBuf,
    /// The clock.
    pub clock: Clock,
}

/// A running guard. Dropping it stops it.
pub struct Stand {
    status: watch::Receiver<Arc<Status>>,
    events: broadcast::Receiver<Arc<str>>,
    decided: Vec<DecisionLine>,
    noted: Vec<String>,
    door: mpsc::Sender<Request>,
    task: JoinHandle<Result<(), RunError>>,
    stop: DropGuard,
    tape: PathBuf,
    policies: String,
}

impl Stand {
    /// Starts a guard of this name under these policies; live, or with nothing that could send.
    ///
    /// # Errors
    ///
    /// When the policies are no policies, which only a bug of the drill causes.
    pub fn start(site: &Site, name: &str, policies: &str, is_live: bool) -> Result<Stand, Trouble> {
        let set = policy::parse("drill.toml", policies).map_err(|errors| Trouble(errors.to_string()))?;
        let state_dir = site.folder.join(name);
        let tape = site.folder.join(format!("{name}.jsonl"));
        std::fs::create_dir_all(&state_dir)
            .map_err(|error| Trouble(format!("{}: {error}", state_dir.display())))?;
        let account = Account {
            label: LABEL.into(),
            venue: site.venue.clone(),
            rest_url: site.rest_url.clone(),
            stream_url: site.stream_url.clone(),
            sapi_url: site.sapi_url.clone(),
            is_mainnet: false,
            key: site.key.clone(),
            secret: site.secret.clone(),
            is_new_key: false,
            timing: site.timing,
            policies: set,
            digest: play::digest(&[policies.to_owned()]),
            is_live,
            record: Some(tape.clone()),
        };
        let outlets = Outlets {
            status: watch::Sender::new(Arc::new(Status::default())),
            events: broadcast::Sender::new(EVENTS_KEPT),
            // Told to nobody: what a guard says while its limits are broken on purpose would only alarm.
            story: Some(mpsc::channel(1).0),
            alerts: Alerts::default(),
        };
        let (status, events) = (outlets.status.subscribe(), outlets.events.subscribe());
        let (door, commands) = mpsc::channel(8);
        let cancel = CancellationToken::new();
        let (clock, asked) = (site.clock.clone(), cancel.clone());
        let task =
            tokio::spawn(
                async move { guard_account(account, &state_dir, clock, outlets, commands, asked).await },
            );
        Ok(Stand {
            status,
            events,
            decided: Vec::new(),
            noted: Vec::new(),
            door,
            task,
            stop: cancel.drop_guard(),
            tape,
            policies: policies.to_owned(),
        })
    }

    /// Waits until the guard's status is as wanted, and gives it.
    ///
    /// # Errors
    ///
    /// When it does not come true within `within`, or the guard ended.
    pub async fn until(
        &mut self,
        what: &str,
        within: Span,
        wanted: impl Fn(&AccountStatus) -> bool,
    ) -> Result<AccountStatus, Trouble> {
        let mut status = self.status.clone();
        let seen = status.wait_for(|all| all.account(LABEL).is_some_and(&wanted));
        let waited = timeout(
            Duration::from_millis(u64::try_from(within.ms()).unwrap_or(0)),
            seen,
        )
        .await;
        if let Ok(Ok(all)) = &waited
            && let Some(account) = all.account(LABEL)
        {
            return Ok(account.clone());
        }
        let state = self.state();
        if waited.is_ok() || self.task.is_finished() {
            let ended = (&mut self.task).await;
            return Err(Trouble(format!("{what}: the guard ended: {}", ending(ended))));
        }
        Err(Trouble(format!(
            "{what} did not come true within {within}; the guard is {state}"
        )))
    }

    /// The guard's state, by a word of SPEC.md section 5.
    pub fn state(&self) -> String {
        self.status
            .borrow()
            .account(LABEL)
            .map_or("not started".into(), |account| account.state.clone())
    }

    /// Commands the guard, as the control API and the KILL file do.
    ///
    /// # Errors
    ///
    /// Its refusal, or that no answer came.
    pub async fn command(&self, command: Command) -> Result<String, Trouble> {
        let (reply, answer) = oneshot::channel();
        let request = Request {
            account: LABEL.into(),
            command,
            reply,
        };
        let gone = || Trouble("the guard takes no commands any more".into());
        self.door.send(request).await.map_err(|_| gone())?;
        match timeout(REPLY_WITHIN, answer).await {
            Ok(Ok(answer)) => answer.map_err(Trouble),
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(Trouble("the guard did not answer a command in time".into())),
        }
    }

    /// Every decision so far.
    pub fn decisions(&mut self) -> &[DecisionLine] {
        self.listen();
        &self.decided
    }

    /// Every note so far, as people are told.
    pub fn notes(&mut self) -> &[String] {
        self.listen();
        &self.noted
    }

    fn listen(&mut self) {
        loop {
            let event = match self.events.try_recv() {
                Ok(event) => event,
                Err(broadcast::error::TryRecvError::Lagged(_)) => continue,
                Err(_) => return,
            };
            let Ok(mut event) = serde_json::from_str::<serde_json::Value>(&event) else {
                continue;
            };
            if let Some(decision) = event.get_mut("decision") {
                self.decided.extend(serde_json::from_value(decision.take()).ok());
            } else if let Some(text) = event.get("text").and_then(serde_json::Value::as_str) {
                self.noted.push(text.to_owned());
            }
        }
    }

    /// Client ids of the reductions that were decided, in their order.
    pub fn reductions(&mut self) -> Vec<String> {
        let orders = self.decisions().iter().flat_map(|decision| &decision.orders);
        orders
            .filter(|order| order.kind == "reduce")
            .filter_map(|order| order.client_order_id.clone())
            .collect()
    }

    /// Stops the guard; gives the file with everything that it received and decided.
    ///
    /// # Errors
    ///
    /// When it did not end orderly.
    pub async fn stop(self) -> Result<Tape, Trouble> {
        self.stop.disarm().cancel();
        match timeout(STOP_WITHIN, self.task).await {
            Ok(Ok(Ok(()))) => Ok(Tape {
                path: self.tape,
                policies: self.policies,
            }),
            Ok(ended) => Err(Trouble(format!(
                "the guard did not end orderly: {}",
                ending(ended)
            ))),
            Err(_) => Err(Trouble("the guard did not stop in time".into())),
        }
    }
}

fn ending(ended: Result<Result<(), RunError>, tokio::task::JoinError>) -> String {
    match ended {
        Ok(Ok(())) => "without being told to".into(),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    }
}

/// The recording of a guard that was stopped.
pub struct Tape {
    path: PathBuf,
    policies: String,
}

impl Tape {
    /// Plays it through a guard that has no hands, and compares; gives how many decisions were the same.
    ///
    /// # Errors
    ///
    /// The first decision that differs, or that it cannot be read.
    pub fn replay(&self) -> Result<u64, Trouble> {
        let trouble =
            |error: &dyn std::fmt::Display| Trouble(format!("the recording cannot be replayed: {error}"));
        let set = policy::parse("drill.toml", &self.policies).map_err(|errors| trouble(&errors))?;
        let (header, entries) = recording::read(&self.path).map_err(|error| trouble(&error))?;
        let digest = play::digest(std::slice::from_ref(&self.policies));
        let played =
            play::play(&header, entries, &set, &digest, |_| {}, |_| {}).map_err(|error| trouble(&error))?;
        match played.difference {
            _ if !played.is_comparable => Err(trouble(&"it names other policies")),
            Some((recorded, replayed)) => Err(Trouble(format!("recorded: {recorded}; replayed: {replayed}"))),
            None => Ok(played.decisions),
        }
    }
}
