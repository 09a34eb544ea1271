//! The bounds check that every request body passes before kafka-protocol decodes it.
//!
//! The crate reserves memory for whatever count the wire declares: a Metadata body of four bytes
//! would abort the process. This walk follows the shape of the message (`bounds_table`), touches
//! each length and count once, and allocates nothing. It does not know values: which topic, which
//! error, whether text is UTF-8.

use thiserror::Error;

use super::shape::{Field, Message, Shape};
use super::varint;
use crate::faults::is_planted;

/// Tagged fields that one structure may carry. Kafka's schemas know at most a handful.
const MAX_TAGGED_FIELDS: u32 = 64;
/// A valid Metadata request with short names decodes to 24 times its bytes.
const MAX_DECODED_RATIO: usize = 32;
/// So that the ratio does not refuse small bodies, whose fixed parts weigh more.
const DECODED_ALLOWANCE: usize = 64 * 1024;
const MAX_DECODED: usize = 64 * 1024 * 1024;
/// Kafka refuses longer text (`Type.COMPACT_STRING`).
const MAX_STRING: usize = i16::MAX as usize;
/// What the first unknown tagged field of a structure costs: a node of a map from tag to bytes.
const TAG_MAP_NODE: usize = 416;
/// Entries that a map node is sure to hold once there is more than one node.
const TAG_MAP_NODE_ENTRIES: usize = 5;

/// What the walk over an acceptable body found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    /// Bytes that the decoded request will hold on the heap, about; texts stay slices of the frame.
    pub decoded: usize,
    /// Bytes behind the last field: tolerated, as in Kafka (R38).
    pub trailing: usize,
}

/// Why a body is not decoded. The connection ends (R38).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BoundsError {
    #[error("no shape for api key {api_key} version {version}")]
    Unknown { api_key: i16, version: i16 },
    #[error("{field} needs {needed} bytes, {remaining} remain")]
    Truncated {
        field: &'static str,
        needed: usize,
        remaining: usize,
    },
    #[error("{field} has no readable length")]
    Varint { field: &'static str },
    #[error("{field} is null")]
    Null { field: &'static str },
    #[error("{field} has length {length}")]
    Length { field: &'static str, length: i64 },
    #[error("{field} declares {count} elements, {remaining} bytes remain")]
    Count {
        field: &'static str,
        count: usize,
        remaining: usize,
    },
    #[error("{count} tagged fields in one structure")]
    TaggedFields { count: u32 },
    #[error("tagged field {tag} does not fill its {size} bytes")]
    TaggedFieldSize { tag: u32, size: usize },
    #[error("decoding would take {decoded} bytes, {limit} are allowed")]
    Decoded { decoded: usize, limit: usize },
}

/// Walks `body`, the bytes behind the request header. On `Ok` the crate can decode it without
/// reserving more than the limits above.
pub fn check(api_key: i16, version: i16, body: &[u8]) -> Result<Walked, BoundsError> {
    let message =
        Message::find(api_key, version).ok_or(BoundsError::Unknown { api_key, version })?;
    let mut walk = Walk {
        rest: body,
        version,
        flexible: message.is_flexible(version),
        decoded: 0,
        limit: (MAX_DECODED_RATIO * body.len() + DECODED_ALLOWANCE).min(MAX_DECODED),
    };
    walk.structure(message.fields)?;
    Ok(Walked {
        decoded: walk.decoded,
        trailing: walk.rest.len(),
    })
}

/// Walks the unknown tagged fields of a request header; `rest` then stands behind them.
pub(super) fn skip_tagged_fields(rest: &mut &[u8]) -> Result<(), BoundsError> {
    let mut walk = Walk {
        rest,
        version: 0,
        flexible: true,
        decoded: 0,
        limit: MAX_DECODED,
    };
    walk.tagged_fields(&[])?;
    *rest = walk.rest;
    Ok(())
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    decoded: usize,
    limit: usize,
}

impl Walk<'_> {
    fn structure(&mut self, fields: &'static [Field]) -> Result<(), BoundsError> {
        for field in fields {
            if field.is_in(self.version) && field.tag.is_none() {
                self.field(field)?;
            }
        }
        if self.flexible {
            self.tagged_fields(fields)?;
        }
        Ok(())
    }

    fn field(&mut self, field: &'static Field) -> Result<(), BoundsError> {
        let nullable = self.version >= field.first_nullable;
        if nullable && matches!(field.shape, Shape::Struct(_)) {
            // KIP-893: a byte before a nullable structure, 1 present, −1 null.
            return match i8::from_be_bytes(self.take_array(field.name)?) {
                1 => self.value(field.name, &field.shape, false),
                -1 => Ok(()),
                other => Err(BoundsError::Length {
                    field: field.name,
                    length: i64::from(other),
                }),
            };
        }
        self.value(field.name, &field.shape, nullable)
    }

    fn value(
        &mut self,
        name: &'static str,
        shape: &'static Shape,
        nullable: bool,
    ) -> Result<(), BoundsError> {
        match shape {
            Shape::String => {
                let prefix = if self.flexible {
                    Prefix::Varint
                } else {
                    Prefix::Int16
                };
                let length = self.length(name, prefix, nullable)?.unwrap_or(0);
                if length > MAX_STRING {
                    return Err(BoundsError::Length {
                        field: name,
                        length: length as i64,
                    });
                }
                self.skip(name, length)?;
            }
            Shape::Bytes => {
                let prefix = if self.flexible {
                    Prefix::Varint
                } else {
                    Prefix::Int32
                };
                let length = self.length(name, prefix, nullable)?.unwrap_or(0);
                self.skip(name, length)?;
            }
            Shape::Array(element, decoded_size) => {
                self.array(name, element, *decoded_size, nullable)?;
            }
            Shape::Struct(fields) => self.structure(fields)?,
            fixed => {
                self.skip(name, fixed.min_size(self.version, self.flexible))?;
            }
        }
        Ok(())
    }

    fn array(
        &mut self,
        name: &'static str,
        element: &'static Shape,
        decoded_size: usize,
        nullable: bool,
    ) -> Result<(), BoundsError> {
        let prefix = if self.flexible {
            Prefix::Varint
        } else {
            Prefix::Int32
        };
        let Some(count) = self.length(name, prefix, nullable)? else {
            return Ok(());
        };
        if is_planted("bounds.count-believed") {
            return Ok(());
        }
        let element_size = element.min_size(self.version, self.flexible).max(1);
        if count > self.rest.len() / element_size {
            return Err(BoundsError::Count {
                field: name,
                count,
                remaining: self.rest.len(),
            });
        }
        self.reserve(count * decoded_size)?;
        for _ in 0..count {
            self.value(name, element, false)?;
        }
        Ok(())
    }

    fn tagged_fields(&mut self, fields: &'static [Field]) -> Result<(), BoundsError> {
        let count = self.varint("tagged fields")?;
        if count > MAX_TAGGED_FIELDS {
            return Err(BoundsError::TaggedFields { count });
        }
        let mut unknown = 0;
        for _ in 0..count {
            let tag = self.varint("tag")?;
            let size = self.varint("size of a tagged field")? as usize;
            let known = fields
                .iter()
                .find(|f| f.tag == Some(tag) && f.is_in(self.version));
            match known {
                Some(field) => {
                    let before = self.rest.len();
                    self.field(field)?;
                    // The crate believes the content, others believe the size: they must agree.
                    if before - self.rest.len() != size {
                        return Err(BoundsError::TaggedFieldSize { tag, size });
                    }
                }
                None => {
                    self.skip("tagged field", size)?;
                    unknown += 1;
                }
            }
        }
        if unknown > 0 {
            self.reserve((1 + unknown / TAG_MAP_NODE_ENTRIES) * TAG_MAP_NODE)?;
        }
        Ok(())
    }

    /// A declared length or count; `None` is null. Not yet compared with what remains.
    fn length(
        &mut self,
        name: &'static str,
        prefix: Prefix,
        nullable: bool,
    ) -> Result<Option<usize>, BoundsError> {
        let length = match prefix {
            Prefix::Varint => i64::from(self.varint(name)?) - 1,
            Prefix::Int16 => i64::from(i16::from_be_bytes(self.take_array(name)?)),
            Prefix::Int32 => i64::from(i32::from_be_bytes(self.take_array(name)?)),
        };
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) if length == -1 && nullable => Ok(None),
            Err(_) if length == -1 => Err(BoundsError::Null { field: name }),
            Err(_) => Err(BoundsError::Length {
                field: name,
                length,
            }),
        }
    }

    fn varint(&mut self, name: &'static str) -> Result<u32, BoundsError> {
        varint::unsigned(|| varint::pop(&mut self.rest)).ok_or(BoundsError::Varint { field: name })
    }

    fn skip(&mut self, name: &'static str, size: usize) -> Result<(), BoundsError> {
        self.rest = self.rest.get(size..).ok_or(BoundsError::Truncated {
            field: name,
            needed: size,
            remaining: self.rest.len(),
        })?;
        Ok(())
    }

    fn take_array<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N], BoundsError> {
        let Some((taken, rest)) = self.rest.split_first_chunk() else {
            return Err(BoundsError::Truncated {
                field: name,
                needed: N,
                remaining: self.rest.len(),
            });
        };
        self.rest = rest;
        Ok(*taken)
    }

    fn reserve(&mut self, bytes: usize) -> Result<(), BoundsError> {
        self.decoded = self.decoded.saturating_add(bytes);
        if self.decoded > self.limit {
            return Err(BoundsError::Decoded {
                decoded: self.decoded,
                limit: self.limit,
            });
        }
        Ok(())
    }
}

enum Prefix {
    Int16,
    Int32,
    /// Length + 1, so that 0 is null.
    Varint,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::bounds_table::MESSAGES;

    const METADATA: i16 = 3;
    const DELETE_GROUPS: i16 = 42;

    #[test]
    fn a_body_of_four_bytes_cannot_declare_two_billion_topics() {
        let refused = Err(BoundsError::Count {
            field: "Topics",
            count: 0x7fff_ffff,
            remaining: 0,
        });
        assert_eq!(check(METADATA, 1, &[0x7f, 0xff, 0xff, 0xff]), refused);
        // The same as a compact count (plus one), with a full buffer behind it.
        let mut body = vec![0x80, 0x80, 0x80, 0x80, 0x08];
        body.resize(1000, 0);
        assert!(matches!(
            check(METADATA, 9, &body),
            Err(BoundsError::Count { .. })
        ));
    }

    #[test]
    fn r38_a_null_v0_array_is_refused_and_a_null_v1_array_is_not() {
        let null = [0xff; 4];
        let refused = Err(BoundsError::Null { field: "Topics" });
        assert_eq!(check(METADATA, 0, &null), refused);
        assert!(check(METADATA, 1, &null).is_ok());
        let negative = Err(BoundsError::Length {
            field: "Topics",
            length: -2,
        });
        assert_eq!(check(METADATA, 1, &[0xff, 0xff, 0xff, 0xfe]), negative);
    }

    #[test]
    fn r38_bytes_behind_the_body_are_tolerated_and_counted() {
        let walked = check(METADATA, 0, b"\0\0\0\x01\0\x01tjunk").expect("one topic");
        assert_eq!((walked.trailing, walked.decoded), (4, 72));
    }

    #[test]
    fn a_structure_carries_at_most_64_tagged_fields() {
        let body = |count: u8| {
            let mut body = vec![0x01, count]; // no groups, then the tagged section
            (0..count).for_each(|tag| body.extend([tag, 0]));
            body
        };
        assert!(check(DELETE_GROUPS, 2, &body(64)).is_ok());
        let refused = Err(BoundsError::TaggedFields { count: 65 });
        assert_eq!(check(DELETE_GROUPS, 2, &body(65)), refused);
    }

    #[test]
    fn a_known_tagged_field_must_fill_its_declared_size() {
        // Fetch v12: ..., then one tagged field: 0, the cluster id.
        let body = |size: u8| {
            let mut body = vec![0; 4 + 4 + 4 + 4 + 1 + 4 + 4];
            body.extend([1, 1, 1]); // topics, forgotten topics, rack id: empty
            body.extend([1, 0, size, 3, b'i', b'd']);
            body
        };
        let walked = check(1, 12, &body(3)).expect("a cluster id of two letters");
        assert_eq!(walked.trailing, 0);
        let lie = Err(BoundsError::TaggedFieldSize { tag: 0, size: 2 });
        assert_eq!(check(1, 12, &body(2)), lie);
    }

    #[test]
    fn tiny_elements_that_decode_to_much_memory_are_refused() {
        // Two bytes per topic on the wire, 72 decoded: empty names, which are never valid.
        let topics = 100_000u32;
        let mut body = Vec::new();
        varint::put_unsigned(&mut body, topics + 1);
        body.resize(body.len() + 2 * topics as usize, 0x01);
        body.extend([1, 1, 1, 0]);
        assert!(matches!(
            check(METADATA, 9, &body),
            Err(BoundsError::Decoded { .. })
        ));
        // Names of one letter, without tagged fields, are a request that clients may send.
        let mut body = topics.to_be_bytes().to_vec();
        (0..topics).for_each(|_| body.extend(b"\0\x01t"));
        assert!(check(METADATA, 0, &body).is_ok());
    }

    #[test]
    fn one_unknown_tag_per_element_is_counted_at_its_map_node() {
        let groups = 10_000u32;
        let mut body = Vec::new();
        varint::put_unsigned(&mut body, groups + 1);
        // OffsetFetch v8 groups: id "g", no topics, one unknown tagged field.
        (0..groups).for_each(|_| body.extend([2, b'g', 0, 1, 9, 0]));
        body.extend([0, 0]);
        assert!(matches!(
            check(9, 8, &body),
            Err(BoundsError::Decoded { .. })
        ));
    }

    #[test]
    fn an_unknown_key_or_version_has_no_shape() {
        assert!(matches!(
            check(999, 0, &[]),
            Err(BoundsError::Unknown { .. })
        ));
        assert!(matches!(
            check(METADATA, 14, &[]),
            Err(BoundsError::Unknown { .. })
        ));
        assert!(matches!(
            check(METADATA, -1, &[]),
            Err(BoundsError::Unknown { .. })
        ));
    }

    #[test]
    fn the_table_knows_how_large_the_crates_structs_are() {
        use kafka_protocol::messages::{
            create_topics_request, metadata_request, offset_fetch_request,
        };
        let first_array = |api_key, version| {
            let fields = Message::find(api_key, version).expect("known").fields;
            let found = fields.iter().find_map(|f| match f.shape {
                Shape::Array(_, size) if f.is_in(version) => Some(size),
                _ => None,
            });
            found.expect("an array")
        };
        let topic = size_of::<metadata_request::MetadataRequestTopic>();
        assert_eq!(first_array(METADATA, 9), topic);
        let topic = size_of::<create_topics_request::CreatableTopic>();
        assert_eq!(first_array(19, 7), topic);
        let group = size_of::<offset_fetch_request::OffsetFetchRequestGroup>();
        assert_eq!(first_array(9, 8), group);
    }

    #[test]
    fn the_table_is_sorted_and_lists_versions_in_order() {
        assert!(MESSAGES.is_sorted_by(|a, b| a.api_key < b.api_key));
        assert!(MESSAGES.iter().all(|m| m.first_version <= m.last_version));
    }
}
