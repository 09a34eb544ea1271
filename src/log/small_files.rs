//! Small files that are replaced whole, the one way to do it durably, and Kafka's format for
//! those that hold lines (Kafka: `CheckpointFile`).
//!
//! Knows nothing of what they say.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Replaces `dir/name` so that after a crash it holds either the old content or `bytes`, and
/// after the return `bytes`: tmp, `fdatasync`, rename, `fsync` of the directory.
pub fn write_atomically(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    replace_file(dir, name, bytes)?;
    sync_directory(dir)
}

/// The first three steps of [`write_atomically`]: the content is on the device, its name not yet.
/// For several files that share one [`sync_directory`].
pub fn replace_file(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let tmp = dir.join(format!("{name}.tmp"));
    let mut file = write_options().create(true).truncate(true).open(&tmp)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    drop(file);
    std::fs::rename(&tmp, dir.join(name))
}

/// Makes created, renamed and removed names in `dir` durable.
pub fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Options to read a file below a log directory. A symbolic link there is refused: nothing we
/// write is one, and following it would leave the directory.
pub fn read_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32);
    options
}

/// [`read_options`] for writing.
pub fn write_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .write(true)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32);
    options
}

/// [`write_options`] for what only this broker may read once it is created: metadata, which will
/// hold credentials.
pub fn private_write_options() -> OpenOptions {
    let mut options = write_options();
    options.mode(0o600);
    options
}

/// A small file; `None` if there is none. One longer than `limit` bytes is cut behind it, which
/// leaves something that no reader takes for whole.
pub fn read_small_file(path: &Path, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match read_options().open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Removes a file; false if it was not there.
pub fn remove(path: &Path) -> io::Result<bool> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Why the text of a derived file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(String);

impl Malformed {
    /// Half a sentence for the operator.
    pub fn because(cause: impl Into<String>) -> Malformed {
        Malformed(cause.into())
    }

    /// The first line that says nothing sensible.
    pub fn line(line: &str) -> Malformed {
        let shown: String = line.chars().take(100).collect();
        Malformed(format!("malformed line {shown:?}"))
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

/// The lines of Kafka's checkpoint format: version 0, the count, that many lines. An empty file
/// holds no lines (Kafka creates it so). The last line must be ended: a cut would otherwise turn
/// offset 14 into offset 1.
pub fn read_lines(bytes: &[u8]) -> Result<Vec<&str>, Malformed> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed("not a text".into()))?;
    let text = text
        .strip_suffix('\n')
        .ok_or_else(|| Malformed("the last line is cut".into()))?;
    let mut lines = text.split('\n');
    match lines.next() {
        Some("0") => {}
        version => return Err(Malformed::line(version.unwrap_or_default())),
    }
    let count = lines.next().unwrap_or_default();
    let lines: Vec<&str> = lines.collect();
    match count.parse::<usize>() {
        Ok(count) if count == lines.len() => Ok(lines),
        Ok(count) => Err(Malformed(format!(
            "{count} lines announced, {} found",
            lines.len()
        ))),
        Err(_) => Err(Malformed::line(count)),
    }
}

/// The text that [`read_lines`] reads; `lines` writes `count` ended lines.
pub fn write_lines(count: usize, lines: impl FnOnce(&mut String)) -> String {
    let mut text = format!("0\n{count}\n");
    lines(&mut text);
    text
}
