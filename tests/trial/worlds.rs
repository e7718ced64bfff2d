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
fn a_lost_event_is_believed_until_the_cross_check() {
    let text = long(
        r#"{ at = "2s", fill = { symbol = "BTCUSDT", side = "SELL", quantity = "0.2" } },"#,
        r#"{ at = "2s", equity = "10000" },"#,
    );
    let file = file(STANDARD, &text);
    let begun = |tamper| {
        let mut begun = beginning(&file.tests[0], &file.set);
        begun.tamper = tamper;
        begun
    };
    let held = |tamper, until: i64| {
        let begun = begun(tamper);
        let start = begun.guard_at;
        let mut world = World::new(begun);
        world.run_until(start + 2_000, &mut ignore);
        let query = "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.2";
        assert_eq!(world.bot("POST", "/fapi/v1/order", query).status, 200);
        world.run_until(start + until, &mut ignore);
        let amounts = world
            .guard()
            .into_iter()
            .flat_map(|guard| guard.book().positions());
        amounts
            .map(|(_, position)| position.amount.to_string())
            .collect::<Vec<_>>()
    };
    let lost = Some(Tamper {
        // NEW, the short word of the fill, the balance and position, the fill.
        nth: 2,
        what: Mishap::Drop,
    });
    assert_eq!(held(None, 2_100), ["0.8"]);
    assert_eq!(held(lost, 2_100), ["1"]);
    assert_eq!(held(lost, 20_000), ["0.8"]);
}
