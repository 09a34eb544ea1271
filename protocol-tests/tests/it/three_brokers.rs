//! Brokers started through the library: several in one process, and those that must not start.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use ottla::Broker;
use ottla::config::Config;
use protocol_tests::client::Connection;
use protocol_tests::torture::newest_build;

use crate::wire::batch::{Batch, stored};

const CLUSTER: &str = "5L6g3nShT-eMCtK--X86sw";
const OTHER_CLUSTER: &str = "3Db5QLSqSZieL3rJBUUegA";

#[tokio::test(flavor = "multi_thread")]
async fn three_brokers_in_one_process_do_not_meet() -> Result<()> {
    let directories = [(); 3].map(|()| tempfile::tempdir().expect("tempdir"));
    let mut brokers = Vec::new();
    for directory in &directories {
        brokers.push(start(directory.path(), &[]).await?);
    }
    for (index, broker) in brokers.iter().enumerate() {
        let bootstrap = bootstrap(broker)?;
        tokio::task::spawn_blocking(move || produce_and_fetch(&bootstrap, index + 1)).await??;
    }
    for broker in brokers {
        broker.shutdown().await;
    }
    // What was held is free again.
    let again = start(directories[0].path(), &[]).await?;
    again.shutdown().await;
    Ok(())
}

/// The same topic everywhere, with a different number of records.
fn produce_and_fetch(bootstrap: &str, records: usize) -> Result<()> {
    let mut connection = Connection::open(bootstrap)?;
    let configs = [("retention.ms", "-1")];
    connection
        .create_topic("same", 1, &configs)?
        .expect("created");
    let sent = Batch::numbered(records);
    connection.send_produce("same", 0, -1, sent.bytes().into())?;
    assert_eq!(connection.receive_produced()?, Ok(0));
    let batches = stored(connection.fetch("same", 0, 0, 1000)?.expect("fetched"));
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].next_offset(), records as i64);
    assert_eq!(batches[0].payload(), sent.payload);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_use_is_refused_and_stays_in_use() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let broker = start(directory.path(), &[]).await?;
    let refusal = refused(directory.path(), &[]).await;
    assert!(
        refusal.contains("Failed to acquire lock on file .lock in"),
        "{refusal}"
    );
    let bootstrap = bootstrap(&broker)?;
    tokio::task::spawn_blocking(move || produce_and_fetch(&bootstrap, 1)).await??;
    broker.shutdown().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_another_cluster_or_node_is_refused() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let ours = ("cluster.id", CLUSTER);
    start(directory.path(), &[ours]).await?.shutdown().await;

    let refusal = refused(directory.path(), &[("cluster.id", OTHER_CLUSTER)]).await;
    assert!(
        refusal.contains(&format!("Expected {OTHER_CLUSTER}, but read {CLUSTER}")),
        "{refusal}"
    );
    let refusal = refused(directory.path(), &[ours, ("node.id", "7")]).await;
    assert!(
        refusal.contains("Stored node id 1 doesn't match configured node id 7"),
        "{refusal}"
    );
    let refusal = refused_process(directory.path(), OTHER_CLUSTER)?;
    assert!(
        refusal.contains(&format!("Expected {OTHER_CLUSTER}, but read {CLUSTER}")),
        "{refusal}"
    );

    start(directory.path(), &[ours]).await?.shutdown().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_refused_before_anything_is_written() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let listener = format!("PLAINTEXT://{address}");
    let refusal = refused(directory.path(), &[("listeners", &listener)]).await;
    assert!(
        refusal.contains(&taken.local_addr()?.port().to_string()),
        "{refusal}"
    );
    assert_eq!(directory.path().read_dir()?.count(), 0);
    Ok(())
}

/// On a free port, with its data below `directory`, unless `settings` say otherwise.
async fn start(directory: &Path, settings: &[(&str, &str)]) -> Result<Broker> {
    let data = directory.join("data").display().to_string();
    let ours = [
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("log.dirs", &data),
    ];
    let properties: BTreeMap<String, String> = ours
        .iter()
        .chain(settings)
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    ottla::start(Config::from_properties(properties)?).await
}

/// Why a broker does not start: one line.
async fn refused(directory: &Path, settings: &[(&str, &str)]) -> String {
    let refusal = match start(directory, settings).await {
        Ok(_) => panic!("it starts with {settings:?}"),
        Err(error) => format!("{error:#}"),
    };
    assert_eq!(refusal.lines().count(), 1, "{refusal}");
    refusal
}

/// Why the program does not start where the environment names that cluster.
fn refused_process(directory: &Path, cluster: &str) -> Result<String> {
    let output = Command::new("timeout")
        .args(["--signal=KILL", "120"])
        .arg(newest_build()?)
        .args(["--override", "listeners=PLAINTEXT://127.0.0.1:0"])
        .arg("--override")
        .arg(format!("log.dirs={}", directory.join("data").display()))
        .env("CLUSTER_ID", cluster)
        .current_dir(directory)
        .output()
        .context("running `timeout`")?;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    Ok(String::from_utf8(output.stderr)?)
}

fn bootstrap(broker: &Broker) -> Result<String> {
    let port = broker.port("PLAINTEXT").context("it has one listener")?;
    Ok(format!("127.0.0.1:{port}"))
}
