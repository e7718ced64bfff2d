//! A receiver of requests on this machine, in a thread of its own: remembers each and answers as it is told.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Method and path.
    pub line: String,
    /// The head, in lower case.
    pub head: String,
    /// The body.
    pub body: Value,
}

impl Asked {
    /// A header's value.
    pub fn header(&self, name: &str) -> &str {
        let start = format!("{name}: ");
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(&start))
            .unwrap_or("")
    }
}

/// The receiver.
pub struct Receiver {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Receiver {
    /// Answers the n-th request, from 1, with a status, further headers and a body; `None` never answers.
    pub fn start(
        answer: impl Fn(usize) -> Option<(u16, String, String)> + Send + Sync + 'static,
    ) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let _ = serve(stream, &log, &*answer);
                });
            }
        });
        Receiver { url, asked }
    }

    /// Takes everything.
    pub fn kind(status: u16, body: &'static str) -> Receiver {
        Receiver::start(move |_| Some((status, String::new(), body.to_owned())))
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits for a request whose body is as wanted.
    pub fn wait(&self, what: &str, within: Duration, wanted: impl Fn(&Value) -> bool) -> Asked {
        let begun = Instant::now();
        loop {
            if let Some(found) = self.asked().into_iter().find(|asked| wanted(&asked.body)) {
                return found;
            }
            assert!(
                begun.elapsed() < within,
                "{what} did not arrive: {:#?}",
                self.asked()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<Asked>>,
    answer: &dyn Fn(usize) -> Option<(u16, String, String)>,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if !more(&mut stream, &mut buffer)? {
                return Ok(());
            }
        };
        let head = String::from_utf8(buffer.drain(..end).collect()).unwrap();
        let line = head
            .lines()
            .next()
            .unwrap()
            .trim_end_matches(" HTTP/1.1")
            .to_owned();
        let head = head.to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let length: usize = length.unwrap_or(0);
        while buffer.len() < length {
            if !more(&mut stream, &mut buffer)? {
                return Ok(());
            }
        }
        let body: Vec<u8> = buffer.drain(..length).collect();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let count = {
            let mut log = log.lock().unwrap();
            log.push(Asked { line, head, body });
            log.len()
        };
        let Some((status, headers, body)) = answer(count) else {
            std::thread::sleep(Duration::from_secs(600));
            return Ok(());
        };
        write!(
            stream,
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            body.len()
        )?;
    }
}

fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<bool> {
    let mut chunk = [0; 4_096];
    let read = stream.read(&mut chunk)?;
    buffer.extend_from_slice(&chunk[..read]);
    Ok(read > 0)
}
