//! The control API over loopback: raw requests in, raw answers out.

use super::*;
use crate::event::{Baseline, KillAction};
use crate::serve::status::AccountStatus;
use secrecy::ExposeSecret;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);
const KILL: &str = r#"{"account":"main","action":"flatten","symbol":null,"reason":"by hand"}"#;
const REARM: &str = r#"{"account":"main","confirm":"main","baseline":"keep"}"#;

/// A served API, and a guard that says yes to everything but re-arming with `rebase`.
struct Desk {
    address: SocketAddr,
    tokens: Tokens,
    given: Arc<Mutex<Vec<Command>>>,
    status: watch::Sender<Arc<Status>>,
    events: broadcast::Sender<Arc<str>>,
    cancel: CancellationToken,
    served: tokio::task::JoinHandle<io::Result<()>>,
    _folder: tempfile::TempDir,
}

fn account(state: &str) -> AccountStatus {
    AccountStatus {
        label: "main".into(),
        state: state.into(),
        mode: "live".into(),
        equity: Some("10000.5".into()),
        counters: [("decisions".to_owned(), 7)].into(),
        ..AccountStatus::default()
    }
}

impl Desk {
    async fn open() -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::load_or_create(&folder.path().join("control.token")).unwrap();
        let (status, status_read) = watch::channel(Arc::new(Status {
            accounts: vec![account("armed")],
        }));
        let (events, _) = broadcast::channel(64);
        let (commands, mut requests) = mpsc::channel::<Request>(8);
        let given = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&given);
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                let answer = match &request.command {
                    Command::Rearm {
                        baseline: Baseline::Rebase,
                    } => Err("drawdown is 0.12, above 0.10".to_owned()),
                    _ => Ok("done".to_owned()),
                };
                noted.lock().unwrap().push(request.command);
                let _ = request.reply.send(answer);
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let control = Control {
            status: status_read,
            events: events.clone(),
            commands,
        };
        let cancel = CancellationToken::new();
        let served = tokio::spawn(serve(listener, tokens.clone(), control, cancel.clone()));
        Desk {
            address,
            tokens,
            given,
            status,
            events,
            cancel,
            served,
            _folder: folder,
        }
    }

    fn token(&self, role: Role) -> String {
        self.tokens.token(role).expose_secret().to_owned()
    }

    fn given(&self) -> usize {
        self.given.lock().unwrap().len()
    }

    /// Sends text as it is, reads all of the answer.
    async fn raw(&self, text: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        timeout(SOON, stream.read_to_end(&mut bytes))
            .await
            .unwrap()
            .unwrap();
        let answer = String::from_utf8(bytes).unwrap();
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
        (status.unwrap_or(0), answer)
    }

    /// A request with a right host and these lines besides.
    async fn ask(&self, line: &str, headers: &[&str], body: &str) -> (u16, String) {
        let mut text = format!(
            "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            self.address
        );
        for header in headers {
            text.push_str(&format!("{header}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        self.raw(&text).await
    }

    async fn post(&self, path: &str, role: Role, body: &str) -> (u16, String) {
        let bearer = format!("Authorization: Bearer {}", self.token(role));
        let headers = [bearer.as_str(), "Content-Type: application/json"];
        self.ask(&format!("POST {path}"), &headers, body).await
    }
}

#[tokio::test]
async fn se_04_only_the_exact_host_is_served_whatever_is_asked() {
    let desk = Desk::open().await;
    let port = desk.address.port();
    let hosts = [
        (format!("Host: 127.0.0.1:{port}"), true),
        (format!("Host: localhost:{port}"), true),
        (format!("Host: [::1]:{port}"), true),
        (format!("Host: 127.0.0.1.evil.example:{port}"), false),
        (format!("Host: evil.example:{port}"), false),
        (format!("Host: 127.0.0.1:{}", port ^ 1), false),
        (format!("Host: [::ffff:127.0.0.1]:{port}"), false),
        (format!("Host: [0:0:0:0:0:0:0:1]:{port}"), false),
        (format!("Host: ::1:{port}"), false),
        (format!("Host: 0.0.0.0:{port}"), false),
        (format!("Host: localhost.:{port}"), false),
        ("Host: 127.0.0.1".to_owned(), false),
        ("Host:".to_owned(), false),
        ("X-Forwarded-Host: localhost".to_owned(), false),
        (format!("Host: 127.0.0.1:{port}\r\nHost: evil.example"), false),
    ];
    for (host, fine) in hosts {
        for path in ["/healthz", "/nothing"] {
            let text = format!("GET {path} HTTP/1.1\r\n{host}\r\nConnection: close\r\n\r\n");
            let (status, _) = desk.raw(&text).await;
            let expected = match (fine, path) {
                (false, _) => 403,
                (true, "/healthz") => 200,
                (true, _) => 404,
            };
            assert_eq!(status, expected, "{host} {path}");
        }
    }
    let elsewhere = format!(
        "GET http://evil.example/healthz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        desk.address
    );
    assert_eq!(
        desk.raw(&elsewhere).await.0,
        403,
        "the two names of the host differ"
    );
}

#[tokio::test]
async fn se_05_only_a_json_post_with_a_right_token_from_our_own_page_changes_anything() {
    let desk = Desk::open().await;
    let kill = desk.token(Role::Kill);
    let right = format!("Authorization: Bearer {kill}");
    let own = format!("Origin: http://{}", desk.address);
    let json = "Content-Type: application/json";
    let wrong = format!("Authorization: Bearer {}", "0".repeat(48));
    let longer = format!("{right}0");
    let post = "POST /api/v1/kill";
    for (line, headers, expected) in [
        (
            post,
            vec![right.as_str(), json, "Origin: http://evil.example"],
            403,
        ),
        (post, vec![&right, json, "Origin: null"], 403),
        (post, vec![&right, json, "Origin: https://127.0.0.1"], 403),
        (post, vec![&right, json, &own, "Origin: http://evil.example"], 403),
        (post, vec![&right, "Content-Type: text/plain"], 415),
        (
            post,
            vec![&right, "Content-Type: application/x-www-form-urlencoded"],
            415,
        ),
        (post, vec![&right, "Content-Type: application/jsonx"], 415),
        (post, vec![&right], 415),
        (post, vec![json], 401),
        (post, vec![json, &wrong], 401),
        (post, vec![json, &longer], 401),
        (post, vec![json, "Authorization: Bearer"], 401),
        (post, vec![json, "Authorization: Bearer "], 401),
        (post, vec![json, "Authorization: Basic Og=="], 401),
        ("GET /api/v1/kill", vec![&right, json], 405),
        ("GET /api/v1/rearm", vec![&right, json], 405),
        ("PUT /api/v1/kill", vec![&right, json], 405),
        ("POST /api/v1/status", vec![&right, json], 405),
    ] {
        let (status, answer) = desk.ask(line, &headers, KILL).await;
        let code = if status == 429 { 401 } else { status };
        assert_eq!(code, expected, "{line} {headers:?}: {answer}");
        assert!(answer.contains(r#""ok":false"#), "{answer}");
        assert!(!answer.contains(&kill), "a token is never told");
    }
    assert_eq!(desk.given(), 0, "nothing was changed");
    for headers in [
        vec![right.as_str(), json],
        vec![&right, "content-type: Application/JSON; charset=utf-8", &own],
    ] {
        assert_eq!(desk.ask(post, &headers, KILL).await.0, 200);
    }
    assert_eq!(desk.given(), 2);
}

#[tokio::test]
async fn se_06_guessing_is_slowed_and_never_a_right_token() {
    let desk = Desk::open().await;
    let wrong = format!("Authorization: Bearer {}", "f".repeat(48));
    let mut slowed = 0;
    for _ in 0..200 {
        let (status, _) = desk.ask("GET /api/v1/status", &[&wrong], "").await;
        assert!(matches!(status, 401 | 429), "{status}");
        slowed += usize::from(status == 429);
    }
    assert!(slowed > 50, "{slowed}");
    assert_eq!(desk.post("/api/v1/kill", Role::Kill, KILL).await.0, 200);
}

#[tokio::test]
async fn se_07_a_role_may_do_what_is_its_own_or_lower_and_nothing_above() {
    let desk = Desk::open().await;
    for (role, line, body, expected) in [
        (Role::View, "GET /api/v1/status", "", 200),
        (Role::View, "POST /api/v1/kill", KILL, 403),
        (Role::View, "POST /api/v1/rearm", REARM, 403),
        (Role::Kill, "GET /api/v1/status", "", 200),
        (Role::Kill, "POST /api/v1/kill", KILL, 200),
        (Role::Kill, "POST /api/v1/rearm", REARM, 403),
        (Role::Rearm, "GET /api/v1/status", "", 200),
        (Role::Rearm, "POST /api/v1/kill", KILL, 200),
        (Role::Rearm, "POST /api/v1/rearm", REARM, 200),
    ] {
        let bearer = format!("Authorization: Bearer {}", desk.token(role));
        let headers = [bearer.as_str(), "Content-Type: application/json"];
        let (status, answer) = desk.ask(line, &headers, body).await;
        assert_eq!(status, expected, "{role:?} {line}: {answer}");
    }
    assert_eq!(desk.given(), 3);
}

#[tokio::test]
async fn se_08_a_body_has_a_limit_and_is_not_read_without_a_token() {
    let desk = Desk::open().await;
    let large = format!(
        r#"{{"account":"main","action":"block","reason":"{}"}}"#,
        "x".repeat(17_000)
    );
    let (status, answer) = desk.post("/api/v1/kill", Role::Kill, &large).await;
    assert_eq!(status, 413, "{answer}");
    // Ten megabytes are announced; the answer does not wait for them.
    let text = format!(
        "POST /api/v1/kill HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 10485760\r\n\r\nx",
        desk.address
    );
    assert_eq!(desk.raw(&text).await.0, 401);
    assert_eq!(desk.given(), 0);
}

#[tokio::test]
async fn se_08_a_kill_finds_room_among_connections_that_say_nothing() {
    let desk = Desk::open().await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(desk.address).await.unwrap());
    }
    assert_eq!(desk.post("/api/v1/kill", Role::Kill, KILL).await.0, 200);
    let mut byte = [0; 1];
    let first = silent.first_mut().unwrap();
    let ended = timeout(SOON, first.read(&mut byte)).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "the oldest made room");
}

#[tokio::test]
async fn se_09_a_kill_pressed_twice_is_answered_twice_alike() {
    let desk = Desk::open().await;
    let (one, other) = tokio::join!(
        desk.post("/api/v1/kill", Role::Kill, KILL),
        desk.post("/api/v1/kill", Role::Rearm, KILL)
    );
    assert_eq!((one.0, other.0), (200, 200));
    let wanted = Command::Kill {
        action: KillAction::Flatten,
        symbol: None,
        reason: "by hand".into(),
    };
    assert_eq!(*desk.given.lock().unwrap(), [wanted.clone(), wanted]);
}

#[tokio::test]
async fn bodies_are_strict_and_refusals_say_why() {
    let desk = Desk::open().await;
    for (path, body, expected, words) in [
        ("kill", r#"{"account":"main","action":"block"}"#, 200, "done"),
        (
            "kill",
            r#"{"account":"main","action":"flatten","symbol":"BTCUSDT"}"#,
            200,
            "done",
        ),
        (
            "kill",
            r#"{"account":"other","action":"block"}"#,
            404,
            "no account `other`",
        ),
        ("kill", r#"{"account":"main","action":"close"}"#, 400, "flatten"),
        ("kill", r#"{"account":"main"}"#, 400, "missing field `action`"),
        (
            "kill",
            r#"{"account":"main","action":"block","when":"now"}"#,
            400,
            "unknown field `when`",
        ),
        (
            "kill",
            r#"{"account":"main","action":"block","symbol":""}"#,
            400,
            "symbol",
        ),
        (
            "kill",
            r#"{"account":"main","action":"block"} {}"#,
            400,
            "trailing",
        ),
        ("kill", "", 400, "the body is wrong"),
        ("kill", "[]", 400, "the body is wrong"),
        ("rearm", r#"{"account":"main","confirm":"main"}"#, 200, "done"),
        ("rearm", r#"{"account":"main"}"#, 400, "missing field `confirm`"),
        (
            "rearm",
            r#"{"account":"main","confirm":"Main"}"#,
            400,
            "typed again",
        ),
        (
            "rearm",
            r#"{"account":"main","confirm":"main","baseline":"new"}"#,
            400,
            "rebase",
        ),
        (
            "rearm",
            r#"{"account":"main","confirm":"main","baseline":"rebase"}"#,
            409,
            "above 0.10",
        ),
    ] {
        let (status, answer) = desk.post(&format!("/api/v1/{path}"), Role::Rearm, body).await;
        assert_eq!(status, expected, "{body}: {answer}");
        assert!(answer.contains(words), "{body}: {answer}");
        assert!(
            answer.contains(&format!(r#""ok":{}"#, expected == 200)),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn ready_is_armed_and_nothing_else() {
    let desk = Desk::open().await;
    for (state, expected) in [
        ("armed", 200),
        ("starting", 503),
        ("blocked", 503),
        ("reducing", 503),
        ("flattening", 503),
        ("latched", 503),
        ("blind", 503),
        ("powerless", 503),
        ("stopped", 503),
    ] {
        desk.status.send_replace(Arc::new(Status {
            accounts: vec![account("armed"), account(state)],
        }));
        assert_eq!(desk.ask("GET /readyz", &[], "").await.0, expected, "{state}");
        assert_eq!(desk.ask("GET /healthz", &[], "").await.0, 200);
    }
    desk.status.send_replace(Arc::default());
    assert_eq!(desk.ask("GET /readyz", &[], "").await.0, 503, "no account yet");
}

#[tokio::test]
async fn unknown_is_null_for_people_and_absent_from_metrics() {
    let desk = Desk::open().await;
    let bearer = format!("Authorization: Bearer {}", desk.token(Role::View));
    let (_, answer) = desk.ask("GET /api/v1/status", &[&bearer], "").await;
    let body = answer.split("\r\n\r\n").nth(1).unwrap();
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    let main = json.pointer("/accounts/0").unwrap();
    assert_eq!(main.get("equity").unwrap(), "10000.5");
    assert!(main.get("drawdown").unwrap().is_null());
    let (status, answer) = desk.ask("GET /metrics", &[], "").await;
    assert_eq!(status, 200);
    for line in [
        r#"backstop_equity_usdt{account="main"} 10000.5"#,
        r#"backstop_state{account="main",state="armed"} 1"#,
        r#"backstop_events_total{account="main",name="decisions"} 7"#,
    ] {
        assert!(answer.contains(line), "{line} in {answer}");
    }
    assert!(!answer.contains("backstop_drawdown_ratio{"), "{answer}");
}

#[tokio::test]
async fn events_are_streamed_as_they_come_and_end_with_the_guard() {
    let desk = Desk::open().await;
    assert_eq!(desk.ask("GET /api/v1/events", &[], "").await.0, 401);
    let mut stream = TcpStream::connect(desk.address).await.unwrap();
    let text = format!(
        "GET /api/v1/events HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
        desk.address,
        desk.token(Role::View)
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut seen = String::new();
    while let Ok(Some(line)) = timeout(SOON, lines.next_line()).await.unwrap() {
        if line.is_empty() {
            // The head is here: the stream is subscribed.
            desk.events
                .send(r#"{"event":"note","text":"a\nb"}"#.into())
                .unwrap();
        }
        if line.starts_with("data:") {
            seen = line;
            break;
        }
    }
    assert_eq!(seen, r#"data: {"event":"note","text":"a\nb"}"#);
    desk.cancel.cancel();
    let ended = timeout(SOON, async { while let Ok(Some(_)) = lines.next_line().await {} }).await;
    assert!(ended.is_ok(), "the stream ends");
    assert!(timeout(SOON, desk.served).await.unwrap().unwrap().is_ok());
}
