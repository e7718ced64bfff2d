//! `backstop run`: guards every configured account, or with `--sim` an account on the embedded exchange.

use super::{accounts, alerts, fail, sim};
use crate::clock::{self, Clock};
use crate::config::{Overrides, RunMode, Timing, policy};
use crate::replay::play;
use crate::run::account::Account;
use crate::run::{Options, story};
use crate::sim::server::{Server, serve};
use anstream::println;
use secrecy::SecretString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The policies of `run --sim`.
const STANDARD: &str = include_str!("../../policies/standard.toml");
/// Lines of the story that may wait for the terminal; when it is slower, lines are dropped, never the guard.
const STORY_MAX: usize = 1_024;
/// After the script's end the guard gets this long to verify what it closed.
const AFTERMATH: Duration = Duration::from_secs(6);

/// Guards every configured account.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  backstop run --sim                     a falling market on the embedded exchange, nothing needed\n  backstop run --sim refilling-bot       another scenario: flash-crash, slow-bleed, refilling-bot, hedge-book, calm-day\n  backstop run --config backstop.toml    your accounts, dry: nothing is sent\n  backstop run --live                    acts; mainnet also needs mode = \"live\" in the file"
)]
pub struct Args {
    /// The configuration file; else ./backstop.toml, else the one in the XDG config directory.
    #[arg(long, env = "BACKSTOP_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sends orders. Without it nothing can be sent.
    #[arg(long, conflicts_with = "dry_run")]
    live: bool,
    /// Sends nothing, whatever the file says.
    #[arg(long)]
    dry_run: bool,
    /// Starts the embedded exchange with a scripted market and guards it, live: nothing real is at stake.
    #[arg(long, value_name = "SCENARIO", num_args = 0..=1, default_missing_value = "flash-crash", conflicts_with = "config")]
    sim: Option<String>,
    /// With --sim: keeps serving after the script is over, until Ctrl-C.
    #[arg(long, requires = "sim")]
    stay: bool,
    /// The key of this account is a new one of the same account: its kept state goes on. Needed once after a change.
    #[arg(long, value_name = "LABEL", conflicts_with = "sim")]
    new_key: Option<String>,
    /// Writes everything received and decided as a recording.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Address of the control API; "" for none.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where state is kept.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

/// Runs the verb; gives the exit code.
pub async fn run(args: Args, clock: Clock) -> i32 {
    let cancel = CancellationToken::new();
    if let Err(error) = end_on_signal(cancel.clone()) {
        return fail(1, format!("signals cannot be heard: {error}"));
    }
    match args.sim.clone() {
        Some(scenario) => guard_simulation(args, &scenario, clock, cancel).await,
        None => guard_accounts(args, clock, cancel).await,
    }
}

/// SIGTERM and SIGINT end the run orderly: positions are left alone, state is made durable.
fn end_on_signal(cancel: CancellationToken) -> std::io::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        cancel.cancel();
    });
    Ok(())
}

async fn guard_accounts(args: Args, clock: Clock, cancel: CancellationToken) -> i32 {
    let overrides = Overrides {
        state_dir: args.state_dir.map(|folder| folder.display().to_string()),
        listen: args.listen,
    };
    let config = match accounts::load(args.config.as_deref(), &overrides) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let flag = match (args.live, args.dry_run) {
        (true, _) => Some(RunMode::Live),
        (_, true) => Some(RunMode::DryRun),
        _ => None,
    };
    let mode = match config.effective_mode(flag) {
        Ok(mode) => mode,
        Err(error) => return fail(error.exit_code(), error),
    };
    let mut guarded = Vec::new();
    for account in &config.accounts {
        match accounts::account(account, mode) {
            Ok(account) => guarded.push(account),
            Err(code) => return code,
        }
    }
    if guarded.is_empty() {
        return fail(
            2,
            "no account is configured; add a table [account.main], see README.md",
        );
    }
    let channels = match alerts::channels(&config.alerts) {
        Ok(channels) => channels,
        Err(error) => return fail(error.exit_code(), error),
    };
    if let Some(label) = args.new_key {
        match guarded.iter_mut().find(|account| account.label == label) {
            Some(account) => account.is_new_key = true,
            None => return fail(2, format!("--new-key: no account is called `{label}`")),
        }
    }
    if let (Some(path), Some(first)) = (args.record, guarded.first_mut()) {
        first.record = Some(path);
    }
    let labels: Vec<&str> = guarded.iter().map(|account| account.label.as_str()).collect();
    println!("backstop guards {} ({})", labels.join(", "), mode.name());
    if mode == RunMode::DryRun {
        println!("dry run: decisions are made and shown, nothing is sent; --live would act");
    }
    if let Some(address) = config.control.listen {
        println!(
            "control API on http://{address}, tokens in {}",
            config.control.token_file.display()
        );
    }
    for channel in &channels {
        println!("alerts go to {}", channel.name);
    }
    let (story, told) = mpsc::channel(STORY_MAX);
    let teller = tokio::spawn(story::tell(told));
    let options = Options {
        accounts: guarded,
        state_dir: config.state_dir.clone(),
        listen: config.control.listen,
        token_file: config.control.token_file.clone(),
        story: Some(story),
        channels,
    };
    let ended = crate::run::run(options, clock, cancel).await;
    let _ = teller.await;
    ended.map_or_else(|error| fail(error.exit_code(), error), |()| 0)
}

async fn guard_simulation(args: Args, name: &str, clock: Clock, cancel: CancellationToken) -> i32 {
    let scenario = match sim::scenario(name) {
        Ok(scenario) => scenario,
        Err(why) => return fail(2, format!("error: {why}")),
    };
    let (title, description) = (scenario.name.clone(), scenario.description.clone());
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = match serve(scenario, any, any, || clock::now().ms()).await {
        Ok(server) => server,
        Err(error) => return fail(1, format!("the embedded exchange cannot start: {error}")),
    };
    let policies = match policy::parse("policies/standard.toml", STANDARD) {
        Ok(set) => set,
        Err(errors) => return fail(2, errors),
    };
    let state = args
        .state_dir
        .clone()
        .map_or_else(|| scratch(clock.now().ms()), Ok);
    let (state_dir, is_scratch) = match state {
        Ok(folder) => (folder, args.state_dir.is_none()),
        Err(error) => return fail(1, format!("no place for the state: {error}")),
    };
    let listen = match args.listen.as_deref() {
        None => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 7878))),
        Some("") => None,
        Some(text) => match text.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                return fail(
                    2,
                    format!("--listen: `{text}` is no address; write 127.0.0.1:7878, or \"\" for none"),
                );
            }
        },
    };
    // A second demonstration beside the first must not fail for a port.
    let listen = match listen {
        Some(address) if std::net::TcpListener::bind(address).is_err() => None,
        other => other,
    };
    let live = !args.dry_run;
    println!("Scenario {title}: {description}");
    println!(
        "The embedded exchange serves {} and {}.",
        server.rest_url(),
        server.stream_url()
    );
    println!(
        "The guard is another client of it, over real connections, {}, under policies/standard.toml.",
        if live {
            "live: nothing real is at stake"
        } else {
            "dry: nothing is sent"
        }
    );
    match listen {
        Some(address) => println!(
            "Control API: http://{address}, tokens in {}\n",
            state_dir.join("control.token").display()
        ),
        None => println!("Control API: off (the port is taken, or none was wanted)\n"),
    }
    let (key, secret) = server.credentials();
    let account = Account {
        label: "sim".into(),
        venue: "sim".into(),
        rest_url: server.rest_url(),
        stream_url: server.stream_url(),
        sapi_url: None,
        is_mainnet: false,
        key: SecretString::from(key),
        secret: SecretString::from(secret),
        timing: Timing::default(),
        policies,
        digest: play::digest(&[STANDARD.to_owned()]),
        is_live: live,
        is_new_key: false,
        record: args.record.clone(),
    };
    let (story, told) = mpsc::channel(STORY_MAX);
    let teller = tokio::spawn(story::tell(told));
    let options = Options {
        accounts: vec![account],
        state_dir: state_dir.clone(),
        listen,
        token_file: state_dir.join("control.token"),
        story: Some(story),
        channels: Vec::new(),
    };
    let guard = crate::run::run(options, clock, cancel.clone());
    let script = end_of_script(&server, args.stay, cancel.clone());
    let (ended, ()) = tokio::join!(guard, script);
    let _ = teller.await;
    let report = server.report().await;
    server.stop().await;
    if is_scratch {
        let _ = std::fs::remove_dir_all(&state_dir);
    }
    println!("\nWhat the exchange itself saw:\n{}", report.summary());
    match ended {
        Err(error) => fail(error.exit_code(), error),
        Ok(()) if report.violations.is_empty() => 0,
        Ok(()) => fail(1, "the guard broke its promise"),
    }
}

/// Ends the run when the script is over and the guard has had time to verify what it did.
async fn end_of_script(server: &Server, stay: bool, cancel: CancellationToken) {
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
        if server.finished().await && !stay {
            tokio::time::sleep(AFTERMATH).await;
            cancel.cancel();
            return;
        }
    }
}

/// A folder of this run alone: a simulation starts from nothing each time.
fn scratch(now: i64) -> std::io::Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("backstop-sim-{}-{now}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
