//! The kept state: damage, loss, disks that fail, and crashes.

use super::*;
use rusqlite::Connection;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

const SOON: Duration = Duration::from_secs(5);

async fn saved(folder: &Path, payloads: &[&str]) {
    let (store, _) = Store::open(folder, "main").unwrap();
    for payload in payloads {
        store.save((*payload).into()).wait(SOON).await.unwrap();
    }
    store.close();
}

fn reopened(folder: &Path) -> Loaded {
    let (store, loaded) = Store::open(folder, "main").unwrap();
    store.close();
    loaded
}

#[tokio::test]
async fn what_was_saved_last_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(reopened(folder.path()), Loaded::Fresh);
    saved(folder.path(), &["one", "two"]).await;
    assert_eq!(reopened(folder.path()), Loaded::State("two".into()));
    for _ in 0..3 {
        let many: Vec<String> = (0..40).map(|n| n.to_string()).collect();
        saved(
            folder.path(),
            &many.iter().map(String::as_str).collect::<Vec<_>>(),
        )
        .await;
    }
    assert_eq!(
        reopened(folder.path()),
        Loaded::State("39".into()),
        "old rows go, the newest stays"
    );
}

#[tokio::test]
async fn pr_18_one_guard_an_account() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = Store::open(folder.path(), "main").unwrap();
    assert!(matches!(
        Store::open(folder.path(), "main"),
        Err(StoreError::Held(_))
    ));
    assert!(
        Store::open(folder.path(), "other").is_ok(),
        "another account is free"
    );
    first.close();
    assert!(
        Store::open(folder.path(), "main").is_ok(),
        "a lock that nobody holds is no obstacle"
    );
}

#[tokio::test]
async fn pr_08_a_changed_byte_is_noticed_and_the_file_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    saved(folder.path(), &["aaaa-first", "bbbb-second", "cccc-third"]).await;
    let path = folder.path().join("main.state.db");
    Connection::open(&path)
        .unwrap()
        .execute("UPDATE state SET payload = 'dddd-third' WHERE number = 3", [])
        .unwrap();
    assert!(matches!(reopened(folder.path()), Loaded::Lost(why) if why.contains("number 3")));
    assert!(
        folder.path().read_dir().unwrap().any(|f| f
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains("damaged-1"))
    );
    assert!(
        matches!(reopened(folder.path()), Loaded::Lost(_)),
        "lost until something is saved"
    );
    saved(folder.path(), &["new"]).await;
    assert_eq!(reopened(folder.path()), Loaded::State("new".into()));
}

/// The files of an account as a crash at this moment would leave them.
fn crashed(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for file in from.read_dir().unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.path().join(file.file_name())).unwrap();
    }
    to
}

#[tokio::test]
async fn pr_07_a_torn_last_record_gives_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path(), "main").unwrap();
    for payload in ["one", "two", "three"] {
        store.save(payload.into()).wait(SOON).await.unwrap();
    }
    for (torn, expected) in [(0, "three"), (1, "two"), (100, "two"), (4_000, "two")] {
        let crashed = crashed(folder.path());
        let log = crashed.path().join("main.state.db-wal");
        let whole = fs::read(&log).unwrap();
        fs::write(&log, whole.get(..whole.len() - torn).unwrap()).unwrap();
        assert_eq!(
            reopened(crashed.path()),
            Loaded::State(expected.into()),
            "{torn} bytes"
        );
    }
    store.close();
}

#[tokio::test]
async fn pr_08_wherever_a_byte_of_the_file_changes_no_other_state_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    saved(folder.path(), &["aaaa-first", "bbbb-second", "cccc-third"]).await;
    let path = folder.path().join("main.state.db");
    let marker = folder.path().join("main.guarded");
    let (whole, marked) = (fs::read(&path).unwrap(), fs::read(&marker).unwrap());
    let used = whole.windows(6).position(|at| at == b"cccc-t").unwrap();
    let mut lost = 0;
    for at in (0..100).chain((used - 200..whole.len()).step_by(5)) {
        let mut changed = whole.clone();
        *changed.get_mut(at).unwrap() ^= 0x11;
        fs::write(&path, &changed).unwrap();
        fs::write(&marker, &marked).unwrap();
        match reopened(folder.path()) {
            Loaded::Lost(_) => lost += 1,
            Loaded::State(text) => assert_eq!(text, "cccc-third", "byte {at}"),
            Loaded::Fresh => panic!("byte {at}: fresh"),
        }
        for file in folder.path().read_dir().unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
    }
    assert!(lost > 20, "{lost}");
}

#[tokio::test]
async fn pr_08_every_truncation_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    saved(folder.path(), &["one"]).await;
    let path = folder.path().join("main.state.db");
    let marker = folder.path().join("main.guarded");
    let (whole, marked) = (fs::read(&path).unwrap(), fs::read(&marker).unwrap());
    for length in [0, 1, 99, 100, 4_095, 4_096, 4_097, whole.len() - 1] {
        fs::write(&path, whole.get(..length).unwrap()).unwrap();
        fs::write(&marker, &marked).unwrap();
        let loaded = reopened(folder.path());
        assert!(matches!(loaded, Loaded::Lost(_)), "{length}: {loaded:?}");
    }
}

#[tokio::test]
async fn pr_08_an_older_copy_is_noticed_also_after_the_state_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    saved(folder.path(), &["one"]).await;
    let path = folder.path().join("main.state.db");
    let older = fs::read(&path).unwrap();
    saved(folder.path(), &["two", "three"]).await;
    let newer = fs::read(&path).unwrap();
    fs::write(&path, &older).unwrap();
    assert!(matches!(reopened(folder.path()), Loaded::Lost(why) if why.contains("older copy")));
    for copy in [&older, &newer] {
        // Both are from before the loss.
        fs::write(&path, copy).unwrap();
        assert!(matches!(reopened(folder.path()), Loaded::Lost(_)));
    }
    saved(folder.path(), &["four"]).await;
    fs::write(&path, &newer).unwrap();
    assert!(matches!(reopened(folder.path()), Loaded::Lost(why) if why.contains("older copy")));
}

#[tokio::test]
async fn pr_08_a_marker_that_cannot_be_read_is_not_believed_away() {
    let folder = tempfile::tempdir().unwrap();
    saved(folder.path(), &["one"]).await;
    fs::write(folder.path().join("main.guarded"), "").unwrap();
    assert!(matches!(reopened(folder.path()), Loaded::Lost(why) if why.contains("marker")));
    assert!(matches!(reopened(folder.path()), Loaded::Lost(_)));
}

#[tokio::test]
async fn pr_09_a_missing_database_is_noticed_until_something_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    saved(folder.path(), &["one"]).await;
    fs::remove_file(folder.path().join("main.state.db")).unwrap();
    for _ in 0..2 {
        assert!(matches!(reopened(folder.path()), Loaded::Lost(why) if why.contains("missing")));
    }
    saved(folder.path(), &["two"]).await;
    assert_eq!(reopened(folder.path()), Loaded::State("two".into()));
}

#[tokio::test]
async fn pr_06_a_disk_that_refuses_fails_the_ticket_and_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path(), "main").unwrap();
    store.save("one".into()).wait(SOON).await.unwrap();
    let other = Connection::open(folder.path().join("main.state.db")).unwrap();
    // As good as a disk that refuses.
    other.execute_batch("ALTER TABLE state RENAME TO away").unwrap();
    let result = store.save("two".into()).wait(SOON).await;
    assert!(matches!(result, Err(NotDurable::Failed(_))), "{result:?}");
    assert!(store.health().is_err());
    other.execute_batch("ALTER TABLE away RENAME TO state").unwrap();
    let recovered = async {
        while store.health().is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, recovered).await.unwrap();
    store.close();
    assert_eq!(
        reopened(folder.path()),
        Loaded::State("two".into()),
        "without being asked again"
    );
}

#[tokio::test]
async fn pr_06_a_disk_that_stands_still_is_slow_then_unhealthy_and_never_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path(), "main").unwrap();
    let other = Connection::open(folder.path().join("main.state.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let slow = store.save("one".into()).wait(Duration::from_millis(10)).await;
    assert_eq!(slow, Err(NotDurable::Slow));
    for n in 0..SAVES_MAX + 1 {
        store.save_lazily(n.to_string());
    }
    assert!(store.health().is_err_and(|why| why.contains("stands still")));
    let refused = store.save("last".into()).wait(SOON).await;
    assert!(matches!(refused, Err(NotDurable::Failed(_))));
    other.execute_batch("COMMIT").unwrap();
    store.save_lazily("newest".into());
    store.close();
}

#[tokio::test]
async fn pr_06_a_directory_that_cannot_be_one_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::open(&file, "main").unwrap_err().to_string();
    assert!(error.contains("file"), "{error}");
}

#[test]
fn files_are_for_their_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let state_dir = folder.path().join("deep/state");
    let (store, _) = Store::open(&state_dir, "main").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state_dir), 0o700);
    for file in state_dir.read_dir().unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    store.close();
}

/// Saves until it is killed; told by the test below where.
#[tokio::test]
async fn child_that_saves_until_it_is_killed() {
    let Some(folder) = std::env::var_os("BACKSTOP_TEST_STATE_DIR") else {
        return;
    };
    let (store, _) = Store::open(Path::new(&folder), "main").unwrap();
    for n in 1..1_000_000_u32 {
        store.save(n.to_string()).wait(SOON).await.unwrap();
        println!("\ndurable {n}");
    }
}

#[test]
fn pr_10_what_was_told_durable_survives_a_kill_and_the_lock_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut told = 0;
    for stop_after in [1, 20, 40] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "journal::store::tests::child_that_saves_until_it_is_killed",
                "--exact",
                "--nocapture",
            ])
            .env("BACKSTOP_TEST_STATE_DIR", folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let durable = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("durable ").and_then(|n| n.parse::<u32>().ok()));
        for n in durable.take(stop_after) {
            told = n;
        }
        assert!(matches!(
            Store::open(folder.path(), "main"),
            Err(StoreError::Held(_))
        ));
        child.kill().unwrap();
        child.wait().unwrap();
        let Loaded::State(found) = reopened(folder.path()) else {
            panic!("lost")
        };
        assert!(
            told <= found.parse().unwrap(),
            "{told} was durable, {found} was found"
        );
    }
    assert_eq!(told, 40);
}
