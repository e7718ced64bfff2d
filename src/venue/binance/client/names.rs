//! Host names to addresses: asked anew for each connection, the last good answer kept (FAILURES LI-08).

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::TcpStream;

/// Looking a name up ends within this.
const LOOK_UP_MAX: Duration = Duration::from_secs(2);

/// The same when an answer of last time is known: half of what a connect of HTTP may take in all, so that there is time
/// to use it.
const LOOK_UP_AGAIN_MAX: Duration = Duration::from_secs(1);

/// Trying one of several addresses ends within this, so that a dead one leaves time for the next.
const ONE_ADDRESS_MAX: Duration = Duration::from_millis(1_500);

/// Names remembered; one venue has three.
const NAMES_MAX: usize = 64;

/// Resolves names and remembers the last good answers.
#[derive(Clone, Default)]
pub(super) struct Names(Arc<Mutex<BTreeMap<String, Vec<SocketAddr>>>>);

impl Names {
    /// The addresses of a host, fresh if the resolver answers, else those of last time.
    pub(super) async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let asking = async { Ok(tokio::net::lookup_host((host, port)).await?.collect()) };
        self.answered(host, port, asking).await
    }

    async fn answered(
        &self,
        host: &str,
        port: u16,
        asking: impl Future<Output = io::Result<Vec<SocketAddr>>>,
    ) -> io::Result<Vec<SocketAddr>> {
        let patience = match self.known(host, port) {
            Some(_) => LOOK_UP_AGAIN_MAX,
            None => LOOK_UP_MAX,
        };
        let trouble = match tokio::time::timeout(patience, asking).await {
            Ok(Ok(found)) if !found.is_empty() => {
                self.remember(host, &found);
                return Ok(found);
            }
            Ok(Ok(_)) => io::Error::other("the name has no address"),
            Ok(Err(error)) => error,
            Err(_) => io::Error::new(io::ErrorKind::TimedOut, "the name could not be resolved in time"),
        };
        self.known(host, port).ok_or(trouble)
    }

    /// A TCP connection to the first address that takes one.
    pub(super) async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let mut trouble = io::Error::other("the name has no address");
        for address in self.look_up(host, port).await? {
            match tokio::time::timeout(ONE_ADDRESS_MAX, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => trouble = error,
                Err(_) => trouble = io::Error::new(io::ErrorKind::TimedOut, "the address does not answer"),
            }
        }
        Err(trouble)
    }

    fn remember(&self, host: &str, found: &[SocketAddr]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < NAMES_MAX || known.contains_key(host) {
            known.insert(host.to_owned(), found.to_vec());
        }
    }

    fn known(&self, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(host)?;
        Some(
            found
                .iter()
                .map(|address| SocketAddr::new(address.ip(), port))
                .collect(),
        )
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            // The port is the connector's to fill in.
            let found = names.look_up(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn li_08_the_last_good_address_is_kept_when_the_name_no_longer_resolves() {
        let names = Names::default();
        let host = &"x".repeat(70);
        assert!(names.look_up(host, 80).await.is_err());
        names.remember(host, &["127.0.0.1:1".parse().unwrap()]);
        assert_eq!(
            names.look_up(host, 443).await.unwrap(),
            ["127.0.0.1:443".parse().unwrap()]
        );
    }

    #[tokio::test]
    async fn li_08_a_dead_address_leaves_the_next_one_its_chance() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let names = Names::default();
        let host = &"x".repeat(70);
        names.remember(
            host,
            &["127.0.0.2:1".parse().unwrap(), "127.0.0.1:1".parse().unwrap()],
        );
        assert!(names.connect(host, port).await.is_ok());
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn li_08_a_resolver_that_fails_or_says_nothing_leaves_what_was_known_and_time_to_use_it() {
        let old = address("127.0.0.1:443");
        let connect = super::super::HttpConfig::new("").connect_timeout.ms();
        for (name, answer) in [
            ("SERVFAIL, NXDOMAIN", Some(Err("no such name"))),
            ("no address", Some(Ok(Vec::new()))),
            ("nothing at all", None),
        ] {
            let asked = || {
                let answer = answer.clone();
                async move {
                    match answer {
                        Some(answer) => answer.map_err(io::Error::other),
                        None => std::future::pending().await,
                    }
                }
            };
            let names = Names::default();
            assert!(names.answered("venue", 443, asked()).await.is_err(), "{name}");
            names.remember("venue", &[old]);
            let began = tokio::time::Instant::now();
            assert_eq!(
                names.answered("venue", 443, asked()).await.unwrap(),
                [old],
                "{name}"
            );
            let took = i64::try_from(began.elapsed().as_millis()).unwrap();
            assert!(took * 2 <= connect, "{name}: {took} ms");
        }
    }

    #[tokio::test]
    async fn li_08_a_stale_address_is_forgotten_with_the_next_answer() {
        let names = Names::default();
        for fresh in ["127.0.0.1:443", "127.0.0.2:443"].map(address) {
            let found = names.answered("venue", 443, async { Ok(vec![fresh]) }).await;
            assert_eq!(found.unwrap(), [fresh]);
            let failed = async { Err(io::Error::other("SERVFAIL")) };
            assert_eq!(names.answered("venue", 443, failed).await.unwrap(), [fresh]);
        }
        // Asked anew for each connect, whatever is known.
        names.remember("localhost", &[address("127.0.0.3:1")]);
        let found = names.look_up("localhost", 443).await.unwrap();
        assert!(!found.contains(&address("127.0.0.3:443")), "{found:?}");
    }

    #[tokio::test]
    async fn li_08_an_address_that_is_silent_leaves_the_next_one_its_chance() {
        let good = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = good.local_addr().unwrap().port();
        // Nobody accepts here: once its short queue is full, the machine drops what comes, and no reset tells.
        let silent = tokio::net::TcpSocket::new_v4().unwrap();
        silent.bind(SocketAddr::new([127, 0, 0, 2].into(), port)).unwrap();
        let silent = silent.listen(1).unwrap();
        let address = silent.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(Ok(one)) =
            tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
        {
            queue.push(one);
        }
        let names = Names::default();
        let host = &"x".repeat(70);
        names.remember(host, &[address, good.local_addr().unwrap()]);
        let connected = tokio::time::timeout(Duration::from_secs(4), names.connect(host, port)).await;
        let peer = connected.expect("an end in time").unwrap().peer_addr().unwrap();
        assert_eq!(peer, good.local_addr().unwrap());
    }

    #[tokio::test]
    async fn li_08_a_host_of_ipv6_alone_is_reached() {
        let listener = tokio::net::TcpListener::bind("[::1]:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let names = Names::default();
        let host = &"x".repeat(70);
        names.remember(host, &[address]);
        assert!(names.connect(host, address.port()).await.is_ok());
        assert_eq!(names.look_up("::1", 443).await.unwrap()[0].ip(), address.ip());
    }
}
