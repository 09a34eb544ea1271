//! Bytes that no client should send. Whatever comes, the broker goes on serving the others, and its
//! memory follows what was sent, not what was declared (R38).

use bytes::BufMut;
use kafka_protocol::messages::MetadataRequest;

use super::batch::Batch;
use super::calls::{METADATA, Topic, poll};
use super::client::{Client, framed};
use super::specimens::{Specimen, specimens};
use super::{Subject, own_subject};
use protocol_tests::random::Random;

/// How much the resident memory of the broker may grow over one test, in KiB. A wrong allocation
/// by a declared length or count is hundreds of MiB.
const GROWTH_KIB: u64 = 8 * 1_024;

/// A broker under fire, and a client beside it that must not notice.
struct Victim {
    subject: Subject,
    topic: Topic,
    bystander: Client,
    resident_kib: u64,
}

impl Victim {
    /// Warmed up: what every broker allocates with its first requests is not counted.
    fn new() -> Victim {
        let subject = own_subject();
        let topic = subject.topic("hostile");
        let mut bystander = subject.connect();
        for _ in 0..100 {
            bystander.append(&topic, &Batch::numbered(10));
            bystander.fetch(&topic, 0);
        }
        let resident_kib = resident_kib(&subject);
        Victim {
            subject,
            topic,
            bystander,
            resident_kib,
        }
    }

    #[track_caller]
    fn expect_unharmed(&mut self) {
        self.bystander.append(&self.topic, &Batch::numbered(1));
        let metadata = MetadataRequest::default();
        let answer = self.subject.connect().call(METADATA, &metadata);
        assert!(!answer.brokers.is_empty());
        let grown = resident_kib(&self.subject).saturating_sub(self.resident_kib);
        assert!(grown <= GROWTH_KIB, "grown by {grown} KiB");
    }

    /// Waits until the broker has let go of the connections that are gone: what thousands of them
    /// cost at once is another question.
    #[track_caller]
    fn await_departures(&self) {
        if let Some(pid) = self.subject.ottla_pid() {
            let files = || std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
            poll("the sockets to go", || (files() < 100).then_some(()));
        }
    }

    /// Sends the bytes on a connection of their own and expects nothing but its end.
    #[track_caller]
    fn expect_close(&self, what: &str, bytes: &[u8]) {
        let mut client = self.subject.connect();
        client.offer_bytes(bytes);
        client.finish_sending();
        let got = client.read_until_close();
        assert!(got.is_empty(), "{what}: answered {got:02x?}");
    }
}

/// Memory of its own in KiB, without the pages of its program, which the kernel brings and takes as
/// it likes; 0 for a broker that is not ours to look into.
fn resident_kib(subject: &Subject) -> u64 {
    let Some(pid) = subject.ottla_pid() else {
        return 0;
    };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse().ok()).expect("RssAnon in kB")
}

fn random_bytes(random: &mut Random, count: u64) -> Vec<u8> {
    (0..count).map(|_| random.next() as u8).collect()
}

#[test]
fn frames_of_impossible_length_do_no_harm() {
    let mut victim = Victim::new();
    for length in [0, -1, i32::MIN, i32::MAX, 104_857_601, 0x4000_0000] {
        for tail in [&[][..], &[0; 100]] {
            let bytes = [&i32::to_be_bytes(length), tail].concat();
            victim.expect_close(&format!("length {length}"), &bytes);
        }
    }
    victim.expect_unharmed();
}

#[test]
fn frames_too_short_for_a_header_do_no_harm() {
    let mut victim = Victim::new();
    for length in 1..10 {
        for byte in [0, 1, 3, 0x7f, 0xff] {
            let bytes = framed(&vec![byte; length]);
            victim.expect_close(&format!("{length} times {byte}"), &bytes);
        }
    }
    victim.expect_unharmed();
}

#[test]
fn other_protocols_do_no_harm() {
    let mut victim = Victim::new();
    let mut tls_hello = vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    tls_hello.extend([0x5a; 506]);
    victim.expect_close("a TLS hello", &tls_hello);
    let http = b"GET /metrics HTTP/1.1\r\nHost: localhost:9092\r\nAccept: */*\r\n\r\n";
    victim.expect_close("an HTTP request", http);
    victim.expect_close("an SSH banner", b"SSH-2.0-OpenSSH_9.6\r\n");
    let postgres = [0, 0, 0, 8, 4, 210, 22, 47];
    victim.expect_close("a PostgreSQL SSL request", &postgres);
    victim.expect_unharmed();
}

#[test]
fn a_connection_that_says_nothing_does_no_harm() {
    let mut victim = Victim::new();
    let silent: Vec<Client> = (0..100).map(|_| victim.subject.connect()).collect();
    victim.expect_unharmed();
    drop(silent);
    victim.expect_unharmed();
}

#[test]
fn every_request_cut_at_every_byte_closes_its_connection_alone() {
    let mut victim = Victim::new();
    for Specimen { name, message } in specimens(&victim.topic) {
        for end in 0..message.len() {
            let what = format!("{name} cut at {end} of {}", message.len());
            victim.expect_close(&what, &framed(&message[..end]));
        }
        victim.expect_unharmed();
    }
}

#[test]
fn requests_whose_rest_never_comes_are_forgotten() {
    let mut victim = Victim::new();
    for Specimen { name, message } in specimens(&victim.topic) {
        let frame = framed(&message);
        for end in [1, 3, 4, 5, frame.len() / 2, frame.len() - 1] {
            victim.expect_close(&format!("{name} ends at {end}"), &frame[..end]);
        }
    }
    victim.expect_unharmed();
}

#[test]
fn huge_numbers_at_every_place_of_every_request_do_no_harm() {
    let mut victim = Victim::new();
    if victim.subject.ottla_pid().is_none() {
        eprintln!("skipped on Kafka: it reserves what is declared and dies of it");
        return;
    }
    for Specimen { name: _, message } in specimens(&victim.topic) {
        // Key, version and correlation id stay; behind them everything is raised once, be it a
        // length, a count or a value.
        for at in 8..message.len() {
            for huge in [
                &[0x7f, 0xff, 0xff, 0xff][..],
                &[0xff, 0xff, 0xff, 0xff, 0x07],
            ] {
                let mut bytes = message.clone();
                bytes.splice(
                    at..(at + huge.len()).min(message.len()),
                    huge.iter().copied(),
                );
                let mut client = victim.subject.connect();
                client.offer_bytes(&framed(&bytes));
                // Some are still good requests, and one may ask to wait for weeks: no answer is
                // expected, only that the broker has read it.
                client.finish_sending();
            }
            if at % 16 == 0 {
                victim.await_departures();
            }
        }
        victim.expect_unharmed();
    }
}

#[test]
fn garbage_does_no_harm() {
    let mut victim = Victim::new();
    let mut random = Random::new(42);
    for _ in 0..500 {
        let size = 1 + random.below(200);
        let garbage = random_bytes(&mut random, size);
        for bytes in [garbage.clone(), framed(&garbage)] {
            let mut client = victim.subject.connect();
            client.offer_bytes(&bytes);
            client.finish_sending();
            client.read_until_close();
        }
    }
    victim.expect_unharmed();
}

#[test]
fn garbage_behind_a_good_header_does_no_harm() {
    let mut victim = Victim::new();
    let mut random = Random::new(43);
    for Specimen { name: _, message } in specimens(&victim.topic) {
        let mut client = victim.subject.connect();
        // Key, version, correlation id, no client id, and perhaps an empty tag buffer.
        let mut bytes = [&message[..8], &[0xff, 0xff, 0]].concat();
        let size = random.below(300);
        bytes.extend(random_bytes(&mut random, size));
        client.offer_bytes(&framed(&bytes));
        client.finish_sending();
        client.read_until_close();
    }
    victim.expect_unharmed();
}

#[test]
fn declared_sizes_cost_no_memory_before_the_bytes_come() {
    let mut victim = Victim::new();
    if victim.subject.ottla_pid().is_none() {
        eprintln!("skipped on Kafka: it reserves what is declared and dies of it");
        return;
    }
    let claims: Vec<Client> = (0..100)
        .map(|_| {
            let mut client = victim.subject.connect();
            let mut start = vec![];
            start.put_i32(100_000_000); // below socket.request.max.bytes
            start.put_slice(&[0, 0, 0, 9, 0, 0, 0, 1]);
            client.send_bytes(&start);
            client
        })
        .collect();
    victim.expect_unharmed();
    drop(claims);
    victim.expect_unharmed();
}

#[test]
fn a_frame_that_comes_byte_by_byte_is_answered() {
    let mut victim = Victim::new();
    for Specimen { name, message } in specimens(&victim.topic) {
        if !name.starts_with("Metadata") && !name.starts_with("Produce") {
            continue;
        }
        let mut client = victim.subject.connect();
        for byte in framed(&message) {
            client.send_bytes(&[byte]);
        }
        let answer = client.read_frame();
        assert_eq!(answer[..4], message[4..8], "{name}");
    }
    victim.expect_unharmed();
}

#[test]
fn clients_that_vanish_in_the_middle_of_everything_do_no_harm() {
    let mut victim = Victim::new();
    let all = specimens(&victim.topic);
    for _ in 0..5 {
        for Specimen { name: _, message } in &all {
            let frame = framed(message);
            let mut client = victim.subject.connect();
            client.offer_bytes(&[&frame[..], &frame[..frame.len() / 2]].concat());
            drop(client); // with an answer on its way
        }
        // Their sockets go too, once the broker has tried to answer.
        victim.await_departures();
    }
    victim.expect_unharmed();
}
