//! The stage: a machine, its log, and members that remember their ids and generations.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;

use crate::coordinator::machine::{LogRecord, Machine, Now, Outcome, Ticket};
use crate::error::ResponseError;
use crate::group::command::*;
use crate::group::records::GroupRecord;
use crate::group::{GroupMemory, GroupShard, Settings};
use crate::types::Millis;

pub const SETTINGS: Settings = Settings {
    initial_rebalance_delay_ms: 0,
    min_session_timeout_ms: 6_000,
    max_session_timeout_ms: 1_800_000,
    max_size: 100,
    offset_metadata_max_bytes: 10,
    offsets_retention_ms: 100_000,
    offsets_retention_check_interval_ms: 600_000,
    max_batch_bytes: 1 << 20,
};

/// The story of one group without an initial delay.
pub fn play(story: &str) -> String {
    Play::new(SETTINGS).play(story)
}

pub struct Play {
    settings: Settings,
    pub memory: GroupMemory,
    shard: GroupShard,
    /// Everything written, as it lies in the log.
    log: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    tickets: u64,
    ids: u64,
    /// Who waits for what.
    callers: BTreeMap<Ticket, String>,
    members: BTreeMap<String, Known>,
    now: Millis,
}

/// What a client remembers.
#[derive(Clone, Debug, Default)]
struct Known {
    id: String,
    generation: i32,
    instance_id: Option<String>,
}

/// `key=value` behind the verb.
struct Options<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Options<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        self.0.get(key).copied()
    }

    fn text(&self, key: &str, default: &'a str) -> String {
        self.get(key).unwrap_or(default).to_owned()
    }

    fn number<T: std::str::FromStr>(&self, key: &str, default: T) -> T {
        match self.get(key) {
            Some(text) => text.parse().ok().expect("a number"),
            None => default,
        }
    }
}

impl Play {
    pub fn new(settings: Settings) -> Play {
        Play::within(settings, GroupMemory::limited(usize::MAX))
    }

    pub fn within(settings: Settings, memory: GroupMemory) -> Play {
        let mut play = Play {
            settings,
            shard: GroupShard::new(settings, memory.clone()),
            memory,
            log: Vec::new(),
            tickets: 0,
            ids: 0,
            callers: BTreeMap::new(),
            members: BTreeMap::new(),
            now: 0,
        };
        let outcome = play.shard.loaded(play.moment());
        play.take(outcome);
        play
    }

    /// From the next restart on.
    pub fn set_max_size(&mut self, max_size: usize) {
        self.settings.max_size = max_size;
    }

    pub fn play(&mut self, story: &str) -> String {
        let lines: Vec<&str> = story
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty())
            .collect();
        let width = lines.iter().map(|line| line.len()).max().unwrap_or(0);
        let mut told = String::new();
        for line in lines {
            let said = self.line(line);
            let _ = writeln!(told, "{line:width$} -> {}{said}", self.state());
        }
        told
    }

    fn moment(&self) -> Now {
        Now {
            steady: self.now,
            wall: self.now,
        }
    }

    fn line(&mut self, line: &str) -> String {
        let mut words = line.split_whitespace();
        let (Some(at), Some(who), Some(what)) = (words.next(), words.next(), words.next()) else {
            panic!("time who what: {line}");
        };
        self.now = at.parse().expect("a time");
        let pairs = words.map(|word| word.split_once('=').unwrap_or((word, "")));
        let options = Options(pairs.collect());
        let outcome = match what {
            "expire" => self.shard.expire(self.moment()),
            "restart" => return self.restart(),
            _ => {
                self.tickets += 1;
                let ticket = Ticket(self.tickets);
                let name = match what {
                    "commit" | "fetch" | "delete" | "forget" | "topic-deleted" => what,
                    _ => who,
                };
                self.callers.insert(ticket, name.to_owned());
                let command = self.command(who, what, &options);
                self.shard.decide(command, ticket, self.moment())
            }
        };
        self.take(outcome)
    }

    fn command(&mut self, who: &str, what: &str, options: &Options) -> Command {
        let group: Arc<str> = "g".into();
        let known = self.members.entry(who.to_owned()).or_default();
        if let Some(instance) = options.get("static") {
            known.instance_id = Some(instance.to_owned());
        }
        let known = known.clone();
        let member_id = options.text("id", &known.id);
        let generation = options.number("g", known.generation);
        let instance_id = known.instance_id.clone();
        match what {
            "join" => Command::Join(self.join(group, who, options, known)),
            "sync" => Command::Sync(Sync {
                group,
                generation,
                member_id,
                instance_id,
                protocol_type: options.get("type").map(str::to_owned),
                protocol_name: options.get("protocol").map(str::to_owned),
                assignments: self.shares(options),
            }),
            "heartbeat" => Command::Heartbeat(Heartbeat {
                group,
                generation,
                member_id,
                instance_id,
            }),
            "leave" => Command::Leave(Leave {
                group,
                members: self.leavers(who, options),
            }),
            "commit" => Command::Commit(Commit {
                group,
                generation: options.number("g", if who == "-" { -1 } else { generation }),
                member_id,
                instance_id,
                retention_ms: options.get("retention").map(|ms| ms.parse().expect("ms")),
                knows_group_id_not_found: options.number("v", 9) >= 9,
                topics: commit_topics(options),
            }),
            "fetch" => Command::Fetch(FetchOffsets {
                group,
                topics: options.get("topics").map(topics),
            }),
            "delete" => Command::DeleteOffsets(DeleteOffsets {
                group,
                topics: topics(options.get("topics").expect("topics=")),
            }),
            "forget" => Command::DeleteGroup(group),
            "topic-deleted" => Command::TopicsDeleted(Arc::from([options.text("t", "t").into()])),
            "describe" => Command::Describe(group),
            _ => panic!("nobody can {what}"),
        }
    }

    fn join(&mut self, group: Arc<str>, who: &str, options: &Options, known: Known) -> Join {
        self.ids += 1;
        let version = options.number("v", 9);
        let protocols = options
            .get("protocols")
            .unwrap_or("range")
            .split(',')
            .map(|protocol| {
                let (name, metadata) = protocol.split_once(':').unwrap_or((protocol, ""));
                Protocol {
                    name: name.to_owned(),
                    metadata: subscription(metadata),
                }
            });
        let protocols = protocols
            .filter(|protocol| !protocol.name.is_empty())
            .collect();
        Join {
            group,
            member_id: options.text("id", &known.id),
            instance_id: known.instance_id,
            client_id: who.to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            session_timeout_ms: options.number("session", 10_000),
            rebalance_timeout_ms: options.number("rebalance", 60_000),
            protocol_type: options.text("type", "consumer"),
            protocols,
            requires_known_member_id: version >= 4,
            supports_skipping_assignment: version >= 9,
            new_id_suffix: self.ids.to_string(),
            reason: "not provided".to_owned(),
        }
    }

    /// `a:x,b:y`, by the names members have here.
    fn shares(&self, options: &Options) -> Vec<(String, Bytes)> {
        let shares = options.get("shares").unwrap_or("").split(',');
        let shares = shares.filter_map(|share| share.split_once(':'));
        let of = |who: &str| {
            self.members
                .get(who)
                .map_or(who.to_owned(), |m| m.id.clone())
        };
        shares
            .map(|(who, share)| {
                let share = match share.strip_prefix("bytes*") {
                    Some(count) => vec![b'x'; count.parse().expect("a count")],
                    None => share.as_bytes().to_vec(),
                };
                (of(who), share.into())
            })
            .collect()
    }

    fn leavers(&self, who: &str, options: &Options) -> Vec<Leaver> {
        let members = options.get("members").unwrap_or(who).split(',');
        let leaver = |name: &str| match (name.strip_prefix('@'), self.members.get(name)) {
            (Some(instance_id), _) => Leaver {
                member_id: String::new(),
                instance_id: Some(instance_id.to_owned()),
                reason: None,
            },
            (None, known) => Leaver {
                member_id: known.map_or(name.to_owned(), |known| known.id.clone()),
                instance_id: None,
                reason: None,
            },
        };
        members.map(leaver).collect()
    }

    fn restart(&mut self) -> String {
        self.shard = GroupShard::new(self.settings, self.memory.clone());
        for (key, value) in &self.log {
            let record = GroupRecord::decode(key, value.as_deref()).expect("our own");
            self.shard.apply(record.expect("a known kind"));
        }
        self.callers.clear();
        let outcome = self.shard.loaded(self.moment());
        self.take(outcome)
    }

    /// Writes, applies and answers; returns what there is to tell.
    fn take(&mut self, outcome: Outcome<GroupShard>) -> String {
        let mut told = String::new();
        for record in outcome.records {
            let _ = write!(told, " {}", tell_record(&record));
            self.log.push(record.encode());
            self.shard.apply(record);
        }
        for (ticket, reply) in outcome.replies {
            let caller = self.callers.remove(&ticket).expect("one reply per caller");
            let reply = self.hear(&caller, reply);
            let _ = write!(told, " {caller}={reply}");
        }
        told
    }

    fn hear(&mut self, who: &str, reply: Reply) -> String {
        let result = |error: Option<ResponseError>| match error {
            None => "ok".to_owned(),
            Some(error) => format!("{error:?}"),
        };
        match reply {
            Reply::Join(joined) => {
                let known = self.members.entry(who.to_owned()).or_default();
                if joined.error.is_none() || joined.error == Some(ResponseError::MemberIdRequired) {
                    known.id.clone_from(&joined.member_id);
                }
                known.generation = joined.generation;
                tell_joined(&joined)
            }
            Reply::Sync(Ok(synced)) => format!("share:{}", tell_bytes(&synced.assignment)),
            Reply::Sync(Err(error)) | Reply::Heartbeat(Err(error)) => result(Some(error)),
            Reply::Heartbeat(Ok(())) => result(None),
            Reply::Leave(left) => {
                let left: Vec<String> = left.iter().map(|left| result(left.error)).collect();
                left.join(",")
            }
            Reply::Commit(Ok(topics)) => {
                let all = topics.iter().flat_map(|topic| &topic.partitions);
                let all: Vec<String> = all.map(|(_, error)| result(*error)).collect();
                all.join(",")
            }
            Reply::Commit(Err(error)) | Reply::DeleteOffsets(Err(error)) => result(Some(error)),
            Reply::Fetch(topics) => tell_fetched(&topics),
            Reply::DeleteOffsets(Ok(topics)) => {
                let all = topics.iter().flat_map(|topic| &topic.partitions);
                let all: Vec<String> = all.map(|(_, error)| result(*error)).collect();
                all.join(",")
            }
            Reply::DeleteGroup(deleted) => result(deleted.err()),
            Reply::Describe(described) => match described {
                None => "Dead".to_owned(),
                Some(d) => {
                    let members = d.members.iter().map(|m| {
                        let parts = (tell_bytes(&m.metadata), tell_bytes(&m.assignment));
                        format!("{}:{}/{}", m.id, parts.0, parts.1)
                    });
                    let members = members.collect::<Vec<_>>().join(" ");
                    format!("{}[{}][{members}]", d.protocol_type, d.protocol_name)
                }
            },
            Reply::List(_) | Reply::TopicsDeleted => result(None),
        }
    }

    fn state(&mut self) -> String {
        let describe = Command::Describe("g".into());
        let outcome = self.shard.decide(describe, Ticket(0), self.moment());
        let Some((_, Reply::Describe(Some(described)))) = outcome.replies.into_iter().next() else {
            return "Dead".to_owned();
        };
        format!("{} {}", described.state, described.members.len())
    }
}

/// A subscription to topics written `a+b`, or nothing a consumer would write.
fn subscription(topics: &str) -> Bytes {
    if topics.starts_with('?') || topics.is_empty() {
        return Bytes::copy_from_slice(topics.as_bytes());
    }
    let topics: Vec<&str> = topics.split('+').collect();
    let mut out = vec![0, 0];
    out.extend((topics.len() as i32).to_be_bytes());
    for topic in topics {
        out.extend((topic.len() as i16).to_be_bytes());
        out.extend(topic.as_bytes());
    }
    out.extend((-1_i32).to_be_bytes());
    out.into()
}

/// `t-0,t-1`
fn topics(text: &str) -> Vec<(Arc<str>, Vec<i32>)> {
    let partitions = text.split(',').map(|name| {
        let (topic, partition) = name.rsplit_once('-').expect("topic-partition");
        (Arc::from(topic), vec![partition.parse().expect("a number")])
    });
    partitions.collect()
}

/// `t-0@5,t-1@6:metadata`
fn commit_topics(options: &Options) -> Vec<CommitTopic> {
    let commits = options
        .get("at")
        .unwrap_or("t-0@1")
        .split(',')
        .map(|commit| {
            let (name, rest) = commit.split_once('@').expect("topic-partition@offset");
            let (offset, metadata) = rest.split_once(':').unwrap_or((rest, ""));
            let (topic, partition) = name.rsplit_once('-').expect("topic-partition");
            let partition = CommitPartition {
                partition: partition.parse().expect("a number"),
                offset: offset.parse().expect("an offset"),
                leader_epoch: -1,
                metadata: metadata.to_owned(),
            };
            CommitTopic {
                topic: topic.into(),
                partitions: vec![partition],
            }
        });
    commits.collect()
}

fn tell_joined(joined: &Joined) -> String {
    if let Some(error) = joined.error {
        return format!("{error:?}({})", joined.member_id);
    }
    let mut told = format!("joined({} g{}", joined.member_id, joined.generation);
    if joined.leader == joined.member_id {
        let members: Vec<&str> = joined.members.iter().map(|member| &*member.id).collect();
        let _ = write!(told, " leads {}", members.join("+"));
    } else if joined.leader.is_empty() {
        let _ = write!(told, " without leader");
    } else if !joined.members.is_empty() {
        let _ = write!(told, " is told of all");
    }
    if joined.skip_assignment {
        let _ = write!(told, " skips");
    }
    told + ")"
}

fn tell_fetched(topics: &[FetchedTopic]) -> String {
    let all = topics.iter().flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(|(partition, committed)| match committed {
            None => format!("{}-{partition}@none", topic.topic),
            Some(c) => format!("{}-{partition}@{}:{}", topic.topic, c.offset, c.metadata),
        })
    });
    format!("[{}]", all.collect::<Vec<_>>().join(","))
}

fn tell_record(record: &GroupRecord) -> String {
    match record {
        GroupRecord::Offset {
            topic,
            partition,
            committed,
            ..
        } => match committed {
            Some(committed) => format!("+{topic}-{partition}@{}", committed.offset),
            None => format!("-{topic}-{partition}"),
        },
        GroupRecord::Group { value: None, .. } => "-group".to_owned(),
        GroupRecord::Group {
            value: Some(value), ..
        } => format!("+group(g{} of {})", value.generation, value.members.len()),
    }
}

fn tell_bytes(bytes: &[u8]) -> String {
    match bytes.len() {
        0..40 => String::from_utf8_lossy(bytes).escape_default().to_string(),
        count => format!("{count} bytes"),
    }
}
