//! Topics and brokers that sync before they acknowledge. SIGKILL leaves what the kernel has, so
//! this shows that such answers come at all and that nothing is lost, not that the disk was asked.

use anyhow::Result;
use protocol_tests::client::Connection;
use protocol_tests::torture::{Site, newest_build};

use crate::wire::batch::{Batch, stored};
use crate::wire::calls::poll;

const TOPIC: &str = "durable";

#[test]
fn a_topic_that_syncs_every_message_keeps_its_records() {
    survives(&[], &[("flush.messages", "1")]).expect("a durable topic");
}

#[test]
fn a_broker_that_syncs_every_append_keeps_its_records() {
    survives(&["--set", "storage.durable=true"], &[]).expect("a durable broker");
}

/// Or the next start reads all that was written in the last minute.
#[test]
fn a_recovery_point_is_on_the_disk_seconds_after_its_flush() {
    const BATCHES: usize = 80;
    const OFTEN: [&str; 2] = [
        "--override",
        "replica.high.watermark.checkpoint.interval.ms=500",
    ];
    let directory = tempfile::tempdir().expect("a directory");
    let binary = newest_build().expect("a binary");
    let site = Site::new(&binary, directory.path()).expect("a site");
    let mut site = site.with_arguments(&OFTEN);
    let broker = site.start().expect("it starts");
    let mut connection = Connection::open(&site.bootstrap).expect("connected");
    let created = connection.create_topic(TOPIC, 1, &[]).expect("an answer");
    created.expect("created");
    let batch: bytes::Bytes = Batch::sized(1_000_000).bytes().into();
    for _ in 0..BATCHES {
        let sent = connection.send_produce(TOPIC, 0, 1, batch.clone());
        sent.expect("sent");
        let produced = connection.receive_produced().expect("an answer");
        produced.expect("acknowledged");
    }
    let file = site.data().join("recovery-point-offset-checkpoint");
    poll("the recovery point", || {
        let text = std::fs::read_to_string(&file).ok()?;
        let line = text.lines().find(|line| line.starts_with("durable 0 "))?;
        let point: usize = line.rsplit(' ').next()?.parse().ok()?;
        (point > BATCHES / 2).then_some(())
    });
    broker.stop().expect("a clean stop");
}

fn survives(arguments: &[&str], configs: &[(&str, &str)]) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut site = Site::new(&newest_build()?, directory.path())?.with_arguments(arguments);
    let broker = site.start()?;
    let mut connection = Connection::open(&site.bootstrap)?;
    let configs = [&[("retention.ms", "-1")], configs].concat();
    connection
        .create_topic(TOPIC, 1, &configs)?
        .expect("created");
    let mut offsets = Vec::new();
    for acks in [1, -1, 1, -1] {
        let batch = Batch::numbered(3).bytes().into();
        connection.send_produce(TOPIC, 0, acks, batch)?;
        offsets.push(connection.receive_produced()?.expect("acknowledged"));
    }
    assert_eq!(offsets, [0, 3, 6, 9]);
    broker.kill()?;

    let broker = site.start()?;
    let mut connection = Connection::open(&site.bootstrap)?;
    assert_eq!(connection.list_offset(TOPIC, 0, -1)?, Ok(12));
    let batches = stored(connection.fetch(TOPIC, 0, 0, 1000)?.expect("fetched"));
    let found: Vec<i64> = batches.iter().map(|batch| batch.base_offset).collect();
    assert_eq!(found, offsets);
    let sent = Batch::numbered(3);
    assert!(
        batches
            .iter()
            .all(|batch| batch.crc_is_right && batch.payload() == sent.payload)
    );
    broker.stop()
}
