//! ElectLeaders (R160; KIP-183, KIP-460; kafka:ReplicationControlManager.electLeader,
//! PartitionChangeBuilder): the first replica leads again, or somebody does where nobody in sync
//! is left.

use crate::controller::{Decision, placement};
use crate::error::{Error, ResponseError};
use crate::metadata::image::{Image, PartitionImage};
use crate::metadata::records::{MetadataRecord, PartitionChange};
use crate::types::{BrokerId, TopicId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// The first replica, if it is in sync and active.
    Preferred,
    /// Any active replica of a partition without a leader, at the price of what it has missed.
    Unclean,
}

/// A topic's partitions, as the request has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Electorate {
    pub topic: String,
    pub partitions: Vec<i32>,
}

/// What became of each partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elected {
    pub topic: String,
    pub partitions: Vec<(i32, Result<(), Error>)>,
}

/// Elects where it is asked for. Without an electorate every partition is looked at, and those
/// that need no election are left out of the answer.
pub fn elect(
    image: &Image,
    election: Election,
    electorate: Option<Vec<Electorate>>,
) -> Decision<Vec<Elected>> {
    let looks_at_all = electorate.is_none();
    let electorate = electorate.unwrap_or_else(|| everything(image));
    let mut decision = Decision::only(Vec::with_capacity(electorate.len()));
    for Electorate { topic, partitions } in electorate {
        let mut elected = Vec::new();
        for index in partitions {
            let outcome = elect_one(image, election, &topic, index);
            let needed =
                !matches!(&outcome, Err(error) if error.code == ResponseError::ElectionNotNeeded);
            let outcome = outcome.map(|change| {
                decision
                    .records
                    .push(MetadataRecord::PartitionChange(change));
            });
            if needed || !looks_at_all {
                elected.push((index, outcome));
            }
        }
        decision.reply.push(Elected {
            topic,
            partitions: elected,
        });
    }
    decision
}

fn everything(image: &Image) -> Vec<Electorate> {
    let topics = image.topics().map(|topic| Electorate {
        topic: topic.name.to_string(),
        partitions: (0..topic.partitions.len() as i32).collect(),
    });
    topics.collect()
}

fn elect_one(
    image: &Image,
    election: Election,
    name: &str,
    index: i32,
) -> Result<PartitionChange, Error> {
    let unknown = |sentence| Error::new(ResponseError::UnknownTopicOrPartition, sentence);
    let topic = image.topic(name);
    let topic = topic.ok_or_else(|| unknown(format!("No such topic as {name}")))?;
    let partition = usize::try_from(index).ok();
    let partition = partition.and_then(|index| topic.partitions.get(index));
    let partition =
        partition.ok_or_else(|| unknown(format!("No such partition as {name}-{index}")))?;
    let leader = partition.leader;
    let needed = match election {
        Election::Preferred => leader.is_none() || leader != partition.replicas.first().copied(),
        Election::Unclean => leader.is_none(),
    };
    if !needed {
        let sentence = "Leader election not needed for topic partition.";
        return Err(Error::new(ResponseError::ElectionNotNeeded, sentence));
    }
    change(image, election, topic.id, index, partition)
}

/// The record that gives the partition its leader.
fn change(
    image: &Image,
    election: Election,
    topic_id: TopicId,
    index: i32,
    partition: &PartitionImage,
) -> Result<PartitionChange, Error> {
    let active = placement::active(image, &partition.replicas);
    let in_sync = |id: &&BrokerId| partition.isr.contains(id);
    let clean = match election {
        // The leader stays where the first replica may not take over.
        Election::Preferred if partition.leader.is_some() => {
            let preferred = partition.replicas.first();
            active
                .iter()
                .find(|id| preferred == Some(id))
                .filter(in_sync)
        }
        Election::Preferred | Election::Unclean => active.iter().find(in_sync),
    };
    let mut change = PartitionChange::of(topic_id, index);
    if let Some(leader) = clean {
        change.leader = Some(Some(*leader));
        return Ok(change);
    }
    let not_available = |code, sentence| Err(Error::new(code, sentence));
    match (election, active.first()) {
        (Election::Unclean, Some(leader)) => {
            change.leader = Some(Some(*leader));
            change.isr = Some(vec![*leader]);
            change.recovering = Some(true);
            Ok(change)
        }
        (Election::Unclean, None) => not_available(
            ResponseError::EligibleLeadersNotAvailable,
            "Eligible topic partition leaders are not available.",
        ),
        (Election::Preferred, _) => not_available(
            ResponseError::PreferredLeaderNotAvailable,
            "The preferred leader was not available.",
        ),
    }
}
