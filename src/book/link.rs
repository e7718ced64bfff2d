//! The private stream and its proofs of life.
//!
//! A proof is an event of the account, or a digest that agrees with the book; never a ping, a keepalive or market
//! data (FAILURES.md, "Proof").

use crate::event::Link;
use crate::model::{Span, Timestamp};

/// How long the stream may leave a change unexplained that a digest found.
const EXPLAIN_WITHIN: Span = Span::from_secs(2);

/// What is known of the stream.
#[derive(Clone, Debug, Default)]
pub(super) struct LinkState {
    up: bool,
    why_down: String,
    proof: Option<Timestamp>,
    began: Option<Timestamp>,
    doubted: Option<Timestamp>,
    heard: Option<Timestamp>,
}

/// A look at the stream.
#[derive(Clone, Copy, Debug)]
pub struct LinkView<'a> {
    state: &'a LinkState,
    now: Timestamp,
}

impl LinkState {
    pub(super) fn change(&mut self, now: Timestamp, link: &Link) {
        self.began.get_or_insert(now);
        match link {
            Link::Up => {
                self.up = true;
                self.doubted = None;
            }
            Link::Down(why) => {
                self.up = false;
                self.why_down.clone_from(why);
            }
        }
    }

    /// An event of the account arrived.
    pub(super) fn spoke(&mut self, now: Timestamp) {
        self.began.get_or_insert(now);
        self.heard = Some(now);
        if self.up {
            self.proof = Some(now);
            self.doubted = None;
        }
    }

    /// A digest was compared with the book.
    pub(super) fn digest(&mut self, now: Timestamp, agrees: bool) {
        self.began.get_or_insert(now);
        if !self.up {
            return;
        }
        if agrees && self.doubted.is_none() {
            self.proof = Some(now);
        } else if !agrees {
            self.doubted.get_or_insert(now);
        }
    }

    pub(super) fn proof_age(&self, now: Timestamp) -> Option<Span> {
        self.proof.or(self.began).map(|at| now.since(at))
    }
}

impl<'a> LinkView<'a> {
    pub(super) fn new(state: &'a LinkState, now: Timestamp) -> LinkView<'a> {
        LinkView { state, now }
    }

    /// Whether the stream is connected; proves nothing.
    pub fn is_up(&self) -> bool {
        self.state.up
    }

    /// Why it is down, when it is.
    pub fn why_down(&self) -> &'a str {
        &self.state.why_down
    }

    /// When life was last proven, by our clock.
    pub fn proof(&self) -> Option<Timestamp> {
        self.state.proof
    }

    /// When the stream last told anything of the account.
    pub fn heard(&self) -> Option<Timestamp> {
        self.state.heard
    }

    /// Time without proof of life; counted from the first attempt when there was none; `None` before that.
    pub fn proof_age(&self) -> Option<Span> {
        self.state.proof_age(self.now)
    }

    /// The moment from which time without proof counts.
    pub fn counted_from(&self) -> Option<Timestamp> {
        self.state.proof.or(self.state.began)
    }

    /// The stream left a change unexplained for too long: it is deaf and must be replaced (ST-01).
    pub fn is_deaf(&self) -> bool {
        self.state.up
            && self
                .state
                .doubted
                .is_some_and(|at| self.now.since(at) >= EXPLAIN_WITHIN)
    }

    /// When [`LinkView::is_deaf`] will be true unless the stream speaks.
    pub fn deaf_at(&self) -> Option<Timestamp> {
        self.state
            .doubted
            .filter(|_| self.state.up)
            .map(|at| at.after(EXPLAIN_WITHIN))
    }
}
