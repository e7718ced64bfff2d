//! Alerts: what people are told who are not looking at a screen, worded for somebody who was woken by it.
//!
//! [`Watch`] turns decisions into alerts and [`ledger`] decides when a channel says what; both are pure. [`Alerts`] hands
//! them to a task for each channel, which never holds up the guard: a full queue loses alerts, counts them, and says so.
//! A channel that fails is tried again for ever; one that panics starts over; neither ends the process (PR-05).
//!
//! What is waiting lives in memory. After a restart, everything that is still in force is told again from the kept state of
//! the guard; what began and ended while a channel was down and the process ended as well is lost to that channel.

pub mod address;
mod body;
mod deliver;
mod email;
mod facts;
pub mod ledger;
mod outbox;
mod post;
mod price;
mod watch;
mod wording;

#[cfg(test)]
mod testing;

pub use body::Target;
pub use deliver::{Failure, Sender};
pub use email::{Mail, Tls};
pub use facts::{Alert, Letter, Phase, Topic};
pub use ledger::Rules;
pub use post::{Alerts, Channel};
pub use watch::Watch;
