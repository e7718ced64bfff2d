//! Alerts of the real program, at receivers on this machine.

use super::stage::{Exchange, Folder, Guard, guard_orders, kept_its_word, position};
use crate::alerts::receiver::Receiver;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with these tables of channels; a channel's address is in a file of its own.
fn folder(exchange: &Exchange, channels: &[(&str, String, &str)]) -> Folder {
    let folder = Folder::for_exchange(exchange, "");
    for (name, url, more) in channels {
        folder.write(&format!("{name}.url"), url);
        let table = format!(
            "[alerts.{name}]\nkind = \"webhook\"\nurl_file = \"{name}.url\"\nallow_private = true\n{more}\n[account.main]\n"
        );
        folder.replace("[account.main]\n", &table);
    }
    folder
}

fn armed(folder: &Folder) -> Guard {
    let guard = folder.guard_with(&["--live"], &[("BACKSTOP_LOG", "trace")]);
    folder.wait_for("starting -> armed");
    guard
}

#[test]
fn se_12_pr_05_se_01_a_margin_call_reaches_people_while_dead_channels_delay_nothing() {
    let good = Receiver::kind(200, "");
    let hangs = Receiver::start(|_| None);
    let fails = Receiver::start(|_| Some((500, String::new(), "CANARY-ANSWER".into())));
    let exchange = Exchange::serve("flash-crash");
    let folder = folder(
        &exchange,
        &[
            ("good", format!("{}/CANARY-GOOD", good.url), "group = \"1s\""),
            (
                "hangs",
                format!("{}/CANARY-HANGS", hangs.url),
                "min_severity = \"info\"",
            ),
            ("fails", format!("{}/CANARY-FAILS", fails.url), ""),
            ("nobody", "http://127.0.0.1:9/CANARY-NOBODY".into(), ""),
        ],
    );
    let guard = armed(&folder);
    let call = good.wait("the margin call", PATIENCE, |body| {
        body["policy"] == "margin-call" && body["severity"] == "critical"
    });
    assert!(
        call.body["why"].as_str().unwrap().contains("maintenance"),
        "{call:#?}"
    );
    let latched = good.wait("the latch", PATIENCE, |body| {
        body["policy"] == "drawdown" && body["rung"] == "flatten"
    });
    assert!(
        latched.body["done"][0].as_str().unwrap().starts_with("SELL"),
        "{latched:#?}"
    );
    assert!(
        latched.body["instead"]
            .as_str()
            .unwrap()
            .contains("backstop rearm --account main")
    );
    good.wait("the state", PATIENCE, |body| {
        body["policy"] == "state" && body["title"].as_str().unwrap().contains("latched")
    });
    let report = exchange.report();
    kept_its_word(&report);
    assert_eq!(
        (guard_orders(&report).len(), position(&report, "BTCUSDT")),
        (2, 0.0)
    );
    assert_eq!(report["liquidations"], 0);
    // What was decided is at the good channel at once, whatever the others do.
    let (code, took) = guard.terminate();
    assert!(
        code == Some(0) && took < Duration::from_secs(5),
        "{code:?} {took:?}"
    );
    good.wait("the farewell", Duration::from_secs(1), |body| {
        body["title"]
            .as_str()
            .unwrap()
            .contains("nobody guards the account")
    });
    // Each reached its channel, was tried more than once where that failed, and no secret is in what was printed.
    assert!(!hangs.asked().is_empty() && fails.asked().len() > 1);
    let log = folder.log();
    assert!(
        log.contains("alerts.fails: not delivered") && !log.contains("CANARY"),
        "{log}"
    );
}

#[test]
fn se_13_g3_what_nobody_acknowledges_is_repeated_and_goes_to_the_next_channel_until_somebody_does() {
    let (first, next) = (Receiver::kind(200, ""), Receiver::kind(200, ""));
    let exchange = Exchange::serve(super::stage::QUIET);
    let folder = folder(
        &exchange,
        &[
            ("first", first.url.clone(), "repeat = \"1s\"\ngroup = \"0s\""),
            (
                "next",
                next.url.clone(),
                "repeat = \"1s\"\nescalate_after = \"3s\"",
            ),
        ],
    );
    folder.replace("listen = \"\"", "listen = \"127.0.0.1:0\"");
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    folder.replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
    let guard = armed(&folder);
    std::fs::write(folder.state().join("KILL"), "").unwrap();
    let is_latch = |body: &serde_json::Value| body["policy"] == "state" && body["severity"] == "critical";
    first.wait("a reminder", PATIENCE, |body| {
        is_latch(body) && body["repeats"] == 2
    });
    next.wait("the escalation", PATIENCE, is_latch);
    assert!(
        next.asked()
            .iter()
            .all(|asked| asked.body["severity"] == "critical")
    );
    let ack = super::stage::backstop()
        .args(["alerts", "ack", "--config"])
        .arg(folder.path().join("backstop.toml"))
        .output()
        .unwrap();
    assert!(ack.status.success(), "{ack:?}");
    std::thread::sleep(Duration::from_millis(500));
    let before = (first.asked().len(), next.asked().len());
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(
        (first.asked().len(), next.asked().len()),
        before,
        "nobody is reminded any more"
    );
    assert_eq!(guard.terminate().0, Some(0));
}

#[test]
fn se_11_a_channel_that_leads_inside_is_refused_at_the_start_and_by_check() {
    let exchange = Exchange::serve(super::stage::QUIET);
    let folder = folder(&exchange, &[("ops", "http://127.0.0.1:9/CANARY".into(), "")]);
    folder.replace("allow_private = true\n", "");
    for verb in ["run", "check"] {
        let said = folder.verb(verb).output().unwrap();
        let text = String::from_utf8_lossy(&said.stderr);
        assert_eq!(said.status.code(), Some(3), "{verb}: {text}");
        assert!(
            text.contains("on this machine or its network") && !text.contains("CANARY"),
            "{text}"
        );
    }
}

#[test]
fn a_test_message_is_sent_and_what_came_of_it_is_said() {
    let (good, fails) = (Receiver::kind(200, ""), Receiver::kind(500, ""));
    let exchange = Exchange::serve(super::stage::QUIET);
    let folder = folder(
        &exchange,
        &[("good", good.url.clone(), ""), ("fails", fails.url.clone(), "")],
    );
    for (name, code, words) in [
        ("good", 0, "good: sent"),
        ("fails", 1, "fails: not delivered: the channel answered 500"),
        ("nobody", 2, "there are: fails, good"),
    ] {
        let said = super::stage::backstop()
            .args(["alerts", "test", name, "--config"])
            .arg(folder.path().join("backstop.toml"))
            .output()
            .unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&said.stdout),
            String::from_utf8_lossy(&said.stderr)
        );
        assert_eq!(said.status.code(), Some(code), "{text}");
        assert!(text.contains(words), "{text}");
    }
    assert_eq!(good.asked().len(), 1);
    assert!(
        good.asked()[0].body["title"]
            .as_str()
            .unwrap()
            .starts_with("a test of the channel good")
    );
}
