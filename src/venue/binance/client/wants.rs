//! What the core wants of the venue's side, until the session comes for it: a slate and no queue.
//!
//! Equal wants are one want and the newest set of contracts replaces the one before, so there is nothing that could be
//! full and nothing that could be lost, however long the session does not look.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::model::Symbol;

/// What the core wants of the venue's side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Want {
    /// A new connection, because this one is not believed.
    Reconnect(String),
    /// An episode works, or no longer does: what proves its end may use the reserve of the weight budget meanwhile.
    Reserve(bool),
    /// Balances and positions, now.
    Holdings,
    /// Open orders of both stores, now.
    OpenOrders,
    /// Modes and margin types, now.
    Settings,
    /// Contract rules and tiers, now.
    Rules,
    /// Transfers since the last gap, now.
    Transfers,
    /// Mark prices of these contracts, from now on; replaces the earlier set.
    Watch(BTreeSet<Symbol>),
}

/// The core's side. The session ends when it is dropped.
#[derive(Debug)]
pub struct Wants {
    slate: Arc<Mutex<Slate>>,
    /// One ring is enough: whoever comes takes everything.
    bell: mpsc::Sender<()>,
}

/// The session's side.
#[derive(Debug)]
pub struct Wanted {
    slate: Arc<Mutex<Slate>>,
    bell: mpsc::Receiver<()>,
}

#[derive(Debug, Default)]
struct Slate {
    reconnect: Option<String>,
    reserve: Option<bool>,
    holdings: bool,
    orders: bool,
    settings: bool,
    rules: bool,
    transfers: bool,
    watch: Option<BTreeSet<Symbol>>,
}

/// The two sides of an empty slate.
pub fn wants() -> (Wants, Wanted) {
    let slate = Arc::new(Mutex::new(Slate::default()));
    let (ring, heard) = mpsc::channel(1);
    let core = Wants {
        slate: Arc::clone(&slate),
        bell: ring,
    };
    (core, Wanted { slate, bell: heard })
}

impl Wants {
    /// Writes a want down. Never waits and never fails.
    pub fn ask(&self, want: Want) {
        let mut slate = locked(&self.slate);
        match want {
            Want::Reconnect(why) => slate.reconnect = Some(why),
            Want::Reserve(is_open) => slate.reserve = Some(is_open),
            Want::Holdings => slate.holdings = true,
            Want::OpenOrders => slate.orders = true,
            Want::Settings => slate.settings = true,
            Want::Rules => slate.rules = true,
            Want::Transfers => slate.transfers = true,
            Want::Watch(symbols) => slate.watch = Some(symbols),
        }
        drop(slate);
        // A bell that rings already is heard.
        let _ = self.bell.try_send(());
    }
}

impl Wanted {
    /// The next want; `None` when there is none and never will be. Safe to drop while it waits.
    pub async fn next(&mut self) -> Option<Want> {
        loop {
            if let Some(want) = self.take() {
                return Some(want);
            }
            if self.bell.recv().await.is_none() {
                return self.take();
            }
        }
    }

    /// The gravest first. The reserve is opened before what may use it is asked for.
    fn take(&self) -> Option<Want> {
        let mut slate = locked(&self.slate);
        if let Some(why) = slate.reconnect.take() {
            return Some(Want::Reconnect(why));
        }
        if let Some(is_open) = slate.reserve.take() {
            return Some(Want::Reserve(is_open));
        }
        let Slate {
            holdings,
            orders,
            settings,
            rules,
            transfers,
            ..
        } = &mut *slate;
        let flags = [
            (holdings, Want::Holdings),
            (orders, Want::OpenOrders),
            (settings, Want::Settings),
            (rules, Want::Rules),
            (transfers, Want::Transfers),
        ];
        for (flag, want) in flags {
            if std::mem::take(flag) {
                return Some(want);
            }
        }
        slate.watch.take().map(Want::Watch)
    }
}

fn locked(slate: &Mutex<Slate>) -> MutexGuard<'_, Slate> {
    // Held for a few instructions and never across an await; flags are whole whatever happened.
    slate.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn st_07_a_new_connection_that_is_wanted_is_not_lost_in_any_number_of_other_wants() {
        let symbol = |n: u32| Want::Watch([Symbol::new(&format!("S{n}USDT")).unwrap()].into());
        let (core, mut session) = wants();
        for n in 0..1_000 {
            core.ask(Want::Holdings);
            core.ask(Want::OpenOrders);
            core.ask(symbol(n));
        }
        core.ask(Want::Reserve(true));
        core.ask(Want::Reconnect("mute".into()));
        core.ask(Want::Holdings);
        drop(core);
        let mut got = Vec::new();
        while let Some(want) = session.next().await {
            got.push(want);
        }
        let each_once = [
            Want::Reconnect("mute".into()),
            Want::Reserve(true),
            Want::Holdings,
            Want::OpenOrders,
            symbol(999),
        ];
        assert_eq!(got, each_once);
    }

    #[tokio::test]
    async fn a_want_is_heard_whether_or_not_somebody_waits_for_it() {
        let (core, mut session) = wants();
        let all = [Want::Settings, Want::Rules, Want::Transfers];
        for want in all.clone() {
            core.ask(want.clone());
            assert_eq!(session.next().await, Some(want));
        }
        let heard = tokio::spawn(async move { session.next().await });
        tokio::task::yield_now().await;
        core.ask(Want::Holdings);
        assert_eq!(heard.await.unwrap(), Some(Want::Holdings));
    }
}
