//! Connections: order, acks=0, frame limits, addresses, clients that go away (R35, R36, R38, R40,
//! R41).

use std::net::Ipv6Addr;

use bytes::{BufMut, Bytes};
use kafka_protocol::messages::{FetchRequest, MetadataRequest, ProduceRequest};

use super::batch::Batch;
use super::calls::{
    FETCH, METADATA, PRODUCE, Topic, fetch_request, metadata_request, poll, produce_request,
};
use super::client::{Client, LONG_WAIT_MS, decode, framed, message};
use super::{Subject, own_ottla, own_ottla_on, subject};

/// Longer than this test's thread may stand still between a connection and its first request.
const IDLE: &str = "connections.max.idle.ms=5000";

fn one_batch(topic: &Topic, acks: i16, bytes: Vec<u8>) -> ProduceRequest {
    produce_request(PRODUCE, topic, &[(0, Some(Bytes::from(bytes)))]).with_acks(acks)
}

#[test]
fn r35_answers_leave_in_the_order_of_the_requests() {
    let subject = subject();
    let topic = subject.topic("r35");
    let mut client = subject.connect();
    let mut bytes = Vec::new();
    for i in 0..50 {
        let produce = one_batch(&topic, -1, Batch::numbered(1).bytes());
        bytes.extend(framed(&message(PRODUCE, 3 * i, None, &produce)));
        let metadata = metadata_request(&[&topic.name]);
        bytes.extend(framed(&message(METADATA, 3 * i + 1, None, &metadata)));
        let fetch = fetch_request(FETCH, &topic, 0);
        bytes.extend(framed(&message(FETCH, 3 * i + 2, None, &fetch)));
    }
    client.send_bytes(&bytes);
    for i in 0..50 {
        let produced = decode::<ProduceRequest>(PRODUCE, 3 * i, client.read_frame());
        let partition = &produced.responses[0].partition_responses[0];
        assert_eq!(partition.error_code, 0);
        assert_eq!(partition.base_offset, i64::from(i), "appends keep order");
        decode::<MetadataRequest>(METADATA, 3 * i + 1, client.read_frame());
        let fetched = decode::<FetchRequest>(FETCH, 3 * i + 2, client.read_frame());
        let high_watermark = fetched.responses[0].partitions[0].high_watermark;
        assert!(high_watermark > i64::from(i), "{high_watermark}");
    }
}

#[test]
fn r35_a_request_behind_a_waiting_fetch_is_answered_after_it() {
    let subject = subject();
    let topic = subject.topic("r35");
    let mut client = subject.connect();
    let waiting = fetch_request(FETCH, &topic, 0)
        .with_max_wait_ms(LONG_WAIT_MS)
        .with_min_bytes(1);
    let first = client.send(FETCH, &waiting);
    let second = client.send(METADATA, &metadata_request(&[&topic.name]));
    client.expect_silence();
    subject.connect().append(&topic, &Batch::numbered(1));
    let fetched = client.receive::<FetchRequest>(FETCH, first);
    assert_ne!(
        fetched.responses[0].partitions[0].records,
        Some(Bytes::new())
    );
    client.receive::<MetadataRequest>(METADATA, second);
}

#[test]
fn r35_what_was_asked_before_a_bad_request_is_answered() {
    let subject = subject();
    let topic = subject.topic("r35");
    let mut client = subject.connect();
    let produce = one_batch(&topic, -1, Batch::numbered(1).bytes());
    let good = framed(&message(PRODUCE, 1, None, &produce));
    let bad = framed(&[0xff; 20]);
    client.send_bytes(&[good.clone(), good, bad].concat());
    for base_offset in 0..2 {
        let answer = decode::<ProduceRequest>(PRODUCE, 1, client.read_frame());
        let partition = &answer.responses[0].partition_responses[0];
        assert_eq!(partition.base_offset, base_offset);
    }
    client.expect_close();
}

#[test]
fn r36_acks_0_appends_and_is_never_answered() {
    let subject = subject();
    let topic = subject.topic("r36");
    let mut client = subject.connect();
    for version in 3..=12 {
        let batch = Batch::numbered(1).bytes();
        let request = produce_request(version, &topic, &[(0, Some(batch.into()))]);
        client.send(version, &request.with_acks(0));
    }
    // The only answer on the connection is that of the request behind them.
    let base_offset = client.append(&topic, &Batch::numbered(1));
    assert_eq!(base_offset, 10);
    client.expect_silence();
}

#[test]
fn r36_an_error_with_acks_0_closes_the_connection() {
    let subject = subject();
    let topic = subject.topic("r36");
    let mut bad_crc = Batch::numbered(1).bytes();
    *bad_crc.last_mut().expect("not empty") ^= 1;
    let mut client = subject.connect();
    client.send(PRODUCE, &one_batch(&topic, 0, bad_crc));
    client.expect_close();
    assert_eq!(subject.connect().log_end_offset(&topic), 0);
}

#[test]
fn r38_impossible_frame_lengths_close() {
    let subject = subject();
    for length in [0, -1, i32::MIN, i32::MAX, 104_857_601, 1, 7] {
        let mut client = subject.connect();
        client.offer_bytes(&i32::to_be_bytes(length));
        client.offer_bytes(&[0; 64]);
        client.finish_sending();
        let got = client.read_until_close();
        assert!(got.is_empty(), "length {length}: {got:02x?}");
    }
}

#[test]
fn r38_a_frame_of_exactly_the_limit_is_accepted_and_a_byte_more_is_not() {
    let settings = ["socket.request.max.bytes=100000"];
    let Some(subject) = own_ottla("its limit is 100 MiB", &settings) else {
        return;
    };
    let request = |size: usize| {
        let mut bytes = message(METADATA, 5, None, &MetadataRequest::default());
        bytes.resize(size, 0); // bytes behind a body are ignored
        bytes
    };
    let mut client = subject.connect();
    client.send_frame(&request(100_000));
    decode::<MetadataRequest>(METADATA, 5, client.read_frame());
    client.offer_bytes(&framed(&request(100_001)));
    client.expect_close();
}

#[test]
fn r38_bytes_behind_a_body_are_ignored() {
    let subject = subject();
    let mut client = subject.connect();
    for version in [0, 8, 9, 12] {
        let mut bytes = message(version, 5, None, &MetadataRequest::default());
        bytes.extend([0xaa; 9]);
        client.send_frame(&bytes);
        let answer = decode::<MetadataRequest>(version, 5, client.read_frame());
        assert!(!answer.brokers.is_empty());
    }
}

#[test]
fn r38_an_undecodable_body_closes_its_connection_and_no_other() {
    let subject = subject();
    let mut bystander = subject.connect();
    let mut declared_longer = vec![0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff];
    declared_longer.put_i32(1_000);
    let mut null_in_v0 = vec![0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
    null_in_v0.put_i32(-1);
    for bytes in [declared_longer, null_in_v0] {
        let mut client = subject.connect();
        client.send_frame(&bytes);
        client.expect_close();
        bystander.call(METADATA, &MetadataRequest::default());
    }
}

#[test]
fn r40_a_wildcard_listener_takes_ipv4_and_ipv6() {
    let reason = "its listener is bound to 127.0.0.1";
    for host in ["", "0.0.0.0", "[::]"] {
        let settings = |[port]: [u16; 1]| {
            vec![
                format!("listeners=PLAINTEXT://{host}:{port}"),
                format!("advertised.listeners=PLAINTEXT://localhost:{port}"),
            ]
        };
        let Some((_subject, [port])) = own_ottla_on(reason, settings) else {
            return;
        };
        for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
            if address.starts_with('[') && !machine_has_ipv6() {
                eprintln!("skipped {address}: this machine has no IPv6");
                continue;
            }
            let mut client = Client::connect(&address);
            let answer = client.call(METADATA, &MetadataRequest::default());
            assert_eq!(&*answer.brokers[0].host, "localhost", "{host} {address}");
        }
    }
}

fn machine_has_ipv6() -> bool {
    std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

#[test]
fn r41_a_client_that_disconnects_frees_its_waiting_fetches() {
    let Some(subject) = own_ottla("its sockets are not counted", &[]) else {
        return;
    };
    let own = sockets(&subject);
    let topic = subject.topic("r41");
    poll("the sockets to be closed", || {
        (sockets(&subject) == own).then_some(())
    });
    let waiting = fetch_request(FETCH, &topic, 0)
        .with_max_wait_ms(LONG_WAIT_MS)
        .with_min_bytes(1);
    // One waits, or more than the broker is willing to have in work.
    for requests in [1, 100] {
        let mut clients: Vec<Client> = (0..50).map(|_| subject.connect()).collect();
        for client in &mut clients {
            (0..requests).for_each(|_| {
                client.send(FETCH, &waiting);
            });
        }
        clients[49].expect_silence();
        poll("all to be held", || {
            (sockets(&subject) == own + 50).then_some(())
        });
        drop(clients);
        poll("the sockets to be closed", || {
            (sockets(&subject) == own).then_some(())
        });
    }
}

#[test]
fn r41_an_idle_connection_is_closed_but_not_one_with_a_waiting_fetch() {
    let reason = "deliberate: Kafka closes a connection with a waiting Fetch";
    let Some(subject) = own_ottla(reason, &[IDLE]) else {
        return;
    };
    let topic = subject.topic("r41");
    let mut idle = subject.connect();
    let mut waiting = subject.connect();
    let fetch = fetch_request(FETCH, &topic, 0)
        .with_max_wait_ms(LONG_WAIT_MS)
        .with_min_bytes(1);
    let correlation_id = waiting.send(FETCH, &fetch);
    idle.call(METADATA, &MetadataRequest::default());
    idle.expect_close();
    waiting.expect_silence();
    subject.connect().append(&topic, &Batch::numbered(1));
    waiting.receive::<FetchRequest>(FETCH, correlation_id);
}

#[test]
fn r41_a_client_that_takes_no_answers_is_idle_too() {
    let Some(subject) = own_ottla("its sockets are not counted", &[IDLE]) else {
        return;
    };
    let own = sockets(&subject);
    let topic = subject.topic("r41");
    subject.connect().append(&topic, &Batch::sized(1_000_000));
    poll("the sockets to be closed", || {
        (sockets(&subject) == own).then_some(())
    });
    let mut greedy = subject.connect();
    for _ in 0..100 {
        greedy.send(FETCH, &fetch_request(FETCH, &topic, 0));
    }
    greedy.expect_answers();
    assert_eq!(sockets(&subject), own + 1);
    poll("the socket to be closed", || {
        (sockets(&subject) == own).then_some(())
    });
}

/// Sockets that the broker holds: those of its clients, and a few of its own that stay. (The
/// kernel's table of all connections is no measure: while others come and go, a read of it shows
/// some twice or not at all.)
fn sockets(subject: &Subject) -> usize {
    let open = std::fs::read_dir(format!("/proc/{}/fd", subject.pid())).expect("our own child");
    open.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
        .filter(|link| link.to_string_lossy().starts_with("socket:"))
        .count()
}
