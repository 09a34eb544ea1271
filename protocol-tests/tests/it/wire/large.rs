//! More data than a broker keeps in memory, and readers that are slower than the broker: the same
//! bytes must come whichever way they leave (R75, R76, R220).

use kafka_protocol::messages::{FetchRequest, ProduceRequest};

use super::batch::{Batch, GZIP, Record, ZSTD, stored};
use super::calls::{FETCH, PRODUCE, Topic, fetch_request, produce_request};
use super::client::Client;
use super::subject;
use protocol_tests::random::Random;

const RECORDS: i64 = 10;

/// Ten records of about `size` bytes together, different for every `i`.
fn batch(i: usize, size: usize) -> Batch {
    let record = |k| Record::new(&format!("{i}-{k}"), &"x".repeat(size / RECORDS as usize));
    Batch::of(&(0..RECORDS).map(record).collect::<Vec<_>>())
}

/// Appends batches of these sizes.
fn fill(client: &mut Client, topic: &Topic, sizes: impl Iterator<Item = usize>) -> Vec<Batch> {
    let batches: Vec<Batch> = sizes.enumerate().map(|(i, size)| batch(i, size)).collect();
    for (i, batch) in batches.iter().enumerate() {
        assert_eq!(client.append(topic, batch), i as i64 * RECORDS);
    }
    batches
}

/// Reads from `offset` to the end in answers of at most `max_bytes`.
#[track_caller]
fn expect_all(client: &mut Client, topic: &Topic, sent: &[Batch], offset: i64, max_bytes: i32) {
    let mut next = offset;
    while next < sent.len() as i64 * RECORDS {
        let mut request = fetch_request(FETCH, topic, next);
        request.topics[0].partitions[0].partition_max_bytes = max_bytes;
        let mut records = client.fetch_one(FETCH, &request).records.expect("records");
        // Kafka may cut the last batch (R76).
        let whole = whole_batches(&records);
        records.truncate(whole);
        let batches = stored(records);
        assert!(!batches.is_empty(), "nothing at {next}");
        for stored in batches {
            let i = (next / RECORDS) as usize;
            assert_eq!(stored.base_offset, i as i64 * RECORDS, "from {next}");
            assert!(stored.crc_is_right, "batch {i}");
            assert_eq!(stored.payload(), sent[i].payload, "batch {i}");
            next = stored.next_offset();
        }
    }
}

pub fn whole_batches(records: &[u8]) -> usize {
    let mut end = 0;
    while let Some(length) = records[end..].get(8..12) {
        let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
        if records.len() < end + 12 + length {
            break;
        }
        end += 12 + length;
    }
    end
}

#[test]
fn r220_what_has_left_memory_comes_back_byte_for_byte() {
    let subject = subject();
    let topic = subject.topic("large");
    let mut client = subject.connect();
    // Large and small ones in turn: regions of files, reads, and memory at the end.
    let sizes = (0..60).map(|i| [200_000, 300, 20_000][i % 3]);
    let sent = fill(&mut client, &topic, sizes);
    for max_bytes in [1, 1_000, 16_384, 300_000, 64 << 20] {
        expect_all(&mut client, &topic, &sent, 0, max_bytes);
    }
}

/// What is large and has to be compressed anew is worked on beside the connections; what the client
/// sends behind it still comes behind it.
#[test]
fn r35_a_large_batch_to_a_topic_of_another_codec_keeps_its_place() {
    let subject = subject();
    let topic = subject.topic_with("recompressed", 1, &[("compression.type", "zstd")]);
    let mut random = Random::new(8);
    let mut noise = || -> String { (0..500_000).map(|_| letter(random.next())).collect() };
    let large = Batch::of(&[Record::new("large", &noise())]).compressed(GZIP);
    assert!(large.bytes().len() > 300_000);
    let mut client = subject.connect();
    for round in 0..3 {
        let sent = [&large, &Batch::numbered(1), &large].map(|batch| {
            let records = Some(batch.bytes().into());
            client.send(PRODUCE, &produce_request(PRODUCE, &topic, &[(0, records)]))
        });
        for (place, correlation_id) in (0..).zip(sent) {
            let answer = client.receive::<ProduceRequest>(PRODUCE, correlation_id);
            let partition = &answer.responses[0].partition_responses[0];
            assert_eq!(partition.error_code, 0);
            assert_eq!(partition.base_offset, 3 * round + place);
        }
    }
    let stored = client.batches(&topic, 0).remove(0);
    assert_eq!(stored.codec(), ZSTD);
}

fn letter(random: u64) -> char {
    char::from(b'!' + (random % 64) as u8)
}

#[test]
fn r75_an_offset_inside_a_batch_on_disk_returns_the_whole_batch() {
    let subject = subject();
    let topic = subject.topic("large");
    let mut client = subject.connect();
    let sent = fill(&mut client, &topic, (0..40).map(|_| 100_000));
    for offset in (0..400).step_by(7) {
        let mut request = fetch_request(FETCH, &topic, offset);
        request.topics[0].partitions[0].partition_max_bytes = 1;
        let got = client.fetch_one(FETCH, &request);
        let batches = stored(got.records.expect("records"));
        assert_eq!(batches.len(), 1);
        assert_eq!(batches[0].base_offset, offset / RECORDS * RECORDS);
        assert_eq!(
            batches[0].payload(),
            sent[(offset / RECORDS) as usize].payload
        );
    }
}

#[test]
fn r35_a_reader_slower_than_the_broker_gets_everything_in_order() {
    let subject = subject();
    let topic = subject.topic("large");
    let mut client = subject.connect();
    let sent = fill(&mut client, &topic, (0..40).map(|_| 100_000));
    // 40 answers of 4 MB each: far more than the buffers of a socket.
    let mut reader = subject.connect();
    let asked: Vec<i32> = (0..40)
        .map(|i| reader.send(FETCH, &fetch_request(FETCH, &topic, i * RECORDS)))
        .collect();
    reader.expect_answers();
    client.append(&topic, &batch(40, 100)); // others are served meanwhile
    for (i, correlation_id) in asked.into_iter().enumerate() {
        let answer = reader.receive::<FetchRequest>(FETCH, correlation_id);
        let partition = answer.responses[0].partitions[0].clone();
        let batches = stored(partition.records.expect("records"));
        assert_eq!(batches[0].payload(), sent[i].payload, "answer {i}");
        assert!(batches.iter().all(|b| b.crc_is_right), "answer {i}");
    }
}

#[test]
fn r35_a_writer_that_reads_no_answers_for_a_while_loses_none() {
    let subject = subject();
    let topic = subject.topic("large");
    let mut client = subject.connect();
    let request = |i| {
        let records = Some(batch(i, 1_000).bytes().into());
        produce_request(PRODUCE, &topic, &[(0, records)])
    };
    let sent: Vec<i32> = (0..500)
        .map(|i| client.send(PRODUCE, &request(i)))
        .collect();
    for (i, correlation_id) in sent.into_iter().enumerate() {
        let answer = client.receive::<ProduceRequest>(PRODUCE, correlation_id);
        let partition = &answer.responses[0].partition_responses[0];
        assert_eq!(partition.error_code, 0);
        assert_eq!(partition.base_offset, i as i64 * RECORDS);
    }
}
