//! The drill: proves the whole chain with play money, and writes down what it saw.
//!
//! Two sides meet here: the real guard (`stand`), and a [`trader`] that can open what a guard cannot. Whatever the
//! guard says of itself counts for nothing; each step asks the venue. The account is empty before and after: on every
//! way out, an interruption included, the drill takes back its own orders and closes its own position.

mod contrast;
mod dark;
mod ears;
mod plans;
mod probes;
mod relay;
pub mod report;
mod seen;
mod stand;
mod steps;
pub mod trader;

use crate::clock::Clock;
use crate::config::Timing;
use crate::venue::binance::client::permissions::permissions;
use crate::venue::binance::client::{Http, HttpConfig};
use crate::venue::binance::play::PlayVenue;
use crate::venue::binance::sign::ReadSigner;
use plans::PLANS;
pub use probes::Leave;
use probes::Prober;
use report::{Finding, Report, Verdict};
use secrecy::SecretString;
use stand::Site;
use std::path::PathBuf;
use steps::{Drill, smallest};
use tokio_util::sync::CancellationToken;
use trader::Trader;

/// Why something could not be done or seen, in words without any secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Trouble(pub String);

/// Why a drill did not begin.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// For safety; exit code 3.
    #[error("refused: {0}")]
    Unsafe(String),
    /// It cannot be as asked; exit code 2.
    #[error("{0}")]
    Unusable(String),
    /// The venue does not answer, or not as it should; exit code 1.
    #[error("the venue cannot be drilled on: {0}")]
    Unreachable(String),
}

/// What is drilled.
pub struct Options {
    /// The proof that only play money is at stake.
    pub play: PlayVenue,
    /// The venue's name.
    pub venue: String,
    /// Address that tells the key's permissions.
    pub sapi_url: Option<String>,
    /// The guard's key and secret.
    pub guard: (SecretString, SecretString),
    /// The trader's, when they are others.
    pub trader: Option<(SecretString, SecretString)>,
    /// The guard's times.
    pub timing: Timing,
    /// The contract.
    pub symbol: String,
    /// A folder of this drill alone.
    pub folder: PathBuf,
    /// What may be asked beyond what is always asked.
    pub leave: Leave,
    /// The command that repeats it.
    pub again: String,
}

/// Drills until the end, a failure, or `cancel`; gives the report, which says what was left. `tell` hears how far it is.
///
/// # Errors
///
/// [`Refused`] when it did not begin; nothing was changed then.
pub async fn drill(
    options: Options,
    clock: Clock,
    cancel: CancellationToken,
    tell: &(dyn Fn(String) + Sync),
) -> Result<Report, Refused> {
    let began = clock.now();
    let guard_keys = (&options.guard.0, &options.guard.1);
    let signs_ed25519 = ReadSigner::new(&options.guard.1).is_ok_and(|signer| signer.is_ed25519());
    let trader_keys = options
        .trader
        .as_ref()
        .map_or(guard_keys, |(key, secret)| (key, secret));
    let actor = |keys| Trader::new(options.play.clone(), &options.symbol, keys, clock.clone());
    let unusable = |trouble: Trouble| Refused::Unusable(trouble.0);
    let trader = actor(trader_keys).map_err(unusable)?;
    let other = options
        .trader
        .as_ref()
        .map(|_| actor(guard_keys))
        .transpose()
        .map_err(unusable)?;
    let unreachable = |trouble: Trouble| Refused::Unreachable(trouble.0);
    trader.sync().await.map_err(unreachable)?;
    let there = trader.look_everywhere().await.map_err(unreachable)?;
    if !there.is_empty() {
        return Err(Refused::Unsafe(format!(
            "a drill needs an account without positions and orders; there are: {}",
            there.names()
        )));
    }
    let config = trader
        .read("/fapi/v1/accountConfig", &[])
        .await
        .map_err(unreachable)?;
    if seen::field(&config, "dualSidePosition") == &serde_json::Value::Bool(true) {
        return Err(Refused::Unsafe(
            "the account is in hedge mode; a drill begins in one-way mode and does not change it unasked"
                .into(),
        ));
    }
    let rules = trader.rules().await.map_err(unusable)?;
    let smallest = smallest(&rules, trader.mark().await.map_err(unreachable)?);
    let site = Site {
        venue: options.venue.clone(),
        rest_url: options.play.rest_url().to_owned(),
        stream_url: options.play.stream_url().to_owned(),
        sapi_url: options.sapi_url.clone(),
        key: options.guard.0.clone(),
        secret: options.guard.1.clone(),
        timing: options.timing,
        folder: options.folder.clone(),
        clock: clock.clone(),
    };
    let rights = rights(&site).await?;
    let mut steps = Vec::new();
    let mut probes = None;
    let work = async {
        let mut drill = Drill {
            trader: &trader,
            site: &site,
            rules: rules.clone(),
            smallest,
            rights,
            tell,
            ratios: None,
        };
        drill.run(&mut steps).await;
        if has_passed(&steps) {
            let ratios = drill.ratios.take();
            let prober = Prober {
                trader: &trader,
                other: other.as_ref(),
                rules: &rules,
                smallest,
                is_ed25519: signs_ed25519,
                leave: options.leave,
                ratios,
                tell,
            };
            probes = Some(prober.ask().await);
        }
    };
    let interrupted = cancel.run_until_cancelled(work).await.is_none();
    tell("taking back what is the drill's".into());
    if interrupted || !has_passed(&steps) {
        // A request that nobody waits for any more may still arrive at the venue.
        tokio::time::sleep(trader.patience()).await;
    }
    let left = tidy_up(&trader, &rules, options.leave).await;
    steps.extend(
        PLANS
            .iter()
            .skip(steps.len())
            .map(|(_, plan)| Finding::not_run(plan)),
    );
    let passed = has_passed(&steps) && left.is_none() && !interrupted;
    let failed = steps.iter().position(|step| step.verdict == Verdict::Failed);
    let verdict = match (
        failed.and_then(|index| steps.get(index).map(|step| (index + 1, step))),
        &left,
    ) {
        (Some((number, step)), _) => format!("Failed at step {number} of {}: {}.", steps.len(), step.step),
        (None, _) if interrupted => "Interrupted before its end: nothing is proven.".into(),
        (None, Some(_)) => "Every step passed, but the account could not be left as it was.".into(),
        (None, None) => format!("Passed: all {} steps, each verified at the venue.", steps.len()),
    };
    let why = if interrupted {
        "the drill was interrupted"
    } else {
        "a step failed before"
    };
    Ok(Report {
        began: began.to_string(),
        began_ms: began.ms(),
        took_ms: clock.now().since(began).ms(),
        version: env!("CARGO_PKG_VERSION").into(),
        venue: options.venue,
        rest_url: site.rest_url,
        symbol: options.symbol,
        smallest: smallest.to_string(),
        passed,
        verdict,
        steps,
        probes: probes.unwrap_or_else(|| Prober::unasked(why)),
        left,
        again: options.again,
    })
}

/// What the guard's key may do, in words; one that can move money is refused, as `run --live` does.
async fn rights(site: &Site) -> Result<String, Refused> {
    let Some(url) = &site.sapi_url else {
        return Ok("this venue tells no rights of keys".into());
    };
    let http = Http::new(HttpConfig::new(&site.rest_url), &site.key, site.clock.clone());
    let http = http.map_err(Refused::Unusable)?;
    let reader = ReadSigner::new(&site.secret).map_err(|error| Refused::Unusable(error.to_string()))?;
    let found = permissions(&http, &reader, url)
        .await
        .map_err(Refused::Unreachable)?;
    match found.excessive().as_slice() {
        [] => Ok("the key cannot move money".into()),
        some => Err(Refused::Unsafe(format!(
            "the key may do what a guard must not: {}",
            some.join(", ")
        ))),
    }
}

fn has_passed(steps: &[Finding]) -> bool {
    steps.len() == PLANS.len() && steps.iter().all(|step| step.verdict == Verdict::Passed)
}

/// Brings the account back to where it was; gives what could not be.
async fn tidy_up(trader: &Trader, rules: &seen::Rules, leave: Leave) -> Option<String> {
    let look = match trader.clean(rules).await {
        Ok(look) => look,
        Err(trouble) => return Some(format!("not known, because the venue does not tell: {trouble}")),
    };
    if !look.is_empty() {
        return Some(format!("in {}: {}", trader.symbol(), look.names()));
    }
    if leave.hedge
        && let Err(trouble) = probes::set_mode(trader, false).await
    {
        return Some(format!("perhaps hedge mode: {trouble}"));
    }
    None
}
