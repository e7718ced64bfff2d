//! The embedded exchange on the loopback: REST and streams, as a client finds them at the venue.
//!
//! One task owns the [`Exchange`]; requests and sockets talk to it over bounded queues. What is said is the
//! exchange's; here is only how it travels, and which addresses stay silent. Four paths are not the venue's:
//! `GET /sim/report` (the exchange's own account of what happened, JSON), `GET /sim/scenario` (whether its script
//! is over, and the scenarios there are), `/sim/faults` (`POST` one in the words of a scenario, `DELETE` all) and
//! `/sim/events` (`POST` one in the same words). The
//! control address serves the same without the faults of the network. Only loopback addresses are served: the keys are
//! play money's, and so is everything behind them.

mod http;
mod hub;
mod route;
#[cfg(test)]
mod tests;
mod wire;
mod ws;

use super::{Exchange, Report, Scenario};
use hub::{Clock, Command, Venue};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long [`Server::stop`] waits for connections to end before it cuts them.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// A running exchange. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    running: Running<Report>,
    credentials: (String, String),
    bot_credentials: (String, String),
}

/// Starts the exchange of a scenario; its script begins now, as `clock` (Unix ms) tells.
///
/// Port 0 takes any free port; [`Server::rest_url`] and [`Server::stream_url`] tell which.
///
/// # Errors
///
/// An address that is not a loopback address, or that cannot be bound; the message names it.
pub async fn serve(
    scenario: Scenario,
    http: SocketAddr,
    ws: SocketAddr,
    clock: impl Fn() -> i64 + Send + Sync + 'static,
) -> io::Result<Server> {
    let exchange = Exchange::new(scenario, clock());
    let (credentials, bot_credentials) = (exchange.credentials(), exchange.bot_credentials());
    let running = start(exchange, http, ws, Arc::new(clock), ws::Rules::default()).await?;
    Ok(Server {
        running,
        credentials,
        bot_credentials,
    })
}

impl Server {
    /// Base of the REST addresses, without a slash at its end: `http://127.0.0.1:7900`.
    pub fn rest_url(&self) -> String {
        format!("http://{}", self.running.http)
    }

    /// Base of the stream addresses, without a slash at its end: `ws://127.0.0.1:7901`.
    pub fn stream_url(&self) -> String {
        format!("ws://{}", self.running.ws)
    }

    /// Base of the REST addresses on which no fault of the network is felt.
    pub fn control_url(&self) -> String {
        format!("http://{}", self.running.control)
    }

    /// API key and secret of the guard's account. They open nothing but this exchange.
    pub fn credentials(&self) -> (String, String) {
        self.credentials.clone()
    }

    /// API key and secret of whoever trades the same account. An opening order by the guard's key counts as a broken
    /// promise; one by this key does not.
    pub fn bot_credentials(&self) -> (String, String) {
        self.bot_credentials.clone()
    }

    /// The exchange's own account of what happened so far.
    ///
    /// # Panics
    ///
    /// When the exchange itself has panicked.
    #[expect(
        clippy::expect_used,
        reason = "only a bug in the exchange ends its task before the server is stopped"
    )]
    pub async fn report(&self) -> Report {
        http::ask(&self.running.commands, Command::Report)
            .await
            .expect("the exchange runs as long as its server")
    }

    /// Whether the scenario's script is over. A task that has ended is over too.
    pub async fn finished(&self) -> bool {
        http::ask(&self.running.commands, Command::Finished)
            .await
            .unwrap_or(true)
    }

    /// Closes every socket, ends every task and frees the ports.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

/// The tasks of a server and the way to them.
#[derive(Debug)]
struct Running<R> {
    http: SocketAddr,
    ws: SocketAddr,
    control: SocketAddr,
    commands: mpsc::Sender<Command<R>>,
    tasks: JoinSet<()>,
    stop: DropGuard,
}

impl<R> Running<R> {
    async fn stop(mut self) {
        self.stop.disarm().cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(STOP_WITHIN, all).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

async fn start<V: Venue>(
    venue: V,
    http: SocketAddr,
    ws: SocketAddr,
    clock: Clock,
    rules: ws::Rules,
) -> io::Result<Running<V::Report>> {
    let (rest, streams) = (listen(http).await?, listen(ws).await?);
    let (http, ws) = (rest.local_addr()?, streams.local_addr()?);
    // What is served is behind the wire, on which the faults of the network are.
    let inner = || listen(SocketAddr::new(http.ip(), 0));
    let (inner_rest, inner_streams) = (inner().await?, inner().await?);
    let (control, behind) = (inner_rest.local_addr()?, inner_streams.local_addr()?);
    let stop = CancellationToken::new();
    let (commands, asked) = mpsc::channel(hub::COMMANDS_MAX);
    let mut tasks = JoinSet::new();
    let (wires, seen) = watch::channel(wire::Wires::default());
    tasks.spawn(hub::run(venue, clock, asked, wires, stop.clone()));
    tasks.spawn(wire::run(rest, control, wire::rest, seen.clone(), stop.clone()));
    tasks.spawn(wire::run(streams, behind, wire::stream, seen, stop.clone()));
    tasks.spawn(http::run::<V>(inner_rest, commands.clone(), stop.clone()));
    tasks.spawn(ws::run::<V>(inner_streams, commands.clone(), rules, stop.clone()));
    Ok(Running {
        http,
        ws,
        control,
        commands,
        tasks,
        stop: stop.drop_guard(),
    })
}

async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    if !address.ip().is_loopback() {
        let why = format!(
            "{address} is not a loopback address; the embedded exchange listens on 127.0.0.1 or [::1] only"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}
