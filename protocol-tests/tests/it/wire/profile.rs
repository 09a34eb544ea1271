//! The release that is imitated and what it leaves out (R11, R16, R31, R32).

use std::collections::BTreeMap;

use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};

use super::calls::text;
use super::{Subject, ottla_only, subject};

fn versions(subject: &Subject) -> ApiVersionsResponse {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("wire-test"))
        .with_client_software_version(text("1.0"));
    subject.connect().call(4, &request)
}

/// Minimum and maximum by key.
fn ranges(answer: &ApiVersionsResponse) -> BTreeMap<i16, (i16, i16)> {
    let keys = answer.api_keys.iter();
    keys.map(|key| (key.api_key, (key.min_version, key.max_version)))
        .collect()
}

#[test]
fn r11_the_release_imitated_is_kafka_4_1() {
    let answer = versions(&subject());
    let finalised = answer.finalized_features.iter();
    let level = finalised
        .filter(|feature| feature.name.as_str() == "metadata.version")
        .map(|feature| feature.max_version_level)
        .next();
    assert_eq!(level, Some(27), "4.1-IV1");
    let ranges = ranges(&answer);
    // What tells 4.1 from its neighbours: 4.0 ends at Fetch 17, 4.2 at ListOffsets 11.
    assert_eq!(ranges.get(&1), Some(&(4, 18)));
    assert_eq!(ranges.get(&2), Some(&(1, 10)));
}

#[test]
fn r16_versions_with_other_semantics_are_not_offered() {
    let subject = subject();
    let ranges = ranges(&versions(&subject));
    // Key, and the lowest version that may be offered.
    for (key, lowest) in [
        (1, 4),
        (2, 1),
        (8, 2),
        (9, 1),
        (23, 2),
        (27, 1),
        (34, 1),
        (35, 1),
    ] {
        if let Some((min, _)) = ranges.get(&key) {
            assert!(*min >= lowest, "key {key} from {min}");
        }
    }
    // Key, and the highest: two-phase commits, and what came after 4.1.
    for (key, highest) in [(18, 4), (22, 5)] {
        assert!(ranges[&key].1 <= highest, "key {key}");
    }
    for absent in [4, 5, 6, 7, 93, 94] {
        assert!(!ranges.contains_key(&absent), "key {absent}");
    }
}

#[test]
fn r31_group_features_are_absent_together_with_their_apis() {
    let reason = "it serves the new group protocols";
    let Some(subject) = ottla_only(reason) else {
        return;
    };
    let answer = versions(&subject);
    let ranges = ranges(&answer);
    let has_feature = |name: &str| {
        let mut features = answer.finalized_features.iter();
        features.any(|feature| feature.name.as_str() == name)
    };
    for (feature, keys) in [
        ("group.version", &[68, 69][..]),
        ("share.version", &[76, 77, 78, 79]),
        ("streams.version", &[88, 89]),
    ] {
        let served = keys.iter().filter(|key| ranges.contains_key(key)).count();
        let complete = if has_feature(feature) { keys.len() } else { 0 };
        assert_eq!(served, complete, "{feature}");
    }
}

#[test]
fn r32_what_belongs_together_is_offered_together() {
    let subject = subject();
    let ranges = ranges(&versions(&subject));
    let offers = |key: i16, version: i16| {
        let range = ranges.get(&key);
        range.is_some_and(|(min, max)| (*min..=*max).contains(&version))
    };
    if offers(0, 13) || offers(8, 10) || offers(9, 10) {
        assert!(offers(3, 10), "topic ids need a Metadata that tells them");
    }
    for transactional in [24, 25, 26, 28] {
        if ranges.contains_key(&transactional) {
            assert!(offers(22, 0), "key {transactional} without producer ids");
        }
    }
    for (one, other) in [(68, 69), (71, 72), (88, 89)] {
        let both = (ranges.contains_key(&one), ranges.contains_key(&other));
        assert_eq!(both.0, both.1, "keys {one} and {other}");
    }
    let share = [76, 77, 78, 79, 83, 84, 85, 86, 87];
    let served = share.iter().filter(|key| ranges.contains_key(key)).count();
    assert!(served == 0 || served == share.len(), "{served} share keys");
}
