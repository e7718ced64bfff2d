//! Recordings: JSON lines, append-only, redacted (SPEC.md section 6).

use super::lines::GuardLine;
use crate::event::Link;
use crate::model::Timestamp;
use crate::venue::{Received, Via};
use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// The version of the format.
const VERSION: u32 = 1;
/// Longest line that is read: the largest answer of the venue is about a megabyte (binance-usdm.md 5.1), with room.
const LINE_MAX: u64 = 32 * 1024 * 1024;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the format.
    pub v: u32,
    /// The venue.
    pub venue: String,
    /// When it began, Unix ms.
    pub started_at: i64,
    /// The account's label.
    pub account: String,
}

/// One line after the first.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// What was received.
    Received(Received),
    /// What the guard added, and when.
    Guard(Timestamp, Box<GuardLine>),
}

/// Why a recording could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be read.
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
    /// A line is not what it must be.
    #[error("error[recording]: {message}\n  --> {file}:{line}:{column}\n  hint: {hint}")]
    Line {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong.
        message: String,
        /// What to do.
        hint: String,
    },
}

#[derive(Serialize)]
struct LineOut<'a> {
    at: i64,
    via: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    body: &'a RawValue,
}

#[derive(Deserialize)]
struct LineIn<'a> {
    at: i64,
    via: String,
    #[serde(default)]
    request: Option<String>,
    #[serde(default)]
    status: Option<u16>,
    #[serde(borrow)]
    body: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
struct LinkBody {
    stream: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    why: Option<String>,
}

impl Header {
    /// The first line of a recording.
    pub fn new(venue: &str, account: &str, started_at: Timestamp) -> Header {
        Header {
            v: VERSION,
            venue: venue.into(),
            started_at: started_at.ms(),
            account: account.into(),
        }
    }

    /// As text, without a line break.
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Entry {
    /// As text, without a line break, with the time that it counts as.
    pub fn line(&self, at: Timestamp) -> String {
        let (via, request, status, body) = match self {
            Entry::Received(received) => match &received.via {
                Via::Private(text) => ("private", None, None, json(&redact(text))),
                Via::Market(text) => ("market", None, None, json(text)),
                Via::Rest {
                    request,
                    status,
                    body,
                } => ("rest", Some(request.as_str()), Some(*status), json(body)),
                Via::Link(link) => (
                    "link",
                    None,
                    None,
                    serde_json::to_string(&link_body(link)).unwrap_or_default(),
                ),
            },
            Entry::Guard(_, line) => (
                "guard",
                None,
                None,
                serde_json::to_string(line).unwrap_or_default(),
            ),
        };
        let Ok(body) = RawValue::from_string(body) else {
            return String::new();
        };
        serde_json::to_string(&LineOut {
            at: at.ms(),
            via,
            request,
            status,
            body: &body,
        })
        .unwrap_or_default()
    }

    /// When it arrived.
    pub fn at(&self) -> Timestamp {
        match self {
            Entry::Received(received) => received.at,
            Entry::Guard(at, _) => *at,
        }
    }
}

fn link_body(link: &Link) -> LinkBody {
    match link {
        Link::Up => LinkBody {
            stream: "up".into(),
            why: None,
        },
        Link::Down(why) => LinkBody {
            stream: "down".into(),
            why: Some(why.clone()),
        },
    }
}

/// JSON as it came, on one line; what is no JSON becomes a string, so that it is kept too.
fn json(text: &str) -> String {
    let fits = serde_json::from_str::<&RawValue>(text).is_ok();
    match (fits, text.contains(['\n', '\r'])) {
        (true, false) => text.trim().to_owned(),
        // A line break in valid JSON is space between tokens: within strings it is escaped.
        (true, true) => text.trim().replace(['\n', '\r'], " "),
        (false, _) => serde_json::to_string(text).unwrap_or_default(),
    }
}

/// Takes the listenKey out of a private frame: it is a bearer credential (binance-usdm.md 2.5).
fn redact(text: &str) -> String {
    let mut text = text.to_owned();
    for name in ["\"listenKey\"", "\"stream\""] {
        let Some(found) = text.find(name) else { continue };
        let after = found + name.len();
        let rest = text.get(after..).unwrap_or("");
        let Some(open) = rest.find('"') else { continue };
        let only_colon = rest.get(..open).is_some_and(|gap| gap.trim() == ":");
        let value = rest.get(open + 1..).unwrap_or("");
        if let (true, Some(close)) = (only_colon, value.find('"')) {
            text.replace_range(after + open + 1..after + open + 1 + close, "<redacted>");
        }
    }
    text
}

/// Reads a recording, plain or gzipped: its header, then every entry with its line number.
///
/// # Errors
///
/// [`RecordingError`] naming file, line and column, with what to do. A torn last line is an error as well: the caller
/// decides whether to go on without it.
pub fn read(path: &Path) -> Result<(Header, Entries), RecordingError> {
    let file = path.display().to_string();
    let io = |error| RecordingError::Io(file.clone(), error);
    let mut raw = BufReader::new(File::open(path).map_err(io)?);
    let gzipped = raw.fill_buf().map_err(io)?.starts_with(&[0x1f, 0x8b]);
    let inner: Box<dyn Read> = if gzipped {
        Box::new(GzDecoder::new(raw))
    } else {
        Box::new(raw)
    };
    let mut entries = Entries {
        file,
        line: 0,
        inner: BufReader::new(inner),
        buffer: String::new(),
    };
    if !entries.advance()? {
        return Err(entries.wrong(
            1,
            "the file is empty".into(),
            "a recording begins with a header line; make one with `backstop record -o FILE`",
        ));
    }
    let header: Header = match serde_json::from_str(&entries.buffer) {
        Ok(header) => header,
        Err(error) => {
            let hint =
                "the first line of a recording is {\"v\":1,\"venue\":…,\"started_at\":…,\"account\":…}";
            return Err(entries.wrong(error.column(), error.to_string(), hint));
        }
    };
    if header.v != VERSION {
        let message = format!("the recording has version {}", header.v);
        return Err(entries.wrong(1, message, "this version of backstop reads version 1"));
    }
    Ok((header, entries))
}

/// The entries of a recording, read as they are asked for.
pub struct Entries {
    file: String,
    line: usize,
    inner: BufReader<Box<dyn Read>>,
    buffer: String,
}

impl Entries {
    /// Reads a line into the buffer; false at the end.
    fn advance(&mut self) -> Result<bool, RecordingError> {
        loop {
            self.buffer.clear();
            let read = (&mut self.inner).take(LINE_MAX).read_line(&mut self.buffer);
            let read = match read {
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                    self.line += 1;
                    let hint = "a recording is UTF-8 text; was the file damaged?";
                    return Err(self.wrong(1, "the line is not UTF-8".into(), hint));
                }
                Err(error) => return Err(RecordingError::Io(self.file.clone(), error)),
            };
            if read == 0 {
                return Ok(false);
            }
            self.line += 1;
            if !self.buffer.trim().is_empty() {
                return Ok(true);
            }
        }
    }

    fn wrong(&self, column: usize, message: String, hint: &str) -> RecordingError {
        RecordingError::Line {
            file: self.file.clone(),
            line: self.line.max(1),
            column: column.max(1),
            message,
            hint: hint.into(),
        }
    }

    fn parse(&self) -> Result<Entry, RecordingError> {
        let line: LineIn<'_> = serde_json::from_str(&self.buffer).map_err(|error| {
            let hint = "each line is {\"at\":…,\"via\":…,\"body\":…}; a cut last line can be removed";
            self.wrong(error.column(), error.to_string(), hint)
        })?;
        let at = Timestamp::from_ms(line.at);
        // What was kept as a string because it was no JSON is the string itself.
        let body = || match serde_json::from_str::<String>(line.body.get()) {
            Ok(text) => text,
            Err(_) => line.body.get().to_owned(),
        };
        let received = |via: Via| Ok(Entry::Received(Received { at, via }));
        match line.via.as_str() {
            "private" => received(Via::Private(body())),
            "market" => received(Via::Market(body())),
            "rest" => {
                let request = line.request.clone().ok_or_else(|| {
                    self.wrong(
                        1,
                        "a `rest` line needs `request`".into(),
                        "write \"request\":\"GET /fapi/v3/account\"",
                    )
                })?;
                received(Via::Rest {
                    request,
                    status: line.status.unwrap_or(0),
                    body: body(),
                })
            }
            "link" => {
                let link: LinkBody = serde_json::from_str(line.body.get()).map_err(|error| {
                    self.wrong(
                        1,
                        error.to_string(),
                        "write \"body\":{\"stream\":\"up\"} or {\"stream\":\"down\"}",
                    )
                })?;
                received(Via::Link(match link.stream.as_str() {
                    "up" => Link::Up,
                    _ => Link::Down(link.why.unwrap_or_else(|| "recorded as down".into())),
                }))
            }
            "guard" => {
                let guard: GuardLine = serde_json::from_str(line.body.get()).map_err(|error| {
                    self.wrong(
                        1,
                        format!("the guard's line is not understood: {error}"),
                        "lines of the guard may be removed: inputs alone can be replayed",
                    )
                })?;
                Ok(Entry::Guard(at, Box::new(guard)))
            }
            other => Err(self.wrong(
                1,
                format!("`{}` is no source", other.chars().take(40).collect::<String>()),
                "\"via\" is one of private, market, rest, link, guard",
            )),
        }
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.advance() {
            Ok(true) => Some(self.parse()),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_is_recorded_is_read_back_as_received() {
        let at = Timestamp::from_ms(1_795_000_000_101);
        let entries = [
            Via::Private("{\"e\":\"ACCOUNT_UPDATE\"}".into()),
            Via::Market("[1,2]".into()),
            Via::Rest {
                request: "GET /fapi/v3/account".into(),
                status: 200,
                body: "{}".into(),
            },
            Via::Rest {
                request: "GET /fapi/v3/account".into(),
                status: 502,
                body: "<html>\nno</html>".into(),
            },
            Via::Link(Link::Down("reset".into())),
            Via::Link(Link::Up),
        ]
        .map(|via| Entry::Received(Received { at, via }));
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let header = Header::new("binance-usdm", "main", at);
        writeln!(file, "{}", header.line()).unwrap();
        for entry in &entries {
            writeln!(file, "{}", entry.line(at)).unwrap();
        }
        let (read_header, read_entries) = read(file.path()).unwrap();
        assert_eq!(read_header, header);
        let read_entries: Vec<Entry> = read_entries.map(Result::unwrap).collect();
        assert_eq!(read_entries, entries);
    }

    #[test]
    fn se_01_listen_keys_never_reach_a_recording() {
        for text in [
            r#"{"e":"listenKeyExpired","E":1,"listenKey":"canary"}"#,
            r#"{"stream":"canary","data":{"e":"MARGIN_CALL"}}"#,
            r#"{"stream" : "canary","data":{"listenKey":"canary"}}"#,
        ] {
            let entry = Entry::Received(Received {
                at: Timestamp::default(),
                via: Via::Private(text.into()),
            });
            assert!(!entry.line(Timestamp::default()).contains("canary"), "{text}");
        }
    }

    #[test]
    fn a_wrong_line_is_named_with_a_hint() {
        for (text, place, hint) in [
            ("", ":1:1", "backstop record"),
            (
                "{\"v\":2,\"venue\":\"x\",\"started_at\":1,\"account\":\"a\"}\n",
                ":1:1",
                "version 1",
            ),
            (
                "{\"v\":1,\"venue\":\"x\",\"started_at\":1,\"account\":\"a\"}\n{\"at\":1,\"via\":\"pri",
                ":2:",
                "last line",
            ),
            (
                "{\"v\":1,\"venue\":\"x\",\"started_at\":1,\"account\":\"a\"}\n{\"at\":1,\"via\":\"sky\",\"body\":1}",
                ":2:1",
                "private, market",
            ),
        ] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            write!(file, "{text}").unwrap();
            let error = match read(file.path()) {
                Err(error) => error,
                Ok((_, mut entries)) => entries.next().unwrap().unwrap_err(),
            };
            let shown = error.to_string();
            assert!(shown.contains(place) && shown.contains(hint), "{shown}");
        }
    }
}
