//! What records add up to, and what a step means for one broker.

use expect_test::expect;

use super::*;
use crate::metadata::records::{MetadataRecord, Partition, PartitionChange, TOPIC_RESOURCE};
use crate::metadata::replay::Replay;

fn id(number: u128) -> TopicId {
    TopicId(Uuid::from_u128(number))
}

fn topic(name: &str, number: u128) -> MetadataRecord {
    MetadataRecord::Topic {
        name: name.to_owned(),
        topic_id: id(number),
    }
}

fn partition(topic: u128, index: i32, replicas: &[i32]) -> MetadataRecord {
    let replicas: Vec<BrokerId> = replicas.iter().copied().map(BrokerId).collect();
    MetadataRecord::Partition(Partition {
        partition_id: index,
        topic_id: id(topic),
        isr: replicas.clone(),
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
        leader: replicas.first().copied(),
        recovering: false,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: vec![Uuid::nil(); replicas.len()],
        replicas,
    })
}

fn leader(topic: u128, index: i32, leader: i32) -> MetadataRecord {
    MetadataRecord::PartitionChange(PartitionChange {
        leader: Some(Some(BrokerId(leader))),
        ..PartitionChange::of(id(topic), index)
    })
}

fn config(topic: &str, value: Option<&str>) -> MetadataRecord {
    MetadataRecord::Config {
        resource_type: TOPIC_RESOURCE,
        resource_name: topic.to_owned(),
        name: "retention.ms".to_owned(),
        value: value.map(str::to_owned),
    }
}

fn after(image: &Image, records: &[MetadataRecord]) -> Image {
    let first = image.applied.0 + 1;
    let offsets = (first..).map(MetadataOffset);
    image.apply(offsets.zip(records)).expect("records fit")
}

#[test]
fn a_change_leaves_the_old_image_and_shares_every_other_topic_with_it() {
    let mut records = Vec::new();
    for number in 1..=500 {
        records.push(topic(&format!("t{number}"), number));
        records.push(partition(number, 0, &[1]));
    }
    let before = after(&Image::empty("c"), &records);
    let changed = after(&before, &[leader(7, 0, 1), config("t7", Some("5"))]);
    assert_eq!(before.topic("t7").unwrap().partitions[0].leader_epoch, 0);
    let seven = changed.topic_by_id(id(7)).unwrap();
    assert_eq!(
        (
            seven.partitions[0].leader_epoch,
            seven.partitions[0].partition_epoch
        ),
        (1, 1)
    );
    assert_eq!(seven.configs["retention.ms"], "5");
    assert_eq!(before.topics_differing(&changed).count(), 1);
    assert_eq!((changed.topic_count(), changed.applied.0), (500, 1001));
    assert!(before != changed);
}

#[test]
fn r53_a_recreated_topic_has_another_id_and_nothing_of_the_old_one() {
    let first = after(
        &Image::empty("c"),
        &[topic("a", 1), partition(1, 0, &[1]), config("a", Some("5"))],
    );
    let remove = MetadataRecord::RemoveTopic { topic_id: id(1) };
    let second = after(&first, &[remove, topic("a", 2), partition(2, 0, &[1])]);
    assert_eq!(second.topic_by_id(id(1)), None);
    let recreated = second.topic("a").unwrap();
    assert_eq!((recreated.id, recreated.configs.len()), (id(2), 0));
}

#[test]
fn r46_names_that_differ_only_by_dot_and_underscore_find_each_other() {
    let image = after(&Image::empty("c"), &[topic("a.b_c", 1), topic("x", 2)]);
    assert_eq!(image.colliding_topic("a_b.c"), Some("a.b_c"));
    assert_eq!(image.colliding_topic("a.b_c"), None, "itself");
    assert_eq!(image.colliding_topic("a-b-c"), None);
}

#[test]
fn records_that_do_not_fit_are_refused_with_their_offset() {
    let image = after(&Image::empty("c"), &[topic("a", 1), partition(1, 0, &[1])]);
    let remove = MetadataRecord::RemoveTopic { topic_id: id(9) };
    let bad = [
        topic("a", 3),
        topic("b", 1),
        partition(9, 0, &[1]),
        partition(1, 5, &[1]),
        leader(1, -1, 1),
        config("z", None),
        remove,
    ];
    let said: Vec<String> = bad
        .iter()
        .map(|record| {
            image
                .apply([(MetadataOffset(2), record)])
                .unwrap_err()
                .to_string()
        })
        .collect();
    expect![[r#"
        metadata record at offset 2 creates topic 'a', which exists
        metadata record at offset 2 creates a topic with id AAAAAAAAAAAAAAAAAAAAAQ, which exists
        metadata record at offset 2 names topic id AAAAAAAAAAAAAAAAAAAACQ, which does not exist
        metadata record at offset 2 adds partition 5 to topic 'a' of 1
        metadata record at offset 2 changes a--1, which does not exist
        metadata record at offset 2 configures topic 'z', which does not exist
        metadata record at offset 2 removes topic id AAAAAAAAAAAAAAAAAAAACQ, which does not exist"#]].assert_eq(&said.join("\n"));
}

#[test]
fn a_transaction_shows_as_a_whole_or_not_at_all() {
    let begin = || MetadataRecord::BeginTransaction { name: None };
    let mut replay = Replay::after(Image::empty("c"));
    let mut next = 0;
    let mut see = |replay: &mut Replay, records: Vec<MetadataRecord>| {
        let numbered: Vec<_> = (next..).map(MetadataOffset).zip(records).collect();
        next += numbered.len() as i64;
        replay.apply(numbered).expect("marks are in order");
        let mut names: Vec<_> = replay
            .image()
            .topics()
            .map(|it| it.name.to_string())
            .collect();
        names.sort();
        format!(
            "{} {names:?} {}",
            replay.image().applied.0,
            replay.in_transaction()
        )
    };
    let steps = [
        see(&mut replay, vec![topic("a", 1), begin(), topic("b", 2)]),
        see(&mut replay, vec![topic("c", 3)]),
        see(&mut replay, vec![MetadataRecord::EndTransaction]),
        see(&mut replay, vec![begin(), topic("d", 4)]),
        see(
            &mut replay,
            vec![MetadataRecord::AbortTransaction { reason: None }],
        ),
        see(&mut replay, vec![MetadataRecord::NoOp]),
    ];
    expect![[r#"
        0 ["a"] true
        0 ["a"] true
        4 ["a", "b", "c"] false
        4 ["a", "b", "c"] true
        7 ["a", "b", "c"] false
        8 ["a", "b", "c"] false"#]]
    .assert_eq(&steps.join("\n"));
    let misplaced = vec![(MetadataOffset(9), MetadataRecord::EndTransaction)];
    assert!(replay.apply(misplaced).is_err());
}
