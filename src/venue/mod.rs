//! What is said to and by a venue, in the venue's words, and its translation into ours.
//!
//! Everything here is pure: text in, [`Input`](crate::event::Input)s or text out. Sockets, clocks and files are
//! elsewhere; live runs and replays use the same translation.

pub mod binance;

use crate::event::Link;
use crate::model::Timestamp;

/// One thing received, as it goes into recordings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received {
    /// When it was received, by our clock.
    pub at: Timestamp,
    /// What was received, and from where.
    pub via: Via,
}

/// What was received, and from where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Via {
    /// A frame of the private stream, as received: bare, or wrapped as `{"stream","data"}`.
    Private(String),
    /// A frame of the market stream, as received.
    Market(String),
    /// An answer over REST.
    Rest {
        /// Method, path and query without timestamp, window and signature: `GET /fapi/v3/account`.
        request: String,
        /// HTTP status; 0 when no answer came.
        status: u16,
        /// The body, or why no answer came.
        body: String,
    },
    /// The private stream came or went.
    Link(Link),
}
