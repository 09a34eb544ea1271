//! `meta.properties`: whose a log directory is. Kafka's format and keys, version 1 (Kafka:
//! `MetaProperties`, `MetaPropertiesEnsemble`; KIP-858 for `directory.id`).
//!
//! One of the few files that are truth and not derived. Knows only the text and the judgement
//! whether it fits the configuration; `directory` reads and writes it.

use std::fmt;
use std::path::Path;

use uuid::Uuid;

use super::directory::DirectoryError;
use crate::types::{BrokerId, TopicId};

pub const FILE_NAME: &str = "meta.properties";

/// The identity of one log directory, given to it when it is formatted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirectoryId(pub Uuid);

impl DirectoryId {
    /// A random id. Kafka reserves the ids 0 to 99 (lost, unassigned, migrating); a random
    /// version 4 UUID is never one of them.
    pub fn random() -> DirectoryId {
        DirectoryId(TopicId::random().0)
    }

    /// Parses Kafka's 22-character text.
    pub fn parse(text: &str) -> Option<DirectoryId> {
        TopicId::parse(text).map(|id| DirectoryId(id.0))
    }
}

/// The same text as every UUID in Kafka has.
impl fmt::Display for DirectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        TopicId(self.0).fmt(f)
    }
}

/// What the configuration says a directory must belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `None`: whatever the directories say; a new cluster if all of them are empty.
    pub cluster_id: Option<String>,
    pub node_id: BrokerId,
}

/// The content of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    pub cluster_id: String,
    pub node_id: BrokerId,
    /// `None` in files that Kafka wrote before 3.7.
    pub directory_id: Option<DirectoryId>,
}

impl MetaProperties {
    /// Refuses a directory of another cluster or node; `path` is the directory, for the sentence.
    pub fn verify(&self, expected: &Identity, path: &Path) -> Result<(), DirectoryError> {
        let path = path.to_owned();
        if let Some(cluster_id) = &expected.cluster_id
            && *cluster_id != self.cluster_id
        {
            return Err(DirectoryError::ForeignCluster {
                path,
                expected: cluster_id.clone(),
                found: self.cluster_id.clone(),
            });
        }
        if expected.node_id != self.node_id {
            return Err(DirectoryError::ForeignNode {
                path,
                expected: expected.node_id,
                found: self.node_id,
            });
        }
        Ok(())
    }

    /// The text to write. Kafka's `Properties.store` adds a date comment; readers skip comments.
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "version=1\ncluster.id={}\nnode.id={}\n",
            escape(&self.cluster_id),
            self.node_id
        );
        if let Some(id) = self.directory_id {
            text.push_str(&format!("directory.id={id}\n"));
        }
        text
    }

    /// Reads the text; the error is half a sentence about the first thing that is wrong.
    pub fn from_text(bytes: &[u8]) -> Result<MetaProperties, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not a text".to_owned())?;
        let (mut version, mut cluster_id, mut node_id, mut directory_id) = (None, None, None, None);
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let (key, value) = line
                .split_once('=')
                .ok_or_else(|| format!("the line {line:?} has no '='"))?;
            match key.trim() {
                "version" => version = Some(value.trim()),
                "cluster.id" => cluster_id = Some(unescape(value.trim())),
                "node.id" => node_id = Some(value.trim()),
                "directory.id" => directory_id = Some(value.trim()),
                // Keys of other releases say nothing about whose the directory is.
                _ => {}
            }
        }
        match version {
            Some("1") => {}
            Some(other) => return Err(format!("version is {other}; only 1 is known")),
            None => return Err("version is missing".into()),
        }
        let node_id = node_id.ok_or("node.id is missing")?;
        Ok(MetaProperties {
            cluster_id: cluster_id.ok_or("cluster.id is missing")?,
            node_id: match node_id.parse() {
                Ok(id) if id >= 0 => BrokerId(id),
                _ => return Err(format!("node.id is {node_id:?}")),
            },
            directory_id: directory_id
                .map(|id| DirectoryId::parse(id).ok_or(format!("directory.id is {id:?}")))
                .transpose()?,
        })
    }
}

/// As `java.util.Properties` writes a value.
fn escape(value: &str) -> String {
    let mut text = String::new();
    for c in value.chars() {
        if matches!(c, '=' | ':' | '#' | '!' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

fn unescape(value: &str) -> String {
    let mut text = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        text.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_file_is_read() {
        let kafka = b"#\n#Sat Nov 21 09:43:14 UTC 2026\nnode.id=1\ndirectory.id=Th8YlitCftzFyDxxDjEUWg\nversion=1\ncluster.id=FWvfUOX9Q1C07FvbDpGu7Q\n";
        let meta = MetaProperties::from_text(kafka).expect("Kafka wrote it");
        assert_eq!(meta.cluster_id, "FWvfUOX9Q1C07FvbDpGu7Q");
        assert_eq!(meta.node_id, BrokerId(1));
        let id = meta.directory_id.expect("it has one");
        assert_eq!(id.to_string(), "Th8YlitCftzFyDxxDjEUWg");
    }

    #[test]
    fn a_file_reads_back_whatever_the_cluster_id_is() {
        for cluster_id in ["5L6g3nShT-eMCtK--X86sw", "my=odd:#!\\cluster", "id"] {
            let meta = MetaProperties {
                cluster_id: cluster_id.into(),
                node_id: BrokerId(0),
                directory_id: Some(DirectoryId::random()),
            };
            let text = meta.to_text();
            assert_eq!(MetaProperties::from_text(text.as_bytes()), Ok(meta));
        }
    }

    #[test]
    fn a_damaged_file_is_named_not_guessed() {
        for (damaged, cause) in [
            (&b""[..], "version is missing"),
            (b"version=1\n", "node.id is missing"),
            (b"version=1\nnode.id=1\n", "cluster.id is missing"),
            (b"version=0\nbroker.id=1\n", "version is 0; only 1 is known"),
            (
                b"version=1\ncluster.id=x\nnode.id=-1\n",
                "node.id is \"-1\"",
            ),
            (
                b"version=1\ncluster.id=x\nnode.id=1\ndirectory.id=abc\n",
                "directory.id is \"abc\"",
            ),
            (b"garbage", "the line \"garbage\" has no '='"),
            (b"\xff\xff", "it is not a text"),
        ] {
            assert_eq!(MetaProperties::from_text(damaged), Err(cause.to_owned()));
        }
    }
}
