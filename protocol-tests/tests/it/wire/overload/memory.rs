//! Requests and answers that would need more memory than there is.

use std::io::Write;
use std::net::TcpStream;

use bytes::BufMut;
use kafka_protocol::messages::MetadataRequest;

use super::*;
use crate::wire::batch::{GZIP, LZ4, SNAPPY, ZSTD};
use crate::wire::calls::{METADATA, PRODUCE, new_topic, poll, produce_request, unused_name};
use crate::wire::client::{framed, message};

/// The broker may plan with so much, and is given no more by the system.
const LIMIT_MIB: u64 = 128;

fn small_ottla() -> Option<Subject> {
    let limit = format!("ottla.memory.limit={}", LIMIT_MIB << 20);
    own_ottla(OTTLA, &[&limit])
}

#[test]
fn more_bodies_than_the_pool_holds_are_read_one_after_the_other() {
    let Some(subject) = small_ottla() else {
        return;
    };
    let mut healthy = Healthy::new(&subject);
    let topic = subject.topic("bodies");
    let resident_kib = subject.proc().resident_kib();
    // 40 requests of 8 MiB of which everything but the end has been sent: 320 MiB in all, into a
    // pool of 32 MiB. Those that are read do not end while the others wait.
    let records = Batch::sized(8 << 20).bytes();
    let request = produce_request(PRODUCE, &topic, &[(0, Some(records.into()))]);
    let frame = framed(&message(PRODUCE, 5, None, &request));
    let writers: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = TcpStream::connect(&subject.bootstrap).expect("accepted");
            let (body, end) = frame.split_at(frame.len() - 1);
            let (body, end) = (body.to_vec(), end.to_vec());
            std::thread::spawn(move || {
                let timeout = Some(std::time::Duration::from_secs(180));
                stream.set_write_timeout(timeout).expect("not zero");
                stream.set_read_timeout(timeout).expect("not zero");
                stream.write_all(&body)?;
                stream.write_all(&end)?;
                std::io::Read::read_exact(&mut stream, &mut [0; 8])
            })
        })
        .collect();
    for _ in 0..3 {
        healthy.work();
    }
    for writer in writers {
        writer
            .join()
            .expect("no panic")
            .expect("answered in the end");
    }
    let peak_kib = subject.proc().peak_kib();
    eprintln!("peak {peak_kib} KiB, {resident_kib} KiB before");
    assert!(
        peak_kib <= (LIMIT_MIB << 10) * 11 / 10,
        "{peak_kib} KiB at the peak"
    );
}

#[test]
fn answers_that_nobody_takes_do_not_pile_up() {
    let Some(subject) = small_ottla() else {
        return;
    };
    let mut healthy = Healthy::new(&subject);
    // 1,000 partitions make an answer of 60 KiB out of a request of 20 bytes.
    for _ in 0..4 {
        let topic = new_topic(&unused_name("many")).with_num_partitions(250);
        let created = healthy
            .client
            .create_topic(topic.with_replication_factor(1));
        assert_eq!(created.error_code, 0);
    }
    let everything = MetadataRequest::default().with_topics(None);
    let requests: Vec<u8> = (0..64)
        .flat_map(|i| framed(&message(METADATA, i, None, &everything)))
        .collect();
    let resident_kib = subject.proc().resident_kib();
    let mut greedy: Vec<TcpStream> = (0..60).map(|_| hardly_reading(&subject)).collect();
    for stream in &mut greedy {
        stream.write_all(&requests).expect("sent");
    }
    for _ in 0..3 {
        healthy.work();
    }
    let grown_kib = subject.proc().peak_kib().saturating_sub(resident_kib);
    eprintln!("60 readers of 64 answers each: {grown_kib} KiB");
    // A pool of 16 MiB, and what connections and buffers cost; all answers are 220 MiB.
    assert!(grown_kib <= 48 << 10, "grown by {grown_kib} KiB");
    drop(greedy);
    subject.connect().call(METADATA, &everything);
}

/// A connection whose own buffers take little.
fn hardly_reading(subject: &Subject) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .expect("a runtime");
    let connected = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4 << 10)?;
        let address = subject.bootstrap.parse().expect("an address");
        socket.connect(address).await?.into_std()
    });
    let stream = connected.expect("the broker accepts");
    stream.set_nonblocking(false).expect("a fresh socket");
    stream
}

#[test]
fn bombs_of_every_codec_are_refused_and_leave_no_trace() {
    let settings = [
        "ottla.produce.validation=strict",
        "message.max.bytes=10000000",
    ];
    let Some(subject) = own_ottla("it inflates them", &settings) else {
        return;
    };
    let topic = subject.topic("bombs");
    let mut client = subject.connect();
    client.append(&topic, &Batch::numbered(10).compressed(ZSTD));
    let proc = subject.proc();
    let (own_kib, resident_kib) = (proc.own_kib(), proc.resident_kib());
    // One record of 256 MiB of zeros in a payload of some hundred KiB at most.
    for codec in [GZIP, LZ4, SNAPPY, ZSTD] {
        let bomb = Batch::sized(256 << 20).compressed(codec);
        let size = bomb.payload.len();
        if size > 9 << 20 {
            eprintln!("codec {codec}: {size} bytes are no bomb");
            continue;
        }
        let answer = client.produce(&topic, &bomb);
        assert_eq!(answer.error_code, 87, "codec {codec}");
        assert_eq!(client.log_end_offset(&topic), 10, "nothing is stored");
        let grown_kib = proc.own_kib().saturating_sub(own_kib);
        let peak_kib = proc.peak_kib().saturating_sub(resident_kib);
        eprintln!("codec {codec}, {size} bytes: {grown_kib} KiB kept, {peak_kib} KiB at the peak");
        // The frames themselves are up to 9 MiB.
        assert!(
            grown_kib <= 16 << 10,
            "codec {codec}: grown by {grown_kib} KiB"
        );
    }
    client.append(&topic, &Batch::numbered(10).compressed(ZSTD));
}

#[test]
fn a_frame_that_can_never_be_reserved_is_refused_at_its_header() {
    let Some(subject) = small_ottla() else {
        return;
    };
    let mut client = subject.connect();
    let mut start = vec![];
    start.put_i32(40 << 20); // below socket.request.max.bytes, above the pool
    start.put_slice(&[0, 0, 0, 9, 0, 0, 0, 1]);
    client.send_bytes(&start);
    client.expect_close();
    poll("the reason", || {
        (!subject.said("larger than the limit").is_empty()).then_some(())
    });
}
