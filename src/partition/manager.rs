//! All partitions led by this broker: found by name or topic id, made and unmade as the metadata
//! image says. Knows which log directory holds which partition; knows no request.

use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashMap;

use super::Partition;
use crate::clock::Clock;
use crate::config::TopicDefaults;
use crate::error::ResponseError;
use crate::metadata::image::{Image, TopicImage};
use crate::metadata::publisher;
use crate::metadata::topic_config::TopicConfig;
use crate::types::{BrokerId, TopicId};
