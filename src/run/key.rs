//! What the guard's key may do and what kind of account it opens: asked before the start, and daily while it runs.
//!
//! A key that may move money, and an account whose equity this version cannot tell, are refused at the start. Found later
//! they are told loudly, and the guard goes on: to stop would protect nobody.

use crate::config::Timing;
use crate::journal::identity::Identity;
use crate::venue::binance::client::Http;
use crate::venue::binance::client::permissions::{Permissions, permissions, uses_credits};
use crate::venue::binance::sign::ReadSigner;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What could not be asked is asked again after this.
const AGAIN: Duration = Duration::from_secs(60);

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Why no guard should run, live or dry.
    pub never: Vec<String>,
    /// Why no live guard should run.
    pub not_live: Vec<String>,
    /// What is odd and allowed.
    pub odd: Vec<String>,
    /// The venue has answered to this key.
    pub is_proven: bool,
    /// Nothing that was asked for is unknown.
    pub is_complete: bool,
}

/// Asks the venue about a key.
pub struct Examiner {
    /// The connections.
    pub http: Arc<Http>,
    /// Signs the questions.
    pub signer: ReadSigner,
    /// The host that tells a key's rights, if the venue has one.
    pub sapi_url: Option<String>,
    /// Whether real money may be behind it.
    pub is_mainnet: bool,
    /// The account as the state will remember it.
    pub identity: Identity,
    /// Where the state is.
    pub state_dir: PathBuf,
    /// The account's label.
    pub label: String,
}

impl Examiner {
    /// Asks once.
    pub async fn examine(&self) -> Findings {
        // One after the other: the first question reads the venue's clock.
        let rights = match &self.sapi_url {
            Some(url) => Some(permissions(&self.http, &self.signer, url).await),
            None if self.is_mainnet => Some(Err("sapi_url is empty".into())),
            None => None,
        };
        judge(
            rights,
            uses_credits(&self.http, &self.signer).await,
            self.is_mainnet,
        )
    }

    /// Remembers whose state it is, once the venue has accepted the key: a mistyped one leaves no trace.
    pub async fn remember(&self, found: &mut Findings) {
        if !found.is_proven {
            return;
        }
        let (identity, dir, label) = (self.identity.clone(), self.state_dir.clone(), self.label.clone());
        let kept = tokio::task::spawn_blocking(move || identity.keep(&dir, &label)).await;
        if let Ok(Err(error)) = kept {
            found
                .odd
                .push(format!("whose state it is could not be written down: {error}"));
        }
    }

    /// Asks again and again until `cancel`; sooner while something is unknown.
    pub async fn watch(
        self,
        mut complete: bool,
        timing: Timing,
        told: mpsc::Sender<Findings>,
        cancel: CancellationToken,
    ) {
        let every = Duration::from_millis(u64::try_from(timing.key_check.ms()).unwrap_or(u64::MAX));
        loop {
            let pause = if complete { every } else { every.min(AGAIN) };
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let mut found = self.examine().await;
            self.remember(&mut found).await;
            complete = found.is_complete;
            if told.send(found).await.is_err() {
                return;
            }
        }
    }
}

/// What the answers mean; `rights` is `None` where the venue tells none.
fn judge(
    rights: Option<Result<Permissions, String>>,
    credits: Result<bool, String>,
    is_mainnet: bool,
) -> Findings {
    let mut found = Findings {
        is_proven: credits.is_ok(),
        is_complete: credits.is_ok() && !matches!(rights, Some(Err(_))),
        ..Findings::default()
    };
    match credits {
        Ok(false) => {}
        Ok(true) => found.never.push(
            "the account is in credits mode (it holds BNFCR): its equity cannot be told from its balances, and this version would guard it wrongly; only accounts with USD-M margin of their own can be guarded".into(),
        ),
        Err(why) => found.odd.push(format!("what kind of account it is cannot be read: {why}")),
    }
    match rights {
        None => {}
        Some(Ok(rights)) => told(&rights, &mut found),
        Some(Err(why)) => {
            let text = format!("the rights of its key cannot be read: {why}");
            if is_mainnet {
                &mut found.not_live
            } else {
                &mut found.odd
            }
            .push(text);
        }
    }
    found
}

fn told(rights: &Permissions, found: &mut Findings) {
    if rights.enable_portfolio_margin_trading {
        found.never.push(
            "its key may trade in a portfolio margin account (enablePortfolioMarginTrading): such an account has other addresses and another margin, and this version would guard it wrongly; guard a classic futures account, or untick the right if this is one".into(),
        );
    }
    let excessive = rights.excessive();
    if !excessive.is_empty() {
        found.not_live.push(format!(
            "its key may do what a guard must not: {}; untick it for this key in the API management of the exchange, or make a key with reading and futures alone",
            excessive.join(", ")
        ));
    }
    for (granted, name) in [
        (rights.enable_reading, "enableReading"),
        (rights.enable_futures, "enableFutures"),
    ] {
        if !granted {
            found.not_live.push(format!(
                "its key may not do what a guard must ({name} is off): tick it for this key in the API management of the exchange"
            ));
        }
    }
    if !rights.ip_restrict {
        found
            .odd
            .push("its key works from every address: restrict it to the address of this machine".into());
    }
    let needless = rights.needless();
    if !needless.is_empty() {
        let names = needless.join(", ");
        found
            .odd
            .push(format!("its key may do what a guard has no use for: {names}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Permissions = Permissions {
        ip_restrict: true,
        enable_reading: true,
        enable_futures: true,
        enable_withdrawals: false,
        enable_internal_transfer: false,
        permits_universal_transfer: false,
        enable_margin: false,
        enable_spot_and_margin_trading: false,
        enable_vanilla_options: false,
        enable_portfolio_margin_trading: false,
    };

    /// How many reasons of each kind, and all of them.
    fn check(
        rights: Option<Result<Permissions, String>>,
        credits: Result<bool, String>,
        is_mainnet: bool,
    ) -> ([usize; 3], String) {
        let found = judge(rights, credits, is_mainnet);
        let all = [found.never, found.not_live, found.odd];
        (all.each_ref().map(Vec::len), all.concat().join("\n"))
    }

    #[test]
    fn se_02_se_03_mo_19_what_a_key_may_do_decides() {
        let unknown = || Err("no answer".to_owned());
        for (rights, credits, is_mainnet, expected, named) in [
            (Some(Ok(GOOD)), Ok(false), true, [0, 0, 0], ""),
            (None, Ok(false), false, [0, 0, 0], ""),
            (
                Some(Ok(Permissions {
                    enable_withdrawals: true,
                    ..GOOD
                })),
                Ok(false),
                false,
                [0, 1, 0],
                "enableWithdrawals",
            ),
            (
                Some(Ok(Permissions {
                    enable_internal_transfer: true,
                    ..GOOD
                })),
                Ok(false),
                false,
                [0, 1, 0],
                "enableInternalTransfer",
            ),
            (
                Some(Ok(Permissions {
                    permits_universal_transfer: true,
                    ..GOOD
                })),
                Ok(false),
                true,
                [0, 1, 0],
                "permitsUniversalTransfer",
            ),
            (
                Some(Ok(Permissions {
                    enable_reading: false,
                    ..GOOD
                })),
                Ok(false),
                true,
                [0, 1, 0],
                "enableReading",
            ),
            (
                Some(Ok(Permissions {
                    enable_futures: false,
                    ..GOOD
                })),
                Ok(false),
                true,
                [0, 1, 0],
                "enableFutures",
            ),
            (
                Some(Ok(Permissions {
                    ip_restrict: false,
                    ..GOOD
                })),
                Ok(false),
                true,
                [0, 0, 1],
                "every address",
            ),
            (
                Some(Ok(Permissions {
                    enable_margin: true,
                    ..GOOD
                })),
                Ok(false),
                true,
                [0, 0, 1],
                "enableMargin",
            ),
            (
                Some(Ok(Permissions {
                    enable_portfolio_margin_trading: true,
                    ..GOOD
                })),
                Ok(false),
                true,
                [1, 0, 0],
                "portfolio margin",
            ),
            (Some(Ok(GOOD)), Ok(true), true, [1, 0, 0], "BNFCR"),
            (
                Some(unknown().map(|()| GOOD)),
                Ok(false),
                true,
                [0, 1, 0],
                "cannot be read",
            ),
            (
                Some(unknown().map(|()| GOOD)),
                Ok(false),
                false,
                [0, 0, 1],
                "cannot be read",
            ),
            (
                Some(Ok(GOOD)),
                unknown().map(|()| true),
                true,
                [0, 0, 1],
                "cannot be read",
            ),
        ] {
            let (counted, all) = check(rights, credits, is_mainnet);
            assert_eq!(counted, expected, "{all}");
            assert!(all.contains(named), "{all}");
        }
    }
}
