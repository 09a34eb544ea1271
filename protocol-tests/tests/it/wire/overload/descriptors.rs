//! Fewer descriptors than clients.

use std::net::TcpStream;
use std::time::Duration;

use kafka_protocol::messages::MetadataRequest;

use super::*;
use crate::wire::calls::{METADATA, new_topic, poll, unused_name};

const LIMIT: usize = 256;

#[test]
fn with_256_descriptors_accept_pauses_says_so_once_and_recovers() {
    let wrapper = ["sh", "-c", "ulimit -n 256; exec \"$0\" \"$@\""];
    let Some(subject) = limited_ottla(OTTLA, &wrapper, &[]) else {
        return;
    };
    let mut healthy = Healthy::new(&subject);
    let proc = subject.proc();
    let address = subject.bootstrap.parse().expect("an address");
    let crowd: Vec<TcpStream> = (0..2 * LIMIT)
        .map(|_| {
            TcpStream::connect_timeout(&address, Duration::from_secs(60))
                .expect("into the backlog at least")
        })
        .collect();
    poll("the pause", || {
        (!subject.said("accepting connections pauses").is_empty()).then_some(())
    });
    assert!(proc.descriptors() < LIMIT, "some are kept in reserve");
    // A partition that is new needs descriptors too.
    let name = unused_name("reserve");
    let created = healthy.client.create_topic(new_topic(&name));
    assert_eq!(created.error_code, 0);
    let id = created.topic_id;
    let another = Topic { name, id };
    healthy.client.append(&another, &Batch::numbered(1));
    // No busy loop: once it is idle, a broker at its limit does nothing.
    let quiet = poll("the broker to do nothing", || {
        let before = proc.cpu();
        std::thread::sleep(Duration::from_secs(2));
        let used = proc.cpu() - before;
        (used <= Duration::from_millis(200)).then_some(used)
    });
    eprintln!("{quiet:?} of processor time in 2 s at the limit");
    assert!(proc.descriptors() < LIMIT, "the reserve is left to logs");
    healthy.work();
    assert_eq!(subject.said("accepting connections pauses").len(), 1);
    drop(crowd);
    poll("a new client to be served", || {
        subject
            .connect()
            .call(METADATA, &MetadataRequest::default());
        Some(())
    });
    healthy.work();
}
