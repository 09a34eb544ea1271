//! Records of groups and committed offsets, and the subscriptions inside them, which come from
//! clients.

use std::sync::Arc;

use bytes::Bytes;
use ottla::coordinator::machine::LogRecord;
use ottla::group::records::Committed;
use ottla::group::records::{GroupRecord, GroupValue, MemberValue};
use ottla::group::subscription;

use super::mutate::mutate;
use crate::random::Random;

fn text(random: &mut Random) -> String {
    String::from_utf8_lossy(&random.bytes()).into_owned()
}

fn record(random: &mut Random) -> GroupRecord {
    let group: Arc<str> = text(random).into();
    if random.one_in(2) {
        return GroupRecord::Offset {
            group,
            topic: text(random).into(),
            partition: random.i32(),
            committed: random.maybe(|random| Committed {
                offset: random.i64(),
                leader_epoch: random.i32(),
                metadata: text(random).into(),
                committed_at: random.i64(),
                expires_at: random.maybe(|random| random.below(1 << 50) as i64),
            }),
        };
    }
    let members = |random: &mut Random| MemberValue {
        id: text(random).into(),
        instance_id: random.maybe(|random| text(random).into()),
        client_id: text(random),
        client_host: text(random),
        rebalance_timeout_ms: random.i32(),
        session_timeout_ms: random.i32(),
        subscription: random.bytes(),
        assignment: random.bytes(),
    };
    let value = random.maybe(|random| GroupValue {
        protocol_type: text(random),
        generation: random.i32(),
        protocol_name: random.maybe(text),
        leader: random.maybe(|random| text(random).into()),
        state_since: random.i64(),
        members: (0..random.below(4)).map(|_| members(random)).collect(),
    });
    GroupRecord::Group { group, value }
}

/// A key behind its length, and a value.
pub fn make_record(random: &mut Random) -> Vec<u8> {
    let (key, value) = record(random).encode();
    let mut bytes = vec![key.len() as u8];
    bytes.extend(key);
    bytes.extend(value.unwrap_or_default());
    mutate(&mut bytes, random);
    bytes
}

pub fn check_record(bytes: &Bytes) -> bool {
    let Some((&length, rest)) = bytes.split_first() else {
        return false;
    };
    let (key, value) = rest.split_at(rest.len().min(usize::from(length)));
    let _ = subscription::topics(value);
    match GroupRecord::decode(key, Some(value)) {
        Ok(Some(record)) => {
            let (key, value) = record.encode();
            let again = GroupRecord::decode(&key, value.as_deref());
            assert_eq!(again, Ok(Some(record)), "what is written is read");
            true
        }
        Ok(None) | Err(_) => false,
    }
}
