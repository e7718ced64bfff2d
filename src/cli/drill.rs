//! `backstop drill`: proves the whole chain with play money, and writes a report.

use super::{accounts, fail, sim};
use crate::clock::{self, Clock};
use crate::config::{AccountConfig, Overrides, SecretSource, Timing, Venue};
use crate::drill::report::Report;
use crate::drill::{Leave, Options, Refused, drill};
use crate::model::{Span, Symbol};
use crate::sim::server::{Server, serve};
use crate::venue::binance::play::PlayVenue;
use anstream::{eprintln, println};
use indicatif::ProgressBar;
use secrecy::SecretString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The market of a drill that needs no configuration. It goes on after its script, which does nothing, is over.
const SCENARIO: &str = "drill";
/// The guard's cross-check on the embedded exchange, so that a drill does not take minutes.
const DIGEST: Span = Span::from_secs(2);
/// A second key of the account, for the trader: a guard's key should not be one that a bot uses.
const KEY_NAMES: [&str; 2] = ["BACKSTOP_DRILL__API_KEY", "BACKSTOP_DRILL__API_SECRET"];

/// Proves the whole chain with play money, and writes a report.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstop drill                                   on the built-in exchange: nothing needed
  backstop drill --config FILE --testnet           on the test network that FILE configures
  backstop drill --testnet --account demo --hedge  and questions that need hedge mode for a moment
  backstop sim --scenario drill                    a market to drill on from another process

It opens the smallest position, breaks each limit on purpose, and asks the venue what became of it.
The account must have no position and no order, and no other guard may run on it. It is left as it
was, also after Ctrl-C. The real exchange is refused.

The drill's trader uses a key of its own if BACKSTOP_DRILL__API_KEY and BACKSTOP_DRILL__API_SECRET
are set.

Exit codes: 0 all passed, 1 something failed, 2 wrong usage or configuration, 3 refused.")]
pub struct Args {
    /// The configuration file; without it, --testnet and --account, the built-in exchange is drilled on.
    #[arg(long, env = "BACKSTOP_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which account, when several are configured.
    #[arg(long, value_name = "LABEL")]
    account: Option<String>,
    /// Drills on a test network: the account trades, with play money.
    #[arg(long)]
    testnet: bool,
    /// The contract.
    #[arg(long, value_name = "SYMBOL", default_value = "BTCUSDT")]
    symbol: String,
    /// Where the report goes; drill-DATE.md when absent.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// The report as JSON on the terminal, besides the file.
    #[arg(long)]
    json: bool,
    /// May change the account's position mode and change it back; always done on the built-in exchange.
    #[arg(long)]
    hedge: bool,
    /// May wait an hour to see what becomes of connections when the listenKey is rotated.
    #[arg(long)]
    long: bool,
}

/// Runs the verb; gives the exit code.
pub async fn run(args: Args, clock: Clock) -> i32 {
    if Symbol::new(&args.symbol).is_err() {
        return fail(2, format!("--symbol: `{}` is no contract", args.symbol));
    }
    let configured = args.config.is_some() || args.account.is_some() || args.testnet;
    let folder = match scratch(clock.now().ms()) {
        Ok(folder) => folder,
        Err(error) => return fail(1, format!("no place for the guard's state: {error}")),
    };
    let code = if configured {
        on_account(&args, &folder, clock).await
    } else {
        embedded(&args, &folder, clock).await
    };
    let _ = std::fs::remove_dir_all(&folder);
    code
}

async fn embedded(args: &Args, folder: &Path, clock: Clock) -> i32 {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let scenario = match sim::scenario(SCENARIO) {
        Ok(scenario) => scenario,
        Err(why) => return fail(2, why),
    };
    let server = match serve(scenario, any, any, || clock::now().ms()).await {
        Ok(server) => server,
        Err(error) => return fail(1, format!("the embedded exchange cannot start: {error}")),
    };
    let secrets = |(key, secret): (String, String)| (SecretString::from(key), SecretString::from(secret));
    let code = match PlayVenue::of("sim", &server.rest_url(), &server.stream_url()) {
        None => fail(3, "refused: the embedded exchange is not on this machine"),
        Some(play) => {
            let options = Options {
                play,
                venue: "sim".into(),
                sapi_url: None,
                guard: secrets(server.credentials()),
                trader: Some(secrets(server.bot_credentials())),
                timing: Timing {
                    digest_interval: DIGEST,
                    ..Timing::default()
                },
                symbol: args.symbol.clone(),
                folder: folder.to_owned(),
                leave: Leave {
                    hedge: true,
                    long: args.long,
                },
                again: again(args),
            };
            carry_out(args, options, clock).await
        }
    };
    let promise = witness(&server, args.json).await;
    server.stop().await;
    code.max(promise)
}

/// What the exchange itself saw: the second witness, when there is one.
async fn witness(server: &Server, is_json: bool) -> i32 {
    let report = server.report().await;
    if !report.violations.is_empty() {
        return fail(
            1,
            format!("the guard broke its promise:\n{}", report.violations.join("\n")),
        );
    }
    if !is_json {
        println!("The exchange's own account: no order of the guard could have raised a position.");
    }
    0
}

async fn on_account(args: &Args, folder: &Path, clock: Clock) -> i32 {
    let config = match accounts::load(args.config.as_deref(), &Overrides::default()) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let chosen = match accounts::chosen(&config, args.account.as_deref()) {
        Ok(chosen) => chosen,
        Err(code) => return code,
    };
    let play = match proven(chosen) {
        Ok(play) => play,
        Err(why) => return fail(3, why),
    };
    if chosen.venue == Venue::BinanceUsdmTestnet && !args.testnet {
        let hint = "add --testnet: a drill opens positions and places orders there, with play money";
        return fail(
            2,
            format!(
                "account `{}` is on the test network\n  hint: {hint}",
                chosen.label
            ),
        );
    }
    let guard = match chosen.credentials() {
        Ok(credentials) => (credentials.key, credentials.secret),
        Err(error) => return fail(error.exit_code(), error),
    };
    let trader = match second_key() {
        Ok(trader) => trader,
        Err(why) => return fail(2, why),
    };
    if chosen.venue == Venue::Sim && trader.is_none() {
        let hint = format!(
            "set {} to the bot's key and secret that `backstop sim` prints",
            KEY_NAMES.join(" and ")
        );
        return fail(
            2,
            format!(
                "the built-in exchange counts an opening order by the guard's key as a broken promise\n  hint: {hint}"
            ),
        );
    }
    let options = Options {
        play,
        venue: chosen.venue.name().into(),
        sapi_url: chosen.sapi_url.clone(),
        guard,
        trader,
        timing: chosen.timing,
        symbol: args.symbol.clone(),
        folder: folder.to_owned(),
        leave: Leave {
            hedge: args.hedge,
            long: args.long,
        },
        again: again(args),
    };
    carry_out(args, options, clock).await
}

/// The proof that only play money is at stake, from the account's venue and from its hosts, each alone.
fn proven(account: &AccountConfig) -> Result<PlayVenue, String> {
    let (label, venue) = (&account.label, account.venue.name());
    let refused = |why: &str| {
        format!(
            "refused: account `{label}` is `{venue}` at {}: {why}; a drill trades with play money only",
            account.rest_url
        )
    };
    if account.is_mainnet() {
        return Err(refused("real money may be behind it"));
    }
    PlayVenue::of(venue, &account.rest_url, &account.stream_url)
        .ok_or_else(|| refused("it is not known to be a test network or the built-in exchange"))
}

/// The trader's own key, from the environment; both or none.
fn second_key() -> Result<Option<(SecretString, SecretString)>, String> {
    let found = KEY_NAMES.map(|name| {
        std::env::var(name)
            .ok()
            .map(|text| SecretSource::Environment(name.into(), text.into()))
    });
    match found {
        [None, None] => Ok(None),
        [Some(key), Some(secret)] => {
            let read =
                |source: &SecretSource, name: &str| source.read(name).map_err(|error| error.to_string());
            let [key_name, secret_name] = KEY_NAMES;
            Ok(Some((read(&key, key_name)?, read(&secret, secret_name)?)))
        }
        _ => Err(format!("set both of {}, or none", KEY_NAMES.join(" and "))),
    }
}

async fn carry_out(args: &Args, options: Options, clock: Clock) -> i32 {
    let cancel = CancellationToken::new();
    let (mut term, mut int) = match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(term), Ok(int)) => (term, int),
        (Err(error), _) | (_, Err(error)) => return fail(1, format!("signals cannot be heard: {error}")),
    };
    let asked = cancel.clone();
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        eprintln!("interrupted; taking back what is the drill's");
        asked.cancel();
    });
    if !args.json {
        println!(
            "Drilling on {} ({}), {}. This takes about a minute; step 8 cuts the stream, and warnings about that belong to it.",
            options.venue,
            options.play.rest_url(),
            options.symbol
        );
    }
    let began = clock.now();
    // Not shown where nobody watches.
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(120));
    let drilled = drill(options, clock, cancel, &|how_far| bar.set_message(how_far)).await;
    bar.finish_and_clear();
    let report = match drilled {
        Ok(report) => report,
        Err(refused @ Refused::Unsafe(_)) => return fail(3, refused),
        Err(refused @ Refused::Unusable(_)) => return fail(2, refused),
        Err(refused @ Refused::Unreachable(_)) => return fail(1, refused),
    };
    let path = args
        .report
        .clone()
        .unwrap_or_else(|| format!("drill-{}.md", Report::day(began)).into());
    let written = std::fs::write(&path, report.markdown());
    if args.json {
        println!("{}", serde_json::to_string(&report).unwrap_or_default());
    } else {
        println!("{}", report.summary());
        println!("Report: {}", path.display());
    }
    if let Err(error) = written {
        return fail(
            1,
            format!("the report cannot be written to {}: {error}", path.display()),
        );
    }
    i32::from(!report.passed)
}

/// The command that repeats this drill.
fn again(args: &Args) -> String {
    let mut line = "backstop drill".to_owned();
    let file = args
        .config
        .as_ref()
        .map(|path| format!(" --config {}", path.display()));
    line.push_str(&file.unwrap_or_default());
    line.push_str(
        &args
            .account
            .as_ref()
            .map_or_else(String::new, |label| format!(" --account {label}")),
    );
    for (given, flag) in [
        (args.testnet, " --testnet"),
        (args.hedge, " --hedge"),
        (args.long, " --long"),
    ] {
        line.push_str(if given { flag } else { "" });
    }
    if args.symbol != "BTCUSDT" {
        line.push_str(&format!(" --symbol {}", args.symbol));
    }
    line
}

/// A folder of this drill alone, for the guards' states and recordings.
fn scratch(now: i64) -> std::io::Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("backstop-drill-{}-{now}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
