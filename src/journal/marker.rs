//! The marker beside the database: that the account was guarded, and how far its rows went.
//!
//! It is what tells a first start from a database that went missing, and a newest row from an older copy put back. It
//! may lag behind the rows; it is never ahead of them.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A number and a sentence.
const FILE_MAX: u64 = 4096;

/// What the marker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// The account was never guarded.
    Absent,
    /// It was, and rows went up to this number; 0 when nothing was saved yet.
    At(i64),
    /// Its state was found lost, and nothing was saved since: the number that rows went up to before, and why.
    Lost(i64, String),
    /// It was guarded, and the marker does not say more.
    Unreadable,
}

impl Marker {
    /// The highest number known to have been used.
    pub(super) fn number(&self) -> i64 {
        match self {
            Marker::At(number) | Marker::Lost(number, _) => *number,
            Marker::Absent | Marker::Unreadable => 0,
        }
    }

    /// Reads the marker.
    pub(super) fn read(path: &Path) -> Marker {
        let mut text = String::new();
        match File::open(path).and_then(|file| file.take(FILE_MAX).read_to_string(&mut text)) {
            Ok(_) => Marker::parse(&text).unwrap_or(Marker::Unreadable),
            Err(error) if error.kind() == ErrorKind::NotFound => Marker::Absent,
            Err(_) => Marker::Unreadable,
        }
    }

    fn parse(text: &str) -> Option<Marker> {
        let line = text.strip_suffix('\n')?;
        let number = |text: &str| text.parse().ok().filter(|number| 0 <= *number);
        match line.strip_prefix("lost ") {
            None => number(line).map(Marker::At),
            Some(rest) => {
                let (first, why) = rest.split_once(' ')?;
                Some(Marker::Lost(number(first)?, why.to_owned()))
            }
        }
    }

    /// Writes the marker beside and renames it, so that it is never half there.
    pub(super) fn write(&self, path: &Path) -> std::io::Result<()> {
        let text = match self {
            Marker::Absent | Marker::Unreadable => return Ok(()),
            Marker::At(number) => format!("{number}\n"),
            Marker::Lost(number, why) => {
                let why: String = why
                    .chars()
                    .map(|c| if c.is_control() { ' ' } else { c })
                    .take(500)
                    .collect();
                format!("lost {number} {why}\n")
            }
        };
        let beside = path.with_extension("guarded.new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        // The new name is durable once the directory is.
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pr_09_what_is_not_understood_still_says_that_the_account_was_guarded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("main.guarded");
        assert_eq!(Marker::read(&path), Marker::Absent);
        for marker in [
            Marker::At(0),
            Marker::At(41),
            Marker::Lost(41, "it is gone".into()),
        ] {
            marker.write(&path).unwrap();
            assert_eq!(Marker::read(&path), marker);
        }
        for text in ["", "4", "x\n", "-1\n", "lost\n", "lost x y\n", "1 2\n", "\n"] {
            fs::write(&path, text).unwrap();
            assert_eq!(Marker::read(&path), Marker::Unreadable, "{text:?}");
        }
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_eq!(Marker::read(&path), Marker::Unreadable);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(Marker::read(&path), Marker::Unreadable);
    }
}
