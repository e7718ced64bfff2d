//! A venue for the tests of the transport: answers as it is told, counts connections, remembers every request.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_util::task::AbortOnDropHandle;

use super::{Http, HttpConfig};
use crate::clock::Clock;
use crate::model::Span;
use crate::venue::binance::sign::ReadSigner;

/// What every test looks for in texts that must not have it.
pub(crate) const API_KEY: &str = "CANARYKEYxxxxxxxxxxxxxxxxxxxxxxx";
pub(crate) const API_SECRET: &str = "CANARYSECRETxxxxxxxxxxxxxxxxxxxx";

/// A request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) head: String,
}

impl Asked {
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path())
    }
}

/// What becomes of a request.
#[derive(Clone)]
pub(crate) enum Reply {
    Http(u16, &'static str, String),
    Slow(u64, String),
    Hang,
    Cut,
}

pub(crate) fn ok(body: &str) -> Reply {
    Reply::Http(200, "", body.to_owned())
}

/// The REST side.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) connections: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<Asked>>>,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    pub(crate) async fn start(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (connections, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (count, log, reply) = (connections.clone(), asked.clone(), Arc::new(reply));
        let task = tokio::spawn(async move {
            let mut serving = tokio::task::JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                serving.spawn(serve(tcp, log.clone(), reply.clone()));
            }
        });
        Server {
            url,
            connections,
            asked,
            _task: AbortOnDropHandle::new(task),
        }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How often this was asked: `POST /fapi/v1/order`.
    pub(crate) fn count(&self, line: &str) -> usize {
        self.asked().iter().filter(|asked| asked.line() == line).count()
    }

    pub(crate) fn http(&self) -> Arc<Http> {
        self.http_with(|_| {})
    }

    pub(crate) fn http_with(&self, change: impl FnOnce(&mut HttpConfig)) -> Arc<Http> {
        let mut config = HttpConfig::new(&self.url);
        change(&mut config);
        Arc::new(Http::new(config, &SecretString::from(API_KEY), Clock::start()).unwrap())
    }
}

pub(crate) fn short(config: &mut HttpConfig) {
    config.request_timeout = Span::from_ms(300);
}

pub(crate) fn reader() -> ReadSigner {
    ReadSigner::new(&SecretString::from(API_SECRET)).unwrap()
}

async fn serve(mut tcp: TcpStream, log: Arc<Mutex<Vec<Asked>>>, reply: Arc<impl Fn(&Asked) -> Reply>) {
    tcp.set_nodelay(true).unwrap();
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            let mut chunk = [0; 4096];
            match tcp.read(&mut chunk).await {
                Ok(n) if 0 < n => buffer.extend_from_slice(&chunk[..n]),
                _ => return,
            }
        };
        let head = String::from_utf8(buffer.drain(..end).collect()).unwrap();
        let mut words = head.split(' ');
        let asked = Asked {
            method: words.next().unwrap().to_owned(),
            target: words.next().unwrap().to_owned(),
            head: head.to_ascii_lowercase(),
        };
        log.lock().unwrap().push(asked.clone());
        let (status, headers, body) = match reply(&asked) {
            Reply::Http(status, headers, body) => (status, headers, body),
            Reply::Slow(ms, body) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                (200, "", body)
            }
            Reply::Hang => return std::future::pending().await,
            Reply::Cut => return,
        };
        let text = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        if tcp.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The streams' side: hands out each connection that is made.
pub(crate) struct Streams {
    pub(crate) url: String,
    peers: mpsc::Receiver<Peer>,
    _task: AbortOnDropHandle<()>,
}

/// One connection, seen from the venue.
pub(crate) struct Peer {
    pub(crate) target: String,
    pub(crate) socket: WebSocketStream<TcpStream>,
}

impl Streams {
    pub(crate) async fn start() -> Streams {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let (send, peers) = mpsc::channel(64);
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let mut target = String::new();
                #[expect(clippy::result_large_err, reason = "the library's signature")]
                let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
                    target = request.uri().to_string();
                    Ok(response)
                };
                if let Ok(socket) = tokio_tungstenite::accept_hdr_async(tcp, note).await {
                    send.send(Peer { target, socket }).await.unwrap();
                }
            }
        });
        Streams {
            url,
            peers,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// The next connection that is made.
    pub(crate) async fn next(&mut self) -> Peer {
        soon(self.peers.recv()).await.unwrap()
    }
}

/// Waits for what must come within the time of a test.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(8), what)
        .await
        .expect("it must come within 8 s")
}
