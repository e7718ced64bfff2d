//! `backstop record`: an account's stream and readings into a file. Reads only; nothing that it holds can send an order.

use super::{accounts, fail};
use crate::clock::Clock;
use crate::config::{Overrides, RunMode};
use crate::event::{Event, Input};
use crate::replay::recording::{Entry, Header};
use crate::run::tape::Tape;
use crate::venue::binance::client::{self, Http, HttpConfig, SessionConfig, Want};
use crate::venue::binance::session::Session;
use crate::venue::binance::sign::ReadSigner;
use anstream::println;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What waits for the disk.
const RECEIVED_MAX: usize = 16_384;

/// Writes an account's stream and readings as a recording.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  backstop record -o today.jsonl --account main\n\nStops at Ctrl-C, or after --for. Keys, listenKeys and signatures are never in the file."
)]
pub struct Args {
    /// Where to; an existing file is not overwritten.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Which account, when several are configured.
    #[arg(long, value_name = "LABEL")]
    account: Option<String>,
    /// The configuration file.
    #[arg(long, env = "BACKSTOP_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Stops after this many seconds.
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u64>,
}

/// Runs the verb; gives the exit code.
pub async fn run(args: Args, clock: Clock) -> i32 {
    let config = match accounts::load(args.config.as_deref(), &Overrides::default()) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let chosen = match accounts::chosen(&config, args.account.as_deref()) {
        Ok(chosen) => chosen,
        Err(code) => return code,
    };
    let account = match accounts::account(chosen, RunMode::DryRun) {
        Ok(account) => account,
        Err(code) => return code,
    };
    let header = Header::new(&account.venue, &account.label, clock.now());
    let mut tape = match Tape::open(&args.output, &header) {
        Ok(tape) => tape,
        Err(error) => return fail(2, error),
    };
    let opened =
        Http::new(HttpConfig::new(&account.rest_url), &account.key, clock.clone()).and_then(|http| {
            ReadSigner::new(&account.secret)
                .map(|signer| (http, signer))
                .map_err(|e| e.to_string())
        });
    let (http, signer) = match opened {
        Ok(opened) => opened,
        Err(error) => return fail(2, format!("account {}: {error}", account.label)),
    };
    println!(
        "recording account {} into {}; Ctrl-C ends it",
        account.label,
        args.output.display()
    );
    let (received_in, mut received) = mpsc::channel(RECEIVED_MAX);
    let (wants, wanted) = client::wants();
    let cancel = CancellationToken::new();
    let session = SessionConfig {
        digest_interval: account.timing.digest_interval,
        keepalive: account.timing.keepalive,
        ..SessionConfig::new(&account.stream_url)
    };
    let task = tokio::spawn(client::run(
        session,
        Arc::new(http),
        signer,
        received_in,
        wanted,
        cancel.clone(),
    ));
    let mut lines = 0u64;
    let mut watcher = Watcher::default();
    let end = args.seconds.map(Duration::from_secs);
    let stop = async move {
        match end {
            Some(end) => tokio::time::sleep(end).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(stop);
    loop {
        tokio::select! {
            item = received.recv() => {
                let Some(item) = item else { break };
                for want in watcher.take(&item) {
                    wants.ask(want);
                }
                let at = item.at;
                tape.write(&Entry::Received(item), at);
                lines += 1;
            }
            () = &mut stop => break,
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    cancel.cancel();
    let _ = task.await;
    let dropped = tape.dropped();
    let _ = tokio::task::spawn_blocking(move || drop(tape)).await;
    println!("{lines} lines recorded");
    if dropped > 0 {
        return fail(1, format!("{dropped} lines are missing: the disk was too slow"));
    }
    0
}

/// Follows which contracts are held or ordered, so that their mark prices are recorded as a guard would see them.
#[derive(Default)]
struct Watcher {
    session: Session,
    book: crate::book::Book,
    watched: BTreeSet<crate::model::Symbol>,
}

impl Watcher {
    fn take(&mut self, received: &crate::venue::Received) -> Vec<Want> {
        let mut wants = Vec::new();
        for input in self.session.take(received) {
            if let Input::Venue(event) = &input
                && !matches!(event, Event::Marks(_))
            {
                self.book.apply(received.at, event);
                // A guard would read the transfers again at once; without them a replay could not trust the equity.
                if self.book.wants_transfers() && !matches!(event, Event::Transfers(_)) {
                    wants.push(Want::Transfers);
                }
            }
        }
        let watched = self.book.watched();
        if watched != self.watched {
            self.watched.clone_from(&watched);
            wants.push(Want::Watch(watched));
        }
        wants
    }
}
