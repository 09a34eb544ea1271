//! `ottla.sums`: the write-ahead checksums of the offset checkpoints.

use std::fmt::{self, Write as _};
use std::io;
use std::path::Path;

use tracing::warn;

use super::{CheckpointFile, SUMS_FILE};
use crate::log::small_files::read_small_file;
use crate::protocol::batch::crc32c;

/// The content of `ottla.sums`: for each checkpoint what the disk held before the last round and
/// what that round put there, then the checksum of these lines.
#[derive(Debug, Default)]
pub(super) struct Sums(pub(super) [Sum; 4]);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) current: Option<u32>,
    pub(super) next: Option<u32>,
}

impl Sums {
    /// `None` if there are none, or none to be believed: then syntax is the only judge.
    pub(super) fn read(dir: &Path) -> io::Result<Option<Sums>> {
        let Some(bytes) = read_small_file(&dir.join(SUMS_FILE), 4096)? else {
            return Ok(None);
        };
        let sums = std::str::from_utf8(&bytes).ok().and_then(Sums::parse);
        if sums.is_none() {
            warn!(file = SUMS_FILE, dir = %dir.display(),
                "checksums of the checkpoints are unreadable; checkpoints are judged by syntax");
        }
        Ok(sums)
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        for (sum, which) in self.0.iter().zip(CheckpointFile::ALL) {
            let (current, next) = (Hex(sum.current), Hex(sum.next));
            let _ = writeln!(text, "{} {current} {next}", which.name());
        }
        let own = crc32c(&[text.as_bytes()]);
        let _ = writeln!(text, "{SUMS_FILE} {own:08x}");
        text
    }

    fn parse(text: &str) -> Option<Sums> {
        let mut sums = Sums::default();
        let mut lines = text.lines();
        for (sum, which) in sums.0.iter_mut().zip(CheckpointFile::ALL) {
            let mut fields = lines.next()?.split(' ');
            if fields.next()? != which.name() {
                return None;
            }
            sum.current = Hex::parse(fields.next()?)?.0;
            sum.next = Hex::parse(fields.next()?)?.0;
        }
        // Equal text, own checksum included, and nothing behind it.
        (sums.to_text() == text).then_some(sums)
    }
}

/// A checksum as eight hex digits, or `-` for none.
struct Hex(Option<u32>);

impl Hex {
    fn parse(text: &str) -> Option<Hex> {
        match text {
            "-" => Some(Hex(None)),
            _ => Some(Hex(Some(u32::from_str_radix(text, 16).ok()?))),
        }
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(sum) => write!(f, "{sum:08x}"),
            None => f.write_str("-"),
        }
    }
}
