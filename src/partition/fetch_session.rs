//! Incremental fetch sessions (KIP-227): a client names its partitions once and then only what
//! changed. Pure: it remembers positions and what was last said about each partition, decides what
//! a request wants and what an answer must mention; it reads nothing.
//! (Kafka: FetchSession.scala; R77, R87, R88, R91.)

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::error::ResponseError;
use crate::types::{LeaderEpoch, Millis, Offset, TopicId};

/// Session id of an answer without a session.
pub const NO_SESSION: i32 = 0;
/// A request that opens a session, or has none.
const INITIAL_EPOCH: i32 = 0;
/// A request that closes its session.
const FINAL_EPOCH: i32 = -1;
/// A session younger, or used more recently, than this is not evicted for another one's sake
/// (Kafka: MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS).
const EVICTION_MS: Millis = 120_000;
/// Kafka deals its slots out to so many shards and loses the remainder (KAFKA-9401): with
/// `max.incremental.fetch.session.cache.slots=1` there are no sessions (R87).
const SHARDS: usize = 8;
/// All sessions together, in bytes.
const MAX_CACHED_BYTES: usize = 32 << 20;
/// What a partition takes in its session beside the name of its topic, about, in bytes.
const PARTITION_BYTES: usize = 160;

/// A topic as the request named it: by id from v13 on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TopicKey {
    Name(Arc<str>),
    Id(TopicId),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartitionKey {
    pub topic: TopicKey,
    pub partition: i32,
}

/// Where a client reads a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub offset: Offset,
    /// Bytes.
    pub max_bytes: i32,
    pub current_leader_epoch: LeaderEpoch,
    pub last_fetched_epoch: LeaderEpoch,
}

/// What a request says about its session.
#[derive(Clone, Copy, Debug)]
pub struct SessionRequest {
    pub id: i32,
    pub epoch: i32,
    /// Fetch v13+.
    pub by_topic_id: bool,
    /// A broker's session is not evicted for a client's.
    pub from_follower: bool,
}

/// What a request wants once its session has had its say, in the order to read it.
#[derive(Debug, PartialEq, Eq)]
pub struct Begun {
    context: Context,
    pub wanted: Vec<(PartitionKey, Position)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Context {
    Sessionless,
    New {
        by_topic_id: bool,
        from_follower: bool,
    },
    Incremental {
        id: i32,
    },
}

/// What was read from one partition, as far as a session cares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub high_watermark: Offset,
    pub log_start_offset: Offset,
    pub has_records: bool,
    /// An error, a diverging epoch or a preferred replica: always said.
    pub is_notable: bool,
}

/// Session id of the answer, and which of the wanted partitions it mentions.
#[derive(Debug, PartialEq, Eq)]
pub struct Finished {
    pub session_id: i32,
    pub mentions: Vec<bool>,
}

/// All sessions of a broker.
pub struct SessionCache {
    slots: usize,
    sessions: HashMap<i32, Session>,
    cached_bytes: usize,
    /// State of the generator of session ids.
    seed: u64,
}

struct Session {
    epoch: i32,
    by_topic_id: bool,
    from_follower: bool,
    created: Millis,
    last_used: Millis,
    partitions: HashMap<PartitionKey, Cached>,
    /// Of its partitions.
    bytes: usize,
    /// Reading order. Partitions that returned data move to the end, so that none starves (R77).
    order: BTreeMap<u64, PartitionKey>,
    next_place: u64,
}

struct Cached {
    place: u64,
    position: Position,
    /// −1: said nothing yet, or an error, so the next answer mentions it.
    high_watermark: Offset,
    log_start_offset: Offset,
}

impl PartitionKey {
    /// What a session keeps for it, in bytes. The name is counted with every partition: requests
    /// may name the same topic again and again.
    fn cached_bytes(&self) -> usize {
        PARTITION_BYTES
            + match &self.topic {
                TopicKey::Name(name) => name.len(),
                TopicKey::Id(_) => 0,
            }
    }
}

impl SessionCache {
    /// `slots` is `max.incremental.fetch.session.cache.slots`; `seed` makes ids unpredictable.
    pub fn new(slots: usize, seed: u64) -> SessionCache {
        let slots = slots / SHARDS * SHARDS;
        SessionCache {
            slots,
            sessions: HashMap::new(),
            cached_bytes: 0,
            seed,
        }
    }

    /// What the request wants.
    ///
    /// # Errors
    /// FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR: the
    /// answer has no session id and no topics; with the last two the session lives on (R88).
    pub fn begin(
        &mut self,
        request: SessionRequest,
        asked: Vec<(PartitionKey, Position)>,
        forgotten: &[PartitionKey],
        now: Millis,
    ) -> Result<Begun, ResponseError> {
        if request.epoch == INITIAL_EPOCH || request.epoch == FINAL_EPOCH {
            self.remove(request.id);
            let context = match request.epoch {
                FINAL_EPOCH => Context::Sessionless,
                _ => Context::New {
                    by_topic_id: request.by_topic_id,
                    from_follower: request.from_follower,
                },
            };
            return Ok(Begun {
                context,
                wanted: last_position_wins(asked),
            });
        }
        let session = self
            .sessions
            .get_mut(&request.id)
            .ok_or(ResponseError::FetchSessionIdNotFound)?;
        if session.epoch != request.epoch {
            return Err(ResponseError::InvalidFetchSessionEpoch);
        }
        if session.by_topic_id != request.by_topic_id {
            return Err(ResponseError::FetchSessionTopicIdError);
        }
        let before = session.bytes;
        session.update(asked, forgotten);
        session.last_used = now;
        session.epoch = next_epoch(session.epoch);
        self.cached_bytes = self.cached_bytes - before + session.bytes;
        if session.partitions.is_empty() {
            self.remove(request.id);
            return Ok(Begun {
                context: Context::Sessionless,
                wanted: Vec::new(),
            });
        }
        let wanted = session.wanted();
        if self.cached_bytes > MAX_CACHED_BYTES {
            // An answer without session id tells the client to open a new one.
            self.remove(request.id);
            return Ok(Begun {
                context: Context::Sessionless,
                wanted,
            });
        }
        Ok(Begun {
            context: Context::Incremental { id: request.id },
            wanted,
        })
    }

    /// What the answer says; `seen[i]` belongs to `begun.wanted[i]`.
    pub fn finish(&mut self, begun: &Begun, seen: &[Seen], now: Millis) -> Finished {
        let everything = vec![true; seen.len()];
        match begun.context {
            Context::Sessionless => Finished {
                session_id: NO_SESSION,
                mentions: everything,
            },
            Context::New {
                by_topic_id,
                from_follower,
            } => {
                let session_id = match begun.wanted.is_empty() {
                    true => NO_SESSION,
                    false => self.open(begun, seen, by_topic_id, from_follower, now),
                };
                Finished {
                    session_id,
                    mentions: everything,
                }
            }
            Context::Incremental { id } => {
                let Some(session) = self.sessions.get_mut(&id) else {
                    // Evicted while the request waited; the next one will hear of it.
                    return Finished {
                        session_id: id,
                        mentions: everything,
                    };
                };
                let keys = begun.wanted.iter().map(|(key, _)| key);
                let mentions = keys.zip(seen).map(|(key, seen)| session.mention(key, seen));
                Finished {
                    session_id: id,
                    mentions: mentions.collect(),
                }
            }
        }
    }

    /// Opens a session, or answers [`NO_SESSION`] if there is no room for one.
    fn open(
        &mut self,
        begun: &Begun,
        seen: &[Seen],
        by_topic_id: bool,
        from_follower: bool,
        now: Millis,
    ) -> i32 {
        let size = begun.wanted.len();
        let keys = begun.wanted.iter().map(|(key, _)| key);
        let bytes: usize = keys.map(PartitionKey::cached_bytes).sum();
        if self.slots == 0 || bytes > MAX_CACHED_BYTES {
            return NO_SESSION;
        }
        while self.sessions.len() >= self.slots || self.cached_bytes + bytes > MAX_CACHED_BYTES {
            if !self.evict_for(from_follower, size, now) {
                return NO_SESSION;
            }
        }
        let mut session = Session {
            epoch: next_epoch(INITIAL_EPOCH),
            by_topic_id,
            from_follower,
            created: now,
            last_used: now,
            partitions: HashMap::with_capacity(size),
            bytes: 0,
            order: BTreeMap::new(),
            next_place: 0,
        };
        session.update(begun.wanted.clone(), &[]);
        for ((key, _), seen) in begun.wanted.iter().zip(seen) {
            session.mention(key, seen);
        }
        let id = self.unused_id();
        self.cached_bytes += session.bytes;
        self.sessions.insert(id, session);
        id
    }

    /// Evicts the session unused for longest if that is long enough, else the smallest one that
    /// is worth less than the new one (KIP-227, "Fetch Session Caching").
    fn evict_for(&mut self, from_follower: bool, size: usize, now: Millis) -> bool {
        let by_use = self
            .sessions
            .iter()
            .min_by_key(|(_, session)| session.last_used);
        let victim = match by_use {
            None => return false,
            Some((id, session)) if now - session.last_used > EVICTION_MS => Some(*id),
            Some(_) => {
                let evictable = self.sessions.iter().filter(|(_, session)| {
                    let aged = now - session.created > EVICTION_MS;
                    aged || (from_follower && !session.from_follower)
                });
                let worth = |session: &Session| (session.from_follower, session.partitions.len());
                evictable
                    .map(|(id, session)| (worth(session), *id))
                    .min()
                    .filter(|(worth, _)| *worth < (from_follower, size))
                    .map(|(_, id)| id)
            }
        };
        victim.is_some_and(|id| self.remove(id))
    }

    fn remove(&mut self, id: i32) -> bool {
        let removed = self.sessions.remove(&id);
        self.cached_bytes -= removed.as_ref().map_or(0, |session| session.bytes);
        removed.is_some()
    }

    /// A positive id that no session has (splitmix64).
    fn unused_id(&mut self) -> i32 {
        loop {
            self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.seed;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let id = ((z ^ (z >> 31)) & 0x7fff_ffff) as i32;
            if id != NO_SESSION && !self.sessions.contains_key(&id) {
                return id;
            }
        }
    }
}

impl Session {
    fn update(&mut self, asked: Vec<(PartitionKey, Position)>, forgotten: &[PartitionKey]) {
        for (key, position) in asked {
            if let Some(cached) = self.partitions.get_mut(&key) {
                cached.position = position;
                continue;
            }
            let place = self.take_place(&key);
            self.bytes += key.cached_bytes();
            let cached = Cached {
                place,
                position,
                high_watermark: -1,
                log_start_offset: -1,
            };
            self.partitions.insert(key, cached);
        }
        for key in forgotten {
            if let Some(cached) = self.partitions.remove(key) {
                self.bytes -= key.cached_bytes();
                self.order.remove(&cached.place);
            }
        }
    }

    fn wanted(&self) -> Vec<(PartitionKey, Position)> {
        let keys = self.order.values();
        keys.filter_map(|key| Some((key.clone(), self.partitions.get(key)?.position)))
            .collect()
    }

    /// Whether the answer mentions the partition, and remembers what it says.
    fn mention(&mut self, key: &PartitionKey, seen: &Seen) -> bool {
        let Some(cached) = self.partitions.get_mut(key) else {
            return true;
        };
        let changed = cached.high_watermark != seen.high_watermark
            || cached.log_start_offset != seen.log_start_offset;
        cached.high_watermark = if seen.is_notable {
            -1
        } else {
            seen.high_watermark
        };
        cached.log_start_offset = seen.log_start_offset;
        if seen.has_records {
            let old = cached.place;
            self.order.remove(&old);
            let place = self.take_place(key);
            if let Some(cached) = self.partitions.get_mut(key) {
                cached.place = place;
            }
        }
        changed || seen.has_records || seen.is_notable
    }

    fn take_place(&mut self, key: &PartitionKey) -> u64 {
        let place = self.next_place;
        self.next_place += 1;
        self.order.insert(place, key.clone());
        place
    }
}

/// Epochs count from 1 and wrap to 1.
fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

/// R91: a partition named twice has one entry, at its first place with its last position.
fn last_position_wins(asked: Vec<(PartitionKey, Position)>) -> Vec<(PartitionKey, Position)> {
    if asked.len() < 2 {
        return asked;
    }
    let mut places: HashMap<PartitionKey, usize> = HashMap::with_capacity(asked.len());
    let mut wanted: Vec<(PartitionKey, Position)> = Vec::with_capacity(asked.len());
    for (key, position) in asked {
        match places.get(&key) {
            Some(&place) => wanted[place].1 = position,
            None => {
                places.insert(key.clone(), wanted.len());
                wanted.push((key, position));
            }
        }
    }
    wanted
}

#[cfg(test)]
#[path = "fetch_session_tests.rs"]
mod tests;
