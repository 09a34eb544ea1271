//! The bounds check against the decoder it guards: whatever kafka-protocol encodes is accepted and
//! consumed exactly, whatever is cut or raised is refused, and what is accepted decodes to the
//! same length.

use std::path::PathBuf;
use std::process::Command;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestKind};
use ottla::protocol::bounds::{BoundsError, check};
use ottla::protocol::bounds_table::MESSAGES;
use ottla::protocol::shape::Message;
use ottla::protocol::varint;
use protocol_tests::random::Random;
use protocol_tests::request_body::{crate_cannot, random_body};

/// Key and version of every request in the table.
fn all_versions() -> impl Iterator<Item = (&'static Message, i16)> {
    let versions = |m: &'static Message| (m.first_version..=m.last_version).map(move |v| (m, v));
    MESSAGES.iter().flat_map(versions)
}

/// Decodes with the crate: the length it consumed and the request, or None if it refuses.
fn decode(api_key: i16, version: i16, body: &[u8]) -> Option<(usize, RequestKind)> {
    let mut bytes = Bytes::copy_from_slice(body);
    let api_key = ApiKey::try_from(api_key).expect("the crate knows every key of the table");
    let request = RequestKind::decode(api_key, &mut bytes, version).ok()?;
    Some((body.len() - bytes.len(), request))
}

#[test]
fn what_the_crate_encodes_is_accepted_and_consumed_exactly() {
    for (message, version) in all_versions() {
        for seed in 0..100 {
            let body = random_body(message, version, seed).bytes;
            let name = message.name;
            let walked = check(message.api_key, version, &body);
            let walked = walked.unwrap_or_else(|e| panic!("{name} v{version} seed {seed}: {e}"));
            assert_eq!(walked.trailing, 0, "{name} v{version} seed {seed}");

            let decoded = decode(message.api_key, version, &body);
            if crate_cannot(message.api_key, version) {
                assert!(
                    decoded.is_none(),
                    "{name} v{version} no longer needs our codec"
                );
                continue;
            }
            let (consumed, request) =
                decoded.unwrap_or_else(|| panic!("{name} v{version}: {body:?}"));
            assert_eq!(consumed, body.len(), "{name} v{version} seed {seed}");
            let mut encoded = BytesMut::new();
            request.encode(&mut encoded, version).expect("it decoded");
            let walked = check(message.api_key, version, &encoded).expect("the crate wrote it");
            assert_eq!(
                walked.trailing, 0,
                "{name} v{version} seed {seed} re-encoded"
            );
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    for (message, version) in all_versions() {
        for seed in 0..10 {
            let body = random_body(message, version, seed).bytes;
            for end in 0..body.len() {
                let cut = check(message.api_key, version, &body[..end]);
                assert!(
                    cut.is_err(),
                    "{} v{version}: {end} of {}",
                    message.name,
                    body.len()
                );
            }
        }
    }
}

#[test]
fn every_raised_count_is_refused() {
    let mut raised = 0;
    for (message, version) in all_versions() {
        for seed in 0..10 {
            let body = random_body(message, version, seed);
            for &(at, width) in &body.counts {
                let mut bytes = body.bytes[..at].to_vec();
                if message.is_flexible(version) {
                    varint::put_unsigned(&mut bytes, u32::MAX);
                } else {
                    bytes.extend(i32::MAX.to_be_bytes());
                }
                bytes.extend(&body.bytes[at + width..]);
                let got = check(message.api_key, version, &bytes);
                assert!(
                    matches!(got, Err(BoundsError::Count { .. })),
                    "{} v{version} at {at}: {got:?}",
                    message.name
                );
                raised += 1;
            }
        }
    }
    assert!(raised > 5_000, "only {raised} counts were met");
}

#[test]
fn a_hundred_thousand_random_bodies_per_key_meet_no_panic() {
    for message in MESSAGES {
        let mut random = Random::new(message.api_key as u64);
        let versions = (message.last_version - message.first_version + 1) as u64;
        let mut body = [0u8; 64];
        for _ in 0..100_000 {
            let version = message.first_version + random.below(versions) as i16;
            let size = random.below(64) as usize;
            body[..size].chunks_mut(8).for_each(|chunk| {
                // Mostly small numbers: they pass as lengths, so that the walk gets deep.
                let bytes = (random.next() & random.next() & random.next()).to_le_bytes();
                chunk.copy_from_slice(&bytes[..chunk.len()]);
            });
            let _ = check(message.api_key, version, &body[..size]);
        }
    }
}

#[test]
fn what_is_accepted_after_damage_decodes_to_the_length_that_was_walked() {
    let mut decoded = 0;
    for (message, version) in all_versions() {
        let mut random = Random::new(u64::from(version as u16));
        for seed in 0..200 {
            let mut body = random_body(message, version, seed).bytes;
            for _ in 0..1 + random.below(3) {
                if let Some(at) = random.index(body.len()) {
                    body[at] = random.next() as u8;
                }
            }
            let Ok(walked) = check(message.api_key, version, &body) else {
                continue;
            };
            if let Some((consumed, _)) = decode(message.api_key, version, &body) {
                let expected = body.len() - walked.trailing;
                assert_eq!(consumed, expected, "{} v{version}: {body:?}", message.name);
                decoded += 1;
            }
        }
    }
    assert!(
        decoded > 1_000,
        "only {decoded} damaged bodies were still readable"
    );
}

#[test]
fn flexible_versions_are_those_whose_request_header_has_tagged_fields() {
    for (message, version) in all_versions() {
        let key = ApiKey::try_from(message.api_key).expect("the crate knows every key");
        let tagged = key.request_header_version(version) == 2;
        assert_eq!(
            message.is_flexible(version),
            tagged,
            "{} v{version}",
            message.name
        );
    }
}

#[test]
fn the_table_is_what_the_script_writes() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let jar = std::env::var_os("KAFKA_CLIENTS_JAR").map_or_else(
        || root.join("target/test-tools/kafka/lib/kafka-clients-4.1.2.jar"),
        PathBuf::from,
    );
    if !jar.exists() {
        eprintln!("skipped: no {}; scripts/setup brings it", jar.display());
        return;
    }
    let output = Command::new(root.join("scripts/bounds-table"))
        .args([jar.as_os_str(), "--stdout".as_ref()])
        .output()
        .expect("scripts/bounds-table runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let committed = std::fs::read(root.join("src/protocol/bounds_table.rs")).expect("the table");
    assert!(
        output.stdout == committed,
        "run scripts/bounds-table {}",
        jar.display()
    );
}
