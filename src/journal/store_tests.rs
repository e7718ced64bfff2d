//! The store against crashes, damage and second instances.

use super::*;
use std::fs;

/// Long enough for any write here.
const LONG: Duration = Duration::from_secs(20);

fn saved(store: &Store, text: &str) -> Result<(), NotDurable> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(store.save(text.to_owned()).wait(LONG))
}

/// Opens, saves these states, and closes.
fn guarded(dir: &Path, states: &[&str]) -> Loaded {
    let (store, loaded) = Store::open(dir, "main").unwrap();
    for state in states {
        saved(&store, state).unwrap();
    }
    store.close();
    loaded
}

fn look(dir: &Path) -> Loaded {
    guarded(dir, &[])
}

fn lost(loaded: &Loaded) -> bool {
    matches!(loaded, Loaded::Lost(_))
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_newest_state_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(look(dir.path()), Loaded::Fresh);
    assert_eq!(guarded(dir.path(), &["one", "two"]), Loaded::Fresh);
    assert_eq!(guarded(dir.path(), &["three"]), Loaded::State("two".into()));
    assert_eq!(look(dir.path()), Loaded::State("three".into()));
}

#[test]
fn mo_17_two_accounts_in_one_folder_get_each_its_own_state_back() {
    let dir = tempfile::tempdir().unwrap();
    let both = || ["main", "other"].map(|account| Store::open(dir.path(), account).unwrap());
    // Open at the same time: neither is in the way of the other.
    let [(main, _), (other, loaded)] = both();
    assert_eq!(loaded, Loaded::Fresh);
    for (store, state) in [(&main, "long"), (&other, "short"), (&main, "longer")] {
        saved(store, state).unwrap();
    }
    main.close();
    other.close();
    let [(main, first), (other, second)] = both();
    assert_eq!(first, Loaded::State("longer".into()));
    assert_eq!(second, Loaded::State("short".into()));
    main.close();
    other.close();
    // What is lost of one is not made good by the other's.
    fs::remove_file(dir.path().join("main.db")).unwrap();
    let [(main, first), (other, second)] = both();
    assert!(lost(&first), "{first:?}");
    assert_eq!(second, Loaded::State("short".into()));
    main.close();
    other.close();
}

#[test]
fn the_newest_sixty_four_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let states: Vec<String> = (1..=70).map(|n| n.to_string()).collect();
    let states: Vec<&str> = states.iter().map(String::as_str).collect();
    guarded(dir.path(), &states);
    let database = Connection::open(dir.path().join("main.db")).unwrap();
    let kept: (i64, i64, i64) = database
        .query_row(
            "SELECT count(*), min(number), max(number) FROM state",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .unwrap();
    drop(database);
    assert_eq!(kept, (64, 7, 70));
    assert_eq!(look(dir.path()), Loaded::State("70".into()));
}

#[test]
fn a_lazy_state_is_durable_after_a_moment_and_after_close() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), "main").unwrap();
    store.save_lazily("old".into());
    store.save_lazily("new".into());
    store.close();
    assert_eq!(look(dir.path()), Loaded::State("new".into()));
}

#[cfg(unix)]
#[test]
fn files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("deep/state");
    let (store, _) = Store::open(&state, "main").unwrap();
    saved(&store, "x").unwrap();
    for name in names(&state) {
        let mode = fs::metadata(state.join(&name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    let mode = fs::metadata(&state).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);
}

#[test]
fn a_label_that_is_no_file_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for label in ["", "../x", "a/b", "a.b", "a\0b", &"x".repeat(65)] {
        let error = Store::open(dir.path(), label).unwrap_err();
        assert!(matches!(error, StoreError::Label(_)), "{label:?}: {error}");
    }
}

#[test]
fn pr_18_a_second_guard_is_refused_and_a_stale_lock_is_not_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let (first, _) = Store::open(dir.path(), "main").unwrap();
    let second = Store::open(dir.path(), "main").unwrap_err();
    assert_eq!(second.exit_code(), 3);
    assert!(second.to_string().contains("another guard holds account `main`"));
    let (other, _) = Store::open(dir.path(), "other").unwrap();
    other.close();
    first.close();
    assert!(dir.path().join("main.lock").exists(), "the file stays");
    Store::open(dir.path(), "main").unwrap();
}

#[test]
fn pr_06_a_database_that_refuses_fails_the_ticket_and_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), "main").unwrap();
    saved(&store, "before").unwrap();
    assert_eq!(store.health(), Ok(()));
    // The same face as a full disk: every insert fails.
    let other = Connection::open(dir.path().join("main.db")).unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON state BEGIN SELECT RAISE(ABORT, 'disk full'); END",
        )
        .unwrap();
    let error = saved(&store, "during").unwrap_err();
    assert!(error.to_string().contains("disk full"), "{error}");
    assert!(store.health().unwrap_err().contains("disk full"));
    other.execute_batch("DROP TRIGGER full").unwrap();
    drop(other);
    saved(&store, "after").unwrap();
    assert_eq!(store.health(), Ok(()));
    store.close();
    assert_eq!(look(dir.path()), Loaded::State("after".into()));
}

#[test]
fn pr_06_a_slow_disk_fails_the_ticket_in_time_and_the_state_becomes_durable_later() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), "main").unwrap();
    let other = Connection::open(dir.path().join("main.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let ticket = store.save("kept".into());
    let error = runtime
        .block_on(ticket.wait(Duration::from_millis(20)))
        .unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    store.close();
    assert_eq!(look(dir.path()), Loaded::State("kept".into()));
}

#[cfg(unix)]
#[test]
fn pr_06_a_database_that_is_taken_away_promises_nothing() {
    for replaced in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), "main").unwrap();
        saved(&store, "one").unwrap();
        let database = dir.path().join("main.db");
        fs::rename(&database, dir.path().join("aside")).unwrap();
        if replaced {
            fs::copy(dir.path().join("aside"), &database).unwrap();
        }
        let word = if replaced { "replaced" } else { "removed" };
        assert!(saved(&store, "two").unwrap_err().to_string().contains(word));
        assert!(store.health().unwrap_err().contains(word));
        store.close();
    }
}

#[test]
fn pr_06_a_lazy_state_that_failed_is_tried_again_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), "main").unwrap();
    let other = Connection::open(dir.path().join("main.db")).unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON state BEGIN SELECT RAISE(ABORT, 'disk full'); END",
        )
        .unwrap();
    let until = |what: &dyn Fn() -> bool| {
        for _ in 0..2_000 {
            if what() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it did not come to it");
    };
    store.save_lazily("kept".into());
    until(&|| store.health().is_err());
    other.execute_batch("DROP TRIGGER full").unwrap();
    drop(other);
    until(&|| store.health().is_ok());
    store.close();
    assert_eq!(look(dir.path()), Loaded::State("kept".into()));
}

#[cfg(unix)]
#[test]
fn pr_06_a_state_directory_that_cannot_be_used_is_an_error_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::open(&file, "main").unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let blocked = dir.path().join("blocked");
    fs::create_dir_all(blocked.join("main.lock")).unwrap();
    let error = Store::open(&blocked, "main").unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
}

#[test]
fn pr_07_a_torn_tail_that_was_never_promised_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), "main").unwrap();
    for state in ["one", "two", "three"] {
        saved(&store, state).unwrap();
    }
    // A crash: the files as they are, with the end of the log torn.
    let crashed = tempfile::tempdir().unwrap();
    for name in names(dir.path()) {
        fs::copy(dir.path().join(&name), crashed.path().join(&name)).unwrap();
    }
    let log = crashed.path().join("main.db-wal");
    let whole = fs::read(&log).unwrap();
    fs::write(&log, &whole[..whole.len() - 100]).unwrap();
    let loaded = look(crashed.path());
    assert_eq!(loaded, Loaded::State("two".into()));
}

#[test]
fn pr_08_no_flipped_bit_passes_for_another_state() {
    let dir = tempfile::tempdir().unwrap();
    guarded(dir.path(), &["{\"high_water\":\"10000\"}"]);
    let clean = fs::read(dir.path().join("main.db")).unwrap();
    let at = clean.windows(5).position(|window| window == b"10000").unwrap();
    let marker = fs::read(dir.path().join("main.guarded")).unwrap();
    // The payload's byte must be noticed; any other must not change what is loaded unnoticed.
    let places = [at, at + 4]
        .into_iter()
        .chain((0..clean.len()).step_by(211))
        .chain(0..100);
    for (n, place) in places.enumerate() {
        let copy = tempfile::tempdir().unwrap();
        let mut bytes = clean.clone();
        bytes[place] ^= 0x08;
        fs::write(copy.path().join("main.db"), bytes).unwrap();
        fs::write(copy.path().join("main.guarded"), &marker).unwrap();
        match Store::open(copy.path(), "main") {
            Ok((_, Loaded::State(state))) => {
                assert!(1 < n, "byte {place} of the payload");
                assert_eq!(state, "{\"high_water\":\"10000\"}", "byte {place}");
            }
            Ok((_, Loaded::Fresh)) => panic!("byte {place} made it fresh"),
            Ok((_, Loaded::Lost(_))) => {
                let kept = copy.path().join("main.db.damaged-1");
                assert!(kept.exists(), "byte {place}: it is kept");
            }
            Err(error) => assert!(matches!(error, StoreError::Newer { .. }), "byte {place}: {error}"),
        }
    }
}

#[test]
fn pr_08_a_truncated_database_is_lost_and_kept_aside() {
    let dir = tempfile::tempdir().unwrap();
    guarded(dir.path(), &["one", &"x".repeat(9_000)]);
    let database = dir.path().join("main.db");
    let whole = fs::read(&database).unwrap();
    let mut n = 0;
    for length in [0, 1, 50, 100, 4_096, whole.len() / 2, whole.len() - 1] {
        let copy = tempfile::tempdir().unwrap();
        fs::write(copy.path().join("main.db"), &whole[..length]).unwrap();
        fs::copy(dir.path().join("main.guarded"), copy.path().join("main.guarded")).unwrap();
        let loaded = look(copy.path());
        assert!(lost(&loaded), "{length}: {loaded:?}");
        assert!(
            lost(&look(copy.path())),
            "{length}: still lost before the first save"
        );
        assert!(lost(&guarded(copy.path(), &["again"])));
        assert_eq!(
            look(copy.path()),
            Loaded::State("again".into()),
            "a new one began"
        );
        n += 1;
    }
    assert_eq!(n, 7);
}

#[test]
fn pr_08_an_older_copy_put_back_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("main.db");
    guarded(dir.path(), &["one", "two"]);
    let old = fs::read(&database).unwrap();
    guarded(dir.path(), &["three"]);
    fs::write(&database, &old).unwrap();
    let loaded = look(dir.path());
    assert!(
        matches!(&loaded, Loaded::Lost(why) if why.contains("older copy")),
        "{loaded:?}"
    );
    // And after a new one began, the oldest is still older.
    guarded(dir.path(), &["four"]);
    fs::write(&database, &old).unwrap();
    assert!(lost(&look(dir.path())));
    assert!(
        names(dir.path()).contains(&"main.db.damaged-2".to_owned()),
        "{:?}",
        names(dir.path())
    );
}

#[test]
fn pr_08_the_database_of_another_account_is_lost() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    guarded(dir.path(), &["mine"]);
    guarded(other.path(), &["theirs"]);
    fs::copy(other.path().join("main.db"), dir.path().join("main.db")).unwrap();
    assert!(lost(&look(dir.path())));
}

#[test]
fn pr_08_a_marker_that_cannot_be_read_is_lost() {
    for text in ["", "garbage", "7", "x 00", "99999999999999999999 00"] {
        let dir = tempfile::tempdir().unwrap();
        guarded(dir.path(), &["one"]);
        fs::write(dir.path().join("main.guarded"), text).unwrap();
        assert!(lost(&look(dir.path())), "{text:?}");
    }
}

#[test]
fn pr_09_a_missing_database_is_lost_when_the_account_was_guarded() {
    let dir = tempfile::tempdir().unwrap();
    guarded(dir.path(), &["one"]);
    fs::remove_file(dir.path().join("main.db")).unwrap();
    let loaded = look(dir.path());
    assert!(
        matches!(&loaded, Loaded::Lost(why) if why.contains("missing")),
        "{loaded:?}"
    );
}

#[test]
fn pr_22_a_newer_format_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    guarded(dir.path(), &["one"]);
    let database = Connection::open(dir.path().join("main.db")).unwrap();
    database.execute_batch("PRAGMA user_version = 2").unwrap();
    drop(database);
    let error = Store::open(dir.path(), "main").unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(!names(dir.path()).iter().any(|name| name.contains("damaged")));
}

/// Not a test of its own: the process that the next test kills.
#[test]
fn child_that_saves_until_it_is_killed() {
    let Ok(dir) = std::env::var("BACKSTOP_TEST_STORE_CHILD") else {
        return;
    };
    let (store, _) = Store::open(Path::new(&dir), "main").unwrap();
    for n in 1..100_000 {
        saved(&store, &n.to_string()).unwrap();
        println!("\nsaved {n}");
    }
}

#[test]
fn pr_24_what_was_promised_survives_kill_9() {
    use std::io::{BufRead, BufReader};
    let dir = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "journal::store::tests::child_that_saves_until_it_is_killed",
        ])
        .env("BACKSTOP_TEST_STORE_CHILD", dir.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut promised: u32 = 0;
    while promised < 20 {
        let line = lines.next().unwrap().unwrap();
        promised = line
            .strip_prefix("saved ")
            .map_or(promised, |n| n.parse().unwrap());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines.map_while(Result::ok) {
        promised = line
            .strip_prefix("saved ")
            .and_then(|n| n.parse().ok())
            .unwrap_or(promised);
    }
    match look(dir.path()) {
        Loaded::State(state) => assert!(promised <= state.parse::<u32>().unwrap(), "{state} < {promised}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn pr_08_a_loss_stays_a_loss_until_something_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    guarded(dir.path(), &["one"]);
    fs::write(dir.path().join("main.guarded"), "").unwrap();
    for start in ["first", "second"] {
        assert!(lost(&look(dir.path())), "{start} start");
    }
    guarded(dir.path(), &["two"]);
    assert_eq!(look(dir.path()), Loaded::State("two".into()));

    // The start was cut short after the loss was seen and before a new database was there.
    fs::write(dir.path().join("main.guarded"), "").unwrap();
    fs::remove_file(dir.path().join("main.db")).unwrap();
    assert!(lost(&look(dir.path())));

    // An account that was guarded and whose first state was never saved.
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(look(dir.path()), Loaded::Fresh);
    fs::remove_file(dir.path().join("main.db")).unwrap();
    for start in ["first", "second"] {
        assert!(lost(&look(dir.path())), "{start} start");
    }
}
