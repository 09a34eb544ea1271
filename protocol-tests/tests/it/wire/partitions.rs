//! What is done with partitions: adding them, describing them page by page, electing their leaders
//! (R50, R155, R157, R160).

use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::describe_topic_partitions_response::DescribeTopicPartitionsResponse;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, DescribeTopicPartitionsRequest, ElectLeadersRequest,
    ListPartitionReassignmentsRequest,
};
use uuid::Uuid;

use super::batch::Batch;
use super::calls::{PRODUCE, Topic, produce_request, topic_name, unused_name};
use super::client::Client;
use super::{ottla_only, subject};

const CREATE_PARTITIONS: i16 = 3;
const ELECT_LEADERS: i16 = 2;
const ALL_TOPIC_OPERATIONS: i32 = 3576;

fn more(topic: &str, count: i32) -> CreatePartitionsTopic {
    CreatePartitionsTopic::default()
        .with_name(topic_name(topic))
        .with_count(count)
        .with_assignments(None)
}

fn placed(topic: &str, count: i32, replicas: &[&[i32]]) -> CreatePartitionsTopic {
    let assignments = replicas.iter().map(|ids| {
        let ids = ids.iter().map(|id| BrokerId(*id)).collect();
        CreatePartitionsAssignment::default().with_broker_ids(ids)
    });
    more(topic, count).with_assignments(Some(assignments.collect()))
}

/// Code and sentence of each topic, in no particular order.
#[track_caller]
fn create(
    client: &mut Client,
    topics: Vec<CreatePartitionsTopic>,
    validate_only: bool,
) -> Vec<(String, i16, Option<String>)> {
    let request = CreatePartitionsRequest::default()
        .with_topics(topics)
        .with_timeout_ms(50_000)
        .with_validate_only(validate_only);
    let answer = client.call(CREATE_PARTITIONS, &request);
    let results = answer.results.iter().map(|result| {
        let message = result.error_message.as_ref().map(|text| text.to_string());
        (result.name.to_string(), result.error_code, message)
    });
    let mut results: Vec<_> = results.collect();
    results.sort();
    results
}

#[track_caller]
fn expect_refused(client: &mut Client, topic: CreatePartitionsTopic, code: i16, sentence: &str) {
    let name = topic.name.to_string();
    let got = create(client, vec![topic], false);
    assert_eq!(got, [(name, code, Some(sentence.to_owned()))]);
}

fn partition_count(client: &mut Client, topic: &Topic) -> usize {
    client.metadata(&topic.name).partitions.len()
}

#[test]
fn r50_the_first_produce_to_an_added_partition_succeeds() {
    let Some(subject) = ottla_only("deliberate: Kafka's first Produces may be answered 6") else {
        return;
    };
    let mut client = subject.connect();
    let topic = subject.topic("r50");
    for count in 2..20 {
        let got = create(&mut client, vec![more(&topic.name, count)], false);
        assert_eq!(got, [(topic.name.clone(), 0, None)]);
        let added = count - 1;
        let records = Some(Batch::numbered(1).bytes().into());
        let request = produce_request(PRODUCE, &topic, &[(added, records)]);
        let produced = client.produce_one(PRODUCE, &request);
        assert_eq!((produced.error_code, produced.base_offset), (0, 0));
        let partitions = client.metadata(&topic.name).partitions;
        assert_eq!(partitions.len(), count as usize);
        assert!(partitions.iter().all(|p| p.leader_id.0 >= 0));
    }
}

#[test]
fn r157_partitions_are_added_and_the_old_ones_keep_their_records() {
    let subject = subject();
    let topic = subject.topic("r157");
    let mut client = subject.connect();
    client.append(&topic, &Batch::numbered(2));
    for (version, count) in (0..=3).zip(2..) {
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![more(&topic.name, count)])
            .with_timeout_ms(50_000);
        let answer = client.call(version, &request);
        let result = &answer.results[0];
        assert_eq!((result.error_code, &result.error_message), (0, &None));
        subject.await_leader(&topic, count - 1);
        assert_eq!(partition_count(&mut client, &topic), count as usize);
    }
    assert_eq!(client.log_end_offset(&topic), 2);
    assert_eq!(client.batches(&topic, 0).len(), 1);
}

#[test]
fn r157_counts_that_are_no_increase_are_refused_with_kafkas_sentences() {
    let subject = subject();
    let topic = subject.topic_with("r157", 2, &[]);
    let name = topic.name.as_str();
    let mut client = subject.connect();
    expect_refused(
        &mut client,
        more(name, 2),
        37,
        "Topic already has 2 partition(s).",
    );
    for count in [1, 0, -1] {
        let sentence = format!(
            "The topic {name} currently has 2 partition(s); {count} would not be an increase."
        );
        expect_refused(&mut client, more(name, count), 37, &sentence);
    }
    let absent = unused_name("r157");
    let got = create(&mut client, vec![more(&absent, 2)], false);
    assert_eq!(got, [(absent, 3, None)]);
    assert_eq!(partition_count(&mut client, &topic), 2);
}

#[test]
fn r157_each_topic_has_its_own_result_and_one_named_twice_has_one() {
    let subject = subject();
    let [fine, twice] = [(); 2].map(|()| subject.topic("r157"));
    let mut client = subject.connect();
    let topics = [(&fine, 3), (&twice, 2), (&twice, 3)].map(|(topic, n)| more(&topic.name, n));
    let absent = unused_name("r157");
    let topics = topics.into_iter().chain([more(&absent, 2)]).collect();
    let mut expected = [
        (fine.name.clone(), 0, None),
        (
            twice.name.clone(),
            42,
            Some("Duplicate topic name.".to_owned()),
        ),
        (absent, 3, None),
    ];
    expected.sort();
    assert_eq!(create(&mut client, topics, false), expected);
    subject.await_leader(&fine, 2);
    assert_eq!(partition_count(&mut client, &fine), 3);
    assert_eq!(partition_count(&mut client, &twice), 1);
}

#[test]
fn r157_assignments_are_followed_or_refused_with_kafkas_sentences() {
    let subject = subject();
    let topic = subject.topic("r157");
    let name = topic.name.as_str();
    let mut client = subject.connect();
    let broker = client.metadata(name).partitions[0].leader_id.0;
    let absent = broker + 6;
    let refused = [
        (
            placed(name, 3, &[&[broker]]),
            "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified."
                .to_owned(),
        ),
        (
            placed(name, 2, &[&[absent]]),
            format!(
                "The manual partition assignment includes broker {absent}, but no such broker is \
                 registered."
            ),
        ),
        (
            placed(name, 2, &[&[broker, broker]]),
            format!("The manual partition assignment includes the broker {broker} more than once."),
        ),
        (
            placed(name, 2, &[&[]]),
            "The manual partition assignment includes an empty replica list.".to_owned(),
        ),
        (
            placed(name, 2, &[]),
            "Attempted to add 1 additional partition(s), but only 0 assignment(s) were specified."
                .to_owned(),
        ),
    ];
    for (topic, sentence) in refused {
        expect_refused(&mut client, topic, 39, &sentence);
    }
    let own = [broker];
    let got = create(&mut client, vec![placed(name, 3, &[&own, &own])], false);
    assert_eq!(got, [(topic.name.clone(), 0, None)]);
    subject.await_leader(&topic, 2);
    let partitions = client.metadata(name).partitions;
    assert_eq!(partitions.len(), 3);
    assert!(
        partitions
            .iter()
            .all(|p| p.replica_nodes == [BrokerId(broker)])
    );
}

#[test]
fn r157_validate_only_answers_in_full_and_adds_nothing() {
    let subject = subject();
    let topic = subject.topic("r157");
    let mut client = subject.connect();
    let got = create(&mut client, vec![more(&topic.name, 4)], true);
    assert_eq!(got, [(topic.name.clone(), 0, None)]);
    let got = create(&mut client, vec![more(&topic.name, 1)], true);
    assert_eq!(got[0].1, 37);
    assert_eq!(partition_count(&mut client, &topic), 1);
}

#[test]
fn r157_an_excessive_count_is_refused_whole() {
    let subject = subject();
    let topic = subject.topic("r157");
    let mut client = subject.connect();
    for count in [10_002, i32::MAX] {
        let got = create(&mut client, vec![more(&topic.name, count)], true);
        // Kafka runs into a limit of its own and says UNKNOWN_SERVER_ERROR.
        assert_eq!(got[0].1, subject.differs(44, -1), "{got:?}");
    }
    assert_eq!(partition_count(&mut client, &topic), 1);
}

#[test]
fn r157_a_timeout_of_zero_adds_nothing() {
    let subject = subject();
    let topic = subject.topic("r157");
    let mut client = subject.connect();
    for timeout_ms in [0, -1] {
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![more(&topic.name, 2)])
            .with_timeout_ms(timeout_ms);
        let answer = client.call(CREATE_PARTITIONS, &request);
        assert_eq!(answer.results[0].error_code, 7);
        assert_eq!(partition_count(&mut client, &topic), 1);
    }
}

fn describe_request(topics: &[&str], limit: i32) -> DescribeTopicPartitionsRequest {
    let topics = topics
        .iter()
        .map(|name| TopicRequest::default().with_name(topic_name(name)));
    DescribeTopicPartitionsRequest::default()
        .with_topics(topics.collect())
        .with_response_partition_limit(limit)
        .with_cursor(None)
}

fn from(topic: &str, partition: i32) -> Option<Cursor> {
    let cursor = Cursor::default().with_topic_name(topic_name(topic));
    Some(cursor.with_partition_index(partition))
}

/// `name:partitions`, and where the next page begins.
fn outline(answer: &DescribeTopicPartitionsResponse) -> (Vec<String>, Option<String>) {
    let topics = answer.topics.iter().map(|topic| {
        let indexes: Vec<_> = topic.partitions.iter().map(|p| p.partition_index).collect();
        let name = topic.name.as_ref().map_or("null", |name| name.as_str());
        match topic.error_code {
            0 => format!("{name}:{indexes:?}"),
            error => format!("{name}:error {error}"),
        }
    });
    let cursor = answer.next_cursor.as_ref();
    let cursor = cursor.map(|it| format!("{}:{}", it.topic_name.as_str(), it.partition_index));
    (topics.collect(), cursor)
}

#[test]
fn r160_describe_topic_partitions_tells_what_metadata_tells_and_the_operations() {
    let subject = subject();
    let topic = subject.topic_with("r160", 2, &[]);
    let mut client = subject.connect();
    let known = client.metadata(&topic.name);
    let answer = client.call(0, &describe_request(&[&topic.name], 2000));
    assert_eq!(answer.throttle_time_ms, 0);
    assert_eq!(answer.next_cursor, None);
    let described = &answer.topics[0];
    assert_eq!(described.error_code, 0);
    assert_eq!(described.name, known.name);
    assert_eq!(described.topic_id, topic.id);
    assert!(!described.is_internal);
    assert_eq!(described.topic_authorized_operations, ALL_TOPIC_OPERATIONS);
    assert_eq!(described.partitions.len(), 2);
    for (index, got) in (0..).zip(&described.partitions) {
        let mut partitions = known.partitions.iter();
        let known = partitions.find(|known| known.partition_index == index);
        let known = known.expect("in no particular order");
        assert_eq!((got.error_code, got.partition_index), (0, index));
        assert_eq!(got.leader_id, known.leader_id);
        assert_eq!(got.leader_epoch, known.leader_epoch);
        assert_eq!(got.replica_nodes, known.replica_nodes);
        assert_eq!(got.isr_nodes, known.isr_nodes);
        assert_eq!(got.eligible_leader_replicas, Some(vec![]));
        assert_eq!(got.last_known_elr, Some(vec![]));
        assert!(got.offline_replicas.is_empty());
    }
}

#[test]
fn r160_describe_topic_partitions_sorts_topics_and_names_the_unknown() {
    let subject = subject();
    let prefix = unused_name("r160");
    let topics: Vec<Topic> = ["b", "a"]
        .map(|end| subject.topic(&format!("{prefix}{end}")))
        .into();
    let (b, a) = (&topics[0].name, &topics[1].name);
    let absent = format!("{prefix}c");
    let mut client = subject.connect();
    let asked = [b.as_str(), "not a name", a, &absent, a];
    let answer = client.call(0, &describe_request(&asked, 2000));
    let expected = vec![
        "not a name:error 17".to_owned(),
        format!("{a}:[0]"),
        format!("{b}:[0]"),
        format!("{absent}:error 3"),
    ];
    assert_eq!(outline(&answer), (expected, None));
    for topic in &answer.topics {
        assert_eq!(topic.topic_authorized_operations, ALL_TOPIC_OPERATIONS);
        assert_eq!(topic.topic_id == Uuid::nil(), topic.error_code != 0);
    }
    let answer = client.call(0, &describe_request(&[], 2000));
    let names: Vec<_> = answer
        .topics
        .iter()
        .filter_map(|t| t.name.clone())
        .collect();
    assert!(names.is_sorted_by_key(|name| name.to_string()), "{names:?}");
    assert!(answer.topics.iter().all(|topic| topic.error_code == 0));
}

#[test]
fn r160_describe_topic_partitions_goes_page_by_page() {
    let subject = subject();
    let prefix = unused_name("r160");
    let topic = |end: &str| subject.topic_with(&format!("{prefix}{end}"), 3, &[]).name;
    let (a, b) = (topic("a"), topic("b"));
    let mut client = subject.connect();
    let mut page = |limit: i32, cursor: Option<Cursor>| {
        let request = describe_request(&[&b, &a], limit).with_cursor(cursor);
        outline(&client.call(0, &request))
    };
    let text = |text: String| Some(text);
    assert_eq!(
        page(2, None),
        (vec![format!("{a}:[0, 1]")], text(format!("{a}:2")))
    );
    assert_eq!(
        page(2, from(&a, 2)),
        (
            vec![format!("{a}:[2]"), format!("{b}:[0]")],
            text(format!("{b}:1"))
        )
    );
    assert_eq!(page(2, from(&b, 1)), (vec![format!("{b}:[1, 2]")], None));
    // A page that ends with a topic points at the next one.
    assert_eq!(
        page(3, None),
        (vec![format!("{a}:[0, 1, 2]")], text(format!("{b}:0")))
    );
    // A limit below 1 counts as 1.
    for limit in [0, -5] {
        assert_eq!(
            page(limit, None),
            (vec![format!("{a}:[0]")], text(format!("{a}:1")))
        );
    }
    // A cursor need not name a partition that exists.
    assert_eq!(page(9, from(&b, 7)), (vec![format!("{b}:[]")], None));
    // Nor a topic, where all are asked for.
    let all = describe_request(&[], 1).with_cursor(from(&format!("{a}-"), 1));
    let answer = client.call(0, &all);
    let first = answer.topics[0].name.clone().expect("a name");
    assert!(
        first.as_str() > a.as_str() && first.as_str() <= b.as_str(),
        "{first:?}"
    );
    assert_eq!(answer.topics[0].partitions[0].partition_index, 0);
}

#[test]
fn r160_a_cursor_names_a_partition_of_a_listed_topic() {
    let subject = subject();
    let topic = subject.topic("r160");
    let mut client = subject.connect();
    for cursor in [from(&topic.name, -1), from("", 0), from("zz", 0)] {
        let request = describe_request(&[&topic.name], 9).with_cursor(cursor);
        let answer = client.call(0, &request);
        let refused = vec![format!("{}:error 42", topic.name)];
        assert_eq!(outline(&answer), (refused, None));
        assert!(answer.topics[0].partitions.is_empty());
        assert_eq!(answer.topics[0].topic_authorized_operations, i32::MIN);
    }
}

#[test]
fn r160_no_partition_is_being_reassigned() {
    let subject = subject();
    let topic = subject.topic_with("r160", 2, &[]);
    let mut client = subject.connect();
    let one = ListPartitionReassignmentsTopics::default()
        .with_name(topic_name(&topic.name))
        .with_partition_indexes(vec![0, 1, 7]);
    let absent = one.clone().with_name(topic_name(&unused_name("r160")));
    for topics in [None, Some(vec![]), Some(vec![one, absent])] {
        let request = ListPartitionReassignmentsRequest::default()
            .with_timeout_ms(50_000)
            .with_topics(topics);
        let answer = client.call(0, &request);
        assert_eq!((answer.error_code, answer.error_message), (0, None));
        assert!(answer.topics.is_empty());
    }
}

fn elect(version: i16, election_type: i8, topics: &[(&str, &[i32])]) -> ElectLeadersRequest {
    let topics = topics.iter().map(|(topic, partitions)| {
        TopicPartitions::default()
            .with_topic(topic_name(topic))
            .with_partitions(partitions.to_vec())
    });
    ElectLeadersRequest::default()
        .with_election_type(if version == 0 { 0 } else { election_type })
        .with_topic_partitions(Some(topics.collect()))
        .with_timeout_ms(50_000)
}

#[test]
fn r160_elections_that_nobody_needs_are_refused_with_kafkas_sentences() {
    let subject = subject();
    let topic = subject.topic_with("r160", 2, &[]);
    let absent = unused_name("r160");
    let mut client = subject.connect();
    for version in 0..=ELECT_LEADERS {
        for election_type in 0..=i8::from(version > 0) {
            let asked = [(topic.name.as_str(), &[0, 7, 1][..]), (&absent, &[0])];
            let answer = client.call(version, &elect(version, election_type, &asked));
            assert_eq!(answer.error_code, 0);
            let mut got: Vec<_> = answer
                .replica_election_results
                .iter()
                .flat_map(|topic| {
                    topic.partition_result.iter().map(|partition| {
                        let message = partition.error_message.as_ref().map(|m| m.to_string());
                        let index = partition.partition_id;
                        (
                            topic.topic.to_string(),
                            index,
                            partition.error_code,
                            message,
                        )
                    })
                })
                .collect();
            got.sort();
            let name = &topic.name;
            let not_needed = "Leader election not needed for topic partition.";
            let mut expected = vec![
                (name.clone(), 0, 84, Some(not_needed.to_owned())),
                (name.clone(), 1, 84, Some(not_needed.to_owned())),
                (
                    name.clone(),
                    7,
                    3,
                    Some(format!("No such partition as {name}-7")),
                ),
                (
                    absent.clone(),
                    0,
                    3,
                    Some(format!("No such topic as {absent}")),
                ),
            ];
            expected.sort();
            assert_eq!(got, expected, "v{version} type {election_type}");
        }
    }
}

#[test]
fn r160_an_election_everywhere_leaves_out_what_needs_none() {
    let subject = subject();
    let topic = subject.topic("r160");
    let mut client = subject.connect();
    let request = ElectLeadersRequest::default()
        .with_topic_partitions(None)
        .with_timeout_ms(50_000);
    for version in 0..=ELECT_LEADERS {
        let answer = client.call(version, &request);
        assert_eq!(answer.error_code, 0);
        let mut topics = answer.replica_election_results.iter();
        let ours = topics
            .find(|it| *it.topic == *topic.name)
            .expect("every topic is listed");
        assert!(ours.partition_result.is_empty(), "{ours:?}");
    }
}

#[test]
fn r160_an_unknown_election_type_is_invalid() {
    let subject = subject();
    let topic = subject.topic("r160");
    let mut client = subject.connect();
    for version in 1..=ELECT_LEADERS {
        let answer = client.call(version, &elect(version, 7, &[(&topic.name, &[0])]));
        assert_eq!(answer.error_code, 42);
        let result = &answer.replica_election_results[0].partition_result[0];
        let message = result.error_message.as_deref();
        assert_eq!(
            (result.error_code, message),
            (42, Some("Unknown election type 7"))
        );
    }
}
