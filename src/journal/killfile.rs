//! The kill path that needs no token and no network: a file named `KILL` in the state directory.

use std::io::ErrorKind;
use std::path::Path;

/// The file's name; its content does not matter.
const NAME: &str = "KILL";

/// Whether the operator put a `KILL` file into the state directory.
///
/// Only proof of its absence counts as absence: a file that cannot be looked at is there.
pub fn present(state_dir: &Path) -> bool {
    match std::fs::symlink_metadata(state_dir.join(NAME)) {
        Ok(_) => true,
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_file_counts_whatever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let kill = dir.path().join(NAME);
        assert!(!present(dir.path()));
        std::fs::write(&kill, "").unwrap();
        assert!(present(dir.path()));
        std::fs::remove_file(&kill).unwrap();
        std::fs::create_dir(&kill).unwrap();
        assert!(present(dir.path()), "a folder of that name");
        std::fs::remove_dir(&kill).unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(dir.path().join("nowhere"), &kill).unwrap();
            assert!(present(dir.path()), "a link to nothing");
            std::fs::remove_file(&kill).unwrap();
        }
        assert!(!present(dir.path()), "it went away");
    }

    #[test]
    fn what_cannot_be_looked_at_counts_as_present() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(present(&file), "a state directory that is a file");
    }
}
