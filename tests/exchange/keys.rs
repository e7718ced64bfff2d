//! Keys: how they sign, what they may do, whose account they open, and that none of them is ever shown.

use super::doors::with_control;
use super::stage::{Exchange, Folder, guard_orders, http, kept_its_word, position};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A calm market and a position; `account` are further lines of the account.
fn calm(account: &str) -> String {
    format!(
        r#"
name = "calm"
description = "Nothing happens."
duration = "60s"
[[symbol]]
name = "BTCUSDT"
path = [ {{ at = "0s", price = "60000" }} ]
[account]
wallet = {{ USDT = "100000" }}
{account}
[[account.position]]
symbol = "BTCUSDT"
quantity = "0.5"
entry_price = "60000"
"#
    )
}

/// A folder for an exchange that also tells a key's rights.
fn with_rights(exchange: &Exchange) -> Folder {
    let folder = Folder::for_exchange(exchange, "");
    folder.replace(
        "rest_url = ",
        &format!("sapi_url = \"{}\"\nrest_url = ", exchange.rest_url),
    );
    folder
}

/// Runs a guard that must end by itself: exit code and everything that it said.
fn ended(folder: &Folder, arguments: &[&str]) -> (Option<i32>, String) {
    let code = folder.guard(arguments).ended();
    (code, folder.log())
}

/// The guard works: it closes everything when it is told to.
fn closes_everything(exchange: &Exchange, folder: &Folder) {
    folder.write("state/KILL", "");
    let report = exchange.wait("everything closed", |report| position(report, "BTCUSDT") == 0.0);
    kept_its_word(&report);
    assert_eq!(guard_orders(&report).len(), 1);
}

#[test]
fn an_ed25519_key_guards() {
    let exchange = Exchange::serve_with(&calm(""), &["--key-type", "ed25519"]);
    assert!(exchange.secret.starts_with("-----BEGIN PRIVATE KEY-----"));
    let folder = Folder::for_exchange(&exchange, "");

    // SE-14: a private key is no shared secret.
    let (code, said) = ended(&folder, &["--live"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("write key_type = \"ed25519\""), "{said}");
    let checked = folder.verb("check").output().unwrap();
    assert_eq!(checked.status.code(), Some(3), "{checked:?}");

    folder.replace("rest_url = ", "key_type = \"ed25519\"\nrest_url = ");
    assert_eq!(folder.verb("check").output().unwrap().status.code(), Some(0));
    let _guard = folder.guard(&["--live"]);
    folder.wait_for("starting -> armed");
    closes_everything(&exchange, &folder);
}

#[test]
fn keys_come_as_systemd_credentials() {
    let exchange = Exchange::serve(&calm(""));
    let folder = Folder::for_exchange(&exchange, "");
    for name in ["key", "secret"] {
        let line = format!("api_{name}_file = \"{}/{name}\"\n", folder.path().display());
        folder.replace(&line, "");
        let credential = folder.path().join(format!("backstop-main-api_{name}"));
        fs::rename(folder.path().join(name), credential).unwrap();
    }
    let mut command = folder.verb("check");
    let checked = command
        .env("CREDENTIALS_DIRECTORY", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success() && !said.contains("not set"), "{said}");
    let mut command = folder.verb("record");
    command
        .env("CREDENTIALS_DIRECTORY", folder.path())
        .args(["--for", "2", "-o"])
        .arg(folder.path().join("tape.jsonl"));
    assert!(command.output().unwrap().status.success());
    let tape = fs::read_to_string(folder.path().join("tape.jsonl")).unwrap();
    assert!(tape.contains("GET /fapi/v3/account"), "{tape}");
}

#[test]
fn se_02_se_03_a_key_that_may_move_money_is_refused_live_and_told_dry() {
    for (key, named) in [
        ("withdrawals = true", "enableWithdrawals; untick it"),
        ("internal_transfer = true", "enableInternalTransfer; untick it"),
        ("universal_transfer = true", "permitsUniversalTransfer; untick it"),
        ("futures = false", "enableFutures is off"),
    ] {
        let exchange = Exchange::serve(&calm(&format!("[account.key]\n{key}\nip_restrict = false")));
        let folder = with_rights(&exchange);
        let (code, said) = ended(&folder, &["--live"]);
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains(named), "{said}");
        // Nothing is left of it: another key may follow without a word.
        assert!(!folder.state().join("main.account").exists());

        let guard = folder.guard(&[]);
        folder.wait_for("starting -> armed");
        let said = folder.log();
        assert!(
            said.contains(named) && said.contains("works from every address"),
            "{said}"
        );
        assert_eq!(guard.terminate().0, Some(0));
        assert_eq!(guard_orders(&exchange.report()).len(), 0);
    }
}

#[test]
fn se_03_without_a_restriction_to_addresses_a_live_guard_warns_and_works() {
    let exchange = Exchange::serve(&calm("[account.key]\nip_restrict = false"));
    let folder = with_rights(&exchange);
    let _guard = folder.guard(&["--live"]);
    folder.wait_for("works from every address");
    folder.wait_for("starting -> armed");
    closes_everything(&exchange, &folder);
}

#[test]
fn a_key_that_may_not_read_is_refused_live() {
    let exchange = Exchange::serve(&calm("[account.key]\nreading = false"));
    let folder = with_rights(&exchange);
    let (code, said) = ended(&folder, &["--live"]);
    assert!(code == Some(3) && said.contains("enableReading is off"), "{said}");
}

#[test]
fn li_09_a_key_that_the_venue_refuses_makes_the_guard_powerless_and_says_so() {
    // Of all calls: without a listenKey there is no stream either. Of trade calls alone: when it has to act.
    for (key, acts) in [("reading = false", false), ("futures = false", true)] {
        let exchange = Exchange::serve(&calm(&format!("[account.key]\n{key}")));
        let (folder, base) = with_control(&exchange);
        let _guard = folder.guard(&["--live"]);
        if acts {
            folder.wait_for("starting -> armed");
            folder.write("state/KILL", "");
        }
        folder.wait_for("-> powerless");
        let status = view(&folder, &base, "/api/v1/status");
        assert!(status.contains("\"state\":\"powerless\""), "{status}");
        assert_eq!(http(&base, "GET", "/readyz", &[], "").0, 503);
    }
}

#[test]
fn mo_19_accounts_of_another_kind_are_refused_with_the_reason() {
    for (account, named) in [
        ("portfolio_margin = true", "portfolio margin account"),
        ("wallet.BNFCR = \"12.5\"", "credits mode"),
    ] {
        let scenario = calm(account).replace("wallet = { USDT = \"100000\" }", "wallet.USDT = \"100000\"");
        let exchange = Exchange::serve(&scenario);
        let folder = with_rights(&exchange);
        for mode in [&["--live"][..], &[]] {
            let (code, said) = ended(&folder, mode);
            assert_eq!(code, Some(3), "{said}");
            assert!(said.contains(named), "{said}");
        }
    }
}

#[test]
fn li_15_a_right_that_comes_while_the_guard_runs_is_shown_until_it_is_gone() {
    let exchange = Exchange::serve(&calm(
        "[account.key]\nwithdrawals_from = \"4s\"\nwithdrawals_until = \"14s\"",
    ));
    let (folder, base) = with_control(&exchange);
    folder.replace(
        "rest_url = ",
        &format!("sapi_url = \"{}\"\nrest_url = ", exchange.rest_url),
    );
    folder.replace("digest_interval", "key_check = \"1s\"\ndigest_interval");
    let _guard = folder.guard(&["--live"]);
    folder.wait_for("starting -> armed");
    folder.wait_for("enableWithdrawals; untick it");
    let status = view(&folder, &base, "/api/v1/status");
    assert!(
        status.contains("\"the key: its key may do what a guard must not: enableWithdrawals"),
        "{status}"
    );
    assert!(status.contains("\"state\":\"armed\""), "{status}");
    // A question that is not answered takes nothing back. Only an answer without the right does.
    exchange.fault(r#"{"until":"4s","what":{"answer":{"route":"GET /sapi/*","status":500,"body":""}}}"#);
    folder.wait_for("the rights of its key cannot be read");
    let status = view(&folder, &base, "/api/v1/status");
    assert!(status.contains("enableWithdrawals"), "{status}");
    assert!(!folder.log().contains("nothing is wrong with the key any more"));
    folder.wait_for("nothing is wrong with the key any more");
    let status = view(&folder, &base, "/api/v1/status");
    assert!(!status.contains("the key: "), "{status}");
    closes_everything(&exchange, &folder);
}

/// What the control API shows to whoever may look.
fn view(folder: &Folder, base: &str, target: &str) -> String {
    let tokens = fs::read_to_string(folder.state().join("control.token")).unwrap();
    let view = tokens
        .lines()
        .find_map(|line| line.strip_prefix("view = "))
        .unwrap();
    let bearer = format!("Bearer {}", view.trim_matches('"'));
    let (status, body) = http(base, "GET", target, &[("Authorization", &bearer)], "");
    assert_eq!(status, 200, "{body}");
    body
}

#[test]
fn pr_17_a_kept_state_is_for_one_key_and_one_environment() {
    let exchange = Exchange::serve(&calm(""));
    let folder = Folder::for_exchange(&exchange, "");
    let start = |arguments: &[&str]| {
        let guard = folder.guard(arguments);
        folder.wait_for("state ");
        folder.wait_for(" -> armed");
        assert_eq!(guard.terminate().0, Some(0));
    };
    start(&["--live"]);

    // A new key, on an exchange of this machine again.
    let other = Exchange::serve(&calm(
        "[account.key]\nkey = \"another-key\"\nsecret = \"another-secret\"",
    ));
    folder.write("key", &other.key);
    folder.write("secret", &other.secret);
    folder.replace(&exchange.rest_url, &other.rest_url);
    folder.replace(&exchange.stream_url, &other.stream_url);
    for mode in [&["--live"][..], &[]] {
        let (code, said) = ended(&folder, mode);
        assert!(
            code == Some(3) && said.contains("start once with --new-key main"),
            "{said}"
        );
    }
    let (code, said) = ended(&folder, &["--new-key", "mian"]);
    assert!(
        code == Some(2) && said.contains("no account is called `mian`"),
        "{said}"
    );
    start(&["--live", "--new-key", "main"]);
    start(&["--live"]);

    // The same key under the name of another venue.
    folder.replace("venue = \"sim\"", "venue = \"binance-usdm-testnet\"");
    let (code, said) = ended(&folder, &["--new-key", "main"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("venue was sim and is binance-usdm-testnet"),
        "{said}"
    );
    // Going on deliberately: what the message says.
    for entry in fs::read_dir(folder.state()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("main.") {
            fs::remove_file(path).unwrap();
        }
    }
    start(&["--live"]);
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

#[test]
fn se_01_no_byte_of_a_key_is_in_any_output_at_any_log_level() {
    let canaries = ["CANARY-key-0123456789", "CANARY-secret-9876543210"];
    let exchange = Exchange::serve(&calm(&format!(
        "[account.key]\nkey = \"{}\"\nsecret = \"{}\"\nip_restrict = false\nwithdrawals_from = \"4s\"",
        canaries[0], canaries[1]
    )));
    assert_eq!([&*exchange.key, &*exchange.secret], canaries);
    let (folder, base) = with_control(&exchange);
    folder.replace(
        "rest_url = ",
        &format!("sapi_url = \"{}\"\nrest_url = ", exchange.rest_url),
    );
    folder.replace("digest_interval", "key_check = \"1s\"\ndigest_interval");
    let tape = folder.path().join("run.jsonl").display().to_string();
    // Louder than anybody should be: targets by name win over a level for all.
    let loud =
        "trace,hyper=trace,hyper_util=trace,reqwest::connect=trace,tungstenite::handshake=trace,log=trace";
    let mut seen = Vec::new();
    let guard = folder.guard(&["--live", "--record", &tape, "--log", loud]);
    folder.wait_for("starting -> armed");
    closes_everything(&exchange, &folder);
    folder.wait_for("flat and verified");
    folder.wait_for("enableWithdrawals; untick it");
    for target in ["/metrics", "/api/v1/status"] {
        seen.push((target.to_owned(), view(&folder, &base, target).into_bytes()));
    }
    // Failures of every connection.
    drop(exchange);
    folder.wait_for("-> blind");
    assert_eq!(guard.terminate().0, Some(0));
    for verb in ["check", "status"] {
        let mut command = folder.verb(verb);
        command.args(["--json", "--log", loud]);
        let output = command.output().unwrap();
        seen.push((verb.to_owned(), [output.stdout, output.stderr].concat()));
    }
    for path in files(folder.path()) {
        let name = path.strip_prefix(folder.path()).unwrap().display().to_string();
        if !["key", "secret"].contains(&name.as_str()) {
            seen.push((name, fs::read(&path).unwrap()));
        }
    }
    let names: Vec<&str> = seen.iter().map(|(name, _)| name.as_str()).collect();
    for expected in ["guard.log", "run.jsonl", "state/main.db", "state/main.account"] {
        assert!(names.contains(&expected), "{names:?}");
    }
    assert!(
        folder.log().contains("TRACE") || folder.log().contains("DEBUG"),
        "{}",
        folder.log()
    );
    for (name, bytes) in &seen {
        let text = String::from_utf8_lossy(bytes);
        for secret in [canaries[0], canaries[1], "embedded-listen-key-", "signature="] {
            assert!(!text.contains(secret), "{secret} in {name}:\n{text}");
        }
    }
}

#[test]
fn se_01_a_key_from_a_file_is_not_in_what_the_system_shows_of_the_process() {
    let exchange = Exchange::serve(&calm(
        "[account.key]\nkey = \"CANARY-key\"\nsecret = \"CANARY-secret\"",
    ));
    let folder = Folder::for_exchange(&exchange, "");
    let guard = folder.guard(&["--live"]);
    folder.wait_for("starting -> armed");
    for shown in ["cmdline", "environ"] {
        let text = fs::read(format!("/proc/{}/{shown}", guard.pid())).unwrap();
        assert!(!String::from_utf8_lossy(&text).contains("CANARY"), "{shown}");
    }
    let report: Value = exchange.report();
    assert_eq!(position(&report, "BTCUSDT"), 0.5);
}
