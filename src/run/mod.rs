//! Tasks and channels: everything between the world and the guards.
//!
//! Each account has one loop that owns its [`Drive`](crate::replay::Drive); nothing that people look at can slow or stop
//! it. Any task that ends unexpectedly ends the process, loudly: a dead guard that a supervisor restarts beats one that
//! is half alive.

pub mod account;
pub mod hands;
pub mod key;
pub mod status;
pub mod story;
pub mod tape;

use crate::alert::{Alerts, Channel, Watch};
use crate::clock::Clock;
use crate::event::Command;
use crate::journal::killfile;
use crate::serve::{Acknowledgement, Control, Request, Status, Tokens, serve};
use account::{Account, guard_account};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Commands that may wait for a guard; each is answered before the next is taken.
const COMMANDS_MAX: usize = 64;
/// Events that a slow reader of the event stream may lag behind before it misses some.
const EVENTS_KEPT: usize = 1_024;
/// How often the KILL file is looked for: well inside the 250 ms that a kill may take (SPEC.md section 9).
const KILL_FILE_EVERY: Duration = Duration::from_millis(100);

/// Why a run ended, or did not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Something in the configuration cannot work; exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Refused for safety; exit code 3.
    #[error("{0}")]
    Refused(String),
    /// A task ended that must not; exit code 1, and the supervisor starts anew.
    #[error("{0}")]
    Broken(String),
}

impl RunError {
    /// The exit code of SPEC.md section 2.
    pub fn exit_code(&self) -> i32 {
        match self {
            RunError::Broken(_) => 1,
            RunError::Usage(_) => 2,
            RunError::Refused(_) => 3,
        }
    }
}

/// What a run needs to know.
pub struct Options {
    /// The accounts to guard.
    pub accounts: Vec<Account>,
    /// Where state is kept, and where the KILL file may appear.
    pub state_dir: PathBuf,
    /// The control API's address; `None` is off.
    pub listen: Option<SocketAddr>,
    /// The file with its tokens.
    pub token_file: PathBuf,
    /// Where the story goes, for a person at the terminal.
    pub story: Option<mpsc::Sender<story::Told>>,
    /// The channels on which people are told.
    pub channels: Vec<Channel>,
}

/// What a run shows to the outside.
#[derive(Clone)]
pub struct Outlets {
    /// Copies of the accounts' state.
    pub status: watch::Sender<Arc<Status>>,
    /// Decisions, notes and states as JSON.
    pub events: broadcast::Sender<Arc<str>>,
    /// The story for the terminal.
    pub story: Option<mpsc::Sender<story::Told>>,
    /// The channels on which people are told.
    pub alerts: Alerts,
}

/// Guards until `cancel`, which leaves positions alone and makes state durable.
///
/// # Errors
///
/// [`RunError`] when it cannot begin, or when a task ended that must not.
pub async fn run(options: Options, clock: Clock, cancel: CancellationToken) -> Result<(), RunError> {
    // No task of `tasks`: whatever becomes of a channel, the guards go on (PR-05).
    let (post, post_ends) = (TaskTracker::new(), CancellationToken::new());
    let _ends_with_the_run = post_ends.clone().drop_guard();
    let alerts = Alerts::start(options.channels, &clock, &post, &post_ends);
    let outlets = Outlets {
        status: watch::Sender::new(Arc::new(Status::default())),
        events: broadcast::Sender::new(EVENTS_KEPT),
        story: options.story,
        alerts: alerts.clone(),
    };
    let mut tasks: JoinSet<Result<&'static str, RunError>> = JoinSet::new();
    let mut doors: BTreeMap<String, mpsc::Sender<Request>> = BTreeMap::new();
    // A stop of the accounts comes before the stop of what shows them.
    let accounts_done = CancellationToken::new();
    for account in options.accounts {
        let (door, commands) = mpsc::channel(COMMANDS_MAX);
        doors.insert(account.label.clone(), door);
        let (outlets, clock, cancel) = (outlets.clone(), clock.clone(), cancel.clone());
        let state_dir = options.state_dir.clone();
        tasks.spawn(async move {
            guard_account(account, &state_dir, clock, outlets, commands, cancel)
                .await
                .map(|()| "an account")
        });
    }
    let guards = tasks.len();
    if let Some(address) = options.listen {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            RunError::Usage(format!(
                "control.listen: {address} cannot be listened on: {error}; choose another, or \"\" for none"
            ))
        })?;
        let tokens =
            Tokens::load_or_create(&options.token_file).map_err(|e| RunError::Refused(e.to_string()))?;
        let (commands, requests) = mpsc::channel(COMMANDS_MAX);
        let (acks, seen) = mpsc::channel(COMMANDS_MAX);
        let control = Control {
            status: outlets.status.subscribe(),
            events: outlets.events.clone(),
            commands,
            acks,
        };
        let done = accounts_done.clone();
        tasks.spawn(async move {
            let served = serve(listener, tokens, control, done).await;
            served
                .map(|()| "the control API")
                .map_err(|e| RunError::Broken(format!("the control API ended: {e}")))
        });
        tasks.spawn(forward(requests, doors.clone(), accounts_done.clone()));
        tasks.spawn(acknowledge(seen, alerts.clone(), accounts_done.clone()));
    }
    let labels: Vec<String> = doors.keys().cloned().collect();
    tasks.spawn(watch_kill_file(
        options.state_dir.clone(),
        doors,
        accounts_done.clone(),
    ));
    let ended = supervise(tasks, guards, cancel, accounts_done).await;
    let why = match &ended {
        // Whoever started it sees why it did not begin.
        Err(RunError::Usage(_) | RunError::Refused(_)) => None,
        Err(RunError::Broken(why)) => Some(Some(why.as_str())),
        Ok(()) => Some(None),
    };
    if let Some(why) = why {
        alerts.tell(
            labels
                .iter()
                .map(|label| Watch::stopped(label, clock.now(), why))
                .collect(),
        );
    }
    post.close();
    post_ends.cancel();
    post.wait().await;
    ended
}

/// Waits for the end. The first task that ends without being told to ends all.
async fn supervise(
    mut tasks: JoinSet<Result<&'static str, RunError>>,
    guards: usize,
    cancel: CancellationToken,
    accounts_done: CancellationToken,
) -> Result<(), RunError> {
    let mut failure = None;
    let mut guards_left = guards;
    while let Some(ended) = tasks.join_next().await {
        let asked = cancel.is_cancelled();
        match ended {
            Ok(Ok("an account")) => {
                guards_left -= 1;
                if !asked {
                    failure.get_or_insert(RunError::Broken("an account's loop ended".into()));
                }
            }
            Ok(Ok(what)) if !asked => {
                failure.get_or_insert(RunError::Broken(format!("{what} ended")));
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                failure.get_or_insert(error);
            }
            Err(error) => {
                failure.get_or_insert(RunError::Broken(format!("a task panicked: {error}")));
            }
        }
        if failure.is_some() {
            cancel.cancel();
        }
        if guards_left == 0 || failure.is_some() {
            accounts_done.cancel();
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Hands the requests of the control API to the accounts that they name.
async fn forward(
    mut requests: mpsc::Receiver<Request>,
    doors: BTreeMap<String, mpsc::Sender<Request>>,
    done: CancellationToken,
) -> Result<&'static str, RunError> {
    loop {
        let request = tokio::select! {
            () = done.cancelled() => break,
            request = requests.recv() => request,
        };
        let Some(request) = request else { break };
        match doors.get(&request.account) {
            Some(door) => {
                if let Err(
                    mpsc::error::TrySendError::Full(request) | mpsc::error::TrySendError::Closed(request),
                ) = door.try_send(request)
                {
                    let _ = request
                        .reply
                        .send(Err("the guard has too many commands waiting; try again".into()));
                }
            }
            None => {
                let _ = request
                    .reply
                    .send(Err(format!("no account `{}` is guarded here", request.account)));
            }
        }
    }
    done.cancelled().await;
    Ok("the command desk")
}

/// Tells the channels what somebody has seen.
async fn acknowledge(
    mut seen: mpsc::Receiver<Acknowledgement>,
    alerts: Alerts,
    done: CancellationToken,
) -> Result<&'static str, RunError> {
    loop {
        let ack = tokio::select! {
            () = done.cancelled() => break,
            ack = seen.recv() => ack,
        };
        let Some(ack) = ack else { break };
        let answer = match alerts.is_empty() {
            true => Err("no channel is configured: there is nothing to acknowledge".into()),
            false => alerts.acknowledge(&ack.account).map(|()| {
                format!(
                    "the alerts of {} are acknowledged; they are not repeated",
                    ack.account
                )
            }),
        };
        let _ = ack.reply.send(answer);
    }
    done.cancelled().await;
    Ok("the desk for acknowledgements")
}

/// Looks for the KILL file and tells every account when it appears or goes.
async fn watch_kill_file(
    state_dir: PathBuf,
    doors: BTreeMap<String, mpsc::Sender<Request>>,
    done: CancellationToken,
) -> Result<&'static str, RunError> {
    let mut told = false;
    loop {
        let present = is_present(&state_dir).await;
        if present != told {
            for (label, door) in &doors {
                let (reply, _) = oneshot::channel();
                let request = Request {
                    account: label.clone(),
                    command: Command::KillFile(present),
                    reply,
                };
                let _ = door.send(request).await;
            }
            told = present;
        }
        tokio::select! {
            () = done.cancelled() => return Ok("the watch for the KILL file"),
            () = tokio::time::sleep(KILL_FILE_EVERY) => {}
        }
    }
}

/// Off the loop's threads: a disk that hangs must not stop the watch of anything else.
async fn is_present(state_dir: &Path) -> bool {
    let folder = state_dir.to_owned();
    tokio::task::spawn_blocking(move || killfile::present(&folder))
        .await
        .unwrap_or(true)
}
