//! The open questions of venues/binance-usdm.md section 13, asked of the venue that is drilled on.
//!
//! Each probe begins and ends with an empty account. Eight are asked of every test network: 1, 3, 4, 5, 6, 7, 8 and 11;
//! three of these need a second key or leave to change the position mode. What the others need is said in their place.

use super::Trouble;
use super::ears::{Ear, FORMS};
use super::report::Probe;
use super::seen::{BUY, Form, Rules, Side, field};
use super::trader::Trader;
use crate::model::Span;
use rust_decimal::{Decimal, dec};
use std::time::Duration;
use tokio::time::sleep;

/// A countdown of the shortest sensible length.
const COUNTDOWN_MS: &str = "1000";
const COUNTDOWN: Duration = Duration::from_secs(1);
/// What an order does at the venue is seen within this.
const SEEN_WITHIN: Span = Span::from_secs(10);
/// A listenKey lives an hour after its last extension (section 3.1); a little more is waited.
const KEY_LIFE: Duration = Duration::from_secs(62 * 60);

const LONG: &str = "LONG";

/// What may be asked beyond what is always asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Leave {
    /// Change the position mode and change it back.
    pub hedge: bool,
    /// Wait for an hour.
    pub long: bool,
}

/// Asks everything that may be asked, one after the other.
pub struct Prober<'a> {
    /// The actor.
    pub trader: &'a Trader,
    /// Another key of the same account, when there is one.
    pub other: Option<&'a Trader>,
    /// The contract's rules.
    pub rules: &'a Rules,
    /// The smallest position.
    pub smallest: Decimal,
    /// Whether the guard's key is one.
    pub is_ed25519: bool,
    /// Leave to do more.
    pub leave: Leave,
    /// The margin ratio of the guard and of the venue, for the same position.
    pub ratios: Option<(String, String)>,
    /// Where people are told how far it is.
    pub tell: &'a (dyn Fn(String) + Sync),
}

/// Questions by their number there.
const QUESTIONS: [(u8, &str); 14] = [
    (1, "Which form of the private stream's address delivers events?"),
    (2, "Does a connection survive a rotation of the listenKey?"),
    (3, "Is the listenKey per account or per API key?"),
    (4, "Does countdownCancelAll cancel conditional orders?"),
    (5, "Does allOpenOrders leave conditional orders alone?"),
    (
        6,
        "Is a closing order in hedge mode exempt from the minimum value?",
    ),
    (
        7,
        "What becomes of a close in hedge mode that is larger than the position?",
    ),
    (8, "Is any event pushed when the position mode changes?"),
    (9, "Which reason does ACCOUNT_UPDATE give for special funding?"),
    (10, "When is MARGIN_CALL sent, and how often?"),
    (
        11,
        "Does GET algoOrder by algoId find an order that the list shows?",
    ),
    (12, "Is the guard's margin ratio the venue's own?"),
    (13, "Are Ed25519 keys accepted on REST?"),
    (14, "Which entries of the change log were not seen?"),
];

impl Prober<'_> {
    /// Every question with its answer, or why there is none.
    pub async fn ask(&self) -> Vec<Probe> {
        let mut probes = Vec::new();
        for (number, question) in QUESTIONS {
            (self.tell)(format!("question {number}: {question}"));
            probes.push(match self.answer(number).await {
                Ok(Ok(answer)) => Probe::answered(number, question, answer),
                Ok(Err(why)) => Probe::unanswered(number, question, why),
                Err(trouble) => {
                    Probe::unanswered(number, question, &format!("it could not be asked: {trouble}"))
                }
            });
        }
        probes
    }

    /// The questions alone, when none could be asked.
    pub fn unasked(why: &str) -> Vec<Probe> {
        QUESTIONS
            .iter()
            .map(|(number, question)| Probe::unanswered(*number, question, why))
            .collect()
    }

    /// The answer, or why it is not asked here.
    async fn answer(&self, number: u8) -> Result<Result<String, &'static str>, Trouble> {
        const MODE: &str = "it changes the account's position mode; give leave with --hedge";
        let answer = match (number, self.other) {
            (1, _) => self.forms().await,
            (2, _) if !self.leave.long => return Ok(Err("it takes an hour; --long waits for it")),
            (2, _) => self.rotation().await,
            (3, None) => {
                return Ok(Err(
                    "it needs a second key of the account: BACKSTOP_DRILL__API_KEY and __API_SECRET",
                ));
            }
            (3, Some(other)) => self.keys(other).await,
            (4, _) => self.countdown().await,
            (5, _) => self.all_open_orders().await,
            (6..=8, _) if !self.leave.hedge => return Ok(Err(MODE)),
            (6, _) => self.in_hedge_mode(self.tiny_close()).await,
            (7, _) => self.in_hedge_mode(self.large_close()).await,
            (8, _) => self.mode_event().await,
            (9, _) => {
                return Ok(Err(
                    "no test network pays dividends; a recording of such a contract would tell",
                ));
            }
            (10, _) => {
                return Ok(Err(
                    "it needs a position near liquidation, which the smallest position never is",
                ));
            }
            (11, _) => self.by_number().await,
            (12, _) => self.ratio(),
            (13, _) if !self.is_ed25519 => {
                return Ok(Err(
                    "the guard's key signs with HMAC; a drill with an ed25519 key tells",
                ));
            }
            (13, _) => Ok("yes: every request of the guard in this drill was signed with one".to_owned()),
            _ => return Ok(Err("it is a question to the documentation, not to the venue")),
        };
        answer.map(Ok)
    }

    async fn ears(&self) -> Result<Vec<(&'static str, Ear)>, Trouble> {
        let key = self.trader.listen_key().await?;
        let mut ears = Vec::new();
        for form in FORMS {
            ears.push((
                form,
                Ear::open(self.trader.venue().stream_url(), &key, form).await?,
            ));
        }
        Ok(ears)
    }

    /// Places an order far from the market, takes it back, and says which socket heard of it.
    async fn heard_order(&self, ears: &mut [(&'static str, Ear)]) -> Result<String, Trouble> {
        for (_, ear) in &mut *ears {
            ear.heard();
        }
        self.trader
            .place(BUY, Form::Rest, self.smallest, self.rules)
            .await?;
        sleep(self.trader.patience()).await;
        self.empty().await?;
        let heard = ears.iter_mut().map(|(form, ear)| {
            let count = ear
                .heard()
                .iter()
                .filter(|name| *name == "ORDER_TRADE_UPDATE")
                .count();
            format!("{form}: {}", if count == 0 { "silent" } else { "heard it" })
        });
        Ok(heard.collect::<Vec<_>>().join("; "))
    }

    async fn forms(&self) -> Result<String, Trouble> {
        let mut ears = self.ears().await?;
        self.heard_order(&mut ears).await
    }

    async fn rotation(&self) -> Result<String, Trouble> {
        let mut ears = self.ears().await?;
        let before = self.trader.listen_key().await?;
        sleep(KEY_LIFE).await;
        let expired: Vec<&str> = ears
            .iter_mut()
            .filter_map(|(form, ear)| {
                ear.heard()
                    .iter()
                    .any(|name| name == "listenKeyExpired")
                    .then_some(*form)
            })
            .collect();
        let rotated = self.trader.listen_key().await? != before;
        let heard = self.heard_order(&mut ears).await?;
        let changed = if rotated { "another key" } else { "the same key" };
        Ok(format!(
            "after an hour the venue gave {changed}; told of the expiry: {}; old sockets then: {heard}",
            expired.join(", ")
        ))
    }

    async fn keys(&self, other: &Trader) -> Result<String, Trouble> {
        let (one, two) = (self.trader.listen_key().await?, other.listen_key().await?);
        let equal = if one == two {
            "equal: it is per account"
        } else {
            "different: it is per key"
        };
        Ok(format!(
            "two keys of the account were given listenKeys that are {equal}"
        ))
    }

    /// A resting order and a conditional one, and what is left of them.
    async fn both_stores(&self) -> Result<(String, String), Trouble> {
        let order = self
            .trader
            .place(BUY, Form::Rest, self.smallest, self.rules)
            .await?;
        let stop = self
            .trader
            .place(BUY, Form::OpeningStop, self.smallest, self.rules)
            .await?;
        let both = |look: &super::seen::Look| look.orders.contains(&order) && look.stops.contains(&stop);
        self.trader.wait("both orders open", SEEN_WITHIN, both).await?;
        Ok((order, stop))
    }

    async fn left_of(&self, (order, stop): (String, String)) -> Result<String, Trouble> {
        let look = self.trader.look().await?;
        let word = |is_left: bool| if is_left { "left" } else { "cancelled" };
        let said = format!(
            "the regular order was {}, the conditional one {}",
            word(look.orders.contains(&order)),
            word(look.stops.contains(&stop))
        );
        self.empty().await?;
        Ok(said)
    }

    async fn countdown(&self) -> Result<String, Trouble> {
        let both = self.both_stores().await?;
        let pairs = [("symbol", self.trader.symbol()), ("countdownTime", COUNTDOWN_MS)];
        self.trader
            .ask("POST", "/fapi/v1/countdownCancelAll", &pairs)
            .await?
            .fine("countdownCancelAll")?;
        sleep(COUNTDOWN + self.trader.patience()).await;
        let left = self.left_of(both).await?;
        Ok(format!("after a countdown of {COUNTDOWN_MS} ms {left}"))
    }

    async fn all_open_orders(&self) -> Result<String, Trouble> {
        let both = self.both_stores().await?;
        let pairs = [("symbol", self.trader.symbol())];
        self.trader
            .ask("DELETE", "/fapi/v1/allOpenOrders", &pairs)
            .await?
            .fine("allOpenOrders")?;
        sleep(self.trader.patience()).await;
        self.left_of(both).await
    }

    async fn by_number(&self) -> Result<String, Trouble> {
        let id = self
            .trader
            .place(BUY, Form::OpeningStop, self.smallest, self.rules)
            .await?;
        self.trader
            .wait("the conditional order listed", SEEN_WITHIN, |look| {
                look.stops.contains(&id)
            })
            .await?;
        let rows = self
            .trader
            .read("/fapi/v1/openAlgoOrders", &[("symbol", self.trader.symbol())])
            .await?;
        let number = rows
            .as_array()
            .and_then(|rows| rows.iter().find_map(|row| field(row, "algoId").as_i64()));
        let number = number
            .ok_or_else(|| Trouble("the list shows no algoId".into()))?
            .to_string();
        let by_number = self
            .trader
            .ask("GET", "/fapi/v1/algoOrder", &[("algoId", &number)])
            .await?;
        let by_name = self
            .trader
            .ask("GET", "/fapi/v1/algoOrder", &[("clientAlgoId", &id)])
            .await?;
        self.empty().await?;
        let word = |said: &super::seen::Said| {
            if said.code() == 0 {
                "found".to_owned()
            } else {
                said.words()
            }
        };
        Ok(format!(
            "by algoId: {}; by clientAlgoId: {}",
            word(&by_number),
            word(&by_name)
        ))
    }

    fn ratio(&self) -> Result<String, Trouble> {
        let (own, venue) = self
            .ratios
            .as_ref()
            .ok_or_else(|| Trouble("no position was held long enough".into()))?;
        Ok(format!(
            "one cross position: the guard says {own}, the venue's totalMaintMargin / totalMarginBalance is {venue}; mixed cross and isolated positions were not asked"
        ))
    }

    /// Brings the drill's contract back to nothing.
    async fn empty(&self) -> Result<(), Trouble> {
        let look = self.trader.clean(self.rules).await?;
        if look.is_empty() {
            Ok(())
        } else {
            Err(Trouble(format!(
                "the account is not empty again: {}",
                look.words()
            )))
        }
    }

    async fn set_mode(&self, hedge: bool) -> Result<(), Trouble> {
        set_mode(self.trader, hedge).await
    }

    async fn in_hedge_mode(
        &self,
        probe: impl Future<Output = Result<String, Trouble>>,
    ) -> Result<String, Trouble> {
        self.set_mode(true).await?;
        let answer = probe.await;
        self.empty().await?;
        self.set_mode(false).await?;
        answer
    }

    /// Opens a long leg and closes `quantity` of it; gives the venue's answer and what is left.
    async fn close_of_leg(
        &self,
        held: Decimal,
        quantity: Decimal,
    ) -> Result<(super::seen::Said, Decimal), Trouble> {
        let leg = |buys: bool| Side {
            buys,
            leg: Some(LONG),
        };
        self.trader.place(leg(true), Form::Take, held, self.rules).await?;
        let amount = |look: &super::seen::Look| {
            look.positions
                .iter()
                .find(|(leg, _)| leg == LONG)
                .map_or(Decimal::ZERO, |(_, amount)| *amount)
        };
        self.trader
            .wait("a long leg", SEEN_WITHIN, |look| amount(look) == held)
            .await?;
        let (_, said) = self
            .trader
            .try_place(leg(false), Form::Close, quantity, self.rules)
            .await?;
        sleep(self.trader.patience()).await;
        Ok((said, amount(&self.trader.look().await?)))
    }

    async fn tiny_close(&self) -> Result<String, Trouble> {
        let (tiny, mark) = (self.rules.step.max(self.rules.least), self.trader.mark().await?);
        if self.rules.min_notional <= tiny * mark {
            return Err(Trouble(format!(
                "the smallest order of {} is worth more than the minimum",
                self.trader.symbol()
            )));
        }
        let (said, _) = self.close_of_leg(self.smallest, tiny).await?;
        let worth = (tiny * mark).round_dp(2).normalize();
        Ok(format!(
            "a close worth {worth}, under the minimum of {}, was {}",
            self.rules.min_notional,
            said.words()
        ))
    }

    async fn large_close(&self) -> Result<String, Trouble> {
        let (said, left) = self.close_of_leg(self.smallest, self.smallest * dec!(2)).await?;
        Ok(format!(
            "twice the position: {}; the position was then {}",
            said.words(),
            left.normalize()
        ))
    }

    async fn mode_event(&self) -> Result<String, Trouble> {
        let key = self.trader.listen_key().await?;
        let mut ear = Ear::open(self.trader.venue().stream_url(), &key, "query with events").await?;
        self.set_mode(true).await?;
        sleep(self.trader.patience()).await;
        let heard = ear.heard();
        self.set_mode(false).await?;
        Ok(if heard.is_empty() {
            format!("nothing was heard for {} s", self.trader.patience().as_secs())
        } else {
            format!("heard: {}", heard.join(", "))
        })
    }
}

/// Sets the position mode; that it is set already is as good (-4059).
///
/// # Errors
///
/// When the venue refuses.
pub async fn set_mode(trader: &Trader, hedge: bool) -> Result<(), Trouble> {
    let value = if hedge { "true" } else { "false" };
    let said = trader
        .ask(
            "POST",
            "/fapi/v1/positionSide/dual",
            &[("dualSidePosition", value)],
        )
        .await?;
    match said.code() {
        0 | -4059 => Ok(()),
        _ => Err(Trouble(format!(
            "the position mode cannot be set: {}",
            said.words()
        ))),
    }
}
