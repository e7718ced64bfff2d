//! The world below the tests: what it promises to whoever drives it.

use super::{STANDARD, file, long};
use backstop::guard::{Decision, Guard};
use backstop::sim::{HttpRequest, sign};
use backstop::trial::play::{How, invariants, play};
use backstop::trial::stage::beginning;
use backstop::trial::world::{Mishap, Tamper, World};

fn ignore(_: &Guard, _: &Decision) {}

/// The world of a long bitcoin on 10000, until this many ms after its start.
fn world(until: i64) -> World {
    let file = file(STANDARD, &long("", r#"{ at = "1s", equity = "10000" },"#));
    let begun = beginning(&file.tests[0], &file.set);
    let start = begun.guard_at;
    let mut world = World::new(begun);
    world.run_until(start + until, &mut ignore);
    world
}

#[test]
fn a_guard_is_armed_a_moment_after_its_beginning() {
    assert!(world(-1).guard().is_none());
    let state = |ms| world(ms).guard().map(|guard| guard.state().word());
    assert_eq!(state(0), Some("starting"));
    assert_eq!(state(99), Some("armed"));
}

#[test]
fn a_promise_that_the_exchange_saw_broken_fails_whatever_is_expected() {
    let mut world = world(1_000);
    assert_eq!(invariants(&world), []);
    let (key, secret) = world.exchange.credentials();
    let now = world.now();
    let query = format!("symbol=BTCUSDT&leverage=10&timestamp={now}");
    let request = HttpRequest {
        method: "POST".into(),
        path: "/fapi/v1/leverage".into(),
        query: format!("{query}&signature={}", sign(&secret, &query)),
        body: String::new(),
        api_key: Some(key),
    };
    assert_eq!(world.exchange.handle(now, &request).status, 200);
    let broken = invariants(&world);
    assert_eq!(broken.len(), 1);
    assert_eq!(broken[0].found, "the guard sent POST /fapi/v1/leverage");
}

#[test]
fn an_event_that_is_lost_repeated_or_late_is_found_by_the_cross_check() {
    let text = long(
        r#"
  { at = "2s", fill = { symbol = "BTCUSDT", side = "SELL", quantity = "0.2" } },
  { at = "4s", transfer = { USDT = "-500" } },"#,
        r#"{ at = "5s", nothing = true },"#,
    );
    let file = file(STANDARD, &text);
    let test = &file.tests[0];
    let clean = play(test, &file.set, How::default());
    assert_eq!((clean.events, clean.agrees), (5, true), "{:?}", clean.failures);
    for nth in 0..clean.events {
        for what in [Mishap::Drop, Mishap::Duplicate, Mishap::Swap] {
            let how = How {
                tamper: Some(Tamper { nth, what }),
                briefly: false,
            };
            let played = play(test, &file.set, how);
            assert_eq!(
                (&played.failures[..], played.agrees),
                (&[][..], true),
                "{nth} {what:?}"
            );
        }
    }
}

#[test]
fn a_lost_event_is_not_known_before_the_cross_check() {
    let text = long(
        r#"{ at = "2s", transfer = { USDT = "-500" } },"#,
        r#"{ at = "2s", equity = "9500" },"#,
    );
    let file = file(STANDARD, &text);
    let believed = |tamper, until: i64| {
        let mut begun = beginning(&file.tests[0], &file.set);
        begun.tamper = tamper;
        let start = begun.guard_at;
        let mut world = World::new(begun);
        world.run_until(start + until, &mut ignore);
        let equity = world.guard().unwrap().book().trusted_equity();
        equity.map(|equity| equity.to_string())
    };
    let lost = Some(Tamper {
        nth: 0,
        what: Mishap::Drop,
    });
    assert_eq!(believed(None, 2_100), Ok("9500".into()));
    assert_eq!(believed(lost, 2_100), Ok("10000".into()));
    assert_eq!(believed(lost, 20_000), Ok("9500".into()));
}
