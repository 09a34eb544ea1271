//! ApiVersions (18), v0–4. What this broker serves, from the one table, and the finalised features.
//! v3 is flexible and carries features and the client's software name and version (KIP-511,
//! KIP-584); v4 lists supported features whose minimum is 0 (KIP-1022). The response header is
//! version 0 for every version, also with the flexible body (R20). Left out: v5 (4.4).

use kafka_protocol::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::{StrBytes, VersionRange};

use super::{Outcome, RequestContext, answer};
use crate::error::ResponseError;
use crate::protocol::table::{self, Api};

pub const VERSIONS: VersionRange = VersionRange { min: 0, max: 4 };

/// The first version with features and with the client's software in the request.
const FIRST_WITH_FEATURES: i16 = 3;

/// A feature this release knows. Those of later milestones are absent until then (R30).
struct Feature {
    name: &'static str,
    min: i16,
    max: i16,
    finalized: i16,
}

/// metadata.version 27 is 4.1-IV1, the release imitated (R11).
const FEATURES: &[Feature] = &[Feature {
    name: "metadata.version",
    min: 7,
    max: 27,
    finalized: 27,
}];

pub fn handle(cx: &RequestContext, request: ApiVersionsRequest) -> Outcome {
    let applied = cx.shared.image().applied.0;
    answer::now(cx, cx.version(), &answer(cx.version(), &request, applied))
}

/// The answer to a request of a served `version`. `applied` is the metadata offset this broker has
/// applied, the epoch of the finalised features: it never goes back, also across restarts (R29).
pub fn answer(version: i16, request: &ApiVersionsRequest, applied: i64) -> ApiVersionsResponse {
    if version >= FIRST_WITH_FEATURES && !names_its_software(request) {
        let code = ResponseError::InvalidRequest.code();
        return ApiVersionsResponse::default().with_error_code(code);
    }
    let keys = table::advertised().map(entry).collect();
    let response = ApiVersionsResponse::default().with_api_keys(keys);
    if version < FIRST_WITH_FEATURES {
        return response;
    }
    // Up to v3 clients choke on a minimum of 0 (KAFKA-17011).
    let supported = FEATURES.iter().filter(|f| version >= 4 || f.min > 0);
    response
        .with_supported_features(supported.map(supported_feature).collect())
        .with_finalized_features_epoch(applied)
        .with_finalized_features(FEATURES.iter().map(finalized_feature).collect())
}

/// The answer to every version that is not served, to be encoded as version 0: the error and the
/// range to retry with (R21, KIP-511).
pub fn unsupported_version_answer() -> ApiVersionsResponse {
    let own = table::served(ApiKey::ApiVersions as i16);
    ApiVersionsResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
        .with_api_keys(own.map(entry).into_iter().collect())
}

fn entry(api: &Api) -> ApiVersion {
    ApiVersion::default()
        .with_api_key(api.key)
        .with_min_version(api.advertised.min)
        .with_max_version(api.advertised.max)
}

fn supported_feature(feature: &Feature) -> SupportedFeatureKey {
    SupportedFeatureKey::default()
        .with_name(StrBytes::from_static_str(feature.name))
        .with_min_version(feature.min)
        .with_max_version(feature.max)
}

fn finalized_feature(feature: &Feature) -> FinalizedFeatureKey {
    FinalizedFeatureKey::default()
        .with_name(StrBytes::from_static_str(feature.name))
        .with_min_version_level(feature.finalized)
        .with_max_version_level(feature.finalized)
}

/// R22: `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?` (Kafka: ApiVersionsRequest.isValid).
fn names_its_software(request: &ApiVersionsRequest) -> bool {
    let valid = |text: &str| {
        let text = text.as_bytes();
        let ends = [text.first(), text.last()];
        ends.iter()
            .all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
            && text
                .iter()
                .all(|c| c.is_ascii_alphanumeric() || b"-.".contains(c))
    };
    valid(&request.client_software_name) && valid(&request.client_software_version)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::protocol::Encodable;

    use super::*;

    fn request(name: &'static str, version: &'static str) -> ApiVersionsRequest {
        ApiVersionsRequest::default()
            .with_client_software_name(name.into())
            .with_client_software_version(version.into())
    }

    fn encoded(response: &ApiVersionsResponse, version: i16) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        response.encode(&mut bytes, version).expect("encodable");
        bytes.to_vec()
    }

    /// Every served key with its range, as (key, min, max).
    fn keys(flexible: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        for api in table::advertised() {
            for number in [api.key, api.advertised.min, api.advertised.max] {
                bytes.extend(number.to_be_bytes());
            }
            bytes.extend(flexible.then_some(0));
        }
        bytes
    }

    const FEATURES_OF_EPOCH_5: &[u8] = b"\x03\
        \x00\x17\x02\x11metadata.version\0\x07\0\x1b\0\
        \x01\x08\0\0\0\0\0\0\0\x05\
        \x02\x17\x02\x11metadata.version\0\x1b\0\x1b\0";

    #[test]
    fn r21_an_unknown_version_is_told_the_range_in_a_v0_body() {
        let got = encoded(&unsupported_version_answer(), 0);
        assert_eq!(got, b"\0\x23\0\0\0\x01\0\x12\0\0\0\x04");
    }

    #[test]
    fn r30_versions_0_to_2_have_no_features() {
        let count = table::advertised().count() as u8;
        let response = answer(0, &ApiVersionsRequest::default(), 5);
        let v0 = [&[0, 0, 0, 0, 0, count], &keys(false)[..]].concat();
        assert_eq!(encoded(&response, 0), v0);
        let response = answer(2, &ApiVersionsRequest::default(), 5);
        let v2 = [&v0[..], &[0; 4]].concat();
        assert_eq!(encoded(&response, 2), v2);
    }

    #[test]
    fn r30_versions_3_and_4_carry_metadata_version_27_at_the_applied_offset() {
        let count = table::advertised().count() as u8;
        for version in [3, 4] {
            let response = answer(version, &request("librdkafka", "2.14.0"), 5);
            let keys = keys(true);
            let expected = [&[0, 0, count + 1], &keys[..], &[0; 4], FEATURES_OF_EPOCH_5].concat();
            assert_eq!(encoded(&response, version), expected, "v{version}");
        }
    }

    #[test]
    fn r22_a_bad_software_name_is_an_invalid_request_without_keys() {
        let response = answer(3, &request("", "1.0"), 5);
        assert_eq!(encoded(&response, 3), b"\0\x2a\x01\0\0\0\0\0");
        let valid = ["a", "A1", "apache-kafka-java", "2.14.0", "a-.b"];
        let invalid = ["", "-a", "a-", ".", "a b", "a_b", "ü", "a\n"];
        for text in valid {
            assert!(names_its_software(&request(text, text)), "{text}");
        }
        for text in invalid {
            assert!(!names_its_software(&request(text, "1")), "{text:?}");
            assert!(!names_its_software(&request("a", text)), "{text:?}");
        }
        // Older versions carry no software name and are not judged.
        assert_eq!(answer(2, &request("", ""), 5).error_code, 0);
    }

    #[test]
    fn r10_the_versions_of_this_file_are_those_of_the_table() {
        let own = table::served(18).expect("a row");
        assert_eq!(own.served, Some(VERSIONS));
    }
}
