//! Keys and values of the rows. Numbers are big-endian, so that sled's order is theirs.

use crate::metadata::image::MetadataOffset;
use crate::metadata::records::MetadataRecord;

/// The row of a record: its kind (Kafka's api key), then its entity. In key order the rows can
/// be applied: brokers, topics, partitions, configs. `None` for records that an image does not
/// consist of.
pub(super) fn key(record: &MetadataRecord) -> Option<Vec<u8>> {
    let mut key = Vec::new();
    match record {
        MetadataRecord::RegisterBroker(record) => {
            key.push(0);
            key.extend(record.broker_id.0.to_be_bytes());
        }
        MetadataRecord::Topic { topic_id, .. } => {
            key.push(2);
            key.extend(topic_id.0.as_bytes());
        }
        MetadataRecord::Partition(record) => {
            key.push(3);
            key.extend(record.topic_id.0.as_bytes());
            key.extend(record.partition_id.to_be_bytes());
        }
        MetadataRecord::Config {
            resource_type,
            resource_name,
            name,
            ..
        } => {
            key.push(4);
            key.extend(resource_type.to_be_bytes());
            key.extend((resource_name.len() as u32).to_be_bytes());
            key.extend(resource_name.as_bytes());
            key.extend(name.as_bytes());
        }
        MetadataRecord::FeatureLevel { name, .. } => {
            key.push(12);
            key.extend(name.as_bytes());
        }
        MetadataRecord::ProducerIds { .. } => key.push(15),
        _ => return None,
    }
    Some(key)
}

/// The applied offset and the term of its record.
pub(super) fn applied_bytes(offset: MetadataOffset, term: u64) -> Vec<u8> {
    [offset.0.to_be_bytes(), term.to_be_bytes()].concat()
}

pub(super) fn applied(bytes: &[u8]) -> Option<(MetadataOffset, u64)> {
    let (offset, term) = bytes.split_first_chunk()?;
    let offset = MetadataOffset(i64::from_be_bytes(*offset));
    Some((offset, u64::from_be_bytes(term.try_into().ok()?)))
}
