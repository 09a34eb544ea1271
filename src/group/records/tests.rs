use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex");
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn offset(committed: Option<Committed>) -> GroupRecord {
    GroupRecord::Offset {
        group: "g".into(),
        topic: "t".into(),
        partition: 3,
        committed,
    }
}

fn committed() -> Committed {
    Committed {
        offset: 5,
        leader_epoch: 2,
        metadata: "me".into(),
        committed_at: 7,
        expires_at: None,
    }
}

fn member() -> MemberValue {
    MemberValue {
        id: "m".into(),
        instance_id: Some("i".into()),
        client_id: "c".to_owned(),
        client_host: "/h".to_owned(),
        rebalance_timeout_ms: 9,
        session_timeout_ms: 10,
        subscription: Bytes::from_static(b"s"),
        assignment: Bytes::from_static(b"as"),
    }
}

fn group(value: Option<GroupValue>) -> GroupRecord {
    GroupRecord::Group {
        group: "g".into(),
        value,
    }
}

fn value() -> GroupValue {
    GroupValue {
        protocol_type: "consumer".to_owned(),
        generation: 4,
        protocol_name: Some("r".to_owned()),
        leader: Some("m".into()),
        state_since: 6,
        members: vec![member()],
    }
}

#[test]
fn r118_records_are_kafkas_byte_for_byte() {
    let told = |record: GroupRecord| {
        let (key, value) = record.encode();
        (hex(&key), value.map(|value| hex(&value)))
    };
    let (key, bytes) = told(offset(Some(committed())));
    assert_eq!(key, "0001000167000174 00000003".replace(' ', ""));
    let expected = "0004 0000000000000005 00000002 03 6d65 0000000000000007 00";
    assert_eq!(bytes, Some(expected.replace(' ', "")));
    let with_expiry = Committed {
        expires_at: Some(8),
        ..committed()
    };
    let expected = "0001 0000000000000005 0002 6d65 0000000000000007 0000000000000008";
    let (_, bytes) = told(offset(Some(with_expiry)));
    assert_eq!(bytes, Some(expected.replace(' ', "")));
    assert_eq!(told(offset(None)).1, None);

    let (key, bytes) = told(group(Some(value())));
    assert_eq!(key, "0002000167");
    let expected = "0003 0008 636f6e73756d6572 00000004 0001 72 0001 6d 0000000000000006 00000001
        0001 6d 0001 69 0001 63 0002 2f68 00000009 0000000a 00000001 73 00000002 6173";
    assert_eq!(bytes, Some(hex(&unhex(expected))));
}

#[test]
fn what_is_written_is_read() {
    let empty = GroupValue {
        protocol_name: None,
        leader: None,
        members: vec![],
        ..value()
    };
    let with_expiry = Committed {
        expires_at: Some(8),
        leader_epoch: -1,
        ..committed()
    };
    for record in [
        offset(Some(committed())),
        offset(Some(with_expiry)),
        offset(None),
        group(Some(value())),
        group(Some(empty)),
        group(None),
    ] {
        let (key, value) = record.encode();
        let size = key.len() + value.as_ref().map_or(0, Vec::len);
        assert!((size..size + 40).contains(&record.size()), "{record:?}");
        assert_eq!(
            GroupRecord::decode(&key, value.as_deref()),
            Ok(Some(record))
        );
    }
}

#[test]
fn values_of_all_of_kafkas_versions_are_read() {
    let key = offset(None).encode().0;
    let read = |text: &str| match GroupRecord::decode(&key, Some(&unhex(text))) {
        Ok(Some(GroupRecord::Offset { committed, .. })) => committed.expect("a value"),
        other => panic!("{other:?}"),
    };
    let without_epoch = Committed {
        leader_epoch: -1,
        ..committed()
    };
    let v0 = "0000 0000000000000005 0002 6d65 0000000000000007";
    assert_eq!(read(v0), without_epoch);
    let v2 = "0002 0000000000000005 0002 6d65 0000000000000007";
    assert_eq!(read(v2), without_epoch);
    let v3 = "0003 0000000000000005 00000002 0002 6d65 0000000000000007";
    assert_eq!(read(v3), committed());
    // With a tagged field that is not known here (4.3 writes a topic id).
    let v4 = "0004 0000000000000005 00000002 03 6d65 0000000000000007 01 00 02 abcd";
    assert_eq!(read(v4), committed());

    let key = group(None).encode().0;
    let read = |text: &str| match GroupRecord::decode(&key, Some(&unhex(text))) {
        Ok(Some(GroupRecord::Group { value, .. })) => value.expect("a value"),
        other => panic!("{other:?}"),
    };
    let v0 = "0000 0008 636f6e73756d6572 00000004 0001 72 0001 6d 00000001
        0001 6d 0001 63 0002 2f68 0000000a 00000001 73 00000002 6173";
    let old = GroupValue {
        state_since: -1,
        members: vec![MemberValue {
            instance_id: None,
            rebalance_timeout_ms: -1,
            ..member()
        }],
        ..value()
    };
    assert_eq!(read(v0), old);
    let v4 = "0004 09 636f6e73756d6572 00000004 02 72 02 6d 0000000000000006 02
        02 6d 02 69 02 63 03 2f68 00000009 0000000a 02 73 03 6173 00 00";
    assert_eq!(read(v4), value());
}

#[test]
fn other_kinds_are_skipped_and_damage_is_an_error_and_never_a_panic() {
    // ConsumerGroupMetadata (KIP-848).
    assert_eq!(
        GroupRecord::decode(&unhex("0003 0001 67"), Some(b"x")),
        Ok(None)
    );
    assert!(GroupRecord::decode(b"\0", None).is_err());
    for record in [offset(Some(committed())), group(Some(value()))] {
        let (key, value) = record.encode();
        let value = value.expect("a value");
        for end in 2..key.len() {
            assert!(GroupRecord::decode(&key[..end], Some(&value)).is_err());
        }
        for end in 0..value.len() - 1 {
            assert!(
                GroupRecord::decode(&key, Some(&value[..end])).is_err(),
                "{end}"
            );
        }
        for at in 0..value.len() {
            for byte in [0x00, 0x7f, 0x80, 0xff] {
                let mut damaged = value.clone();
                damaged[at] = byte;
                let _ = GroupRecord::decode(&key, Some(&damaged));
            }
        }
    }
}
