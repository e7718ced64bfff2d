//! The house is kept as it is drawn: which room may use which, what stays pure, how long a file is.

mod code;
mod planted;
mod rules;
mod scenarios;

use std::path::{Path, PathBuf};

/// Every file below `folder`, in order of name; empty when there is no such folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path)
            } else {
                found.push(path)
            }
        }
    }
    found.sort();
    found
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_code_keeps_to_the_house() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in ["src", "tests", "benches"]
        .iter()
        .flat_map(|folder| files(&package().join(folder)))
    {
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path
                .strip_prefix(package())
                .unwrap()
                .to_str()
                .unwrap()
                .replace('\\', "/");
            wrong.extend(rules::check(&name, &std::fs::read_to_string(&path).unwrap()));
            seen += 1;
        }
    }
    assert!(10 < seen, "only {seen} files found: the walk itself is broken");
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// The scenarios among `files` whose names are no text of the code `source`.
fn unlisted<'a>(files: &[&'a str], source: &str) -> Vec<&'a str> {
    let stem = |file: &'a str| file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    files
        .iter()
        .map(|file| stem(file))
        .filter(|stem| !source.contains(&format!("\"{stem}\"")))
        .collect()
}

#[test]
fn every_scenario_on_disk_can_be_named() {
    let source: String = files(&package().join("src/sim"))
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let scenarios = files(&package().join("fixtures/scenarios"));
    let names: Vec<&str> = scenarios
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(
        unlisted(&names, &source),
        Vec::<&str>::new(),
        "in fixtures/scenarios and not built in"
    );
}

#[test]
fn a_scenario_that_nobody_can_name_is_found() {
    let source = r#"["calm", ("crash", include_str!("fixtures/scenarios/lost.toml"))]"#;
    for (files, expected) in [
        (&["calm.toml", "crash.toml"][..], &[][..]),
        (&["calm.toml", "lost.toml"], &["lost"]),
        (&["cal.toml", "alm.toml"], &["cal", "alm"]),
        (&[], &[]),
    ] {
        assert_eq!(unlisted(files, source), expected);
    }
}
