//! UNKNOWN_SERVER_ERROR (−1) is a bug of the broker (R185): requests to which Kafka answers it get
//! an error that says something, and the log has nothing to complain about.

use kafka_protocol::messages::MetadataRequest;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;

use super::batch::{Batch, GZIP, LZ4, SNAPPY, ZSTD};
use super::calls::{FETCH, METADATA, fetch_request};
use super::own_ottla;

#[test]
fn r185_what_kafka_answers_with_minus_1_has_an_error_of_its_own() {
    let settings = ["ottla.produce.validation=strict"];
    let Some(subject) = own_ottla("deliberate: Kafka answers −1", &settings) else {
        return;
    };
    let topic = subject.topic("r185");
    let mut client = subject.connect();
    let mut codes = Vec::new();
    for codec in 5..=7 {
        let unassigned = Batch::numbered(1).with_payload(codec, vec![0; 20]);
        codes.push(client.produce(&topic, &unassigned).error_code);
    }
    for codec in [GZIP, SNAPPY, LZ4, ZSTD] {
        let undecodable = Batch::numbered(1).with_payload(codec, vec![0xa5; 50]);
        codes.push(client.produce(&topic, &undecodable).error_code);
    }
    let overlong = Batch::numbered(1).with_payload(0, vec![0xff; 11]);
    codes.push(client.produce(&topic, &overlong).error_code);
    for request in [
        fetch_request(FETCH, &topic, 0).with_max_bytes(-1),
        fetch_request(FETCH, &topic, 0).with_isolation_level(2),
    ] {
        let answer: kafka_protocol::messages::FetchResponse = client.call(FETCH, &request);
        codes.push(answer.error_code);
    }
    let nameless = MetadataRequestTopic::default().with_name(None);
    let request = MetadataRequest::default().with_topics(Some(vec![nameless]));
    let answer = client.call(METADATA, &request);
    codes.extend(answer.topics.iter().map(|topic| topic.error_code));
    assert_eq!(codes.len(), 11);
    assert!(codes.iter().all(|code| *code > 0), "{codes:?}");
    assert_eq!(client.log_end_offset(&topic), 0);
    assert!(
        subject.said(" ERROR ").is_empty(),
        "{:?}",
        subject.said(" ERROR ")
    );
}
