//! The private stream fails in every way that it can, and the guard sees again.

use super::stage::{Armed, QUIET, each, guard_orders, kept_its_word, position};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Cuts whatever is above three quarters of a bitcoin, so that a change of the position is answered at the venue.
const LIMIT: &str = r#"
version = 1
name = "limit"
[[policy]]
id = "size"
type = "max_position"
measure = "quantity"
count_open_orders = false
latch = "until_clear"
clear = "0.1"
ladder = [ { at = "0.75", action = "reduce", to = "0.5" } ]
"#;

/// What the exchange must see happen.
trait Watched {
    fn must_see(&self, within: Duration);
    fn must_hear(&self);
}

impl Watched for Armed {
    /// The bot takes the position over the limit; the guard must bring it back within `within`.
    fn must_see(&self, within: Duration) {
        let (status, body) = self.exchange.bot(
            "POST",
            "/fapi/v1/order",
            "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.5",
        );
        assert_eq!(status, 200, "{body}");
        let begun = Instant::now();
        let report = self.exchange.wait("the position is cut", |report| {
            position(report, "BTCUSDT") <= 0.75
        });
        assert!(
            begun.elapsed() <= within,
            "{:?}\n{}",
            begun.elapsed(),
            self.folder.log()
        );
        kept_its_word(&report);
    }

    /// As [`Stage::must_see`], with readings that fail: only the stream can tell, and it must.
    fn must_hear(&self) {
        let failing = r#"{"until":"20s","what":{"answer":{"route":"GET /fapi/v3/*","status":503,"body":"Service Unavailable."}}}"#;
        let begun = Instant::now();
        while begun.elapsed() < FOUND {
            self.exchange.fault(failing);
            let (status, body) = self.exchange.bot(
                "POST",
                "/fapi/v1/order",
                "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.5",
            );
            assert_eq!(status, 200, "{body}");
            let told = Instant::now();
            while told.elapsed() < Duration::from_secs(2) {
                if position(&self.exchange.report(), "BTCUSDT") <= 0.75 {
                    self.exchange.heal();
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            // Not connected yet: by a digest, and then again.
            self.exchange.heal();
            self.exchange
                .wait("cut by a digest", |report| position(report, "BTCUSDT") <= 0.75);
        }
        panic!("the stream stays mute:\n{}", self.folder.log());
    }
}

/// What a fault costs: blindness is found within a digest and its settling, and the way back is 30 s at most.
const FOUND: Duration = Duration::from_secs(30);

#[test]
fn st_01_st_02_pings_are_answered_and_every_user_event_is_dropped() {
    let stage = Armed::new(QUIET, LIMIT);
    stage.exchange.fault(r#"{"what":{"drop":{"event":"*"}}}"#);
    stage.exchange.fault(r#"{"what":{"pings":{"per_second":20}}}"#);
    stage.must_see(FOUND);
    stage.folder.wait_for("the stream kept silent about");
    assert!(stage.struck() > 0);
    // Another connection was opened, and it is deaf as well until the fault is over.
    stage.exchange.heal();
    stage.must_hear();
}

#[test]
fn st_05_f2_an_expired_key_is_replaced_at_once_and_the_gap_is_read() {
    let stage = Armed::new(QUIET, LIMIT);
    let before = stage.requests("POST /fapi/v1/listenKey");
    stage.exchange.fault(r#"{"what":{"expire_key":{}}}"#);
    stage.must_see(FOUND);
    stage.must_hear();
    assert!(stage.requests("POST /fapi/v1/listenKey") > before);
    assert_eq!(stage.requests("DELETE /fapi/v1/listenKey"), 0);
}

#[test]
fn st_04_st_07_f3_a_key_that_is_deleted_or_expires_in_silence_is_found_by_the_digest() {
    for fault in [
        r#"{"what":"delete_key"}"#,
        r#"{"what":{"expire_key":{"silent":true}}}"#,
    ] {
        let stage = Armed::new(QUIET, LIMIT);
        stage.exchange.fault(fault);
        stage.must_see(FOUND);
        stage.must_hear();
        assert_eq!(stage.requests("DELETE /fapi/v1/listenKey"), 0, "{fault}");
    }
}

#[test]
fn st_03_a_key_that_cannot_be_extended_is_replaced() {
    // Extended every second; the venue forgets the key, and POST gives another one.
    let stage = Armed::with(QUIET, LIMIT, "keepalive = \"1s\"");
    for answer in [
        r#"{"route":"POST /fapi/v1/listenKey","status":400,"code":-1125,"message":"This listenKey does not exist."}"#,
        r#"{"route":"POST /fapi/v1/listenKey","status":503,"body":"Service Unavailable."}"#,
    ] {
        stage
            .exchange
            .fault(&format!(r#"{{"until":"3s","what":{{"answer":{answer}}}}}"#));
        std::thread::sleep(Duration::from_secs(3));
    }
    stage
        .exchange
        .fault(r#"{"until":"4s","what":{"silence":{"route":"POST /fapi/v1/listenKey"}}}"#);
    stage.exchange.fault(r#"{"what":"delete_key"}"#);
    stage.must_see(FOUND);
    assert!(stage.struck() > 0);
    stage.must_hear();
}

#[test]
fn st_06_a_connect_that_is_accepted_and_stays_mute_proves_nothing() {
    let mute = QUIET.to_owned() + "[[fault]]\nwhat = { drop = { event = \"*\" } }\n";
    let stage = Armed::new(&mute, LIMIT);
    stage.must_see(FOUND);
    stage.exchange.heal();
    stage.must_hear();
}

#[test]
fn st_06_a_connect_without_a_proof_of_life_counts_as_failed() {
    let stage = Armed::new(QUIET, LIMIT);
    stage.exchange.fault(r#"{"what":{"drop":{"event":"*"}}}"#);
    stage.exchange.fault(
        r#"{"what":{"answer":{"route":"GET /fapi/v3/*","status":503,"body":"Service Unavailable."}}}"#,
    );
    let before = stage.requests("POST /fapi/v1/listenKey");
    stage.exchange.fault(r#"{"what":{"close":{"code":1001}}}"#);
    std::thread::sleep(Duration::from_secs(20));
    let tries = stage.requests("POST /fapi/v1/listenKey") - before;
    assert!(
        (3..=8).contains(&tries),
        "{tries} connects in 20 s, one in five seconds"
    );
    stage.exchange.heal();
    stage.must_hear();
}

#[test]
fn st_08_a_competing_client_takes_the_stream_and_the_digest_finds_it() {
    let stage = Armed::new(QUIET, LIMIT);
    // The stream goes to whoever connected last, and that is somebody else.
    stage.exchange.fault(r#"{"what":"newest_only"}"#);
    let key = {
        let (_, body) = super::stage::http(
            &stage.exchange.rest_url,
            "POST",
            "/fapi/v1/listenKey",
            &[("X-MBX-APIKEY", &stage.exchange.key)],
            "",
        );
        let body: Value = serde_json::from_str(&body).unwrap();
        body["listenKey"].as_str().unwrap().to_owned()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = || {
        format!(
            "{}/private/ws?listenKey={key}&events=ORDER_TRADE_UPDATE/ACCOUNT_UPDATE/TRADE_LITE",
            stage.exchange.stream_url
        )
    };
    let _rival = runtime.block_on(async { tokio_tungstenite::connect_async(url()).await.unwrap().0 });
    stage.must_see(FOUND);
    stage.folder.wait_for("the stream kept silent about");
    // The rival comes back each time, as bots do: then it is not the connection.
    std::thread::sleep(Duration::from_secs(2));
    let _rival = runtime.block_on(async { tokio_tungstenite::connect_async(url()).await.unwrap().0 });
    stage.must_see(FOUND);
    stage
        .folder
        .wait_for("another client of this account may be taking it");
}

#[test]
fn st_11_a_half_open_connection_is_given_up() {
    let stage = Armed::new(QUIET, LIMIT);
    stage
        .exchange
        .fault(r#"{"side":"stream","until":"40s","what":"half_open"}"#);
    // Nothing happens on the account and every digest agrees: only the connection itself can be found out.
    let before = stage.requests("POST /fapi/v1/listenKey");
    let begun = Instant::now();
    stage.exchange.wait("another connection is tried", |report| {
        report["requests"]["POST /fapi/v1/listenKey"].as_u64() > Some(before)
    });
    assert!(
        begun.elapsed() <= Duration::from_secs(22),
        "{:?}",
        begun.elapsed()
    );
    stage.must_see(FOUND);
    stage.exchange.heal();
    stage.must_hear();
}

#[test]
fn st_12_a_thousand_pings_a_second_are_no_sign_of_life() {
    let stage = Armed::new(QUIET, LIMIT);
    stage.exchange.fault(r#"{"what":{"pings":{"per_second":1000}}}"#);
    stage.exchange.fault(r#"{"what":{"drop":{"event":"*"}}}"#);
    // Readings fail too: nothing proves life now but what is no proof.
    stage.exchange.fault(
        r#"{"what":{"answer":{"route":"GET /fapi/v3/*","status":503,"body":"Service Unavailable."}}}"#,
    );
    stage.folder.wait_for("armed -> blind");
}

#[test]
fn st_17_every_event_is_lost_with_a_chance_and_the_digest_keeps_the_account_right() {
    for percent in [1, 20, 80] {
        let stage = Armed::new(QUIET, LIMIT);
        stage.exchange.fault(&format!(
            r#"{{"percent":{percent},"what":{{"drop":{{"event":"*"}}}}}}"#
        ));
        for _ in 0..3 {
            stage.must_see(FOUND);
        }
        let report = stage
            .exchange
            .wait("at the aim", |report| position(report, "BTCUSDT") <= 0.5);
        assert_eq!(position(&report, "BTCUSDT"), 0.5, "{percent} %");
        kept_its_word(&report);
    }
}

#[test]
fn st_18_mo_14_one_lost_fill_is_corrected_by_the_next_digest() {
    let stage = Armed::new(QUIET, LIMIT);
    for event in ["ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "TRADE_LITE"] {
        stage.exchange.fault(&format!(
            r#"{{"until":"2s","what":{{"drop":{{"event":"{event}"}}}}}}"#
        ));
    }
    stage.must_see(Duration::from_secs(10));
}

#[test]
fn st_13_st_26_broken_connections_are_replaced_and_the_rest_is_read() {
    let stage = Armed::new(QUIET, LIMIT);
    for form in ["binary", "not_utf8", "oversized", "fragments"] {
        stage
            .exchange
            .fault(&format!(r#"{{"what":{{"utter":{{"form":"{form}"}}}}}}"#));
        stage.must_see(FOUND);
    }
    stage
        .exchange
        .fault(r#"{"side":"stream","until":"20s","what":{"split":{"bytes":3}}}"#);
    stage.must_see(FOUND);
    stage
        .exchange
        .fault(r#"{"side":"stream","until":"3s","what":{"reset":{"after":200}}}"#);
    stage
        .exchange
        .fault(r#"{"what":{"close":{"code":1001,"reason":"gone"}}}"#);
    stage.must_see(FOUND);
    stage.must_hear();
}

/// Processor time of a process so far, by the system's count of hundredths of a second.
#[cfg(target_os = "linux")]
fn busy(pid: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name, in brackets, may have spaces; user and system time are the 12th and 13th after it.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2);
    Duration::from_millis(ticks.map(|text| text.parse::<u64>().unwrap() * 10).sum())
}

#[cfg(target_os = "linux")]
#[test]
fn st_13_a_guard_that_sees_nothing_but_errors_does_not_spin() {
    const SEEN: Duration = Duration::from_secs(8);
    for what in [r#""cut""#, r#"{"reset":{"after":20}}"#] {
        let stage = Armed::new(QUIET, LIMIT);
        let (before, idle) = (stage.requests("POST /fapi/v1/listenKey"), busy(&stage.pid()));
        stage
            .exchange
            .fault(&format!(r#"{{"side":"stream","what":{what}}}"#));
        stage.exchange.fault(r#"{"what":{"close":{"code":1001}}}"#);
        std::thread::sleep(SEEN);
        let tries = stage.requests("POST /fapi/v1/listenKey") - before;
        let spent = busy(&stage.pid()) - idle;
        println!("{what}: {tries} tries, {spent:?} of {SEEN:?}");
        // At once, and then after pauses that double from a quarter of a second.
        assert!((2..=8).contains(&tries), "{what}: {tries} tries in {SEEN:?}");
        // Four times what is allowed, for a build without optimisation.
        assert!(spent < SEEN / 5, "{what}: busy for {spent:?} of {SEEN:?}");
        stage.exchange.heal();
        stage.must_hear();
    }
}

#[test]
fn st_14_every_phase_of_a_connect_has_an_end() {
    let stage = Armed::new(QUIET, LIMIT);
    stage
        .exchange
        .fault(r#"{"side":"stream","until":"12s","what":"stall"}"#);
    stage.exchange.fault(r#"{"what":{"close":{"code":1001}}}"#);
    stage.folder.wait_for("no connection within");
    stage.must_see(FOUND);
    stage.exchange.heal();
    stage
        .exchange
        .fault(r#"{"until":"8s","what":{"silence":{"route":"POST /fapi/v1/listenKey"}}}"#);
    stage.exchange.fault(r#"{"what":{"close":{"code":1001}}}"#);
    stage.folder.wait_for("listenKey: ");
    stage.must_see(FOUND);
    stage.exchange.heal();
    stage.must_hear();
}

#[test]
fn st_19_f1_an_endpoint_that_has_moved_is_told_and_does_not_become_a_storm() {
    let stage = Armed::new(QUIET, LIMIT);
    stage
        .exchange
        .fault(r#"{"what":{"answer":{"route":"POST /fapi/v1/listenKey","status":410,"body":"gone"}}}"#);
    stage.exchange.fault(r#"{"what":{"close":{"code":1001}}}"#);
    stage.folder.wait_for("HTTP 410");
    let before = stage.requests("POST /fapi/v1/listenKey");
    std::thread::sleep(Duration::from_secs(8));
    let tries = stage.requests("POST /fapi/v1/listenKey") - before;
    assert!(tries <= 8, "{tries} tries in 8 s");
    stage.must_see(FOUND);
    stage.exchange.heal();
    stage.must_hear();
}

#[test]
fn st_23_a_burst_is_taken_whole_or_the_account_is_read_again() {
    let stage = Armed::new(QUIET, LIMIT);
    stage
        .exchange
        .fault(r#"{"until":"5s","what":{"duplicate":{"event":"*","copies":16,"within_ms":50}}}"#);
    for _ in 0..3 {
        stage.must_see(FOUND);
    }
    let report = stage
        .exchange
        .wait("at the aim", |report| position(report, "BTCUSDT") <= 0.5);
    assert_eq!(position(&report, "BTCUSDT"), 0.5);
    // Each over-run was cut by one order, not by one for each copy.
    assert_eq!(guard_orders(&report).len(), 3, "{report:#}");
}

#[test]
fn mo_01_mo_02_events_that_come_late_twice_and_out_of_order_change_nothing() {
    let stage = Armed::new(QUIET, LIMIT);
    for event in ["ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"] {
        stage.exchange.fault(&format!(
            r#"{{"percent":60,"what":{{"delay":{{"event":"{event}","within_ms":900}}}}}}"#
        ));
        stage.exchange.fault(&format!(
            r#"{{"percent":60,"what":{{"duplicate":{{"event":"{event}","copies":2,"within_ms":2500}}}}}}"#
        ));
    }
    for _ in 0..4 {
        stage.must_see(FOUND);
    }
    let report = stage
        .exchange
        .wait("at the aim", |report| position(report, "BTCUSDT") <= 0.5);
    assert_eq!(position(&report, "BTCUSDT"), 0.5);
    kept_its_word(&report);
}

#[test]
fn mo_23_readings_that_lag_behind_the_stream_undo_nothing() {
    let stage = Armed::new(QUIET, LIMIT);
    stage
        .exchange
        .fault(r#"{"until":"25s","what":{"read_lag":{"ms":4000}}}"#);
    for _ in 0..3 {
        stage.must_see(FOUND);
    }
    let report = stage
        .exchange
        .wait("at the aim", |report| position(report, "BTCUSDT") <= 0.5);
    assert_eq!(position(&report, "BTCUSDT"), 0.5);
    kept_its_word(&report);
    assert!(!stage.folder.log().contains("-> blind"), "{}", stage.folder.log());
}

/// Lengths of the outages, in seconds; `OUTAGE_SECONDS=300,3600` tries others.
fn outages() -> Vec<u64> {
    let wanted = std::env::var("OUTAGE_SECONDS").unwrap_or("1,4,12,20".into());
    wanted
        .split(',')
        .map(|text| text.trim().parse().unwrap())
        .collect()
}

#[test]
fn st_15_st_24_the_network_goes_and_comes_back_and_the_account_is_guarded_within_30_s() {
    let cases = outages()
        .into_iter()
        .flat_map(|seconds| [("cut", seconds), ("half_open", seconds)]);
    each(cases, |(what, seconds)| {
        let scenario = QUIET.replace(
            "duration = \"10m\"",
            &format!("seed = {seconds}\nduration = \"600m\""),
        );
        let stage = Armed::new(&scenario, LIMIT);
        stage
            .exchange
            .fault(&format!(r#"{{"until":"{seconds}s","what":"{what}"}}"#));
        // The bot does not feel the guard's network.
        let (status, body) = stage.exchange.bot(
            "POST",
            "/fapi/v1/order",
            "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.5",
        );
        assert_eq!(status, 200, "{body}");
        std::thread::sleep(Duration::from_secs(seconds));
        let back = Instant::now();
        let report = stage
            .exchange
            .wait("seen and cut", |report| position(report, "BTCUSDT") <= 0.5);
        kept_its_word(&report);
        assert_eq!(position(&report, "BTCUSDT"), 0.5);
        while stage.folder.state_word() != "armed" {
            std::thread::sleep(Duration::from_millis(50));
        }
        let took = back.elapsed();
        println!("{what} for {seconds} s: armed {took:?} after the network came back");
        assert!(
            took <= Duration::from_secs(30),
            "{what} for {seconds} s: {took:?}"
        );
        stage.must_hear();
    });
}
