//! What may happen to the files of a dead broker without changing anything: everything derived
//! may be gone or garbage, and behind the last write may stand what never was one.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::random::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The metadata index is gone.
    IndexStoreRemoved,
    /// A file of the metadata index is overwritten.
    IndexStoreGarbled,
    CheckpointRemoved,
    CheckpointGarbled,
    SumsRemoved,
    SumsGarbled,
    /// A derived file of a partition is gone: index, snapshot, epochs, topic id.
    DerivedRemoved,
    DerivedGarbled,
    /// All derived files of all partitions are gone.
    AllDerivedRemoved,
    /// Files that an interrupted step leaves behind.
    LeftOvers,
    /// Bytes that are no batch behind the last batch of a log.
    TornTail,
}

const ANY_TIME: [Damage; 10] = [
    Damage::IndexStoreRemoved,
    Damage::IndexStoreGarbled,
    Damage::CheckpointRemoved,
    Damage::CheckpointGarbled,
    Damage::SumsRemoved,
    Damage::SumsGarbled,
    Damage::DerivedRemoved,
    Damage::DerivedGarbled,
    Damage::AllDerivedRemoved,
    Damage::LeftOvers,
];

/// Without log-start-offset-checkpoint: what DeleteRecords was asked for stands nowhere else.
const CHECKPOINTS: [&str; 3] = [
    "recovery-point-offset-checkpoint",
    "replication-offset-checkpoint",
    "cleaner-offset-checkpoint",
];
const METADATA_LOG: &str = "__cluster_metadata-0";

/// Up to three damages to the files below `data`, and what they were. After a clean stop a log
/// ends where it says it does, so there is no torn tail.
pub fn inflict(data: &Path, clean: bool, random: &mut Random) -> io::Result<Vec<Damage>> {
    let mut inflicted = Vec::new();
    for _ in 0..random.below(4) {
        let damage = match random.below(ANY_TIME.len() as u64 + 2) as usize {
            at if at < ANY_TIME.len() => ANY_TIME[at],
            _ if clean => continue,
            _ => Damage::TornTail,
        };
        apply(damage, data, random)?;
        inflicted.push(damage);
    }
    Ok(inflicted)
}

fn apply(damage: Damage, data: &Path, random: &mut Random) -> io::Result<()> {
    let index_store = data.join(METADATA_LOG).join("ottla-index");
    let checkpoint = data.join(CHECKPOINTS[random.below(3) as usize]);
    let sums = data.join("ottla.sums");
    let derived = derived_files(data)?;
    match damage {
        Damage::IndexStoreRemoved => remove_all(&index_store),
        Damage::IndexStoreGarbled => garble_one(&files_below(&index_store)?, random),
        Damage::CheckpointRemoved => remove_all(&checkpoint),
        Damage::CheckpointGarbled => garble_one(&[checkpoint], random),
        Damage::SumsRemoved => remove_all(&sums),
        Damage::SumsGarbled => garble_one(&[sums], random),
        Damage::DerivedRemoved => random
            .pick(&derived)
            .map_or(Ok(()), |file| remove_all(file)),
        Damage::DerivedGarbled => garble_one(&derived, random),
        Damage::AllDerivedRemoved => derived.iter().try_for_each(|file| remove_all(file)),
        Damage::LeftOvers => leave_over(data, random),
        Damage::TornTail => tear(data, random),
    }
}

fn partitions(data: &Path) -> io::Result<Vec<PathBuf>> {
    let mut partitions = Vec::new();
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.file_name() != METADATA_LOG {
            partitions.push(entry.path());
        }
    }
    partitions.sort();
    Ok(partitions)
}

/// Everything in partition directories but the logs.
fn derived_files(data: &Path) -> io::Result<Vec<PathBuf>> {
    let mut derived = Vec::new();
    for partition in partitions(data)? {
        let files = files_below(&partition)?;
        derived.extend(
            files
                .into_iter()
                .filter(|file| !is_log(file) && !is_swap(file)),
        );
    }
    Ok(derived)
}

/// A compaction that the next start completes: nothing else has its records.
fn is_swap(file: &Path) -> bool {
    let name = file.to_string_lossy();
    name.ends_with(".log.swap")
}

fn is_log(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "log")
}

/// The files below a directory, in order; none if it is not there.
fn files_below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let Ok(entries) = fs::read_dir(directory) else {
        return Ok(files);
    };
    for entry in entries {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => files.extend(files_below(&entry.path())?),
            false => files.push(entry.path()),
        }
    }
    files.sort();
    Ok(files)
}

fn remove_all(path: &Path) -> io::Result<()> {
    let removed = match path.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Overwrites one of the files: noise, zeros, nothing, or its own first half.
fn garble_one(files: &[PathBuf], random: &mut Random) -> io::Result<()> {
    let Some(file) = random.pick(files) else {
        return Ok(());
    };
    let content = fs::read(file).unwrap_or_default();
    let length = content.len().min(1 << 20);
    let garbage = match random.below(4) {
        0 => random.noise(length.max(10)),
        1 => vec![0; length],
        2 => Vec::new(),
        _ => content[..length / 2].to_vec(),
    };
    fs::write(file, garbage)
}

fn leave_over(data: &Path, random: &mut Random) -> io::Result<()> {
    for name in [
        "meta.properties.tmp",
        "replication-offset-checkpoint.tmp",
        "ottla.sums.tmp",
    ] {
        fs::write(data.join(name), random.noise(50))?;
    }
    if let Some(partition) = random.pick(&partitions(data)?) {
        for name in [
            "00000000000000000000.log.cleaned",
            "00000000000000000000.index.cleaned",
            "00000000000000000007.index.swap",
            "00000000000000000007.log.deleted",
            "leader-epoch-checkpoint.tmp",
        ] {
            fs::write(partition.join(name), random.noise(200))?;
        }
    }
    Ok(())
}

pub fn tear(data: &Path, random: &mut Random) -> io::Result<()> {
    let partitions = partitions(data)?;
    let Some(partition) = random.pick(&partitions) else {
        return Ok(());
    };
    let files = files_below(partition)?;
    let Some(last) = files.iter().rfind(|file| is_log(file)) else {
        return Ok(());
    };
    let length = 1 + random.below(5000) as usize;
    let tail = match random.one_in(2) {
        true => vec![0; length],
        false => random.noise(length),
    };
    OpenOptions::new().append(true).open(last)?.write_all(&tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What holds truth, with its content.
    const PRIMARY: [(&str, &str); 6] = [
        ("log-start-offset-checkpoint", "0\n0\n"),
        ("meta.properties", "version=1"),
        ("__cluster_metadata-0/quorum-state", "{}"),
        ("__cluster_metadata-0/00000000000000000000.log", "metadata"),
        ("t-0/00000000000000000000.log", "sealed"),
        ("t-0/00000000000000000009.log", "active"),
    ];
    const DERIVED: [&str; 6] = [
        "__cluster_metadata-0/ottla-index/db",
        "recovery-point-offset-checkpoint",
        "ottla.sums",
        "t-0/00000000000000000000.index",
        "t-0/00000000000000000009.snapshot",
        "t-0/partition.metadata",
    ];

    #[test]
    fn no_damage_touches_what_holds_truth() {
        let mut inflicted = Vec::new();
        for seed in 0..200 {
            let data = tempfile::tempdir().expect("tempdir");
            for directory in ["__cluster_metadata-0/ottla-index", "t-0"] {
                fs::create_dir_all(data.path().join(directory)).expect("create");
            }
            let derived = DERIVED.map(|file| (file, "derived"));
            for (file, content) in PRIMARY.into_iter().chain(derived) {
                fs::write(data.path().join(file), content).expect("write");
            }
            let clean = seed % 2 == 0;
            inflicted.extend(inflict(data.path(), clean, &mut Random::new(seed)).expect("damage"));
            for (file, content) in PRIMARY {
                let now = fs::read(data.path().join(file)).expect("it is still there");
                let may_grow = !clean && file == PRIMARY[5].0;
                assert!(now.starts_with(content.as_bytes()), "{file}");
                assert!(may_grow || now.len() == content.len(), "{file}");
            }
        }
        for damage in ANY_TIME.into_iter().chain([Damage::TornTail]) {
            assert!(inflicted.contains(&damage), "{damage:?} never happened");
        }
    }
}
