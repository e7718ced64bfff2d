//! The control API over loopback, with requests written by hand, so that every byte of them is ours.

use super::auth::Role;
use super::status::AccountStatus;
use super::*;
use crate::event::{Baseline, Command, KillAction};
use secrecy::ExposeSecret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A served guard: it takes every command, and refuses to re-arm with `keep`.
struct Served {
    port: u16,
    tokens: Tokens,
    events: broadcast::Sender<Arc<str>>,
    taken: mpsc::Receiver<(String, Command)>,
    status: watch::Sender<Arc<Status>>,
    cancel: CancellationToken,
    ended: tokio::task::JoinHandle<io::Result<()>>,
}

fn picture(state: &str) -> Arc<Status> {
    let account = AccountStatus {
        label: "main".into(),
        state: state.into(),
        equity: Some("9987.25".into()),
        ..AccountStatus::default()
    };
    Arc::new(Status {
        accounts: vec![account],
    })
}

async fn served() -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tokens = Tokens::random().unwrap();
    let (status, seen) = watch::channel(picture("armed"));
    let (commands, mut asked) = mpsc::channel::<Request>(16);
    let (told, taken) = mpsc::channel(64);
    let (acks, mut acked) = mpsc::channel::<Acknowledgement>(8);
    tokio::spawn(async move {
        while let Some(ack) = acked.recv().await {
            let _ = ack.reply.send(Ok(format!("seen: {}", ack.account)));
        }
    });
    let (events, _) = broadcast::channel(16);
    tokio::spawn(async move {
        while let Some(request) = asked.recv().await {
            let keep = Command::Rearm {
                baseline: Baseline::Keep,
            };
            let answer = if request.command == keep {
                Err("equity 9000 is below 9500".to_owned())
            } else {
                Ok("taken".to_owned())
            };
            told.send((request.account, request.command)).await.unwrap();
            let _ = request.reply.send(answer);
        }
    });
    let cancel = CancellationToken::new();
    let control = Control {
        status: seen,
        events: events.clone(),
        commands,
        acks,
    };
    let ended = tokio::spawn(serve(listener, tokens.clone(), control, cancel.clone()));
    Served {
        port,
        tokens,
        events,
        taken,
        status,
        cancel,
        ended,
    }
}

impl Served {
    fn token(&self, role: Role) -> String {
        self.tokens.of(role).expose_secret().to_owned()
    }

    async fn raw(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        // The server may answer and close before it took everything.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0);
        (status, answer)
    }

    /// A request with our Host and these header lines.
    async fn ask(&self, line: &str, headers: &str, body: &str) -> (u16, String) {
        self.raw(&format!(
            "{line} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            self.port,
            body.len(),
        ))
        .await
    }

    async fn post(&self, path: &str, role: Role, body: &str) -> (u16, String) {
        let token = self.token(role);
        let headers = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
        self.ask(&format!("POST {path}"), &headers, body).await
    }

    async fn get(&self, path: &str, role: Role) -> (u16, String) {
        let headers = format!("Authorization: Bearer {}\r\n", self.token(role));
        self.ask(&format!("GET {path}"), &headers, "").await
    }

    fn nothing_changed(&mut self) -> bool {
        self.taken.try_recv().is_err()
    }
}

const KILL: &str = r#"{"account":"main","action":"flatten","symbol":null,"reason":"test"}"#;

#[tokio::test]
async fn the_status_is_shown_to_whoever_may_look() {
    let served = served().await;
    for role in [Role::View, Role::Kill, Role::Rearm] {
        let (code, answer) = served.get("/api/v1/status", role).await;
        assert_eq!(code, 200, "{answer}");
        assert!(answer.contains("\"equity\":\"9987.25\""), "{answer}");
        assert!(answer.contains("cache-control: no-store"), "{answer}");
    }
    assert_eq!(served.ask("GET /api/v1/status", "", "").await.0, 401);
}

#[tokio::test]
async fn health_and_readiness_need_no_token() {
    let served = served().await;
    assert_eq!(served.ask("GET /healthz", "", "").await.0, 200);
    assert_eq!(served.ask("GET /readyz", "", "").await.0, 200);
    served.status.send(picture("blind")).unwrap();
    assert_eq!(served.ask("GET /readyz", "", "").await.0, 503);
    assert_eq!(served.ask("GET /healthz", "", "").await.0, 200);
    let (code, answer) = served.ask("GET /metrics", "", "").await;
    assert_eq!(code, 200);
    assert!(
        answer.contains("backstop_equity{account=\"main\"} 9987.25"),
        "{answer}"
    );
}

#[tokio::test]
async fn se_04_a_request_for_another_host_is_refused_before_routing() {
    let mut served = served().await;
    let port = served.port;
    let other = port.wrapping_add(1);
    let headers = format!(
        "Authorization: Bearer {}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n",
        served.token(Role::Rearm),
        KILL.len()
    );
    for (host, code) in [
        (format!("Host: 127.0.0.1:{port}\r\n"), 200),
        (format!("Host: localhost:{port}\r\n"), 200),
        (format!("Host: [::1]:{port}\r\n"), 200),
        (format!("Host: 127.0.0.1.evil.example:{port}\r\n"), 403),
        (format!("Host: localhost.evil.example:{port}\r\n"), 403),
        (format!("Host: evil.example:{port}\r\n"), 403),
        (format!("Host: 127.0.0.1:{other}\r\n"), 403),
        (format!("Host: [::ffff:127.0.0.1]:{port}\r\n"), 403),
        (format!("Host: [0:0:0:0:0:0:0:1]:{port}\r\n"), 403),
        (format!("Host: ::1:{port}\r\n"), 403),
        (format!("Host: 127.1:{port}\r\n"), 403),
        ("Host: 127.0.0.1\r\n".into(), 403),
        ("Host: localhost\r\n".into(), 403),
        ("Host: \r\n".into(), 403),
        (format!("Host: 127.0.0.1:{port}\r\nHost: evil.example\r\n"), 403),
        (String::new(), 403),
    ] {
        let (got, answer) = served
            .raw(&format!(
                "POST /api/v1/kill HTTP/1.1\r\n{host}{headers}\r\n{KILL}"
            ))
            .await;
        assert_eq!(got, code, "{host:?}: {answer}");
        assert_eq!(served.nothing_changed(), code != 200, "{host:?}");
        let path = "GET /no/such/path HTTP/1.1\r\nConnection: close\r\n";
        let (got, _) = served.raw(&format!("{path}{host}\r\n")).await;
        assert_eq!(got, if code == 200 { 404 } else { 403 }, "{host:?}");
    }
    let absolute = format!(
        "GET http://evil.example/healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(served.raw(&absolute).await.0, 403);
}

#[tokio::test]
async fn se_05_a_change_needs_our_origin_json_post_and_a_token() {
    let mut served = served().await;
    let (port, token) = (served.port, served.token(Role::Kill));
    let json = "Content-Type: application/json\r\n";
    let auth = format!("Authorization: Bearer {token}\r\n");
    for (line, headers, code) in [
        (
            "POST /api/v1/kill",
            format!("{json}{auth}Origin: http://evil.example\r\n"),
            403,
        ),
        ("POST /api/v1/kill", format!("{json}{auth}Origin: null\r\n"), 403),
        (
            "POST /api/v1/kill",
            format!("{json}{auth}Origin: https://127.0.0.1:{port}\r\n"),
            403,
        ),
        (
            "POST /api/v1/kill",
            format!("{json}{auth}Origin: http://localhost:{port}\r\n"),
            403,
        ),
        (
            "POST /api/v1/kill",
            format!("{auth}Content-Type: text/plain\r\n"),
            415,
        ),
        (
            "POST /api/v1/kill",
            format!("{auth}Content-Type: application/x-www-form-urlencoded\r\n"),
            415,
        ),
        ("POST /api/v1/kill", auth.clone(), 415),
        ("GET /api/v1/kill", format!("{json}{auth}"), 405),
        ("GET /api/v1/rearm", format!("{json}{auth}"), 405),
        ("PUT /api/v1/kill", format!("{json}{auth}"), 405),
        ("POST /api/v1/kill", json.to_owned(), 401),
        (
            "POST /api/v1/kill",
            format!("{json}Authorization: Basic {token}\r\n"),
            401,
        ),
        (
            "POST /api/v1/kill",
            format!("{json}Authorization: Bearer \r\n"),
            401,
        ),
        (
            "POST /api/v1/kill",
            format!("{json}Authorization: Bearer {}\r\n", "0".repeat(64)),
            401,
        ),
        ("POST /api/v1/kill", format!("{json}{auth}{auth}"), 401),
        ("POST /api/v1/kill?token=x", json.to_owned(), 401),
    ] {
        let (got, answer) = served.ask(line, &headers, KILL).await;
        assert_eq!(got, code, "{line} {headers}: {answer}");
        assert!(served.nothing_changed(), "{line} {headers}");
        assert!(!answer.contains(&token));
    }
    let own = format!("{json}{auth}Origin: http://127.0.0.1:{port}\r\n");
    assert_eq!(served.ask("POST /api/v1/kill", &own, KILL).await.0, 200);
    let charset = format!("Content-Type: application/json; charset=utf-8\r\n{auth}");
    assert_eq!(served.ask("POST /api/v1/kill", &charset, KILL).await.0, 200);
}

#[tokio::test]
async fn a_body_that_is_not_understood_is_refused_in_words() {
    let mut served = served().await;
    let long = "x".repeat(501);
    for (path, body, code, words) in [
        ("kill", "{}".to_owned(), 400, "account"),
        ("kill", "not json".to_owned(), 400, "body:"),
        ("kill", KILL.replace("reason", "raeson"), 400, "raeson"),
        ("kill", KILL.replace("flatten", "open"), 400, "open"),
        ("kill", KILL.replace("null", "\"not a symbol\""), 400, "symbol"),
        ("kill", KILL.replace("null", "\"btcusdt\""), 400, "BTCUSDT"),
        ("kill", KILL.replace("null", "\"\""), 400, "symbol"),
        (
            "kill",
            KILL.replace("\"test\"", &format!("\"{long}\"")),
            400,
            "reason",
        ),
        ("kill", KILL.replace("test", "a\\nb"), 400, "reason"),
        ("kill", KILL.replace("main", "other"), 404, "other"),
        (
            "rearm",
            r#"{"account":"main","confirm":"mian","baseline":"keep"}"#.into(),
            400,
            "confirm",
        ),
        (
            "rearm",
            r#"{"account":"main","confirm":"main","baseline":"zero"}"#.into(),
            400,
            "zero",
        ),
        (
            "rearm",
            r#"{"account":"main","baseline":"keep"}"#.into(),
            400,
            "confirm",
        ),
        (
            "rearm",
            r#"{"account":"none","confirm":"none","baseline":"keep"}"#.into(),
            404,
            "none",
        ),
    ] {
        let (got, answer) = served.post(&format!("/api/v1/{path}"), Role::Rearm, &body).await;
        assert_eq!(got, code, "{body}: {answer}");
        assert!(answer.contains(words), "{body}: {answer}");
        assert!(served.nothing_changed(), "{body}");
    }
}

#[tokio::test]
async fn a_command_reaches_the_guard_and_its_answer_comes_back() {
    let mut served = served().await;
    let body = KILL.replace("null", "\"BTCUSDT\"").replace("flatten", "block");
    let (code, answer) = served.post("/api/v1/kill", Role::Kill, &body).await;
    assert_eq!(code, 200, "{answer}");
    assert!(answer.ends_with(r#"{"message":"taken","ok":true}"#), "{answer}");
    let expected = Command::Kill {
        action: KillAction::Block,
        symbol: Some("BTCUSDT".parse().unwrap()),
        reason: "test".into(),
    };
    assert_eq!(served.taken.recv().await, Some(("main".into(), expected)));
    let keep = r#"{"account":"main","confirm":"main","baseline":"keep"}"#;
    let (code, answer) = served.post("/api/v1/rearm", Role::Rearm, keep).await;
    assert_eq!(code, 409);
    assert!(answer.contains("equity 9000 is below 9500"), "{answer}");
    let rebase = keep.replace("keep", "rebase");
    assert_eq!(served.post("/api/v1/rearm", Role::Rearm, &rebase).await.0, 200);
}

#[tokio::test]
async fn se_06_guessing_tokens_is_limited_and_a_valid_kill_still_works() {
    let mut served = served().await;
    let wrong = format!(
        "Authorization: Bearer {}\r\nContent-Type: application/json\r\n",
        "0".repeat(64)
    );
    let mut limited = 0;
    for _ in 0..60 {
        let (code, _) = served.ask("POST /api/v1/kill", &wrong, KILL).await;
        assert!(matches!(code, 401 | 429), "{code}");
        limited += u32::from(code == 429);
    }
    assert!(0 < limited, "no guess was limited");
    assert!(served.nothing_changed());
    assert_eq!(served.post("/api/v1/kill", Role::Kill, KILL).await.0, 200);
}

#[tokio::test]
async fn se_07_a_lower_role_may_not_do_what_a_higher_one_may() {
    let mut served = served().await;
    let rearm = r#"{"account":"main","confirm":"main","baseline":"rebase"}"#;
    for (path, role, body, code) in [
        ("/api/v1/kill", Role::View, KILL, 403),
        ("/api/v1/kill", Role::Kill, KILL, 200),
        ("/api/v1/kill", Role::Rearm, KILL, 200),
        ("/api/v1/rearm", Role::View, rearm, 403),
        ("/api/v1/rearm", Role::Kill, rearm, 403),
        ("/api/v1/rearm", Role::Rearm, rearm, 200),
    ] {
        let (got, answer) = served.post(path, role, body).await;
        assert_eq!(got, code, "{path} {role:?}: {answer}");
        assert_eq!(served.nothing_changed(), code != 200, "{path} {role:?}");
    }
}

#[tokio::test]
async fn se_08_slow_clients_and_large_bodies_do_no_harm() {
    let mut served = served().await;
    let (port, token) = (served.port, served.token(Role::Kill));
    let mut slow = Vec::new();
    for n in 0..400 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let start = if n % 2 == 0 { "GET /hea" } else { "" };
        let _ = stream.write_all(start.as_bytes()).await;
        slow.push(stream);
    }
    let (code, answer) = served.post("/api/v1/kill", Role::Kill, KILL).await;
    assert_eq!(code, 200, "{answer}");
    assert!(!served.nothing_changed());
    // The oldest had to go.
    let mut left = [0; 64];
    let gone = tokio::time::timeout(Duration::from_secs(5), slow[0].read(&mut left)).await;
    assert!(gone.is_ok(), "the oldest connection is still open");
    let large = "x".repeat(10 * 1024 * 1024);
    let said = format!(
        "POST /api/v1/kill HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\n"
    );
    let (code, _) = served
        .raw(&format!("{said}Content-Length: {}\r\n\r\n{large}", large.len()))
        .await;
    assert!(matches!(code, 413 | 0), "{code}");
    let just_over = " ".repeat(16 * 1024 + 1);
    assert_eq!(served.post("/api/v1/kill", Role::Kill, &just_over).await.0, 413);
    assert!(served.nothing_changed());
    assert_eq!(served.post("/api/v1/kill", Role::Kill, KILL).await.0, 200);
}

#[tokio::test]
async fn se_09_a_kill_pressed_twice_is_answered_twice() {
    let mut served = served().await;
    let (one, two) = tokio::join!(
        served.post("/api/v1/kill", Role::Kill, KILL),
        served.post("/api/v1/kill", Role::Rearm, KILL),
    );
    assert_eq!((one.0, two.0), (200, 200));
    served.status.send(picture("blind")).unwrap();
    assert_eq!(served.post("/api/v1/kill", Role::Kill, KILL).await.0, 200);
    for _ in 0..3 {
        let (account, command) = served.taken.recv().await.unwrap();
        assert_eq!(account, "main");
        assert!(matches!(
            command,
            Command::Kill {
                action: KillAction::Flatten,
                symbol: None,
                ..
            }
        ));
    }
}

#[tokio::test]
async fn events_are_sent_as_they_come_and_end_with_the_guard() {
    let served = served().await;
    assert_eq!(served.ask("GET /api/v1/events", "", "").await.0, 401);
    let mut stream = TcpStream::connect(("127.0.0.1", served.port)).await.unwrap();
    let request = format!(
        "GET /api/v1/events HTTP/1.1\r\nHost: localhost:{}\r\nAuthorization: Bearer {}\r\n\r\n",
        served.port,
        served.token(Role::View)
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    while served.events.receiver_count() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    served
        .events
        .send(r#"{"event":"state","state":"armed"}"#.into())
        .unwrap();
    let mut seen = String::new();
    let mut part = [0; 1_024];
    while !seen.contains(r#"data: {"event":"state","state":"armed"}"#) {
        let length = stream.read(&mut part).await.unwrap();
        assert!(0 < length, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&part[..length]));
    }
    assert!(seen.contains("text/event-stream"), "{seen}");
    served.cancel.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(5), served.ended).await;
    ended.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn se_13_se_07_alerts_are_acknowledged_by_who_may_act_and_not_by_who_may_look() {
    let served = served().await;
    let body = r#"{"account":"main"}"#;
    assert_eq!(served.post("/api/v1/ack", Role::View, body).await.0, 403);
    let (code, answer) = served.post("/api/v1/ack", Role::Kill, body).await;
    assert!(code == 200 && answer.contains("seen: main"), "{answer}");
    assert_eq!(
        served
            .post("/api/v1/ack", Role::Kill, r#"{"account":"none"}"#)
            .await
            .0,
        404
    );
}
