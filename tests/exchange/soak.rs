//! The real binary for a while among faults: first only safety counts, then everything heals and the account must be as
//! the policies demand.
//!
//! `SOAK_SECONDS` sets how long (20 without it), `SOAK_SEED` where chance begins. A failing run prints its seed and the
//! last 200 things that were done to the guard; the same seed does the same again.

use super::doors::free_port;
use super::stage::{Exchange, Folder, Guard, guard_orders, http, kept_its_word, position};
use serde_json::Value;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

const MARKET: &str = r#"
name = "soak"
description = "Two markets that go up and down."
duration = "1400m"
seed = SEED
[[symbol]]
name = "BTCUSDT"
noise_bps = 20
path = [ { at = "0s", price = "60000" } ]
[[symbol]]
name = "ETHUSDT"
noise_bps = 30
path = [ { at = "0s", price = "3000" } ]
[account]
wallet = { USDT = "1000000" }
[[account.position]]
symbol = "BTCUSDT"
quantity = "0.5"
entry_price = "60000"
"#;

const POLICIES: &str = r#"
version = 1
name = "soak"
[[policy]]
id = "size"
type = "max_position"
symbols = ["BTCUSDT"]
measure = "quantity"
count_open_orders = false
clear = "0.1"
ladder = [ { at = "0.75", action = "reduce", to = "0.5" } ]
[[policy]]
id = "exposure"
type = "max_position"
symbols = ["ETHUSDT"]
measure = "notional"
clear = "100"
ladder = [ { at = "30000", action = "block" }, { at = "60000", action = "reduce", to = "20000" } ]
[[policy]]
id = "margin"
type = "margin_ratio"
ladder = [ { at = "60%", action = "block" }, { at = "90%", action = "flatten" } ]
"#;

/// Everything heals for this long before the end.
const HEALED: Duration = Duration::from_secs(30);

/// Chance, and what it led to.
struct Chance {
    seed: u64,
    random: u64,
    done: Vec<String>,
}

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % limit
    }

    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        let count = u64::try_from(of.len()).unwrap();
        of[usize::try_from(self.below(count)).unwrap()]
    }

    fn did(&mut self, what: &str) {
        self.done.push(what.to_owned());
    }

    /// The next fault, in the words of a scenario.
    fn fault(&mut self) -> String {
        let span = 1 + self.below(6);
        let percent = self.one_of(&["5", "30", "100"]);
        let side = self.one_of(&["", "\"side\":\"rest\",", "\"side\":\"stream\","]);
        let event = self.one_of(&[
            "*",
            "ORDER_TRADE_UPDATE",
            "ACCOUNT_UPDATE",
            "ALGO_UPDATE",
            "markPriceUpdate",
        ]);
        let route = self.one_of(&[
            "GET /fapi/v3/*",
            "GET /fapi/v1/open*",
            "GET /fapi/v1/order",
            "POST /fapi/v1/order",
            "DELETE *",
            "POST /fapi/v1/listenKey",
            "GET /fapi/v1/time",
            "GET *",
        ]);
        let executed = self.one_of(&["true", "false"]);
        let answer = self.one_of(&[
            r#""status":503,"body":"Unknown error, please check your request or try again later.""#,
            r#""status":503,"body":"Service Unavailable.""#,
            r#""status":400,"code":-1007,"message":"Timeout waiting for response from backend server.""#,
            r#""status":400,"code":-1021,"message":"Timestamp for this request is outside of the recvWindow.""#,
            r#""status":400,"code":-1001,"message":"Internal error; unable to process your request. Please try again.""#,
            r#""status":502,"body":"<html>bad gateway</html>""#,
            r#""status":200,"body":"{\"half\":""#,
            r#""status":302,"body":"","headers":{"Location":"/elsewhere"}"#,
        ]);
        let ms = 50 + self.below(400);
        let offset = i64::try_from(self.below(12_000)).unwrap() - 6_000;
        // What is not executed and says so must not be said of something that was.
        let executed =
            if answer.contains("-1001") || answer.contains("Unavailable") || answer.contains("-1021") {
                "false"
            } else {
                executed
            };
        let what = match self.below(24) {
            0 | 1 => "\"cut\"".to_owned(),
            2 | 3 => "\"half_open\"".to_owned(),
            4 => "\"stall\"".to_owned(),
            5 => format!(r#"{{"latency":{{"ms":{ms},"jitter_ms":{ms}}}}}"#),
            6 => format!(r#"{{"reset":{{"after":{}}}}}"#, ms * 2),
            7 => format!(r#"{{"split":{{"bytes":{}}}}}"#, 1 + ms % 50),
            8 | 9 => format!(r#"{{"drop":{{"event":"{event}"}}}}"#),
            10 => format!(
                r#"{{"duplicate":{{"event":"{event}","copies":2,"within_ms":{}}}}}"#,
                ms * 5
            ),
            11 => format!(r#"{{"delay":{{"event":"{event}","within_ms":{}}}}}"#, ms * 4),
            12 => format!(r#"{{"garble":{{"event":"{event}","text":"{{\"e\":\"NEWS\",\"E\":7}}"}}}}"#),
            13 => r#"{"utter":{"form":"fragments"}}"#.to_owned(),
            14 => r#"{"utter":{"form":"not_utf8"}}"#.to_owned(),
            15 => r#"{"close":{"code":1001,"reason":"maintenance"}}"#.to_owned(),
            16 => self
                .one_of(&[
                    r#"{"expire_key":{}}"#,
                    r#"{"expire_key":{"silent":true}}"#,
                    "\"delete_key\"",
                    "\"no_acks\"",
                    "\"overload\"",
                    "\"newest_only\"",
                ])
                .to_owned(),
            17 => r#"{"pings":{"per_second":200}}"#.to_owned(),
            18 => format!(r#"{{"read_lag":{{"ms":{}}}}}"#, ms * 10),
            19 => format!(r#"{{"cancel_subset":{{"done_percent":{}}}}}"#, ms % 100),
            20 => "\"empty_book\"".to_owned(),
            21 => format!(r#"{{"clock":{{"offset_ms":{offset}}}}}"#),
            22 => format!(r#"{{"silence":{{"route":"{route}","executed":{executed}}}}}"#),
            _ => format!(r#"{{"answer":{{"route":"{route}",{answer},"executed":{executed}}}}}"#),
        };
        format!(r#"{{{side}"until":"{span}s","percent":{percent},"what":{what}}}"#)
    }

    /// What the bot does next: method, path and query.
    fn trade(&mut self) -> (&'static str, &'static str, String) {
        let (symbol, unit, price) = if self.below(3) == 0 {
            ("ETHUSDT", 50, 3_000)
        } else {
            ("BTCUSDT", 1, 60_000)
        };
        let tenths = (1 + self.below(6)) * unit;
        let quantity = format!("{}.{}", tenths / 10, tenths % 10);
        let side = self.one_of(&["BUY", "SELL"]);
        let away = 2 + self.below(4);
        let far = if side == "BUY" {
            price * (100 - away) / 100
        } else {
            price * (100 + away) / 100
        };
        match self.below(8) {
            0..=2 => (
                "POST",
                "/fapi/v1/order",
                format!("symbol={symbol}&side={side}&type=MARKET&quantity={quantity}"),
            ),
            3 | 4 => (
                "POST",
                "/fapi/v1/order",
                format!(
                    "symbol={symbol}&side={side}&type=LIMIT&timeInForce=GTC&quantity={quantity}&price={far}"
                ),
            ),
            5 => (
                "POST",
                "/fapi/v1/algoOrder",
                format!(
                    "algoType=CONDITIONAL&symbol={symbol}&side={side}&type=TAKE_PROFIT_MARKET&triggerPrice={far}&closePosition=true&workingType=MARK_PRICE"
                ),
            ),
            6 => (
                "POST",
                "/fapi/v1/order",
                format!("symbol={symbol}&side={side}&type=MARKET&quantity={quantity}&reduceOnly=true"),
            ),
            _ => ("DELETE", "/fapi/v1/allOpenOrders", format!("symbol={symbol}")),
        }
    }
}

impl Drop for Chance {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let from = self.done.len().saturating_sub(200);
            println!("SOAK_SEED={}\n{}", self.seed, self.done[from..].join("\n"));
        }
    }
}

/// What the process uses: resident KiB, file descriptors, tasks.
#[derive(Clone, Copy, Debug)]
struct Use {
    memory_kib: u64,
    descriptors: usize,
    tasks: u64,
}

impl Use {
    fn max(self, other: Use) -> Use {
        Use {
            memory_kib: self.memory_kib.max(other.memory_kib),
            descriptors: self.descriptors.max(other.descriptors),
            tasks: self.tasks.max(other.tasks),
        }
    }
}

fn used(guard: &Guard, control: &str) -> Use {
    let folder = format!("/proc/{}", guard.pid());
    let status = std::fs::read_to_string(format!("{folder}/status")).unwrap();
    let resident = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let metrics = http(control, "GET", "/metrics", &[], "").1;
    let tasks = metrics
        .lines()
        .find_map(|line| line.strip_prefix("backstop_tasks "))
        .unwrap();
    Use {
        memory_kib: resident.split_whitespace().nth(1).unwrap().parse().unwrap(),
        descriptors: std::fs::read_dir(format!("{folder}/fd")).unwrap().count(),
        tasks: tasks.parse().unwrap(),
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// Legs and amounts as the guard shows them.
fn shown(folder: &Folder) -> Value {
    let output = folder.verb("status").arg("--json").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

#[test]
fn st_15_pr_19_a_long_time_among_faults_ends_as_the_policies_demand() {
    let seed = number("SOAK_SEED", 20_261_125);
    let lasts = Duration::from_secs(number("SOAK_SECONDS", 20));
    let mut chance = Chance {
        seed,
        random: seed,
        done: Vec::new(),
    };
    let exchange = Exchange::serve(&MARKET.replace("SEED", &seed.to_string()));
    let folder = Folder::for_exchange(&exchange, POLICIES);
    let port = free_port();
    folder.replace("listen = \"\"", &format!("listen = \"127.0.0.1:{port}\""));
    let control = format!("http://127.0.0.1:{port}");
    let guard = folder.guard(&["--live"]);
    folder.wait_for("starting -> armed");

    // First act: faults and a bot, and only safety counts.
    let begun = Instant::now();
    let mut next_fault = Duration::ZERO;
    // The most that was in use in the first half: connections come and go with the faults, and a leak grows past any peak.
    let mut early = used(&guard, &control);
    let mut next_look = Duration::ZERO;
    while begun.elapsed() < lasts {
        if next_fault <= begun.elapsed() {
            let fault = chance.fault();
            chance.did(&format!("{:>8.1?} fault {fault}", begun.elapsed()));
            exchange.fault(&fault);
            next_fault = begun.elapsed() + Duration::from_millis(500 + chance.below(3_000));
        }
        let (method, path, query) = chance.trade();
        let (status, _) = exchange.bot(method, path, &query);
        chance.did(&format!(
            "{:>8.1?} bot {status} {method} {path} {query}",
            begun.elapsed()
        ));
        if next_look <= begun.elapsed() && begun.elapsed() < lasts / 2 {
            early = early.max(used(&guard, &control));
            next_look = begun.elapsed() + Duration::from_secs(1);
        }
        std::thread::sleep(Duration::from_millis(100 + chance.below(400)));
    }
    let report = exchange.report();
    kept_its_word(&report);

    // Second act: everything heals, and the account is brought to where the policies want it.
    exchange.heal();
    let healed = Instant::now();
    // The bot's last word: far too much, and orders that would add to it.
    for query in [
        "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1",
        "symbol=ETHUSDT&side=BUY&type=MARKET&quantity=30",
    ] {
        chance.did(&format!(
            "bot {query}: {:?}",
            exchange.bot("POST", "/fapi/v1/order", query)
        ));
    }
    let sized = |report: &Value| {
        position(report, "BTCUSDT").abs() <= 0.75 && position(report, "ETHUSDT").abs() * 3_100.0 <= 62_000.0
    };
    let report = exchange.wait("the account is as the policies demand", sized);
    assert!(
        healed.elapsed() <= HEALED,
        "{:?}\n{}",
        healed.elapsed(),
        folder.log()
    );
    kept_its_word(&report);
    assert_eq!(report["liquidations"], 0);
    loop {
        // What the guard shows is what the venue has.
        let (known, report) = (shown(&folder), exchange.report());
        let account = &known["accounts"][0];
        let amounts: Option<Vec<(&str, f64)>> = account["positions"].as_array().map(|all| {
            all.iter()
                .map(|one| {
                    (
                        one["symbol"].as_str().unwrap(),
                        one["amount"].as_str().unwrap().parse().unwrap(),
                    )
                })
                .collect()
        });
        let agree = amounts.is_some_and(|all| {
            all.len() == report["positions"].as_object().unwrap().len()
                && all
                    .iter()
                    .all(|(symbol, amount)| (position(&report, symbol) - amount).abs() < 1e-9)
        });
        if agree && account["state"] != "blind" {
            break;
        }
        assert!(healed.elapsed() <= HEALED, "{known:#}\n{:#}", report["positions"]);
        std::thread::sleep(Duration::from_millis(100));
    }
    let late = used(&guard, &control);

    // The end: everything is closed, and nothing is left in either store.
    std::fs::write(folder.state().join("KILL"), "").unwrap();
    let report = exchange.wait("flat and empty", |report| {
        report["positions"] == serde_json::json!({})
            && report["open_orders"] == 0
            && report["open_algo_orders"] == 0
    });
    folder.wait_for("flat and verified");
    kept_its_word(&report);

    let mut told = String::new();
    writeln!(
        told,
        "soak: {lasts:?}, seed {seed}, {} orders of the guard",
        guard_orders(&report).len()
    )
    .unwrap();
    writeln!(told, "  faults that struck: {}", report["faults"]).unwrap();
    writeln!(
        told,
        "  most in the first half {early:?}\n  at the end             {late:?}"
    )
    .unwrap();
    println!("{told}");
    // A twentieth and the slack of the allocator.
    assert!(
        late.memory_kib <= early.memory_kib + early.memory_kib / 20 + 2_048,
        "{told}"
    );
    assert!(late.descriptors <= early.descriptors + 4, "{told}");
    assert!(late.tasks <= early.tasks + 4, "{told}");
}
