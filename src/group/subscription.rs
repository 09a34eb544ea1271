//! Which topics a consumer subscribes to: the one thing a coordinator reads out of the metadata of
//! protocol type `consumer`, so that offsets in use are not deleted. (Kafka: ConsumerProtocol,
//! ConsumerProtocolSubscription.json.)

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::protocol::record_wire::Reader;

/// The protocol type of consumers.
pub const CONSUMER: &str = "consumer";

/// The topics in one member's metadata; `None` if it cannot be read. Every version begins with
/// them.
pub fn topics(metadata: &[u8]) -> Option<BTreeSet<Arc<str>>> {
    let mut reader = Reader::new(metadata);
    let version = reader.i16().ok()?;
    if version < 0 {
        return None;
    }
    let topics = reader.long_array(|topic| topic.short_string()).ok()?;
    Some(topics.into_iter().map(Arc::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topics_of_every_version_come_first() {
        let names = |bytes: &[u8]| {
            topics(bytes).map(|topics| topics.iter().map(|t| t.to_string()).collect::<Vec<_>>())
        };
        let v0 = b"\0\0\0\0\0\x02\0\x01b\0\x01a\xff\xff\xff\xff";
        let v3 = b"\0\x03\0\0\0\x01\0\x01a\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff\xff\xff";
        assert_eq!(names(v0), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(names(v3), Some(vec!["a".to_owned()]));
        assert_eq!(names(b"\0\x09\0\0\0\0"), Some(vec![]));
    }

    #[test]
    fn what_is_no_subscription_is_none() {
        for bytes in [
            &b""[..],
            b"\0",
            b"\xff\xff\0\0\0\0",
            b"\0\0\0\0\0\x09",
            b"\0\0\xff\xff\xff\xff",
        ] {
            assert_eq!(topics(bytes), None, "{bytes:?}");
        }
    }
}
