//! What-if: two sets of policies over one recording, as the program prints it.

use std::path::{Path, PathBuf};
use std::process::Command;

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs `backstop replay` in the package's folder; gives its exit code and what it printed.
fn replay(args: &[&str]) -> (i32, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_backstop"))
        .arg("replay")
        .args(args)
        .current_dir(package())
        .output()
        .unwrap();
    let errors = String::from_utf8(done.stderr).unwrap();
    assert!(errors.is_empty(), "{errors}");
    (
        done.status.code().unwrap(),
        String::from_utf8(done.stdout).unwrap(),
    )
}

fn golden(name: &str, text: &str) {
    let path: PathBuf = package().join("tests/recordings/golden").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        text, expected,
        "{name}: UPDATE=1 rewrites it; review the difference"
    );
}

const CAREFUL: &str = "fixtures/policies/careful.toml";
const WATCHING: &str = "fixtures/policies/watching.toml";
const STANDARD: &str = "policies/standard.toml";

#[test]
fn two_policy_files_are_compared_to_the_golden_text() {
    for (recording, against, file) in [
        ("flash-crash", CAREFUL, "flash-crash-careful.txt"),
        ("refilling-bot", CAREFUL, "refilling-bot-careful.txt"),
        ("flash-crash", WATCHING, "flash-crash-watching.txt"),
    ] {
        let recording = format!("fixtures/recordings/{recording}.jsonl.gz");
        let (code, text) = replay(&["--policies", STANDARD, "--against", against, &recording]);
        assert_eq!(code, 1, "{file}: they part, and the exit code says so");
        golden(file, &text);
    }
}

#[test]
fn pr_23_a_file_against_itself_is_the_recording_whatever_was_recorded() {
    for recording in [
        "flash-crash",
        "hedge-book",
        "refilling-bot",
        "slow-bleed",
        "calm-day",
        "drill",
    ] {
        let path = format!("fixtures/recordings/{recording}.jsonl.gz");
        let (code, text) = replay(&["--policies", STANDARD, "--against", STANDARD, "--json", &path]);
        assert_eq!(code, 0, "{recording}: {text}");
        let sum: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        let golden = package().join(format!("fixtures/recordings/{recording}.decisions.jsonl"));
        let decisions = std::fs::read_to_string(golden).unwrap().lines().count();
        assert_eq!(sum["policies"]["decisions"], decisions, "{recording}");
        assert_eq!(sum["policies"]["equity"], sum["recorded_equity"], "{recording}");
        for closed in sum["policies"]["closed"].as_array().unwrap() {
            assert_eq!(
                closed["quantity"], closed["recorded"],
                "{recording}: nothing is modelled"
            );
        }
    }
}

#[test]
fn what_the_recorded_guard_did_is_taken_out_where_nothing_asks_for_it() {
    // 15000 − 5300 withdrawn + 1.5 × (56500 − 60000): the fall in full, and no fee of a closing order.
    let path = "fixtures/recordings/flash-crash.jsonl.gz";
    let (_, text) = replay(&["--policies", WATCHING, "--against", WATCHING, "--json", path]);
    let sum: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(sum["policies"]["open"], serde_json::json!(["1.5 BTCUSDT"]));
    let equity: rust_decimal::Decimal = sum["policies"]["equity"].as_str().unwrap().parse().unwrap();
    let expected: rust_decimal::Decimal = "4450".parse().unwrap();
    assert_eq!(equity.round_dp(6), expected, "{text}");
}

#[test]
fn a_modelled_reduction_costs_a_thousandth_of_its_size_at_the_mark_price() {
    let path = "fixtures/recordings/flash-crash.jsonl.gz";
    let (_, text) = replay(&["--policies", CAREFUL, "--against", CAREFUL, "--json", path]);
    let sum: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    // 0.406 at 60000, and 1.094 at the mark with which a reading showed that the fall had reached 5 %.
    assert_eq!(sum["policies"]["closed"][0]["quantity"], "1.5");
    assert_eq!(sum["policies"]["closed"][0]["notional"], "89524.8758");
    assert_eq!(sum["policies"]["closed"][0]["cost"], "89.5248758");
    // 9700 − 1.094 × (60000 − 59565.7) − 89.5248758
    assert_eq!(sum["policies"]["equity"], "9135.3509242");
}

/// The report of recordings, from `backstop replay --report`.
fn report(args: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report.html");
    let (code, _) = replay(&[args, &["--report", out.to_str().unwrap()]].concat());
    assert!(code <= 1);
    std::fs::read_to_string(out).unwrap()
}

#[test]
fn pr_23_a_report_is_the_same_on_every_run_and_takes_nothing_from_elsewhere() {
    let paths = [
        "flash-crash",
        "hedge-book",
        "refilling-bot",
        "slow-bleed",
        "calm-day",
        "drill",
    ]
    .map(|name| format!("fixtures/recordings/{name}.jsonl.gz"));
    let args: Vec<&str> = ["--against", CAREFUL]
        .into_iter()
        .chain(paths.iter().map(String::as_str))
        .collect();
    let page = report(&args);
    assert!(page == report(&args), "a second run differs");
    for foreign in [
        "http", "<script", "src=", "<link", "@import", "url(", "//", "<iframe",
    ] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    for shown in [
        "<svg",
        "prefers-color-scheme: dark",
        "Modelled: ",
        "B, modelled (what if)",
        "high-water mark of drawdown",
        "Position in 测试USDT",
        "None: nothing was decided.",
    ] {
        assert!(page.contains(shown), "{shown}");
    }
}

#[test]
fn every_link_of_a_report_leads_somewhere_and_back() {
    let page = report(&["--against", CAREFUL, "fixtures/recordings/flash-crash.jsonl.gz"]);
    let ids = |before: &str| -> std::collections::BTreeSet<String> {
        let parts = page.split(before).skip(1);
        parts
            .map(|part| part.split('"').next().unwrap().to_owned())
            .collect()
    };
    let (ids, links) = (ids(" id=\""), ids("href=\"#"));
    assert_eq!(links.len(), 40, "20 decisions, each with its mark");
    assert!(links.is_subset(&ids), "{:?}", links.difference(&ids));
}

#[test]
fn se_10_markup_in_a_recording_stays_text_in_a_report() {
    const EVIL: &str = "<img/onerror=alert(1)>";
    let packed = std::fs::File::open(package().join("fixtures/recordings/flash-crash.jsonl.gz")).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(packed), &mut text).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a<b>&.jsonl");
    let text = text
        .replace("BTCUSDT", EVIL)
        .replacen("\"account\":\"sim\"", "\"account\":\"</p><b>\"", 1);
    std::fs::write(&path, text).unwrap();
    let page = report(&["--against", CAREFUL, path.to_str().unwrap()]);
    assert!(page.contains("Position in &lt;img/onerror=alert(1)&gt;"));
    assert!(page.contains("account <b>&lt;/p&gt;&lt;b&gt;</b>"));
    assert!(page.contains("a&lt;b&gt;&amp;.jsonl"));
    for markup in ["<img", "</p><b>", "a<b>"] {
        assert!(!page.contains(markup), "{markup}");
    }
}

#[test]
fn what_a_recording_does_not_tell_is_unknown_and_not_zero() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nothing.jsonl");
    let lines = "{\"v\":1,\"venue\":\"sim\",\"started_at\":1,\"account\":\"main\"}\n\
                 {\"at\":1795000000000,\"via\":\"link\",\"body\":{\"stream\":\"up\"}}\n";
    std::fs::write(&path, lines).unwrap();
    let (code, text) = replay(&["--against", STANDARD, "--json", path.to_str().unwrap()]);
    assert_eq!(code, 0);
    let sum: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    for unknown in ["equity", "lowest_equity", "worst_margin_ratio", "open"] {
        assert!(sum["policies"][unknown].is_null(), "{unknown}: {text}");
    }
    assert!(sum["recorded_equity"].is_null(), "{text}");
    let page = report(&["--against", STANDARD, path.to_str().unwrap()]);
    assert!(!page.contains("<svg"), "there is nothing to draw");
    assert!(page.contains("unknown"));
}
