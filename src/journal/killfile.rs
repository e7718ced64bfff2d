//! The second kill path: a file named `KILL` in the state directory. It needs no token and no network.

use std::io::ErrorKind;
use std::path::Path;

/// The name of the file.
pub const NAME: &str = "KILL";

/// Whether the file is there. Its content is ignored; one that cannot be looked at counts as there.
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
    fn any_file_of_the_name_counts_and_its_absence_does_not() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!present(folder.path()));
        std::fs::write(folder.path().join(NAME), "").unwrap();
        assert!(present(folder.path()));
        std::fs::remove_file(folder.path().join(NAME)).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join(NAME)).unwrap();
        assert!(present(folder.path()), "a dangling link is there as well");
    }
}
