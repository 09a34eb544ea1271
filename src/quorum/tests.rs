//! The quorum on real files: what survives a crash, a torn tail, damage, a full disk.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;

use super::*;
use crate::config::{Config, SecurityProtocol};
use crate::controller::topics::{NewTopic, TopicSelector};
use crate::error::ResponseError;
use crate::metadata::image::Endpoint;
use crate::types::TopicId;

/// A quorum in a directory, driven from a test.
struct Node {
    quorum: Quorum,
    runtime: tokio::runtime::Runtime,
    published: Arc<Mutex<Vec<Arc<Image>>>>,
}

impl Node {
    /// Starts after an unclean stop, as a new process would.
    fn start(dir: &Path) -> Node {
        Node::try_start(dir, None).expect("the quorum starts")
    }

    fn try_start(dir: &Path, previous_epoch: Option<i64>) -> Result<Node, QuorumError> {
        Node::start_with(dir, previous_epoch, Copies::DEFAULT)
    }

    fn start_with(
        dir: &Path,
        previous_epoch: Option<i64>,
        copies: Copies,
    ) -> Result<Node, QuorumError> {
        let published: Arc<Mutex<Vec<Arc<Image>>>> = Arc::default();
        let seen = published.clone();
        let args = QuorumArgs {
            metadata_log_dir: dir.to_owned(),
            node_id: BrokerId(1),
            directory_id: Uuid::from_u128(9),
            cluster_id: "cluster".to_owned(),
            clock: Clock::manual(1_700_000_000_000),
            settings: Settings {
                num_partitions: 1,
                default_replication_factor: 1,
                validate_topic_configs: Box::new(|configs| Ok(configs.clone())),
                config: Config::from_properties(BTreeMap::new()).expect("valid"),
                new_topic_id: Box::new(TopicId::random),
            },
            registration: Some(Registration {
                broker_id: BrokerId(1),
                incarnation: Uuid::new_v4(),
                endpoints: vec![Endpoint {
                    listener: "PLAINTEXT".to_owned(),
                    host: "localhost".to_owned(),
                    port: 9092,
                    security_protocol: SecurityProtocol::Plaintext,
                }],
                rack: None,
                features: Vec::new(),
                log_dirs: vec![Uuid::from_u128(9)],
                previous_epoch,
                unfenced: true,
            }),
            publish: Box::new(move |_, image| seen.lock().unwrap().push(image.clone())),
            free_reserve: Box::new(|| false),
            on_failure: Box::new(|_| {}),
        };
        let quorum = start_with(args, copies)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        Ok(Node {
            quorum,
            runtime,
            published,
        })
    }

    fn create(&self, name: &str, num_partitions: i32) -> Result<(), Error> {
        let topic = NewTopic {
            num_partitions,
            configs: vec![("retention.ms".to_owned(), Some("5".to_owned()))],
            ..NewTopic::with_defaults(name)
        };
        let created = self.quorum.controller.create_topics(vec![topic], false);
        self.runtime.block_on(created).remove(0).map(|_| ())
    }

    fn image(&self) -> Arc<Image> {
        self.quorum.metadata.borrow().clone()
    }

    fn epoch(&self) -> i64 {
        self.image().brokers[&BrokerId(1)].epoch
    }

    fn stop(self) {
        self.runtime
            .block_on(self.quorum.stop())
            .expect("a clean stop");
    }
}

/// Name, partitions and their leader epochs, sorted: what a restart may change is only epochs.
fn topics(image: &Image) -> BTreeMap<String, (TopicId, Vec<i32>)> {
    let topic = |topic: &crate::metadata::image::TopicImage| {
        let epochs = topic
            .partitions
            .iter()
            .map(|partition| partition.leader_epoch);
        (topic.name.to_string(), (topic.id, epochs.collect()))
    };
    image.topics().map(topic).collect()
}

fn log_file(dir: &Path) -> std::path::PathBuf {
    dir.join(DIRECTORY).join(format!("{:020}.log", 0))
}

#[test]
fn a_created_topic_is_in_the_image_when_the_answer_comes_and_was_published_before() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create("a", 3).unwrap();
    assert_eq!(node.image().topic("a").unwrap().partitions.len(), 3);
    let published = node.published.lock().unwrap();
    assert_eq!(
        published.len(),
        2,
        "the image of the start and that of the topic"
    );
    assert!(Arc::ptr_eq(published.last().unwrap(), &node.image()));
    let image = node.image();
    let partition = &image.topic("a").unwrap().partitions[0];
    assert_eq!(
        (partition.leader, partition.leader_epoch),
        (Some(BrokerId(1)), 0)
    );
    assert_eq!(partition.directories, [Uuid::from_u128(9)]);
}

#[test]
fn a_crash_loses_nothing_and_begins_new_leader_epochs() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create("a", 2).unwrap();
    node.create("b", 1).unwrap();
    let deleted = vec![TopicSelector::Name("b".to_owned())];
    let deleted = node
        .runtime
        .block_on(node.quorum.controller.delete_topics(deleted));
    assert!(deleted[0].is_ok());
    let before = node.image();
    drop(node);

    let node = Node::start(dir.path());
    let after = node.image();
    let (before, after) = (topics(&before), topics(&after));
    assert_eq!(before["a"].0, after["a"].0);
    assert_eq!((&before["a"].1, &after["a"].1), (&vec![0, 0], &vec![1, 1]));
    assert_eq!(after.len(), 1);
}

#[test]
fn a_clean_stop_keeps_leader_epochs_and_its_epoch_proves_it() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create("a", 2).unwrap();
    let epoch = node.epoch();
    node.stop();

    let node = Node::try_start(dir.path(), Some(epoch)).unwrap();
    assert_eq!(topics(&node.image())["a"].1, [0, 0]);
    assert!(node.epoch() > epoch, "a new registration has a new epoch");
    assert_eq!(
        MetadataRecordAt::registration(dir.path(), node.epoch()),
        Some(BrokerId(1)),
        "the broker epoch is the offset of the registration record"
    );
}

/// Looks a record up by its metadata offset.
struct MetadataRecordAt;

impl MetadataRecordAt {
    fn registration(dir: &Path, offset: i64) -> Option<BrokerId> {
        let dir = dir.join(DIRECTORY);
        let log = super::log::MetadataLog::open(&dir, BrokerId(1), 0, 0, 0).unwrap();
        let index = offset as u64 + 1;
        let entry = log.entries(index, index + 1, 0).unwrap().remove(0);
        use crate::metadata::records::MetadataRecord;
        match MetadataRecord::decode(&entry.data).unwrap() {
            MetadataRecord::RegisterBroker(record) => Some(record.broker_id),
            _ => None,
        }
    }
}

#[test]
fn r71_producer_id_blocks_never_repeat_across_crashes() {
    let dir = tempfile::tempdir().unwrap();
    let mut blocks = Vec::new();
    for _ in 0..3 {
        let node = Node::start(dir.path());
        let block = node.quorum.controller.allocate_producer_ids();
        blocks.push(node.runtime.block_on(block).unwrap());
    }
    assert_eq!(blocks, [0..1000, 1000..2000, 2000..3000]);
}

#[test]
fn a_tail_torn_at_any_byte_leaves_all_or_nothing_of_the_last_decision() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create("kept", 1).unwrap();
    let kept = fs::metadata(log_file(dir.path())).unwrap().len();
    node.create("torn", 3).unwrap();
    drop(node);
    let whole = fs::read(log_file(dir.path())).unwrap();
    let state = fs::read(dir.path().join(DIRECTORY).join(vote::FILE_NAME)).unwrap();

    for cut in (kept..whole.len() as u64).step_by(23) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(DIRECTORY)).unwrap();
        fs::write(log_file(dir.path()), &whole[..cut as usize]).unwrap();
        fs::write(dir.path().join(DIRECTORY).join(vote::FILE_NAME), &state).unwrap();
        let node = Node::start(dir.path());
        let names: Vec<String> = topics(&node.image()).into_keys().collect();
        assert_eq!(names, ["kept"], "cut at {cut}");
        node.create("torn", 3).unwrap();
        drop(node);
        assert_eq!(topics(&Node::start(dir.path()).image()).len(), 2);
    }
}

#[test]
fn zeros_behind_the_end_are_a_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create("a", 1).unwrap();
    drop(node);
    let mut bytes = fs::read(log_file(dir.path())).unwrap();
    bytes.extend([0; 4096]);
    fs::write(log_file(dir.path()), bytes).unwrap();
    assert!(Node::start(dir.path()).image().topic("a").is_some());
}

#[test]
fn damage_below_the_recovery_point_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create("a", 1).unwrap();
    node.stop();
    let file = OpenOptions::new()
        .write(true)
        .open(log_file(dir.path()))
        .unwrap();
    file.write_all_at(b"x", 100).unwrap();
    let damaged = fs::read(log_file(dir.path())).unwrap();
    let Err(error) = Node::try_start(dir.path(), None) else {
        panic!("started on a damaged log");
    };
    assert!(error.to_string().contains("is damaged at byte"), "{error}");
    assert_eq!(fs::read(log_file(dir.path())).unwrap(), damaged);
}

#[test]
fn an_unreadable_vote_of_a_sole_voter_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create("a", 1).unwrap();
    drop(node);
    fs::write(dir.path().join(DIRECTORY).join(vote::FILE_NAME), "garbage").unwrap();
    let node = Node::start(dir.path());
    assert!(node.image().topic("a").is_some());
    node.create("b", 1).unwrap();
}

#[test]
fn commands_that_wait_together_are_answered_together_and_each_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    let controller = &node.quorum.controller;
    let answers = node.runtime.block_on(async {
        let tasks: Vec<_> = (0..50)
            .map(|i| {
                let controller = controller.clone();
                let topic = NewTopic::with_defaults(format!("t{}", i / 2));
                async move { controller.create_topics(vec![topic], false).await.remove(0) }
            })
            .collect();
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let tasks: Vec<_> = tasks.into_iter().map(tokio::task::spawn_local).collect();
                let mut answers = Vec::new();
                for task in tasks {
                    answers.push(task.await.unwrap());
                }
                answers
            })
            .await
    });
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 25);
    let exists = |answer: &&Result<_, Error>| {
        answer
            .as_ref()
            .is_err_and(|error| error.code == ResponseError::TopicAlreadyExists)
    };
    assert_eq!(answers.iter().filter(exists).count(), 25);
    assert_eq!(node.image().topic_count(), 25);
}

#[test]
fn after_a_stop_callers_hear_that_the_controller_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    let controller = node.quorum.controller.clone();
    let runtime = node.runtime;
    runtime.block_on(node.quorum.stop()).unwrap();
    let answer = runtime.block_on(controller.allocate_producer_ids());
    assert_eq!(answer.unwrap_err().code, ResponseError::NotController);
}

/// Copies of the image after every few decisions.
const EARLY: Copies = Copies {
    snapshot_bytes: 2000,
    index_entries: u64::MAX,
};

fn files(dir: &Path, suffix: &str) -> Vec<String> {
    let names = fs::read_dir(dir.join(DIRECTORY)).unwrap();
    let names = names.map(|file| file.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(suffix)).collect();
    names.sort();
    names
}

#[test]
fn snapshots_take_the_place_of_the_log_and_two_of_them_stay() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start_with(dir.path(), None, EARLY).unwrap();
    for i in 0..30 {
        node.create(&format!("t{i}"), 2).unwrap();
    }
    let before = node.image();
    drop(node);
    let (checkpoints, logs) = (files(dir.path(), ".checkpoint"), files(dir.path(), ".log"));
    assert_eq!(
        (checkpoints.len(), logs.len()),
        (2, 2),
        "{checkpoints:?} {logs:?}"
    );
    assert_eq!(
        checkpoints[1][..20],
        logs[1][..20],
        "the log begins where the snapshot ends"
    );

    let node =
        Node::start_with(dir.path(), Some(before.brokers[&BrokerId(1)].epoch), EARLY).unwrap();
    assert_eq!(topics(&node.image()), topics(&before));
    assert_eq!(
        node.image().topic("t3").unwrap().configs["retention.ms"],
        "5"
    );
    node.create("more", 1).unwrap();
    let before = node.image();
    drop(node);

    // The newest snapshot is lost: the one before it and the log since do as well.
    let newest = files(dir.path(), ".checkpoint").pop().unwrap();
    let newest = dir.path().join(DIRECTORY).join(newest);
    let bytes = fs::read(&newest).unwrap();
    fs::write(&newest, &bytes[..bytes.len() - 1]).unwrap();
    let node =
        Node::start_with(dir.path(), Some(before.brokers[&BrokerId(1)].epoch), EARLY).unwrap();
    assert_eq!(topics(&node.image()), topics(&before));
    drop(node);

    // Both are lost: nothing is invented.
    for name in files(dir.path(), ".checkpoint") {
        fs::remove_file(dir.path().join(DIRECTORY).join(name)).unwrap();
    }
    let Err(error) = Node::start_with(dir.path(), None, EARLY) else {
        panic!("started without the beginning of its metadata");
    };
    assert!(error.to_string().contains("no snapshot there"), "{error}");
}

#[test]
fn an_unfinished_snapshot_and_a_roll_that_did_not_happen_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create("a", 1).unwrap();
    let image = node.image();
    let id = super::snapshot::SnapshotId {
        end_offset: image.applied.0 + 1,
        epoch: 1,
    };
    node.create("b", 1).unwrap();
    drop(node);
    let metadata = dir.path().join(DIRECTORY);
    super::snapshot::write(&metadata, id, &image, 0).unwrap();
    fs::write(
        metadata.join(format!("{:020}-{:010}.checkpoint.part", 99, 1)),
        "part",
    )
    .unwrap();
    let node = Node::start(dir.path());
    assert_eq!(node.image().topic_count(), 2);
    assert_eq!(files(dir.path(), ".part"), [""; 0]);
}

#[test]
fn nobody_else_may_read_metadata() {
    use std::os::unix::fs::PermissionsExt;
    let index = Copies {
        index_entries: 1,
        ..Copies::DEFAULT
    };
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start_with(dir.path(), None, index).unwrap();
    node.create("a", 2).unwrap();
    let image = node.image();
    node.stop();
    let metadata = dir.path().join(DIRECTORY);
    let id = super::snapshot::SnapshotId {
        end_offset: image.applied.0 + 1,
        epoch: 1,
    };
    super::snapshot::write(&metadata, id, &image, 0).unwrap();
    let mode = |path: std::path::PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for ending in [".log", ".checkpoint"] {
        let found = files(dir.path(), ending);
        assert!(!found.is_empty(), "{ending}");
        for name in found {
            assert_eq!(mode(metadata.join(&name)), 0o600, "{name}");
        }
    }
    assert_eq!(mode(metadata.join(crate::store::DIRECTORY)), 0o700);
}

#[test]
fn the_index_may_be_right_behind_lost_or_garbage() {
    let index = Copies {
        index_entries: 1,
        ..Copies::DEFAULT
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(DIRECTORY).join(crate::store::DIRECTORY);
    let node = Node::start_with(dir.path(), None, index).unwrap();
    node.create("a", 2).unwrap();
    let mut epoch = node.epoch();
    node.stop();
    assert!(path.is_dir());
    let check = |damage: &dyn Fn(), epoch: &mut i64, expected: usize| {
        damage();
        let node = Node::start_with(dir.path(), Some(*epoch), index).unwrap();
        assert_eq!(node.image().topic_count(), expected);
        assert_eq!(
            node.image().topic("a").unwrap().partitions[1].leader_epoch,
            0
        );
        *epoch = node.epoch();
        node
    };
    // As the stop left it.
    let node = check(&|| {}, &mut epoch, 1);
    node.create("b", 1).unwrap();
    drop(node);
    // Behind the log.
    check(&|| {}, &mut epoch, 2).stop();
    // Damaged in every file.
    let garbage = || {
        for file in fs::read_dir(&path).unwrap() {
            let file = file.unwrap().path();
            if file.is_file() {
                fs::write(file, "garbage").unwrap();
            }
        }
    };
    check(&garbage, &mut epoch, 2).stop();
    check(&|| fs::remove_dir_all(&path).unwrap(), &mut epoch, 2).stop();
}
