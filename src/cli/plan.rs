//! `backstop plan`: what would fire now, how far everything is from it, and what each rung would send.
//!
//! It reads over REST and makes no stream; nothing that it holds can send an order. A guard may be running meanwhile:
//! the kept state is looked at without a lock. With `--shock` or `--withdraw` a copy of the account lives through that, and
//! the page shows both.

mod json;
mod shock;
mod text;
mod what_if;

use super::{accounts, fail};
use crate::clock::Clock;
use crate::config::{Config, Overrides, RunMode};
use crate::event::Command;
use crate::guard::preview::{Move, Preview, Refused, Shock};
use crate::guard::{Guard, Start};
use crate::journal::peek::peek;
use crate::journal::store::Loaded;
use crate::journal::{killfile, state};
use crate::model::{Money, PositionMode, Span, Timestamp};
use crate::replay::{Drive, Fed};
use crate::run::account::Account;
use crate::venue::binance::Said;
use crate::venue::binance::client::permissions::permissions;
use crate::venue::binance::client::snapshot::{again, snapshot};
use crate::venue::binance::client::{Http, HttpConfig, Permissions};
use crate::venue::binance::sign::ReadSigner;
use crate::venue::{Received, Via};
use indicatif::ProgressBar;
use std::path::PathBuf;
use std::time::Duration;

/// Between two readings of the list of transfers, which lags behind the balances.
const LIST_AGAIN: Duration = Duration::from_millis(2_600);
/// Readings of it after the first: together longer than a guard waits for it before it judges without.
const LISTS_MAX: usize = 3;

/// Prints what would fire now, headroom, and what each rung would send.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  backstop plan\n  backstop plan --account main --json | jq '.positions[] | select(.coverage == \"0\")'\n  backstop plan --shock BTCUSDT=-8% --withdraw 3000\n  backstop plan --shock '*=-10%' --shock ETHUSDT=-15%\n\nIt only reads: nothing is sent, no stream is opened, and a guard may be running meanwhile.\nA shock is played on a copy: the withdrawal first, by today's prices, then all moves at once. Marks move, and so do the\nprices behind them; what collateral is worth stays, no stop triggers, no order fills, and the venue liquidates nothing.\nExit codes: 0 done, whatever fires; 1 something could not be read; 2 configuration; 3 refused for safety."
)]
pub struct Args {
    /// One account; else every configured one.
    #[arg(long, value_name = "LABEL")]
    account: Option<String>,
    /// The configuration file.
    #[arg(long, env = "BACKSTOP_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// What if mark prices moved; repeatable, `*` is every contract, and a contract's own move comes before it.
    #[arg(long, value_name = "SYMBOL=PERCENT", value_parser = shock::read_move)]
    shock: Vec<Move>,
    /// What if this much was withdrawn first, in USDT, from the cross wallet.
    #[arg(long, value_name = "MONEY", value_parser = shock::read_money)]
    withdraw: Option<Money>,
    /// One JSON object an account; decimals are strings.
    #[arg(long)]
    json: bool,
}

/// A look at one account.
struct Look {
    label: String,
    venue: String,
    environment: &'static str,
    at: Timestamp,
    mode: Option<PositionMode>,
    is_multi_assets: bool,
    /// The venue's clock less ours, ms; `None` when it was not read.
    skew_ms: Option<i64>,
    round_trip: Option<Span>,
    /// Weight used in the running minute, and the limit.
    weight: (u32, u32),
    rights: Rights,
    /// What the kept state added, in words.
    kept: String,
    failed: Vec<String>,
    said: Said,
    preview: Preview,
    /// What is supposed; nothing when the flags are absent.
    shock: Shock,
    /// The same account after it; `None` when nothing is supposed, or when nothing can be.
    then: Option<Preview>,
}

/// What the key may do.
enum Rights {
    /// The venue does not tell.
    Untold,
    /// It could not be asked.
    Unknown(String),
    /// This.
    Known(Permissions),
}

/// Runs the verb; gives the exit code.
pub async fn run(args: Args, clock: Clock) -> i32 {
    if let Err(why) = shock::told_once(&args.shock) {
        return fail(2, why);
    }
    let shock = Shock {
        withdrawal: args.withdraw.unwrap_or_default(),
        moves: args.shock,
    };
    let config = match accounts::load(args.config.as_deref(), &Overrides::default()) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let wanted = |label: &str| args.account.as_ref().is_none_or(|only| only == label);
    let chosen: Vec<_> = config
        .accounts
        .iter()
        .filter(|account| wanted(&account.label))
        .collect();
    if chosen.is_empty() {
        let labels: Vec<&str> = config
            .accounts
            .iter()
            .map(|account| account.label.as_str())
            .collect();
        return fail(
            2,
            format!("no such account; configured are: {}", labels.join(", ")),
        );
    }
    let mut opened = Vec::new();
    for account in chosen {
        match accounts::account(account, RunMode::DryRun) {
            Ok(account) => opened.push(account),
            Err(code) => return code,
        }
    }
    let mut code = 0;
    for (index, account) in opened.iter().enumerate() {
        let look = match look(account, &config, &shock, clock.clone()).await {
            Ok(look) => look,
            Err(why) => return fail(2, format!("account {}: {why}", account.label)),
        };
        if !look.failed.is_empty() {
            code = 1;
        }
        if args.json {
            anstream::println!("{}", json::object(&look));
        } else {
            anstream::print!("{}{}", if index > 0 { "\n" } else { "" }, text::page(&look));
        }
    }
    code
}

async fn look(account: &Account, config: &Config, shock: &Shock, clock: Clock) -> Result<Look, String> {
    let http = Http::new(HttpConfig::new(&account.rest_url), &account.key, clock.clone())?;
    let reader = ReadSigner::new(&account.secret).map_err(|error| error.to_string())?;
    let (start, kept) = kept(account, config);
    let transfers_since = match &start {
        Start::Saved(saved) => saved.transfers.horizon,
        Start::Fresh | Start::Lost(_) => None,
    };
    let began = clock.now();
    let transfers_since = transfers_since.unwrap_or(began);
    let guard = Guard::new(
        &account.label,
        account.policies.clone(),
        account.timing.blind_after,
        start,
    );
    let mut drive = Drive::new(guard);
    let mut failed = Failed::default();

    let first = snapshot(&http, &reader, transfers_since).await;
    feed(&mut drive, &first.received, &mut failed);
    let mut received = first.received;
    let waiting = ProgressBar::new_spinner().with_message("waiting for the list of transfers");
    for _ in 0..LISTS_MAX {
        // A balance may have moved since the state was kept: until that is explained, no loss is judged by it.
        if !drive.guard().book().wants_transfers() || !failed.0.is_empty() {
            break;
        }
        waiting.tick();
        tokio::time::sleep(LIST_AGAIN).await;
        let more = again(&http, &reader, transfers_since).await;
        feed(&mut drive, &more, &mut failed);
        received.extend(more);
    }
    waiting.finish_and_clear();
    if killfile::present(&config.state_dir) {
        drive.feed(clock.now(), Fed::Command(Command::KillFile(true)), |_, _| {});
    }
    let rights = match &account.sapi_url {
        None => Rights::Untold,
        Some(url) => permissions(&http, &reader, url)
            .await
            .map_or_else(Rights::Unknown, Rights::Known),
    };
    if let Rights::Unknown(why) = &rights {
        failed.note("the key's rights", why.clone());
    }
    let then = match shock.is_nothing() {
        true => None,
        false => match drive.guard().shocked(shock) {
            Ok(then) => Some(then.preview(began)),
            // Why it was not read is told already.
            Err(Refused::NotRead) => None,
            Err(refused) => return Err(refused.to_string()),
        },
    };
    let book = drive.guard().book();
    Ok(Look {
        label: account.label.clone(),
        venue: account.venue.clone(),
        environment: match account.venue.as_str() {
            "sim" if !account.is_mainnet => "embedded exchange",
            "binance-usdm-testnet" if !account.is_mainnet => "test network",
            _ => "mainnet",
        },
        at: book.now(),
        mode: book.position_mode(),
        is_multi_assets: book.is_multi_assets(),
        skew_ms: http.synced_at().map(|_| http.offset_ms()),
        round_trip: first.round_trip,
        weight: http.usage(),
        rights,
        kept,
        failed: failed.lines(),
        said: Said::read(&received),
        preview: drive.guard().preview(began),
        shock: shock.clone(),
        then,
    })
}

/// What a guard would start from, and what to tell of it.
fn kept(account: &Account, config: &Config) -> (Start, String) {
    match peek(&config.state_dir, &account.label) {
        Ok(Loaded::Fresh) => {
            let text = "nothing is kept yet: high-water marks and periods begin with this look";
            (Start::Fresh, text.into())
        }
        Ok(Loaded::State(text)) => match state::read(&text) {
            // As a live guard would: what a dry run latched was never done.
            Ok((saved, false)) if config.mode == RunMode::Live => {
                let text = "marks and periods of a dry run; a live guard drops its latches";
                (Start::Saved(Box::new(saved.without_trips())), text.into())
            }
            Ok((saved, was_live)) => {
                let whose = if was_live { "a live guard" } else { "a dry run" };
                (
                    Start::Saved(Box::new(saved)),
                    format!("marks, periods and latches of {whose}"),
                )
            }
            Err(error) => lost(&error.to_string()),
        },
        Ok(Loaded::Lost(why)) => lost(&why),
        Err(why) => (
            Start::Fresh,
            format!("CANNOT BE READ ({why}): judged as if the account had never been guarded"),
        ),
    }
}

fn lost(why: &str) -> (Start, String) {
    (
        Start::Lost(why.into()),
        format!("LOST ({why}): a guard would start latched"),
    )
}

/// Feeds what was read, and notes what was not: why, and which requests.
fn feed(drive: &mut Drive, received: &[Received], failed: &mut Failed) {
    for item in received {
        let Via::Rest {
            request,
            status,
            body,
        } = &item.via
        else {
            continue;
        };
        if *status != 200 {
            let path = request.split('?').next().unwrap_or(request);
            let body: String = body.chars().take(200).collect();
            let why = if *status == 0 {
                body
            } else {
                format!("HTTP {status} {body}")
            };
            failed.note(path, why);
        }
        drive.feed(item.at, Fed::Received(item), |_, decision| {
            let told = decision.notes.into_iter().map(|note| note.text);
            for what in told.filter(|text| *status == 200 && text.ends_with("could not be read")) {
                failed.note(&what, "the answer makes no sense".into());
            }
        });
    }
}

/// What could not be read, by the reason: one that is the same for all is told once.
#[derive(Default)]
struct Failed(Vec<(String, Vec<String>)>);

impl Failed {
    fn note(&mut self, what: &str, why: String) {
        match self.0.iter_mut().find(|(known, _)| *known == why) {
            Some((_, requests)) if requests.iter().any(|known| known == what) => {}
            Some((_, requests)) => requests.push(what.into()),
            None => self.0.push((why, vec![what.into()])),
        }
    }

    fn lines(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|(why, requests)| format!("{}: {why}", requests.join(", ")))
            .collect()
    }
}
