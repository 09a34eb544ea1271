//! Lessons of published vulnerabilities of Kafka and its relatives, as far as one broker without
//! authentication can show them; each test bears the number of its lesson (security.md section 11).

use bytes::{BufMut, Bytes};
use kafka_protocol::messages::{FetchRequest, MetadataRequest};

use super::batch::{Batch, SNAPPY, stored};
use super::calls::{FETCH, METADATA, PRODUCE, config, fetch_request, new_topic, unused_name};
use super::client::framed;
use super::{Subject, own_ottla, subject};

/// How much memory an attempt may leave behind, in KiB: the least of those attacks takes hundreds
/// of MiB.
const GROWTH_KIB: u64 = 16 << 10;

/// A request header in front of `body`: version 1, or 2 with its empty tag buffer.
fn request(key: i16, version: i16, flexible: bool, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_i16(key);
    bytes.put_i16(version);
    bytes.put_i32(7);
    bytes.put_i16(-1); // no client id
    if flexible {
        bytes.put_u8(0);
    }
    bytes.put_slice(body);
    bytes
}

fn resident_kib(subject: &Subject) -> u64 {
    let Some(pid) = subject.ottla_pid() else {
        return 0;
    };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse().ok()).expect("VmHWM in kB")
}

/// Each message ends its connection without a word, and the broker neither grows nor stops.
#[track_caller]
fn expect_close_each(subject: &Subject, messages: &[Vec<u8>]) {
    subject
        .connect()
        .call(METADATA, &MetadataRequest::default());
    let before_kib = resident_kib(subject);
    for message in messages {
        for _ in 0..10 {
            let mut client = subject.connect();
            client.offer_bytes(&framed(message));
            client.finish_sending();
            let got = client.read_until_close();
            assert!(got.is_empty(), "{message:02x?} is answered {got:02x?}");
        }
    }
    subject
        .connect()
        .call(METADATA, &MetadataRequest::default());
    let grown_kib = resident_kib(subject).saturating_sub(before_kib);
    assert!(grown_kib <= GROWTH_KIB, "grown by {grown_kib} KiB");
}

/// 2^31 − 1 as a compact count, which is one more.
const COMPACT_MAX: [u8; 5] = [0x80, 0x80, 0x80, 0x80, 0x08];

#[test]
fn cve_2022_34917_a_declared_array_takes_no_memory() {
    let subject = subject();
    let max = i32::MAX.to_be_bytes();
    let produce = [&[0xff, 0xff, 0, 1, 0, 0, 0, 1][..], &max].concat();
    let mut fetch = vec![0xff; 4];
    fetch.extend([0; 4 + 4 + 4 + 1]);
    fetch.extend(max);
    let messages = [
        request(3, 1, false, &max),
        request(3, 9, true, &COMPACT_MAX),
        request(0, 3, false, &produce),
        request(1, 4, false, &fetch),
        request(2, 1, false, &[&[0xff; 4][..], &max].concat()),
        request(19, 2, false, &max),
        request(20, 1, false, &max),
        request(18, 3, true, &COMPACT_MAX),
    ];
    expect_close_each(&subject, &messages);
}

#[test]
fn cve_2026_111108_an_array_inside_an_array_takes_no_memory() {
    let subject = subject();
    let max = i32::MAX.to_be_bytes();
    // One topic "t" with 2^31 − 1 partitions.
    let topic = [&[0, 0, 0, 1, 0, 1, b't'][..], &max].concat();
    let list_offsets = [&[0xff; 4][..], &topic].concat();
    let create = [&[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 1][..], &max].concat();
    let mut fetch = vec![0xff; 4];
    fetch.extend([0; 4 + 4 + 4 + 1]);
    fetch.extend(&topic);
    let produce = [&[0xff, 0xff, 0, 1, 0, 0, 0, 1][..], &topic].concat();
    let messages = [
        request(2, 1, false, &list_offsets),
        request(19, 2, false, &create),
        request(1, 4, false, &fetch),
        request(0, 3, false, &produce),
    ];
    expect_close_each(&subject, &messages);
}

#[test]
fn cve_2026_111115_declared_tags_take_no_memory() {
    let subject = subject();
    let tags = [0xff, 0xff, 0xff, 0xff, 0x07];
    // In the header: 2^31 − 1 tags; one of 2^31 − 1 bytes.
    let mut many_in_header = vec![0, 3, 0, 9, 0, 0, 0, 7, 0xff, 0xff];
    many_in_header.extend(tags);
    let mut large_in_header = vec![0, 3, 0, 9, 0, 0, 0, 7, 0xff, 0xff, 1, 0];
    large_in_header.extend(tags);
    // Behind a body: no topics, three flags, then the same.
    let many = [&[1, 0, 0, 0][..], &tags].concat();
    let large = [&[1, 0, 0, 0, 1, 0][..], &tags].concat();
    let messages = [
        many_in_header,
        large_in_header,
        request(3, 9, true, &many),
        request(3, 9, true, &large),
    ];
    expect_close_each(&subject, &messages);
}

#[test]
fn cve_2023_34455_a_declared_snappy_length_takes_no_memory() {
    let settings = ["ottla.produce.validation=strict"];
    let Some(subject) = own_ottla("it answers −1 to some of them", &settings) else {
        return;
    };
    let topic = subject.topic("snappy");
    let mut client = subject.connect();
    client.append(&topic, &Batch::numbered(1).compressed(SNAPPY));
    let before_kib = resident_kib(&subject);
    let header = [
        0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1,
    ];
    let with_chunk =
        |length: i32, chunk: &[u8]| [&header[..], &length.to_be_bytes(), chunk].concat();
    let payloads = [
        with_chunk(i32::MAX, &[]),
        with_chunk(-1, &[]),
        with_chunk(i32::MAX, &[0; 100]),
        // A chunk whose own stream declares 2^32 − 1 bytes, and such a stream without framing.
        with_chunk(6, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0]),
        vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0],
        vec![0xff, 0xff, 0xff, 0xff, 0x07, 0, 0, 0, 0],
    ];
    for payload in payloads {
        let batch = Batch::numbered(1).with_payload(SNAPPY, payload);
        let answer = client.produce(&topic, &batch);
        assert!([2, 87].contains(&answer.error_code), "{answer:?}");
    }
    assert_eq!(client.log_end_offset(&topic), 1);
    let grown_kib = resident_kib(&subject).saturating_sub(before_kib);
    assert!(grown_kib <= GROWTH_KIB, "grown by {grown_kib} KiB");
}

#[test]
fn cve_2026_111073_pushed_telemetry_is_not_inflated_where_it_is_not_served() {
    let Some(subject) = super::ottla_only("it serves telemetry") else {
        return;
    };
    let inflated = vec![0; 64 << 20];
    let bomb = zstd::bulk::compress(&inflated, 3).expect("zeros");
    // PushTelemetry v0: id, subscription, not terminating, zstd, metrics.
    let mut body = vec![1; 16];
    body.put_i32(1);
    body.put_u8(0);
    body.put_i8(4);
    body.put_slice(&[0x80 | (bomb.len() as u8 & 0x7f), (bomb.len() >> 7) as u8]);
    body.put_slice(&bomb);
    expect_close_each(&subject, &[request(72, 0, true, &body)]);
}

#[test]
fn cve_2018_1288_a_client_is_no_replica() {
    let subject = subject();
    let topic = subject.topic("replica");
    let mut client = subject.connect();
    client.append(&topic, &Batch::numbered(3));
    for replica_id in [1, 7] {
        // As a replica that claims to hold everything up to far behind the end.
        let request = fetch_request(FETCH, &topic, 1_000_000).with_replica_id(replica_id.into());
        let answer: kafka_protocol::messages::FetchResponse = client.call(FETCH, &request);
        let partition = &answer.responses[0].partitions[0];
        assert_ne!(partition.error_code, 0, "replica {replica_id}");
    }
    let fetched = client.fetch(&topic, 0);
    assert_eq!(fetched.high_watermark, 3, "it has not moved");
}

#[test]
fn cve_2018_17196_what_a_batch_says_decides_not_what_the_request_says() {
    let Some(subject) = super::ottla_only("it has transactions") else {
        return;
    };
    let topic = subject.topic("transactional");
    let mut batch = Batch::numbered(1).by_producer(1_000, 0, 0);
    batch.attributes |= 0x10;
    // A transactional batch in a request without transactional id.
    let answer = subject.connect().produce(&topic, &batch);
    assert_eq!(answer.error_code, 53, "{answer:?}");
    assert_eq!(subject.connect().log_end_offset(&topic), 0);
}

#[test]
fn cve_2024_31141_config_providers_are_not_resolved_for_a_client() {
    let subject = subject();
    for value in [
        "${env:HOME}",
        "${file:/etc/passwd:root}",
        "${dir:/etc:hostname}",
    ] {
        let name = unused_name("provider");
        let topic = new_topic(&name)
            .with_num_partitions(1)
            .with_replication_factor(1)
            .with_configs(vec![config("retention.ms", value)]);
        let created = subject.connect().create_topic(topic);
        assert_eq!(created.error_code, 40, "{created:?}");
        let said = created.error_message.expect("a sentence");
        assert!(said.contains(value), "as it was sent: {said}");
    }
}

#[test]
fn cve_2026_83525_a_request_without_anything_in_it_is_answered_or_closed() {
    let subject = subject();
    let mut client = subject.connect();
    let fetch = FetchRequest::default().with_max_wait_ms(0);
    client.call(FETCH, &fetch);
    let metadata = MetadataRequest::default().with_topics(Some(Vec::new()));
    client.call(METADATA, &metadata);
    let produce = kafka_protocol::messages::ProduceRequest::default().with_acks(-1);
    client.call(PRODUCE, &produce);
    if subject.ottla_pid().is_some() {
        // FetchSnapshot, with which the lesson was learnt, belongs to the controller.
        expect_close_each(
            &subject,
            &[request(
                59,
                0,
                true,
                &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 1, 0],
            )],
        );
    }
}

#[test]
fn cve_2026_35554_a_buffer_is_not_used_again_while_it_is_being_sent() {
    let subject = subject();
    let topic = subject.topic("buffers");
    let mut writer = subject.connect();
    let batch = |i: usize| {
        Batch::of(&[super::batch::Record::new(
            &format!("{i}"),
            &letter(i).repeat(50_000),
        )])
    };
    writer.append(&topic, &batch(0));
    // Answers out of memory that nobody takes yet, while more is produced into the same memory.
    let mut reader = subject.connect();
    let asked: Vec<i32> = (0..200)
        .map(|_| reader.send(FETCH, &fetch_request(FETCH, &topic, 0)))
        .collect();
    reader.expect_answers();
    (1..50).for_each(|i| {
        writer.append(&topic, &batch(i));
    });
    for correlation_id in asked {
        let answer = reader.receive::<FetchRequest>(FETCH, correlation_id);
        let records = answer.responses[0].partitions[0].records.clone();
        let mut records: Bytes = records.expect("records");
        // Kafka may cut the last batch (R76).
        records.truncate(super::large::whole_batches(&records));
        for (i, got) in stored(records).into_iter().enumerate() {
            assert!(got.crc_is_right, "batch {i}");
            assert_eq!(got.payload(), batch(i).payload, "batch {i}");
        }
    }
}

fn letter(i: usize) -> String {
    char::from(b'a' + (i % 26) as u8).to_string()
}

#[test]
fn cve_2026_82266_nothing_listens_beside_the_configured_port() {
    let Some(subject) = super::ottla_only("it has a controller port") else {
        return;
    };
    let pid = subject.pid();
    let sockets = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("our own child");
    let inodes: Vec<String> = sockets
        .filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
        .filter_map(|link| {
            let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    let port: u16 = subject
        .bootstrap
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok())
        .expect("host:port");
    for table in ["tcp", "tcp6"] {
        let table = std::fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        for row in table.lines().skip(1) {
            let fields: Vec<&str> = row.split_whitespace().collect();
            // Local address, state (0A: listening), inode.
            let (local, state, inode) = (fields[1], fields[3], fields[9]);
            if state == "0A" && inodes.iter().any(|own| own == inode) {
                assert!(
                    local.ends_with(&format!(":{port:04X}")),
                    "listens on {local}"
                );
            }
        }
    }
}
