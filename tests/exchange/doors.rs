//! The ways in for an operator: the control API through the verbs, the KILL file, and who is kept out.

use super::stage::{Exchange, Folder, backstop, guard_orders, http, kept_its_word, position};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// A port below those that the system gives to others by itself, so that no other test gets it in between.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let start = u16::try_from(std::process::id() % 100).unwrap() * 100;
        let port = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A guard with a control API.
pub(super) fn with_control(exchange: &Exchange) -> (Folder, String) {
    let folder = Folder::for_exchange(exchange, "");
    let port = free_port();
    folder.replace("listen = \"\"", &format!("listen = \"127.0.0.1:{port}\""));
    (folder, format!("http://127.0.0.1:{port}"))
}

fn run(mut command: Command) -> (i32, String) {
    let output = command.output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text)
}

#[test]
fn kill_status_and_rearm_work_on_the_running_guard() {
    let exchange = Exchange::serve("calm-day");
    let (folder, base) = with_control(&exchange);
    let _guard = folder.guard(&["--live"]);
    folder.wait_for("starting -> armed");

    let (code, said) = run(folder.verb("status"));
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("main")
            && said.contains("ARMED")
            && said.contains("live")
            && said.contains("2 positions"),
        "{said}"
    );
    assert_eq!(http(&base, "GET", "/healthz", &[], "").0, 200);
    assert_eq!(http(&base, "GET", "/readyz", &[], "").0, 200);
    let (status, metrics) = http(&base, "GET", "/metrics", &[], "");
    assert_eq!(status, 200);
    // Ten thousand, give or take what the market moved meanwhile.
    let equity = metrics
        .lines()
        .find_map(|line| line.strip_prefix("backstop_equity{account=\"main\"} "));
    let equity: f64 = equity.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap();
    assert!((9_900.0..10_100.0).contains(&equity), "{equity}");

    let mut kill = folder.verb("kill");
    kill.args(["--flatten", "--symbol", "BTCUSDT", "--reason", "drill"]);
    let (code, said) = run(kill);
    assert_eq!(code, 0, "{said}");
    let report = exchange.wait("BTCUSDT closed", |report| position(report, "BTCUSDT") == 0.0);
    assert_eq!(
        position(&report, "测试USDT"),
        -2000.0,
        "the other symbol is left alone"
    );

    // SE-09: again is no second order.
    let mut kill = folder.verb("kill");
    kill.args(["--flatten", "--symbol", "BTCUSDT"]);
    let (code, said) = run(kill);
    assert!(code == 0 && said.contains("already in force"), "{said}");
    folder.wait_for("flat and verified");
    assert_eq!(guard_orders(&exchange.report()).len(), 1);

    let (_, said) = run(folder.verb("status"));
    assert!(
        said.contains("LATCHED") && said.contains("drill") && said.contains("backstop rearm"),
        "{said}"
    );
    let (code, said) = run(folder.verb("rearm"));
    assert!(
        code == 2 && said.contains("--confirm main"),
        "without a terminal the label is asked for: {said}"
    );
    let mut rearm = folder.verb("rearm");
    rearm.args(["--confirm", "mian"]);
    assert_eq!(run(rearm).0, 1);
    let mut rearm = folder.verb("rearm");
    rearm.args(["--confirm", "main"]);
    let (code, said) = run(rearm);
    assert!(code == 0 && said.contains("re-armed"), "{said}");
    kept_its_word(&exchange.report());
}

#[test]
fn se_04_se_05_se_07_strangers_and_lower_roles_change_nothing() {
    let exchange = Exchange::serve("calm-day");
    let (folder, base) = with_control(&exchange);
    let _guard = folder.guard(&["--live"]);
    folder.wait_for("starting -> armed");
    let tokens = std::fs::read_to_string(folder.state().join("control.token")).unwrap();
    let token = |role: &str| {
        let line = tokens.lines().find(|line| line.starts_with(role)).unwrap();
        format!("Bearer {}", line.split('"').nth(1).unwrap())
    };
    let (view, kill, rearm) = (token("view"), token("kill"), token("rearm"));
    let json = ("Content-Type", "application/json");
    let killing = r#"{"account":"main","action":"flatten","symbol":null,"reason":"x"}"#;
    let rearming = r#"{"account":"main","confirm":"main","baseline":"keep"}"#;
    let port = base.rsplit(':').next().unwrap();
    let rebound = format!("127.0.0.1.evil.example:{port}");
    let (origin, own) = ("http://evil.example", base.clone());
    for (name, method, path, headers, body, expected) in [
        ("no token", "POST", "/api/v1/kill", vec![json], killing, 401),
        (
            "wrong token",
            "POST",
            "/api/v1/kill",
            vec![json, ("Authorization", "Bearer x")],
            killing,
            401,
        ),
        (
            "view token",
            "POST",
            "/api/v1/kill",
            vec![json, ("Authorization", &view)],
            killing,
            403,
        ),
        (
            "kill token",
            "POST",
            "/api/v1/rearm",
            vec![json, ("Authorization", &kill)],
            rearming,
            403,
        ),
        (
            "form body",
            "POST",
            "/api/v1/kill",
            vec![
                ("Content-Type", "application/x-www-form-urlencoded"),
                ("Authorization", &kill),
            ],
            "account=main",
            415,
        ),
        (
            "text body",
            "POST",
            "/api/v1/kill",
            vec![("Content-Type", "text/plain"), ("Authorization", &kill)],
            killing,
            415,
        ),
        (
            "GET",
            "GET",
            "/api/v1/kill",
            vec![("Authorization", &kill)],
            "",
            405,
        ),
        (
            "foreign host",
            "POST",
            "/api/v1/kill",
            vec![json, ("Authorization", &kill), ("Host", &rebound)],
            killing,
            403,
        ),
        (
            "other port",
            "POST",
            "/api/v1/kill",
            vec![json, ("Authorization", &kill), ("Host", "127.0.0.1:1")],
            killing,
            403,
        ),
        (
            "foreign origin",
            "POST",
            "/api/v1/kill",
            vec![json, ("Authorization", &kill), ("Origin", origin)],
            killing,
            403,
        ),
        (
            "unknown key",
            "POST",
            "/api/v1/kill",
            vec![json, ("Authorization", &kill)],
            r#"{"account":"main","action":"block","all":true}"#,
            400,
        ),
        (
            "unknown account",
            "POST",
            "/api/v1/kill",
            vec![json, ("Authorization", &kill)],
            r#"{"account":"x","action":"block"}"#,
            404,
        ),
        (
            "unconfirmed",
            "POST",
            "/api/v1/rearm",
            vec![json, ("Authorization", &rearm)],
            r#"{"account":"main","confirm":""}"#,
            400,
        ),
        (
            "too long",
            "POST",
            "/api/v1/kill",
            vec![json, ("Authorization", &kill)],
            &" ".repeat(20_000),
            413,
        ),
        ("status without a token", "GET", "/api/v1/status", vec![], "", 401),
        (
            "own origin",
            "GET",
            "/api/v1/status",
            vec![("Authorization", &view), ("Origin", &own)],
            "",
            200,
        ),
    ] {
        let (status, said) = http(&base, method, path, &headers, body);
        assert_eq!(status, expected, "{name}: {said}");
        assert!(
            !said.contains(kill.trim_start_matches("Bearer ")),
            "{name}: a token is never repeated"
        );
    }
    // SE-06: guesses are slowed, and a right token is not.
    let guesses: Vec<u16> = (0..40)
        .map(|_| {
            http(
                &base,
                "GET",
                "/api/v1/status",
                &[("Authorization", "Bearer guess")],
                "",
            )
            .0
        })
        .collect();
    assert!(guesses.contains(&429), "{guesses:?}");
    let report = exchange.report();
    assert_eq!(
        (guard_orders(&report).len(), position(&report, "BTCUSDT")),
        (0, 0.2),
        "nothing was changed"
    );
    let (status, _) = http(
        &base,
        "POST",
        "/api/v1/kill",
        &[json, ("Authorization", &rearm)],
        killing,
    );
    assert_eq!(status, 200, "a higher role may do what a lower one may");
    exchange.wait("closed", |report| {
        position(report, "BTCUSDT") == 0.0 && position(report, "测试USDT") == 0.0
    });
}

#[test]
fn the_kill_file_closes_everything_and_rearm_is_refused_while_it_is_there() {
    let exchange = Exchange::serve("calm-day");
    let (folder, _) = with_control(&exchange);
    let _guard = folder.guard(&["--live"]);
    folder.wait_for("starting -> armed");
    std::fs::write(folder.state().join("KILL"), "").unwrap();
    let begun = Instant::now();
    let report = exchange.wait("everything closed", |report| {
        position(report, "BTCUSDT") == 0.0
            && position(report, "测试USDT") == 0.0
            && report["open_algo_orders"] == 0
    });
    assert!(begun.elapsed() < Duration::from_secs(20));
    kept_its_word(&report);
    folder.wait_for("flat and verified");
    let rearm = || {
        let mut rearm = folder.verb("rearm");
        rearm.args(["--confirm", "main"]);
        run(rearm)
    };
    let (code, said) = rearm();
    assert!(code == 1 && said.contains("KILL file"), "{said}");
    std::fs::remove_file(folder.state().join("KILL")).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(rearm().0, 0);
}

#[test]
fn pr_18_d12_a_second_guard_on_the_same_state_exits_3() {
    let exchange = Exchange::serve("calm-day");
    let folder = Folder::for_exchange(&exchange, "");
    let _guard = folder.guard(&["--live"]);
    folder.wait_for("starting -> armed");
    let (code, said) = run(folder.verb("run"));
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("another guard holds account `main`"), "{said}");
}

#[test]
fn wrong_files_are_named_with_a_hint_and_exit_2() {
    let exchange = Exchange::serve("calm-day");
    for (name, from, to, said) in [
        ("backstop.toml", "venue", "venuu", "venue"),
        (
            "backstop.toml",
            "digest_interval = \"1s\"",
            "digest_interval = 1",
            "digest_interval",
        ),
        ("policies.toml", "to = \"45%\"", "to = \"75%\"", "45%"),
        (
            "policies.toml",
            "\"margin_ratio\"",
            "\"margin_ration\"",
            "drawdown",
        ),
    ] {
        let folder = Folder::for_exchange(&exchange, "");
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        let wrong = text.replacen(from, to, 1);
        assert_ne!(wrong, text, "{from} is in {name}");
        folder.write(name, &wrong);
        let (code, told) = run(folder.verb("run"));
        assert_eq!(code, 2, "{told}");
        assert!(
            told.contains(name) && told.contains("-->") || told.contains(said),
            "{name} {to}: {told}"
        );
        let (code, _) = run(folder.verb("check"));
        assert_eq!(code, 1, "check answers no");
    }
    let (code, told) = run({
        let mut command = backstop();
        command.args(["replay", "/nowhere.jsonl"]);
        command
    });
    assert!(code == 2 && told.contains("/nowhere.jsonl"), "{told}");
}

#[test]
fn a_guard_that_is_not_running_is_said_to_be_so() {
    let exchange = Exchange::serve("calm-day");
    let (folder, base) = with_control(&exchange);
    std::fs::create_dir_all(folder.state()).unwrap();
    folder.write(
        "state/control.token",
        "view = \"0123456789abcdef01234\"\nkill = \"1123456789abcdef01234\"\nrearm = \"2123456789abcdef01234\"\n",
    );
    let (code, told) = run(folder.verb("status"));
    assert!(code == 2 && told.contains(&base), "{told}");
}

#[test]
fn pa_09_se_10_markup_in_a_symbol_stays_text_in_log_status_and_metrics() {
    let name = r#"<b>..*?%'/\"USDT"#;
    let exchange = Exchange::serve(&format!(
        r#"
name = "odd"
description = "A name that nobody hopes for."
duration = "10m"
[[symbol]]
name = {name:?}
path = [ {{ at = "0s", price = "100" }} ]
[account]
wallet = {{ USDT = "100000" }}
[[account.position]]
symbol = {name:?}
quantity = "2"
entry_price = "100"
"#
    ));
    let (folder, base) = with_control(&exchange);
    let _guard = folder.guard(&["--live"]);
    folder.wait_for("starting -> armed");
    let tokens = std::fs::read_to_string(folder.state().join("control.token")).unwrap();
    let view = tokens
        .lines()
        .find_map(|line| line.strip_prefix("view = "))
        .unwrap();
    let bearer = format!("Bearer {}", view.trim_matches('"'));
    let (code, body) = http(&base, "GET", "/api/v1/status", &[("Authorization", &bearer)], "");
    assert_eq!(code, 200, "{body}");
    let status: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert!(
        status.to_string().contains(&serde_json::json!(name).to_string()),
        "{status}"
    );
    // Each line of the metrics is a comment or a name, labels in quotes, and a number.
    let (_, metrics) = http(&base, "GET", "/metrics", &[], "");
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (sample, number) = line.rsplit_once(' ').unwrap();
        assert!(
            sample.starts_with("backstop_") && number.parse::<f64>().is_ok(),
            "{line}"
        );
    }
    std::fs::write(folder.state().join("KILL"), "").unwrap();
    let report = exchange.wait("flat", |report| report["positions"] == serde_json::json!({}));
    kept_its_word(&report);
    let log = folder.log();
    assert!(log.contains(name), "{log}");
    assert!(log.chars().all(|c| c == '\n' || !c.is_control()), "{log:?}");
    // And nothing was written but in the folder of the state.
    let kept: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(kept.len() < 10, "{kept:?}");
}
