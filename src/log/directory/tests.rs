use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::*;
use crate::log::checkpoints::{CheckpointFile, SUMS_FILE};

fn identity(cluster_id: Option<&str>, node_id: i32) -> Identity {
    Identity {
        cluster_id: cluster_id.map(str::to_owned),
        node_id: BrokerId(node_id),
    }
}

fn open(dir: &TempDir) -> LogDirectory {
    LogDirectory::open(dir.path(), &identity(None, 1)).expect("it is ours")
}

fn temp() -> TempDir {
    tempfile::tempdir().expect("tempdir")
}

fn of_all(directories: &[LogDirectory]) -> Option<CleanMarker> {
    CleanMarker::of_all(directories.iter().map(LogDirectory::found_marker)).cloned()
}

fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).expect("list");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

fn refusal(result: Result<impl fmt::Debug, DirectoryError>, dir: &TempDir) -> String {
    let sentence = result.expect_err("it must be refused").to_string();
    sentence.replace(&dir.path().display().to_string(), "DIR")
}

#[test]
fn an_empty_directory_is_formatted_once_and_keeps_its_ids() {
    let dir = temp();
    let path = dir.path().join("a/b");
    let first = LogDirectory::open(&path, &identity(None, 1)).expect("new");
    let (id, cluster_id) = (first.id(), first.cluster_id().to_owned());
    assert_eq!(cluster_id.len(), 22);
    assert_eq!(names(&path), [".lock", "meta.properties"]);
    assert_eq!(first.found_marker(), None);
    drop(first);
    let again = LogDirectory::open(&path, &identity(Some(&cluster_id), 1)).expect("ours");
    assert_eq!((again.id(), again.cluster_id()), (id, cluster_id.as_str()));
}

#[test]
fn a_crash_while_formatting_leaves_a_new_directory() {
    let dir = temp();
    std::fs::write(dir.path().join("meta.properties.tmp"), "version=1\nclus").expect("write");
    assert_eq!(open(&dir).cluster_id().len(), 22);
    assert_eq!(names(dir.path()), [".lock", "meta.properties"]);
}

#[test]
fn a_foreign_directory_is_refused_and_nothing_is_written() {
    let dir = temp();
    let foreign = "version=1\ncluster.id=theirs\nnode.id=4\n";
    std::fs::write(dir.path().join("meta.properties"), foreign).expect("write");
    let of_cluster = LogDirectory::open(dir.path(), &identity(Some("ours"), 4));
    assert_eq!(
        refusal(of_cluster, &dir),
        "Invalid cluster.id in: DIR/meta.properties. Expected ours, but read theirs; start \
         with CLUSTER_ID=theirs to use this data, or set log.dirs to another directory"
    );
    let of_node = LogDirectory::open(dir.path(), &identity(Some("theirs"), 1));
    assert_eq!(
        refusal(of_node, &dir),
        "Stored node id 4 doesn't match configured node id 1 in DIR/meta.properties; start \
         with node.id=4 to use this data, or set log.dirs to another directory"
    );
    std::fs::write(dir.path().join("meta.properties"), "\0\0\0").expect("write");
    let damaged = LogDirectory::open(dir.path(), &identity(None, 4));
    assert_eq!(
        refusal(damaged, &dir),
        "Cannot read DIR/meta.properties: the line \"\\0\\0\\0\" has no '='; restore the \
         file, or set log.dirs to another directory"
    );
    assert_eq!(names(dir.path()), ["meta.properties"]);
}

#[test]
fn a_directory_that_kafka_formatted_before_directory_ids_gets_one() {
    let dir = temp();
    let old = "#Kafka 3.6\nnode.id=1\nversion=1\ncluster.id=c\n";
    std::fs::write(dir.path().join("meta.properties"), old).expect("write");
    let id = open(&dir).id();
    let again = open(&dir);
    assert_eq!((again.id(), again.cluster_id()), (id, "c"));
}

#[test]
fn of_several_directories_the_formatted_one_says_the_cluster() {
    let (new, old) = (temp(), temp());
    let cluster_id = open(&old).cluster_id().to_owned();
    let paths = [new.path().to_owned(), old.path().to_owned()];
    let both = LogDirectory::open_all(&paths, &paths, &identity(None, 1)).expect("both");
    assert!(
        both.iter()
            .all(|directory| directory.cluster_id() == cluster_id)
    );
    assert_ne!(both[0].id(), both[1].id());
}

#[test]
fn directories_of_two_clusters_and_copies_of_one_are_refused() {
    let (one, other, copy) = (temp(), temp(), temp());
    drop((open(&one), open(&other)));
    std::fs::copy(
        one.path().join("meta.properties"),
        copy.path().join("meta.properties"),
    )
    .expect("copy");
    let all = |second: &TempDir| {
        let paths = [one.path().to_owned(), second.path().to_owned()];
        LogDirectory::open_all(&paths, &paths, &identity(None, 1))
    };
    assert!(matches!(
        all(&other),
        Err(DirectoryError::ForeignCluster { .. })
    ));
    assert!(matches!(all(&copy), Err(DirectoryError::Twins { .. })));
    assert_eq!(
        open(&one).found_marker(),
        None,
        "the refusals let go of the first"
    );
}

/// Not a test of its own: run as a child by [`record_lock_child`], it takes Kafka's lock on
/// the directory, says whether it got it, and holds it until its input ends.
#[test]
fn child_takes_the_record_lock() {
    let Some(path) = std::env::var_os("OTTLA_TEST_LOCK_DIR") else {
        return;
    };
    let lock = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(Path::new(&path).join(LOCK_FILE))
        .expect("open");
    let got = rustix::fs::fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive);
    println!("\nlock {}", if got.is_ok() { "taken" } else { "refused" });
    std::io::stdin().lines().for_each(drop);
}

fn record_lock_child(dir: &TempDir) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().expect("exe"))
        .args([
            "--exact",
            "log::directory::tests::child_takes_the_record_lock",
            "--nocapture",
        ])
        .env("OTTLA_TEST_LOCK_DIR", dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("spawn");
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let said = output
        .by_ref()
        .lines()
        .map_while(Result::ok)
        .find(|line| line.starts_with("lock "))
        .expect("the child says how it went");
    child.stdout = Some(output.into_inner());
    (child, said)
}

#[test]
fn a_directory_that_kafka_holds_is_refused() {
    let dir = temp();
    let (mut kafka, said) = record_lock_child(&dir);
    assert_eq!(said, "lock taken");
    let refused = LogDirectory::open(dir.path(), &identity(None, 1));
    assert_eq!(
        refusal(refused, &dir),
        "Failed to acquire lock on file .lock in DIR: another process, or another broker in \
         this one, is using this directory; stop it, or set log.dirs to another directory"
    );
    assert_eq!(names(dir.path()), [".lock"], "nothing was written");
    drop(kafka.stdin.take());
    kafka.wait().expect("the child ends");
    open(&dir);
}

#[test]
fn a_second_broker_in_this_process_is_refused_and_does_not_break_the_first_ones_lock() {
    let dir = temp();
    let first = open(&dir);
    let second = LogDirectory::open(dir.path(), &identity(None, 1));
    assert!(matches!(second, Err(DirectoryError::Held { .. })));
    let (mut kafka, said) = record_lock_child(&dir);
    assert_eq!(
        said, "lock refused",
        "the first broker's record lock still stands"
    );
    drop(kafka.stdin.take());
    kafka.wait().expect("the child ends");
    drop(first);
    open(&dir);
}

#[test]
fn one_directory_named_twice_is_refused() {
    let dir = temp();
    let link = temp();
    let other_name = link.path().join("link");
    std::os::unix::fs::symlink(dir.path(), &other_name).expect("link");
    let both = [dir.path().to_owned(), other_name];
    let refused = LogDirectory::open_all(&both, &both, &identity(None, 1));
    assert!(matches!(refused, Err(DirectoryError::Held { .. })));
}

#[test]
fn a_clean_marker_counts_once() {
    let dir = temp();
    open(&dir).write_clean_marker(487, "00ff").expect("marker");
    let text = std::fs::read_to_string(dir.path().join(marker::FILE_NAME)).expect("text");
    assert_eq!(
        text,
        r#"{"brokerEpoch":487,"ottlaNonce":"00ff","version":0}"#
    );
    let expected = CleanMarker {
        broker_epoch: 487,
        nonce: Some("00ff".into()),
    };
    let started = open(&dir);
    assert_eq!(started.found_marker(), Some(&expected));
    assert!(!dir.path().join(marker::FILE_NAME).exists());
    drop(started);
    assert_eq!(
        open(&dir).found_marker(),
        None,
        "the start after it crashed"
    );
}

#[test]
fn one_directory_without_the_same_marker_makes_the_stop_unclean() {
    let (one, other) = (temp(), temp());
    let paths = [one.path().to_owned(), other.path().to_owned()];
    let start = || LogDirectory::open_all(&paths, &paths, &identity(None, 1)).expect("both");
    let stop = |markers: [Option<(i64, &str)>; 2]| {
        for (directory, marker) in start().iter().zip(markers) {
            if let Some((epoch, nonce)) = marker {
                directory.write_clean_marker(epoch, nonce).expect("marker");
            }
        }
    };
    stop([Some((5, "n")), Some((5, "n"))]);
    assert_eq!(of_all(&start()).map(|marker| marker.broker_epoch), Some(5));
    for unclean in [
        [Some((5, "n")), None],
        [None, Some((5, "n"))],
        [Some((5, "n")), Some((6, "n"))],
        [Some((5, "n")), Some((5, "m"))],
    ] {
        stop(unclean);
        assert_eq!(of_all(&start()), None, "{unclean:?}");
    }
    assert_eq!(of_all(&[]), None);
}

#[test]
fn an_unreadable_marker_is_no_marker() {
    for garbage in [
        &" ".repeat(1 << 20),
        "",
        "{",
        "7",
        r#"{"version":1,"brokerEpoch":1}"#,
        r#"{"version":0}"#,
    ] {
        let dir = temp();
        std::fs::write(dir.path().join(marker::FILE_NAME), garbage).expect("write");
        assert_eq!(open(&dir).found_marker(), None, "{garbage:?}");
        assert!(!dir.path().join(marker::FILE_NAME).exists());
    }
}

#[test]
fn after_kafka_closed_the_directory_our_checksums_are_not_asked() {
    let dir = temp();
    let partition = TopicPartition {
        topic: "t".into(),
        partition: 0,
    };
    let mut checkpoints = open(&dir).read_checkpoints().expect("new");
    checkpoints.set(CheckpointFile::RecoveryPoint, &partition, 5);
    checkpoints.write().expect("round");
    let file = dir.path().join(CheckpointFile::RecoveryPoint.name());
    std::fs::write(file, "0\n1\nt 0 9\n").expect("Kafka's round");
    let marker = r#"{"version":0,"brokerEpoch":487}"#;
    std::fs::write(dir.path().join(marker::FILE_NAME), marker).expect("Kafka's stop");
    let checkpoints = open(&dir).read_checkpoints().expect("read");
    assert_eq!(
        checkpoints.offset(CheckpointFile::RecoveryPoint, &partition),
        Some(9)
    );
    assert!(!dir.path().join(SUMS_FILE).exists());
}

#[test]
fn only_partition_directories_are_listed() {
    let dir = temp();
    let directory = open(&dir);
    for name in [
        "t-0",
        "a-b-12",
        "__cluster_metadata-0",
        "lost+found",
        "notes",
    ] {
        std::fs::create_dir(dir.path().join(name)).expect("create");
    }
    std::fs::write(dir.path().join("file-0"), "").expect("write");
    std::os::unix::fs::symlink("t-0", dir.path().join("link-0")).expect("link");
    let mut found = directory.list().expect("list");
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a-b-12", "t-0"]);
}

#[test]
fn a_deleted_partition_frees_its_name_at_once() {
    let dir = temp();
    let directory = open(&dir);
    let partition = TopicPartition {
        topic: "t".into(),
        partition: 0,
    };
    for _ in 0..2 {
        std::fs::create_dir(dir.path().join("t-0")).expect("the name is free");
        let aside = directory
            .set_aside(&partition, Aside::Delete)
            .expect("set aside");
        assert!(aside.is_dir());
    }
    let found = directory.list().expect("list");
    assert_eq!(found.len(), 2);
    assert!(
        found
            .iter()
            .all(|(_, kind)| *kind == DirectoryKind::Aside(Aside::Delete))
    );
}

#[test]
fn a_disk_is_full_below_its_limit_and_usable_again_at_twice_that() {
    let is_full = |free_mib: u64, total_mib: u64, was_full| {
        Space {
            free_bytes: free_mib << 20,
            total_bytes: total_mib << 20,
        }
        .is_full(was_full)
    };
    assert!(is_full(255, 1 << 20, false) && !is_full(256, 1 << 20, false));
    assert!(is_full(511, 1 << 20, true) && !is_full(512, 1 << 20, true));
    assert!(
        is_full(4, 100, false) && !is_full(5, 100, false),
        "5 % of a small disk"
    );
    assert!(is_full(9, 100, true) && !is_full(10, 100, true));
}

#[test]
fn a_full_append_closes_the_directory_until_the_disk_is_measured() {
    let dir = temp();
    let directory = open(&dir);
    directory.mark_full();
    assert!(directory.is_full());
    let space = Space::of(directory.handle().expect("opened")).expect("fstatvfs");
    assert_eq!(
        directory.check_space().expect("measured"),
        space.is_full(true)
    );
    assert_eq!(directory.is_full(), space.is_full(true));
}

#[test]
fn an_offline_directory_keeps_its_first_cause() {
    let dir = temp();
    let directory = open(&dir);
    assert!(!directory.is_offline());
    assert!(directory.mark_offline("fdatasync: EIO"));
    assert!(!directory.mark_offline("write: EROFS"));
    assert_eq!(directory.offline_cause(), Some("fdatasync: EIO"));
}

#[test]
fn the_reserve_is_claimed_once_and_given_up_once() {
    let dir = temp();
    let directory = open(&dir);
    directory
        .create_reserve()
        .expect("claimed, or no room for one");
    directory.create_reserve().expect("already there");
    let claimed = dir
        .path()
        .join(RESERVE_FILE)
        .metadata()
        .map_or(0, |file| file.len());
    assert!(claimed <= 64 << 20);
    assert_eq!(directory.release_reserve().expect("removed"), claimed > 0);
    assert!(!directory.release_reserve().expect("gone"));
}
