//! The drawing of the house, as a table.

/// A room and the rooms that it may use; its own files it may always use.
///
/// `cli -> run -> {exec, serve, alert, journal, replay, sim} -> guard -> response -> policy -> book -> event -> model`
/// and `{exec, sim, replay} -> venue -> {event, model}`; each may use all that are further down its arrows. A longer
/// path on the left is a part of a room that may do more.
const MAY_USE: [(&str, &str); 21] = [
    ("model", ""),
    ("event", "model"),
    ("book", "event model"),
    ("policy", "book event model"),
    ("response", "policy book event model"),
    ("guard", "response policy book event model"),
    ("venue", "event model"),
    ("venue::binance::client", "clock"),
    ("exec", "venue guard response policy book event model clock"),
    ("serve", "guard response policy book event model clock"),
    ("alert", "guard response policy book event model"),
    ("journal", "guard response policy book event model"),
    // The kept state is a part of a recording.
    (
        "replay",
        "venue guard response policy book event model journal::state",
    ),
    ("sim", "venue guard response policy book event model"),
    ("sim::server", "clock"),
    ("config", "policy model"),
    ("clock", "model"),
    (
        "run",
        "exec serve alert journal replay sim venue guard response policy book event model config clock",
    ),
    (
        "cli",
        "run exec serve alert journal replay sim venue guard response policy book event model config clock",
    ),
    // The map and the door.
    ("lib", "*"),
    ("main", "*"),
];

/// The rooms above the purity line.
const PURE: [&str; 6] = ["model", "event", "book", "policy", "response", "guard"];

/// Crates and parts of the standard library that the core does not know.
const IMPURE_PATHS: [&str; 12] = [
    "std::net",
    "std::fs",
    "std::env",
    "tokio",
    "tokio_util",
    "tokio_stream",
    "reqwest",
    "rand",
    "tracing",
    "serde",
    "serde_json",
    "futures_util",
];

/// Names that the core does not know, wherever they come from.
const IMPURE_NAMES: [&str; 6] = ["HashMap", "HashSet", "f32", "f64", "Instant", "SystemTime"];

/// The module that a file is, from the root of the crate; `None` outside `src`.
pub(super) fn of(path: &str) -> Option<Vec<String>> {
    let inside = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let inside = inside.strip_suffix("/mod").unwrap_or(inside);
    Some(inside.split('/').map(str::to_owned).collect())
}

/// Whether a name is that of a room.
pub(super) fn is_room(name: &str) -> bool {
    MAY_USE.iter().any(|(room, _)| *room == name)
}

/// Whether the core's rules hold in it.
pub(super) fn is_pure(module: &[String]) -> bool {
    module.first().is_some_and(|room| PURE.contains(&room.as_str()))
}

/// Why a module may not use a path from the root of the crate; `None` when it may.
pub(super) fn refusal(module: &[String], used: &[String]) -> Option<String> {
    let (room, target) = (module.first()?, used.first()?);
    let rows: Vec<&str> = MAY_USE
        .iter()
        .filter(|(part, _)| begins(module, part))
        .map(|(_, allowed)| *allowed)
        .collect();
    if rows.is_empty() {
        return Some(format!("{room} is no room of the house; draw it first"));
    }
    let allowed = rows
        .iter()
        .flat_map(|row| row.split(' '))
        .filter(|allowed| !allowed.is_empty());
    let fine = room == target
        || allowed
            .into_iter()
            .any(|allowed| allowed == "*" || begins(used, allowed));
    (!fine).then(|| format!("{room} may not use {target}"))
}

/// What of a path the core may not know.
pub(super) fn impurity(path: &[String]) -> Option<&'static str> {
    let name = IMPURE_NAMES
        .iter()
        .find(|name| path.iter().any(|segment| segment == *name));
    name.or_else(|| IMPURE_PATHS.iter().find(|prefix| begins(path, prefix)))
        .copied()
}

/// Whether a path begins with another, which is written `a::b`.
fn begins(path: &[String], prefix: &str) -> bool {
    let prefix: Vec<&str> = prefix.split("::").collect();
    path.len() >= prefix.len()
        && path
            .iter()
            .zip(&prefix)
            .all(|(segment, wanted)| segment == wanted)
}
