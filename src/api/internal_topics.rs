//! Topics that the broker makes for itself when they are first needed
//! (Kafka: DefaultAutoTopicCreationManager).

use crate::broker::Shared;
use crate::controller::topics::NewTopic;
use crate::error::ResponseError;
use crate::metadata::image::{CONSUMER_OFFSETS, Image};

/// How an internal topic is to be made; `None` for those that nothing here uses.
pub fn new_topic(shared: &Shared, image: &Image, name: &str) -> Option<NewTopic> {
    if name != CONSUMER_OFFSETS {
        return None;
    }
    let settings = &shared.config.groups.offsets_topic;
    let mut replication_factor = settings.replication_factor;
    if !settings.is_explicit && replication_factor > 1 && image.brokers.len() == 1 {
        // Kafka would leave clients without a coordinator (container-and-config.md section 3).
        replication_factor = 1;
    }
    let configs = [
        ("cleanup.policy", "compact".to_owned()),
        ("compression.type", "producer".to_owned()),
        ("segment.bytes", settings.segment_bytes.to_string()),
    ];
    let configs = configs.map(|(key, value)| (key.to_owned(), Some(value)));
    Some(NewTopic {
        name: name.to_owned(),
        num_partitions: settings.num_partitions,
        replication_factor,
        assignments: Vec::new(),
        configs: configs.into(),
    })
}

/// Makes an internal topic unless it is there.
///
/// # Errors
/// It cannot be made; the reason is logged.
pub async fn ensure(shared: &Shared, name: &str) -> Result<(), ResponseError> {
    let image = shared.image();
    if image.topic(name).is_some() {
        return Ok(());
    }
    let Some(topic) = new_topic(shared, &image, name) else {
        return Err(ResponseError::CoordinatorNotAvailable);
    };
    let created = shared.controller.create_topics(vec![topic], false).await;
    match created.into_iter().next() {
        Some(Ok(created)) => {
            let asked = shared.config.groups.offsets_topic.replication_factor;
            if created.replication_factor < asked {
                tracing::warn!(
                    "offsets.topic.replication.factor={asked} is a default and this is the only \
                     broker: {name} has one replica"
                );
            }
            Ok(())
        }
        Some(Err(error)) if error.code != ResponseError::TopicAlreadyExists => {
            tracing::error!(topic = name, %error, "an internal topic cannot be made");
            Err(ResponseError::CoordinatorNotAvailable)
        }
        _ => Ok(()),
    }
}
