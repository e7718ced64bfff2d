//! A breach that the stream keeps silent about, and the way back.

use super::Trouble;
use super::relay::Relay;
use super::seen::{BUY, Form, Look};
use super::stand::Site;
use super::steps::{DONE_WITHIN, Drill, HEALED_WITHIN, Seen, order_words, whole};

impl Drill<'_> {
    pub(super) async fn dark(&mut self) -> Seen {
        let relay = Relay::start(&self.site.stream_url).await?;
        let site = Site {
            stream_url: relay.url(),
            ..self.site.clone()
        };
        let mut stand = self
            .armed(
                "dark",
                &self.size_policy("version = 1\nname = \"drill\"\n"),
                true,
                &site,
            )
            .await?;
        self.open(self.smallest, self.smallest).await?;
        self.known(&mut stand, self.smallest, 0).await?;
        let carried = relay.carried();
        let before = stand.reductions().len();
        relay.cut();
        let opened = self
            .trader
            .place(BUY, Form::Take, self.smallest, &self.rules)
            .await?;
        let held = self.smallest;
        let (_, rows) = self
            .reductions(
                &mut stand,
                before,
                &format!("a position of {held}"),
                HEALED_WITHIN,
                |look| look.held() == held,
            )
            .await?;
        let cut = rows.iter().map(|row| whole(row, "updateTime")).max().unwrap_or(0);
        let lived = cut - self.trader.changed_at(&opened).await?.ms();
        if relay.carried() != carried {
            return Err(Trouble("the stream was not down while the position grew".into()));
        }
        let healed = self.site.clock.now();
        relay.heal();
        // Connected, and proven: a reading taken after the connection agrees with what the guard holds.
        stand
            .until("the stream is back and proven", HEALED_WITHIN, |account| {
                account.state == "armed"
                    && relay.carried() > carried
                    && account.last_proof_ms.is_some_and(|at| healed.ms() < at)
            })
            .await?;
        let proven = self.site.clock.now().since(healed);
        // And by deed: something new at the venue reaches the guard.
        let seen_from = self.site.clock.now();
        let resting = self
            .trader
            .place(BUY, Form::Rest, self.smallest, &self.rules)
            .await?;
        self.known(&mut stand, self.smallest, 1).await?;
        let seen = self.site.clock.now().since(seen_from);
        stand.stop().await?.replay()?;
        self.trader.clean(&self.rules).await?;
        self.trader
            .wait("an empty account", DONE_WITHIN, Look::is_empty)
            .await?;
        let mut evidence: Vec<String> = rows.iter().map(order_words).collect();
        evidence.push(format!(
            "order {resting}, placed after that, was known to the guard {} ms later",
            seen.ms()
        ));
        Ok((
            format!(
                "cut {lived} ms after it grew, while no stream was connected; connected and proven {} ms after the network healed",
                proven.ms()
            ),
            evidence,
        ))
    }
}
