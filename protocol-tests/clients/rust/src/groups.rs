//! What the crate tells of groups and does to them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use pollster::block_on;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::check::{NotApplicable, PATIENCE};
use crate::client::{self, Client};
use crate::members::{Place, spelled};

/// Runs an admin call and returns what it tells.
pub fn call(client: &Client, call: &str, arguments: &[&str]) -> Result<Vec<String>> {
    match (call, arguments) {
        ("list", []) => {
            let listed = client.admin.inner().fetch_group_list(None, PATIENCE)?;
            let names: Vec<&str> = listed.groups().iter().map(|group| group.name()).collect();
            Ok(vec!["groups".to_owned(), names.join(",")])
        }
        ("describe", [group]) => describe(client, group),
        ("offsets", [group]) => offsets(client, group),
        ("delete-group", [group]) => delete(client, group),
        ("alter-offsets", _) => Err(NotApplicable("does not alter offsets").into()),
        ("delete-offsets", _) => Err(NotApplicable("does not delete offsets").into()),
        ("remove-member", _) => Err(NotApplicable("does not remove members").into()),
        _ => bail!("no such call: {call} {arguments:?}"),
    }
}

fn describe(client: &Client, group: &str) -> Result<Vec<String>> {
    let listed = client
        .admin
        .inner()
        .fetch_group_list(Some(group), PATIENCE)?;
    let found = listed.groups().iter().find(|found| found.name() == group);
    let found = found.context("the group is not described")?;
    let mut words = vec![
        "described".to_owned(),
        found.state().to_owned(),
        found.protocol().to_owned(),
    ];
    for member in found.members() {
        words.push(spelled(&owned(member.assignment().unwrap_or_default())?));
    }
    Ok(words)
}

/// The partitions of an assignment, which the crate does not decode: a version, then topics with
/// their partitions.
fn owned(assignment: &[u8]) -> Result<Vec<Place>> {
    let mut rest = assignment;
    let mut take = |count: usize| -> Result<&[u8]> {
        let (taken, left) = rest
            .split_at_checked(count)
            .context("the assignment is cut")?;
        rest = left;
        Ok(taken)
    };
    if assignment.is_empty() {
        return Ok(Vec::new());
    }
    take(2)?;
    let mut places = Vec::new();
    for _ in 0..u32::from_be_bytes(take(4)?.try_into()?) {
        let length = u16::from_be_bytes(take(2)?.try_into()?);
        let topic = String::from_utf8(take(length.into())?.to_vec())?;
        for _ in 0..u32::from_be_bytes(take(4)?.try_into()?) {
            places.push((topic.clone(), i32::from_be_bytes(take(4)?.try_into()?)));
        }
    }
    Ok(places)
}

/// By a consumer of the group that does not join it: the crate's admin client has no such call. The
/// topic has the group's name.
fn offsets(client: &Client, group: &str) -> Result<Vec<String>> {
    let mut config = client::common(&client.bootstrap);
    config.set("group.id", group);
    let consumer: BaseConsumer = config.create()?;
    let mut asked = TopicPartitionList::new();
    for partition in client.led_partitions(group)? {
        asked.add_partition(group, partition);
    }
    let found = consumer.committed_offsets(asked, PATIENCE)?;
    let known: BTreeMap<Place, Offset> = found.to_topic_map().into_iter().collect();
    let texts = known.iter().filter_map(|(place, offset)| match offset {
        Offset::Offset(offset) => Some(format!("{}={offset}", spelled([place]))),
        _ => None,
    });
    let texts: Vec<String> = texts.collect();
    Ok(vec!["offsets".to_owned(), texts.join(",")])
}

fn delete(client: &Client, group: &str) -> Result<Vec<String>> {
    let answers = block_on(client.admin.delete_groups(&[group], &client::options()))?;
    let refused = |name: &str| Ok(vec!["refused".to_owned(), name.to_owned()]);
    match answers.into_iter().next().context("no answer")? {
        Ok(_) => Ok(vec!["done".to_owned()]),
        Err((_, RDKafkaErrorCode::NonEmptyGroup)) => refused("NON_EMPTY_GROUP"),
        Err((_, RDKafkaErrorCode::GroupIdNotFound)) => refused("GROUP_ID_NOT_FOUND"),
        Err((_, code)) => Err(code.into()),
    }
}
