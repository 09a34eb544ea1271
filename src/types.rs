//! Identities and units that every layer shares. Offsets are half-open everywhere: a
//! `next_offset` is the last offset + 1.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

/// A position in a partition's log. Signed because the protocol uses −1 for "none".
pub type Offset = i64;
/// Grows with every leader change of a partition; stamped into each batch (KIP-101).
pub type LeaderEpoch = i32;
/// Milliseconds: wall time since 1970 where a timestamp is meant, monotonic otherwise.
pub type Millis = i64;

/// `node.id` of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerId(pub i32);

impl fmt::Display for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identity of a topic: a name that is deleted and created again gets a new one (KIP-516).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub Uuid);

impl TopicId {
    /// "No id": what versions without topic ids carry.
    pub const ZERO: TopicId = TopicId(Uuid::nil());

    /// A random id. Never zero, never one (Kafka reserves both), and its text never starts
    /// with `-`, so that tools do not take it for an option (Kafka: Uuid.randomUuid).
    pub fn random() -> TopicId {
        loop {
            let id = TopicId(Uuid::new_v4());
            if !id.to_string().starts_with('-') {
                return id;
            }
        }
    }

    pub fn is_zero(self) -> bool {
        self.0.is_nil()
    }

    /// Parses Kafka's 22-character text; `None` if it is anything else.
    pub fn parse(text: &str) -> Option<TopicId> {
        let text = text.as_bytes();
        if text.len() != 22 {
            return None;
        }
        let mut bits: u128 = 0;
        for (i, &c) in text.iter().enumerate() {
            let value = BASE64URL.iter().position(|&b| b == c)? as u128;
            // 22 characters hold 132 bits; the last carries only two.
            bits = if i == 21 {
                (bits << 2) | (value >> 4)
            } else {
                (bits << 6) | value
            };
        }
        Some(TopicId(Uuid::from_u128(bits)))
    }
}

const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Kafka's text: url-safe base64 without padding, 22 characters.
impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0.as_u128();
        for i in 0..21 {
            let value = (bits >> (122 - 6 * i)) & 0x3f;
            fmt::Write::write_char(f, BASE64URL[value as usize] as char)?;
        }
        fmt::Write::write_char(f, BASE64URL[((bits & 0x3) << 4) as usize] as char)
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A partition by name, as clients and directory names know it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: Arc<str>,
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_id_reads_back_from_kafkas_text() {
        for _ in 0..100 {
            let id = TopicId::random();
            assert_eq!(TopicId::parse(&id.to_string()), Some(id));
        }
        // The text Kafka's default cluster id has is a UUID in the same alphabet.
        let id = TopicId::parse("5L6g3nShT-eMCtK--X86sw").expect("22 characters");
        assert_eq!(id.0.to_string(), "e4bea0de-74a1-4fe7-8c0a-d2bef97f3ab3");
        assert_eq!(TopicId::parse("short"), None);
    }
}
