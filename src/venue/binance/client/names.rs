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
        let fresh = tokio::time::timeout(LOOK_UP_MAX, tokio::net::lookup_host((host, port))).await;
        let trouble = match fresh {
            Ok(Ok(found)) => {
                let found: Vec<SocketAddr> = found.collect();
                if !found.is_empty() {
                    self.remember(host, &found);
                    return Ok(found);
                }
                io::Error::other("the name has no address")
            }
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
}
