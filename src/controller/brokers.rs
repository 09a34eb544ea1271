//! Registration and fencing of brokers, and what they do to leaders and ISRs
//! (kafka:ClusterControlManager, ReplicationControlManager.generateLeaderAndIsrUpdates).
//!
//! Eligible leader replicas are not built yet, so the last member of an ISR stays in it, with
//! no leader, when it is fenced.

use uuid::Uuid;

use crate::controller::Decision;
use crate::error::{Error, ResponseError};
use crate::metadata::image::{BrokerImage, Endpoint, Image, MetadataOffset, PartitionImage};
use crate::metadata::records::{
    BrokerEndpoint, BrokerFeature, BrokerRegistrationChange, MetadataRecord, PartitionChange,
    RegisterBroker,
};
use crate::types::{BrokerId, TopicId};

/// A broker process reports for duty.
#[derive(Clone, Debug)]
pub struct Registration {
    pub broker_id: BrokerId,
    /// New for every start of the process.
    pub incarnation: Uuid,
    pub endpoints: Vec<Endpoint>,
    pub rack: Option<String>,
    pub features: Vec<BrokerFeature>,
    /// Ids of its log directories; at least one.
    pub log_dirs: Vec<Uuid>,
    /// The broker epoch that its clean shutdown left behind; `None` after an unclean one. It
    /// proves that what the broker acknowledged is still on its disks.
    pub previous_epoch: Option<i64>,
    /// Live from the start: its process is the one that decides this, so no heartbeat has to
    /// say so. Otherwise it stays fenced until [`set_fenced`].
    pub unfenced: bool,
}

/// Registers a broker. The reply is its epoch: the offset of its registration record, which is
/// the first record of the decision; `offset` is the one that record will get.
///
/// A broker that stopped uncleanly may have lost acknowledged records of the epochs it led. It
/// leaves every ISR that has another member, and what it leads gets a new leader epoch, so
/// that what it lost is never taken for the same history (KIP-966).
pub fn register(
    image: &Image,
    registration: Registration,
    offset: MetadataOffset,
) -> Decision<Result<i64, Error>> {
    let existing = image.brokers.get(&registration.broker_id);
    if let Some(existing) = existing.filter(|it| it.incarnation == registration.incarnation) {
        return Decision::only(Ok(existing.epoch));
    }
    if let Err(error) = check(image, &registration) {
        return Decision::only(Err(error));
    }
    let stopped_cleanly =
        existing.is_some_and(|existing| registration.previous_epoch == Some(existing.epoch));
    let (id, fenced) = (registration.broker_id, !registration.unfenced);
    let mut records = vec![MetadataRecord::RegisterBroker(record(registration, offset))];
    let is_active = active_with(image, id, !fenced);
    records.extend(changes(image, id, |partition| {
        let lost = fenced || !stopped_cleanly;
        let isr = if lost {
            without(&partition.isr, id)
        } else {
            partition.isr.clone()
        };
        let leader = elect(partition, &isr, &is_active);
        let same_epoch_is_safe = stopped_cleanly || leader != Some(id);
        (
            isr,
            (leader != partition.leader || !same_epoch_is_safe).then_some(leader),
        )
    }));
    Decision {
        records,
        reply: Ok(offset.0),
    }
}

/// Forgets a broker, live or not: it leaves its ISRs and leads nothing until it registers again
/// (KIP-631; kafka:ReplicationControlManager.unregisterBroker).
pub fn unregister(image: &Image, id: BrokerId) -> Decision<Result<(), Error>> {
    let Some(broker) = image.brokers.get(&id) else {
        let sentence = format!("Broker ID {id} is not currently registered");
        let refusal = Error::new(ResponseError::BrokerIdNotRegistered, sentence);
        return Decision::only(Err(refusal));
    };
    let is_active = active_with(image, id, false);
    let changes = changes(image, id, |partition| {
        let isr = without(&partition.isr, id);
        let leader = elect(partition, &isr, &is_active);
        (isr, (leader != partition.leader).then_some(leader))
    });
    let gone = MetadataRecord::UnregisterBroker {
        broker_id: id,
        broker_epoch: broker.epoch,
    };
    Decision {
        records: changes.into_iter().chain([gone]).collect(),
        reply: Ok(()),
    }
}

/// The broker, if `epoch` is the one it registered with last; else STALE_BROKER_EPOCH.
pub fn current_epoch(image: &Image, id: BrokerId, epoch: i64) -> Result<&BrokerImage, Error> {
    let broker = image.brokers.get(&id).ok_or_else(|| {
        let sentence = format!("No broker registration found for broker id {id}");
        Error::new(ResponseError::StaleBrokerEpoch, sentence)
    })?;
    if broker.epoch != epoch {
        let stored = broker.epoch;
        let sentence = format!("Expected broker epoch {stored}, but got broker epoch {epoch}");
        return Err(Error::new(ResponseError::StaleBrokerEpoch, sentence));
    }
    Ok(broker)
}

/// Takes a broker out of service, so that it leaves its ISRs and leads nothing, or puts it back,
/// so that it leads again what only it can lead.
pub fn set_fenced(
    image: &Image,
    id: BrokerId,
    epoch: i64,
    fenced: bool,
) -> Decision<Result<(), Error>> {
    match current_epoch(image, id, epoch) {
        Err(error) => return Decision::only(Err(error)),
        Ok(broker) if broker.fenced == fenced => return Decision::only(Ok(())),
        Ok(_) => {}
    }
    let is_active = active_with(image, id, !fenced);
    let change = MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChange {
        broker_id: id,
        broker_epoch: epoch,
        fenced: Some(fenced),
        in_controlled_shutdown: false,
        log_dirs: Vec::new(),
    });
    let changes = changes(image, id, |partition| {
        let isr = if fenced {
            without(&partition.isr, id)
        } else {
            partition.isr.clone()
        };
        let leader = elect(partition, &isr, &is_active);
        (isr, (leader != partition.leader).then_some(leader))
    });
    Decision {
        records: std::iter::once(change).chain(changes).collect(),
        reply: Ok(()),
    }
}

/// Whether a broker may lead, once `id` is live or not.
fn active_with(image: &Image, id: BrokerId, live: bool) -> impl Fn(BrokerId) -> bool {
    move |broker| match broker == id {
        true => live,
        false => image
            .brokers
            .get(&broker)
            .is_some_and(BrokerImage::is_active),
    }
}

/// The records for every partition with `id` in its ISR, out of the new ISR and, if there is a
/// new leader epoch, its leader.
fn changes(
    image: &Image,
    id: BrokerId,
    decide: impl Fn(&PartitionImage) -> (Vec<BrokerId>, Option<Option<BrokerId>>),
) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    for topic in image.topics() {
        for (index, partition) in topic.partitions.iter().enumerate() {
            if !partition.isr.contains(&id) {
                continue;
            }
            let (isr, leader) = decide(partition);
            if isr == partition.isr && leader.is_none() {
                continue;
            }
            records.push(MetadataRecord::PartitionChange(PartitionChange {
                isr: (isr != partition.isr).then_some(isr),
                leader,
                ..PartitionChange::of(topic.id, index as i32)
            }));
        }
    }
    records
}

/// `isr` without `id`, unless nobody would be left.
fn without(isr: &[BrokerId], id: BrokerId) -> Vec<BrokerId> {
    match isr {
        [only] => vec![*only],
        _ => isr.iter().copied().filter(|member| *member != id).collect(),
    }
}

/// The leader if it may stay, else the first replica in sync and active (spec C5).
fn elect(
    partition: &PartitionImage,
    isr: &[BrokerId],
    is_active: impl Fn(BrokerId) -> bool,
) -> Option<BrokerId> {
    let may_lead = |broker: &BrokerId| isr.contains(broker) && is_active(*broker);
    let current = partition.leader.filter(may_lead);
    current.or_else(|| partition.replicas.iter().copied().find(may_lead))
}

/// What Kafka refuses in a registration (spec C1).
fn check(image: &Image, registration: &Registration) -> Result<(), Error> {
    let refuse = |code, sentence: String| Err(Error::new(code, sentence));
    let dirs = &registration.log_dirs;
    if dirs.is_empty() {
        let sentence = "No directories specified in request".to_owned();
        return refuse(ResponseError::InvalidRegistration, sentence);
    }
    for (i, dir) in dirs.iter().enumerate() {
        if dirs[..i].contains(dir) {
            let sentence = "Duplicate directory ID in request".to_owned();
            return refuse(ResponseError::InvalidRegistration, sentence);
        }
        let mut others = image.brokers.values();
        let owner = others.find(|it| it.id != registration.broker_id && it.log_dirs.contains(dir));
        if let Some(owner) = owner {
            // Kafka writes every UUID in the alphabet of topic ids.
            let (owner, dir) = (owner.id, TopicId(*dir));
            let sentence = format!("Broker {owner} is already registered with directory {dir}");
            return refuse(ResponseError::InvalidRegistration, sentence);
        }
    }
    for feature in &registration.features {
        let Some(level) = image.features.get(&feature.name) else {
            continue;
        };
        let supported = feature.min_supported_version..=feature.max_supported_version;
        if !supported.contains(level) {
            let (name, min, max) = (&feature.name, supported.start(), supported.end());
            let sentence = format!(
                "Unable to register because the broker does not support finalized version \
                 {level} of {name}. The broker wants a version between {min} and {max}, inclusive."
            );
            return refuse(ResponseError::UnsupportedVersion, sentence);
        }
    }
    Ok(())
}

fn record(registration: Registration, offset: MetadataOffset) -> RegisterBroker {
    let end_points = registration
        .endpoints
        .into_iter()
        .map(|endpoint| BrokerEndpoint {
            name: endpoint.listener,
            host: endpoint.host,
            port: endpoint.port,
            security_protocol: endpoint.security_protocol.id(),
        });
    RegisterBroker {
        broker_id: registration.broker_id,
        incarnation_id: registration.incarnation,
        broker_epoch: offset.0,
        end_points: end_points.collect(),
        features: registration.features,
        rack: registration.rack,
        fenced: !registration.unfenced,
        in_controlled_shutdown: false,
        log_dirs: registration.log_dirs,
    }
}
