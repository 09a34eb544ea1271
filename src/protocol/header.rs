//! Request headers, read by hand: the crate's reader panics on short frames. Bounded, allocates
//! only for a client id that is not UTF-8, never panics. It does not know what is served.

use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::StrBytes;
use thiserror::Error;

use super::bounds::{self, BoundsError};
use super::shape::Message;

/// Key, version, correlation id and the length of the client id.
const FIXED_SIZE: usize = 10;

#[derive(Clone, Debug, PartialEq)]
pub struct RequestHeader {
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
    /// None if null or empty: clients mean the same by both (R22).
    pub client_id: Option<StrBytes>,
    /// What follows the header, a slice of the frame.
    pub body: Bytes,
}

/// Why a frame has no request in it. The connection ends without a byte (R23, R24).
#[derive(Clone, Debug, PartialEq, Error)]
pub enum HeaderError {
    #[error("a frame of {size} bytes is too short for a request header")]
    Short { size: usize },
    #[error("client id of length {length}, {remaining} bytes remain")]
    ClientId { length: i16, remaining: usize },
    #[error("tagged fields of the request header: {0}")]
    TaggedFields(BoundsError),
    /// No such key, or a version of it whose header we cannot know.
    #[error("api key {api_key} version {api_version} is unknown")]
    Unknown {
        api_key: i16,
        api_version: i16,
        client_id: Option<StrBytes>,
    },
}

/// Reads the header of `frame`, the bytes behind the length. A pair of key and version without a
/// known shape is refused, except ApiVersions, whose every version is answered (R21).
pub fn parse_request_header(frame: &Bytes) -> Result<RequestHeader, HeaderError> {
    let Some((&fixed, mut rest)) = frame.split_first_chunk::<FIXED_SIZE>() else {
        return Err(HeaderError::Short { size: frame.len() });
    };
    let [k0, k1, v0, v1, c0, c1, c2, c3, l0, l1] = fixed;
    let api_key = i16::from_be_bytes([k0, k1]);
    let api_version = i16::from_be_bytes([v0, v1]);
    let client_id_length = i16::from_be_bytes([l0, l1]);

    // Null is −1 and Kafka takes every other negative length for it too.
    let length = usize::try_from(client_id_length).unwrap_or(0);
    let Some((client_id, behind)) = rest.split_at_checked(length) else {
        return Err(HeaderError::ClientId {
            length: client_id_length,
            remaining: rest.len(),
        });
    };
    let client_id = text(frame.slice_ref(client_id));
    rest = behind;

    match has_tagged_fields(api_key, api_version) {
        Some(true) => bounds::skip_tagged_fields(&mut rest).map_err(HeaderError::TaggedFields)?,
        Some(false) => {}
        None => {
            return Err(HeaderError::Unknown {
                api_key,
                api_version,
                client_id,
            });
        }
    }
    Ok(RequestHeader {
        api_key,
        api_version,
        correlation_id: i32::from_be_bytes([c0, c1, c2, c3]),
        client_id,
        body: frame.slice_ref(rest),
    })
}

/// Whether the header is version 2 (with tagged fields) or 1; `None` if nobody can tell.
fn has_tagged_fields(api_key: i16, version: i16) -> Option<bool> {
    match Message::find(api_key, version) {
        Some(message) => Some(message.is_flexible(version)),
        None if api_key == ApiKey::ApiVersions as i16 => Some(version >= 0),
        None => None,
    }
}

/// Kafka replaces what is not UTF-8; a client id is for logs, metrics and quotas only.
fn text(bytes: Bytes) -> Option<StrBytes> {
    if bytes.is_empty() {
        return None;
    }
    let lossy = |bytes: &Bytes| StrBytes::from_string(String::from_utf8_lossy(bytes).into_owned());
    Some(StrBytes::from_utf8(bytes.clone()).unwrap_or_else(|_| lossy(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(frame: &[u8]) -> Result<RequestHeader, HeaderError> {
        parse_request_header(&Bytes::copy_from_slice(frame))
    }

    #[test]
    fn a_header_without_tagged_fields_ends_at_the_client_id() {
        let got = parse(b"\0\x03\0\x01\0\0\0\x07\0\x02meBODY").expect("Metadata v1");
        assert_eq!(
            (got.api_key, got.api_version, got.correlation_id),
            (3, 1, 7)
        );
        assert_eq!(got.client_id.as_deref(), Some("me"));
        assert_eq!(&got.body[..], b"BODY");
    }

    #[test]
    fn a_flexible_version_has_tagged_fields_in_its_header() {
        let got = parse(b"\0\x03\0\x09\0\0\0\x07\0\x02me\x01\x05\x01xBODY").expect("Metadata v9");
        assert_eq!(&got.body[..], b"BODY");
        assert_eq!(
            parse(b"\0\x03\0\x09\0\0\0\x07\0\x02me\x41"),
            Err(HeaderError::TaggedFields(BoundsError::TaggedFields {
                count: 65
            }))
        );
    }

    #[test]
    fn r22_a_null_client_id_equals_an_empty_one() {
        let null = parse(b"\0\x12\0\x00\0\0\0\x01\xff\xff").expect("null");
        let empty = parse(b"\0\x12\0\x00\0\0\0\x01\0\0").expect("empty");
        assert_eq!(null, empty);
        assert_eq!(null.client_id, None);
    }

    #[test]
    fn r21_an_unknown_api_versions_version_is_read_up_to_its_header() {
        let later = parse(b"\0\x12\0\x63\0\0\0\x01\xff\xff\0rest").expect("v99");
        assert_eq!((later.api_version, &later.body[..]), (99, &b"rest"[..]));
        let negative = parse(b"\0\x12\xff\xff\0\0\0\x01\xff\xffrest").expect("v-1");
        assert_eq!(
            (negative.api_version, &negative.body[..]),
            (-1, &b"rest"[..])
        );
        // Header version 2 without, or with a broken, tag buffer.
        assert!(parse(b"\0\x12\0\x63\0\0\0\x01\xff\xff").is_err());
        assert!(parse(b"\0\x12\0\x63\0\0\0\x01\xff\xff\x01").is_err());
    }

    #[test]
    fn r23_unknown_keys_and_versions_are_refused_with_what_the_log_line_needs() {
        assert_eq!(
            parse(b"\x03\xe7\0\x00\0\0\0\x01\0\x02me\0"),
            Err(HeaderError::Unknown {
                api_key: 999,
                api_version: 0,
                client_id: Some(StrBytes::from_static_str("me")),
            })
        );
        assert!(matches!(
            parse(b"\0\x03\0\x63\0\0\0\x01\xff\xff\0"),
            Err(HeaderError::Unknown {
                api_key: 3,
                api_version: 99,
                ..
            })
        ));
    }

    #[test]
    fn every_truncation_is_refused_and_none_panics() {
        let frame = b"\0\x03\0\x09\0\0\0\x07\0\x02me\x01\x05\x01x";
        for end in 0..frame.len() {
            assert!(parse(&frame[..end]).is_err(), "{end} bytes");
        }
        assert!(parse(frame).is_ok());
    }

    #[test]
    fn a_client_id_that_is_not_utf8_is_replaced_as_in_kafka() {
        let got = parse(b"\0\x03\0\x01\0\0\0\x07\0\x02a\xffBODY").expect("readable");
        assert_eq!(got.client_id.as_deref(), Some("a\u{fffd}"));
    }
}
