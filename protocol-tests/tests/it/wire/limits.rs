//! Limits of connections and their answers (R37, R39): how many there may be, how fast they may
//! come, and what those meet that are too many. A real Kafka is given its limits by AlterConfigs,
//! and other tests on it would meet them too: there those tests run only one at a time, by
//! `OTTLA_TEST_ALONE=1 scripts/oracle run cargo test … wire::limits -- --test-threads 1`.

use std::net::TcpStream;
use std::time::Duration;

use protocol_tests::stopwatch::Stopwatch;

use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, IncrementalAlterConfigsRequest, MetadataRequest,
};
use kafka_protocol::protocol::StrBytes;
use protocol_tests::client::Connection;

use super::batch::Batch;
use super::calls::{METADATA, fetch_request, poll};
use super::client::{CLIENT_ID, Client, framed, message};
use super::config_calls::BROKER;
use super::{Subject, own_ottla, subject};

/// A key that may be altered without any effect.
const LAST: &str = "message.max.bytes";
const DYNAMIC_BROKER: i8 = 2;

/// Not 127.0.0.1: who altered the limits may still be leaving.
const ADDRESS: &str = "127.0.0.4";

/// A broker with limits; a real Kafka loses them again at the end.
struct Limited {
    subject: Subject,
    altered: Vec<String>,
}

impl Limited {
    fn by(settings: &[&str]) -> Option<Limited> {
        let Some(subject) = super::real_kafka() else {
            let subject = Subject::ottla(super::start_ottla(settings));
            let altered = Vec::new();
            return Some(Limited { subject, altered });
        };
        if std::env::var_os("OTTLA_TEST_ALONE").is_none() {
            eprintln!("skipped on Kafka: other tests use it now; see the module");
            return None;
        }
        let pairs = settings
            .iter()
            .filter_map(|setting| setting.split_once('='));
        let mut altered = Vec::new();
        for (key, value) in pairs {
            alter(&subject, key, Some(value)).expect("Kafka alters it");
            altered.push(key.to_owned());
        }
        // Kafka shows an alteration before it takes effect, but takes one after the other: once
        // the next is shown, these have.
        alter(&subject, LAST, Some("1048588")).expect("Kafka alters it");
        altered.push(LAST.to_owned());
        poll("the last alteration", || {
            let shown = subject.connect().describe(BROKER, "1", &[LAST]).configs;
            (shown.first()?.config_source == DYNAMIC_BROKER).then_some(())
        });
        Some(Limited { subject, altered })
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        for key in &self.altered {
            // Those that are just leaving may still count.
            poll("the limit to go", || alter(&self.subject, key, None).ok());
        }
    }
}

impl std::ops::Deref for Limited {
    type Target = Subject;

    fn deref(&self) -> &Subject {
        &self.subject
    }
}

/// Sets or deletes a broker config of broker 1.
fn alter(subject: &Subject, key: &str, value: Option<&str>) -> anyhow::Result<()> {
    let owned = |text: &str| StrBytes::from_string(text.to_owned());
    let config = AlterableConfig::default()
        .with_name(owned(key))
        .with_config_operation(if value.is_some() { 0 } else { 1 })
        .with_value(value.map(owned));
    let resource = AlterConfigsResource::default()
        .with_resource_type(4)
        .with_resource_name(owned("1"))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let mut connection = Connection::open(&subject.bootstrap)?;
    let answer = connection.call(&request, 1)?;
    let code = answer.responses[0].error_code;
    anyhow::ensure!(code == 0, "{key}: {:?}", answer.responses[0]);
    Ok(())
}

fn ask(client: &mut Client) {
    client.call(METADATA, &MetadataRequest::default());
}

#[test]
fn r37_no_answer_is_throttled_where_there_is_no_quota() {
    let subject = subject();
    let topic = subject.topic("r37");
    let mut client = subject.connect();
    for _ in 0..20 {
        let versions = client.call(3, &api_versions());
        assert_eq!(versions.throttle_time_ms, 0);
        let metadata = client.call(METADATA, &MetadataRequest::default());
        assert_eq!(metadata.throttle_time_ms, 0);
        client.append(&topic, &Batch::numbered(10));
        let fetched = client.call(12, &fetch_request(12, &topic, 0));
        assert_eq!(fetched.throttle_time_ms, 0);
    }
}

fn api_versions() -> ApiVersionsRequest {
    let text = StrBytes::from_static_str;
    ApiVersionsRequest::default()
        .with_client_software_name(text("wire-test"))
        .with_client_software_version(text("1"))
}

#[test]
fn r39_a_broker_that_stands_still_takes_4000_connections_into_its_backlog() {
    let reason = "deliberate: its backlog is 50";
    let Some(subject) = own_ottla(reason, &[]) else {
        return;
    };
    let backlog = std::fs::read_to_string("/proc/sys/net/core/somaxconn").expect("Linux");
    let backlog: usize = backlog.trim().parse().expect("a number");
    let count = backlog.min(4_000);
    let address = subject.bootstrap.parse().expect("an address");
    let request = framed(&message(
        METADATA,
        7,
        Some(CLIENT_ID),
        &MetadataRequest::default(),
    ));
    let stopped = Stopped::new(subject.pid());
    // One that does not fit in is lost as often as it is sent, since nothing is accepted meanwhile.
    let mut waiting: Vec<TcpStream> = (0..count)
        .map(|i| {
            TcpStream::connect_timeout(&address, Duration::from_secs(20))
                .unwrap_or_else(|e| panic!("connection {i} of {count}: {e}"))
        })
        .collect();
    drop(stopped);
    for stream in waiting.iter_mut().step_by(100) {
        std::io::Write::write_all(stream, &request).expect("it was accepted");
        stream
            .set_read_timeout(Some(super::client::DEADLINE))
            .expect("not zero");
        std::io::Read::read_exact(stream, &mut [0; 8]).expect("an answer");
    }
}

/// A process that stands still until this is dropped.
struct Stopped(rustix::process::Pid);

impl Stopped {
    fn new(pid: u32) -> Stopped {
        let pid = rustix::process::Pid::from_raw(pid as i32).expect("not zero");
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("our child");
        Stopped(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(self.0, rustix::process::Signal::CONT);
    }
}

#[test]
fn a_full_broker_lets_clients_wait_until_one_leaves() {
    for setting in [
        "max.connections=5",
        "listener.name.plaintext.max.connections=5",
    ] {
        let Some(subject) = Limited::by(&[setting]) else {
            return;
        };
        let mut clients: Vec<Client> = (0..5).map(|_| subject.connect()).collect();
        clients.iter_mut().for_each(ask);
        let mut sixth = subject.connect();
        let correlation_id = sixth.send(METADATA, &MetadataRequest::default());
        sixth.expect_silence();
        clients.iter_mut().for_each(ask);
        clients.pop();
        sixth.receive::<MetadataRequest>(METADATA, correlation_id);
    }
}

#[test]
fn an_address_with_its_share_is_turned_away_at_once_and_no_other() {
    let Some(subject) = Limited::by(&["max.connections.per.ip=3"]) else {
        return;
    };
    let mut clients: Vec<Client> = (0..3).map(|_| subject.connect_from(ADDRESS)).collect();
    clients.iter_mut().for_each(ask);
    for _ in 0..5 {
        subject.connect_from(ADDRESS).expect_close();
    }
    ask(&mut subject.connect_from("127.0.0.2"));
    clients.iter_mut().for_each(ask);
    clients.pop();
    poll("a place", || is_served(&subject).then_some(()));
    if subject.ottla_pid().is_some() {
        poll("the reasons", || {
            (subject.said("the configured maximum of 3").len() >= 5).then_some(())
        });
    }
}

/// Whether a new connection from [`ADDRESS`] is answered rather than closed.
fn is_served(subject: &Subject) -> bool {
    let mut client = subject.connect_from(ADDRESS);
    let request = message(METADATA, 1, None, &MetadataRequest::default());
    client.offer_bytes(&framed(&request));
    client.finish_sending();
    !client.read_until_close().is_empty()
}

#[test]
fn an_address_may_have_a_limit_of_its_own() {
    let settings = [
        "max.connections.per.ip=1",
        "max.connections.per.ip.overrides=127.0.0.4:2,127.0.0.3:0",
    ];
    let Some(subject) = Limited::by(&settings) else {
        return;
    };
    let mut clients = [
        subject.connect_from(ADDRESS),
        subject.connect_from(ADDRESS),
        subject.connect_from("127.0.0.2"),
    ];
    clients.iter_mut().for_each(ask);
    subject.connect_from(ADDRESS).expect_close();
    subject.connect_from("127.0.0.2").expect_close();
    subject.connect_from("127.0.0.3").expect_close();
}

#[test]
fn connections_over_their_rate_are_served_later_and_none_is_lost() {
    let rate = 20;
    let setting = format!("max.connection.creation.rate={rate}");
    let Some(subject) = Limited::by(&[&setting]) else {
        return;
    };
    // As many as pass in one burst: the rate is measured over ten windows of a second.
    let began = Stopwatch::start();
    let burst = 10 * rate - 10;
    (0..burst).for_each(|_| ask(&mut subject.connect()));
    let at_once = began.elapsed();
    let began = Stopwatch::start();
    let mut late: Vec<Client> = (0..40).map(|_| subject.connect()).collect();
    late.iter_mut().for_each(ask);
    // 30 over the rate wait 1/20 s each at least, and a second each at most.
    let waited = began.elapsed();
    assert!(
        waited >= Duration::from_millis(1_000) && waited <= Duration::from_secs(40),
        "{burst} connections took {at_once:?}, then 40 took {waited:?}"
    );
}

#[test]
fn no_core_is_dumped_and_a_program_of_the_same_user_cannot_look_into_the_memory() {
    let Some(subject) = super::ottla_only("it is a Java process") else {
        return;
    };
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", subject.pid()));
    let limits = read("limits").expect("it runs");
    let cores = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let fields: Vec<&str> = cores.expect("Linux").split_whitespace().collect();
    assert_eq!(fields[4..6], ["0", "0"], "{limits}");
    // What is not dumpable belongs to root in /proc, whoever runs it.
    let owner = std::fs::metadata(format!("/proc/{}/maps", subject.pid())).expect("it runs");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&owner), 0);
}
