//! The embedded exchange: Binance USD-M's protocol on loopback, as strict as the venue, with a scripted market.
//!
//! It is an independent witness: it shares no arithmetic with the guard, keeps its own account of what happened
//! ([`Report`]), and checks the never-increase promise in its matching engine. Everything but [`server`] is pure: time
//! comes in, frames come out, and the same scenario with the same calls gives the same frames.
//!
//! Protocol truth: the venue's pages as listed in `fixtures/frames/SOURCES.md`, read 2026-11-22.

mod account;
mod admission;
mod auth;
mod changes;
mod conditional;
mod events;
mod exchange;
pub mod faults;
mod happenings;
pub mod keys;
mod limits;
mod liquidation;
mod market;
mod matching;
mod mischief;
mod modify;
mod orders;
mod reads;
mod report;
mod requests;
mod rest;
mod rules;
pub mod scenario;
mod script;
pub mod server;
mod settings;
mod shapes;
mod streams;
#[cfg(test)]
mod tests;

pub use auth::sign;
pub use exchange::Exchange;
pub use report::Report;
pub use scenario::{Scenario, ScenarioError};
pub use script::{EventScript, Kind as EventKind};

/// A request as it came over the wire.
#[derive(Clone, Debug, Default)]
pub struct HttpRequest {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// Query as sent: still percent-encoded, without the question mark.
    pub query: String,
    /// Body as sent.
    pub body: String,
    /// The header `X-MBX-APIKEY`.
    pub api_key: Option<String>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// HTTP status.
    pub status: u16,
    /// Headers beyond the usual ones.
    pub headers: Vec<(String, String)>,
    /// Body, JSON unless the path is unknown.
    pub body: String,
}

/// A frame to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// To whom.
    pub target: Target,
    /// The JSON text.
    pub text: String,
}

/// To whom a frame goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To the private sockets of a listenKey that asked for this event.
    Private {
        /// The key.
        listen_key: String,
        /// The event's name, case-sensitive.
        event: String,
    },
    /// To the market sockets that subscribed to a stream.
    Market {
        /// The stream's name, lower case, such as `btcusdt@markPrice@1s`.
        stream: String,
    },
    /// To every socket, whatever it asked for: a fault.
    Everybody(Act),
}

/// What a fault does to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Sends the text, to private sockets only.
    Say,
    /// Sends something that is no text.
    Utter(faults::Form),
    /// Sends a ping.
    Ping,
    /// Closes with a code; the text is the reason.
    Close(u16),
}
