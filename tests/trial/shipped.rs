//! The policies that are shipped: each set comes with its tests, and they trip all that it has.

use backstop::config::trial;
use backstop::trial::suite::{coverage, in_parallel, prove, tests};
use std::path::{Path, PathBuf};

/// Every set in `policies`, and how many rungs it has.
const SETS: [(&str, usize); 6] = [
    ("conservative", 20),
    ("hedge-book", 15),
    ("kill-switch-only", 2),
    ("margin-call-only", 6),
    ("prop-firm-daily-loss", 8),
    ("standard", 16),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

#[test]
fn the_shipped_policies_do_what_their_tests_say_and_every_rung_is_tripped() {
    for (name, rungs) in SETS {
        let path = folder().join(format!("{name}.test.toml"));
        let files = [trial::load(&path).unwrap_or_else(|found| panic!("{found}"))];
        assert_eq!(files[0].policies, [folder().join(format!("{name}.toml"))]);
        let all = tests(&files);
        let played = in_parallel(&all, |(file, test)| prove(test, &file.set), || ());
        for ((_, test), played) in all.iter().zip(&played) {
            assert_eq!(played.failures, [], "{name}: {}", test.name);
        }
        let found = coverage(&files, &played);
        assert_eq!((found.len(), found[0].exercised), (1, rungs), "{name}");
        assert_eq!(found[0].never, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn no_set_is_shipped_without_tests_and_a_page_of_reasons() {
    let listed = std::fs::read_dir(folder()).unwrap();
    let mut names: Vec<String> = listed
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let sets = SETS
        .iter()
        .flat_map(|(name, _)| [format!("{name}.test.toml"), format!("{name}.toml")]);
    let mut expected: Vec<String> = sets.chain(["README.md".to_owned()]).collect();
    expected.sort();
    assert_eq!(names, expected);
    let page = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for (name, _) in SETS {
        assert!(page.contains(&format!("\n## {name}\n")), "{name}");
    }
}
