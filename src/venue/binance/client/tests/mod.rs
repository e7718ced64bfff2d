//! Tests of the transport over loopback sockets.

mod http;
mod limits;
mod session;
mod subscriptions;

use super::testing::{Asked, Reply, ok};

const KEY: &str = "CANARYLISTENKEYaaaa";

/// A venue that answers everything with something empty.
fn venue(asked: &Asked) -> Reply {
    match asked.path() {
        "/fapi/v1/listenKey" => ok(&format!(r#"{{"listenKey":"{KEY}"}}"#)),
        "/fapi/v1/time" => ok(&format!(r#"{{"serverTime":{}}}"#, crate::clock::now().ms())),
        _ => ok("{}"),
    }
}
