//! Configs of a live topic take effect on the next append or roll, without a restart (R178).

use std::path::Path;

use tempfile::TempDir;

use super::batch::Batch;
use super::calls::Topic;
use super::client::Client;
use super::config_calls::*;
use super::{Subject, own_ottla, own_subject, subject};

#[track_caller]
fn alter(client: &mut Client, topic: &Topic, key: &str, value: &str) {
    assert_eq!(client.alter(TOPIC, &topic.name, &[set(key, value)]), OK);
}

/// Produces until the answer is the wanted one: on Ottla at the first time.
#[track_caller]
fn expect_answer(subject: &Subject, topic: &Topic, batch: &Batch, code: i16) {
    let mut client = subject.connect();
    subject.in_force(&format!("an answer {code}"), || {
        (client.produce(topic, batch).error_code == code).then_some(())
    });
}

#[test]
fn r178_max_message_bytes_counts_from_the_next_append() {
    let subject = subject();
    let topic = subject.topic("r178");
    let mut client = subject.connect();
    let batch = Batch::sized(2_000);
    client.append(&topic, &batch);
    alter(&mut client, &topic, "max.message.bytes", "1000");
    expect_answer(&subject, &topic, &batch, 10);
    alter(&mut client, &topic, "max.message.bytes", "4000");
    expect_answer(&subject, &topic, &batch, 0);
}

#[test]
fn r178_message_timestamps_count_from_the_next_append() {
    let subject = subject();
    let topic = subject.topic("r178");
    let mut client = subject.connect();
    let old = Batch::numbered(2).created_at(1_000);
    let stamped = |client: &mut Client| client.produce(&topic, &old).log_append_time_ms > 0;
    assert!(!stamped(&mut client));
    alter(
        &mut client,
        &topic,
        "message.timestamp.type",
        "LogAppendTime",
    );
    subject.in_force("LogAppendTime", || stamped(&mut client).then_some(()));
    alter(&mut client, &topic, "message.timestamp.type", "CreateTime");
    subject.in_force("CreateTime", || (!stamped(&mut client)).then_some(()));
    alter(
        &mut client,
        &topic,
        "message.timestamp.before.max.ms",
        "1000",
    );
    expect_answer(&subject, &topic, &old, 32);
    let reset = [delete("message.timestamp.before.max.ms")];
    assert_eq!(client.alter(TOPIC, &topic.name, &reset), OK);
    expect_answer(&subject, &topic, &old, 0);
    let ahead = Batch::numbered(1).created_at(4_000_000_000_000);
    expect_answer(&subject, &topic, &ahead, 32);
    let far = i64::MAX.to_string();
    alter(&mut client, &topic, "message.timestamp.after.max.ms", &far);
    expect_answer(&subject, &topic, &ahead, 0);
}

#[test]
fn r178_compression_type_and_level_count_from_the_next_append() {
    const GZIP: i16 = 1;
    let subject = subject();
    let topic = subject.topic("r178");
    let mut client = subject.connect();
    let batch = Batch::numbered(500);
    let store = |client: &mut Client| {
        let offset = client.append(&topic, &batch);
        let stored = client.batches(&topic, offset).remove(0);
        (stored.codec(), stored.bytes.len())
    };
    let (codec, plain) = store(&mut client);
    assert_eq!(codec, 0);
    alter(&mut client, &topic, "compression.gzip.level", "1");
    alter(&mut client, &topic, "compression.type", "gzip");
    let fast = subject.in_force("gzip", || {
        let (codec, size) = store(&mut client);
        (codec == GZIP).then_some(size)
    });
    assert!(fast < plain);
    alter(&mut client, &topic, "compression.gzip.level", "9");
    subject.in_force("level 9", || (store(&mut client).1 < fast).then_some(()));
    alter(&mut client, &topic, "compression.type", "uncompressed");
    subject.in_force("no codec", || {
        (store(&mut client) == (0, plain)).then_some(())
    });
}

#[test]
fn r178_a_minimum_of_replicas_above_their_number_still_takes_acks_all() {
    let subject = subject();
    let topic = subject.topic("r178");
    let mut client = subject.connect();
    alter(&mut client, &topic, "min.insync.replicas", "2");
    subject.await_config(TOPIC, &topic.name, "min.insync.replicas", (Some("2"), 1));
    client.append(&topic, &Batch::numbered(1));
}

#[test]
fn r178_a_broker_key_changes_what_topics_inherit_at_once() {
    let subject = own_subject();
    let topic = subject.topic("r178");
    let mut client = subject.connect();
    let large = Batch::sized(2_000_000);
    expect_answer(&subject, &topic, &large, 10);
    assert_eq!(
        client.alter(BROKER, "", &[set("message.max.bytes", "3000000")]),
        OK
    );
    expect_answer(&subject, &topic, &large, 0);
    subject.await_config(
        TOPIC,
        &topic.name,
        "max.message.bytes",
        (Some("3000000"), 3),
    );
    // What the topic says itself stands above it.
    alter(&mut client, &topic, "max.message.bytes", "1000");
    expect_answer(&subject, &topic, &large, 10);
    assert_eq!(client.alter(BROKER, "", &[delete("message.max.bytes")]), OK);
    let default = (Some("1048588"), 5);
    subject.await_config(BROKER, "1", "message.max.bytes", default);
}

fn segments(data: &Path, topic: &Topic) -> usize {
    let directory = data.join(format!("{}-0", topic.name));
    let files = std::fs::read_dir(directory).expect("the partition's files");
    let logs = files.flatten().filter(|file| {
        let path = file.path();
        path.extension().is_some_and(|extension| extension == "log")
    });
    logs.count()
}

#[test]
fn r178_segment_and_index_sizes_count_from_the_next_roll() {
    let data = TempDir::new().expect("a directory");
    let setting = format!("log.dirs={}", data.path().display());
    let Some(subject) = own_ottla("looks at files", &[&setting]) else {
        return;
    };
    let topic = subject.topic("r178");
    let mut client = subject.connect();
    let batch = Batch::sized(20_000);
    for _ in 0..6 {
        client.append(&topic, &batch);
    }
    assert_eq!(segments(data.path(), &topic), 1);
    // R56: Kafka's own tests make small segments with it.
    alter(&mut client, &topic, "internal.segment.bytes", "50000");
    for _ in 0..4 {
        client.append(&topic, &batch);
    }
    let small = segments(data.path(), &topic);
    assert!(small >= 3, "{small} segments");
    let reset = [delete("internal.segment.bytes")];
    assert_eq!(client.alter(TOPIC, &topic.name, &reset), OK);
    for _ in 0..4 {
        client.append(&topic, &batch);
    }
    assert_eq!(segments(data.path(), &topic), small);
    // Room for one entry, from the next segment on: every indexed batch fills the index.
    let index = [
        set("segment.index.bytes", "8"),
        set("index.interval.bytes", "0"),
        set("internal.segment.bytes", "50000"),
    ];
    assert_eq!(client.alter(TOPIC, &topic.name, &index), OK);
    for _ in 0..3 {
        client.append(&topic, &batch);
    }
    assert_eq!(client.alter(TOPIC, &topic.name, &reset), OK);
    let small = segments(data.path(), &topic);
    for _ in 0..6 {
        client.append(&topic, &batch);
    }
    let indexed = segments(data.path(), &topic);
    assert!(indexed > small + 1, "{indexed} segments after {small}");
}

/// R178, R248: what testcontainers for Java did before 1.20.
#[test]
fn r248_advertised_listeners_of_a_running_broker_change_what_clients_are_told() {
    let reason = "deliberate: read-only in Kafka 4";
    let Some(subject) = own_ottla(reason, &[]) else {
        return;
    };
    let mut client = subject.connect();
    let topic = subject.topic("r248");
    let told = |client: &mut Client| {
        let answer = client.call(12, &super::calls::metadata_request(&[&topic.name]));
        (answer.brokers[0].host.to_string(), answer.brokers[0].port)
    };
    let before = told(&mut client);
    let listeners = [set("advertised.listeners", "PLAINTEXT://elsewhere:19092")];
    assert_eq!(client.alter(BROKER, "1", &listeners), OK);
    assert_eq!(told(&mut client), ("elsewhere".to_owned(), 19_092));
    let unknown = [set("advertised.listeners", "OTHER://elsewhere:19092")];
    let sentence = "advertised.listeners listener names must be equal to or a subset of the ones \
                    defined in listeners. Found OTHER. The valid options based on the current \
                    configuration are PLAINTEXT";
    assert_eq!(client.alter(BROKER, "1", &unknown), refused(42, sentence));
    assert_eq!(
        client.alter(BROKER, "1", &[delete("advertised.listeners")]),
        OK
    );
    assert_eq!(told(&mut client), before);
}
