//! DescribeCluster and FindCoordinator (R105, R160).

use kafka_protocol::messages::{DescribeClusterRequest, FindCoordinatorRequest, MetadataRequest};

use super::calls::{METADATA, text};
use super::{ottla_only, subject};

#[test]
fn r160_describe_cluster_agrees_with_metadata() {
    let subject = subject();
    let mut client = subject.connect();
    let metadata = client.call(METADATA, &MetadataRequest::default());
    for version in 0..=2 {
        let answer = client.call(version, &DescribeClusterRequest::default());
        assert_eq!(answer.error_code, 0, "v{version}");
        assert_eq!(answer.error_message, None);
        assert_eq!(Some(answer.cluster_id), metadata.cluster_id);
        assert_eq!(answer.cluster_authorized_operations, i32::MIN);
        assert_eq!(answer.endpoint_type, 1);
        assert_eq!(answer.brokers.len(), 1);
        let (told, known) = (&answer.brokers[0], &metadata.brokers[0]);
        assert_eq!(told.broker_id, known.node_id);
        assert_eq!((&told.host, told.port), (&known.host, known.port));
        assert_eq!(told.rack, known.rack);
        assert!(!told.is_fenced);

        let asked =
            DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
        let answer = client.call(version, &asked);
        assert_eq!(answer.cluster_authorized_operations, 8096, "v{version}");
    }
}

#[test]
fn r160_describe_cluster_of_other_endpoint_types_is_refused() {
    let mut client = subject().connect();
    for (endpoint_type, error, message) in [
        (
            2,
            114,
            "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of \
             type CONTROLLER",
        ),
        (3, 115, "Unsupported endpoint type 3"),
    ] {
        for version in 1..=2 {
            let request = DescribeClusterRequest::default().with_endpoint_type(endpoint_type);
            let answer = client.call(version, &request);
            assert_eq!(answer.error_code, error, "v{version}");
            assert_eq!(answer.error_message.as_deref(), Some(message));
        }
    }
}

#[test]
fn r105_one_key_is_answered_with_the_broker_or_that_it_is_not_available_yet() {
    let subject = subject();
    let mut client = subject.connect();
    for version in 0..=3 {
        let types: &[i8] = if version >= 1 { &[0, 1] } else { &[0] };
        for key_type in types {
            let request = FindCoordinatorRequest::default()
                .with_key(text("g"))
                .with_key_type(*key_type);
            let answer = client.call(version, &request);
            let told = match answer.error_code {
                0 => {
                    assert!(answer.node_id.0 >= 0 && answer.port > 0, "v{version}");
                    "NONE"
                }
                15 => {
                    assert_eq!(answer.node_id.0, -1);
                    assert_eq!((&*answer.host, answer.port), ("", -1));
                    "The coordinator is not available."
                }
                other => panic!("v{version}: {other}"),
            };
            let message = answer.error_message.as_deref();
            assert_eq!(message, Some(if version >= 1 { told } else { "" }));
        }
    }
}

#[test]
fn r105_many_keys_are_answered_each_duplicates_and_empty_ones_too() {
    let subject = subject();
    let mut client = subject.connect();
    for version in 4..=6 {
        let keys = ["a", "", "a"].map(text);
        let request = FindCoordinatorRequest::default().with_coordinator_keys(keys.into());
        let answer = client.call(version, &request);
        let answered: Vec<&str> = answer.coordinators.iter().map(|c| &*c.key).collect();
        assert_eq!(answered, ["a", "", "a"], "v{version}");
        for coordinator in &answer.coordinators {
            let error = coordinator.error_code;
            assert!([0, 15].contains(&error), "v{version}: {error}");
            assert_eq!(coordinator.error_message.as_deref(), Some(""));
            if error == 15 {
                assert_eq!(coordinator.node_id.0, -1);
                assert_eq!((&*coordinator.host, coordinator.port), ("", -1));
            }
        }
    }
}

#[test]
fn r105_share_keys_are_known_from_v6_on() {
    let Some(subject) = ottla_only("it has share groups, and would make their topic") else {
        return;
    };
    let key = text("group:5L6g3nShT-eMCtK--X86sw:0");
    let request = FindCoordinatorRequest::default()
        .with_key_type(2)
        .with_coordinator_keys(vec![key]);
    let mut client = subject.connect();
    for (version, error) in [(5, 42), (6, 15)] {
        let answer = client.call(version, &request);
        assert_eq!(answer.coordinators[0].error_code, error, "v{version}");
    }
}

#[test]
fn r105_share_and_unknown_key_types_are_invalid() {
    let mut client = subject().connect();
    for version in 1..=6 {
        for key_type in [2, 9] {
            // In v6 type 2 is known, but "g" is no share key.
            let request = FindCoordinatorRequest::default().with_key_type(key_type);
            let error = if version >= 4 {
                let request = request.with_coordinator_keys(vec![text("g")]);
                client.call(version, &request).coordinators[0].error_code
            } else {
                client
                    .call(version, &request.with_key(text("g")))
                    .error_code
            };
            assert_eq!(error, 42, "v{version} type {key_type}");
        }
    }
}
