//! The judge of a group: what its members were given, read and committed, in the order in which
//! they came to know of it. Pure, so that a test can show it a coordinator that forgets.

use std::collections::{BTreeMap, BTreeSet};

use super::super::check::Findings;

/// Everything known of a group and the topic it reads. Partitions count from 0.
pub struct Ledger {
    pub findings: Findings,
    /// Commits that were acknowledged, and those whose answer never came.
    pub acknowledged: u64,
    pub in_doubt: u64,
    /// Who was given a partition in a generation.
    owners: BTreeMap<(i32, i32), String>,
    partitions: Vec<Partition>,
}

#[derive(Default)]
struct Partition {
    /// Records that members read, by offset.
    read: Vec<bool>,
    /// What acknowledged commits covered: first record and the one behind the last.
    covered: BTreeMap<i64, i64>,
    /// Offsets that somebody has tried to commit.
    tried: BTreeSet<i64>,
    /// The highest offset whose commit was acknowledged or that was seen as committed; 0 at first.
    floor: i64,
}

impl Ledger {
    pub fn new(partitions: usize) -> Ledger {
        Ledger {
            findings: Findings::default(),
            acknowledged: 0,
            in_doubt: 0,
            owners: BTreeMap::new(),
            partitions: (0..partitions).map(|_| Partition::default()).collect(),
        }
    }

    /// A sync was answered with partitions for `owner`: a member id, or the instance id of a static
    /// member, which keeps its partitions under a new member id.
    pub fn assigned(&mut self, generation: i32, owner: &str, partitions: &[i32]) {
        for partition in partitions {
            let known = self.owners.entry((generation, *partition));
            let known = known.or_insert_with(|| owner.to_owned());
            if known != owner {
                self.findings.duplicated += 1;
                self.findings.say(format!(
                    "generation {generation}: {known} and {owner} own partition {partition}"
                ));
            }
        }
    }

    pub fn read(&mut self, partition: i32, from: i64, to: i64) {
        let read = &mut self.partitions[partition as usize].read;
        read.resize(read.len().max(to as usize), false);
        read[from as usize..to as usize].fill(true);
    }

    pub fn tries(&mut self, partition: i32, to: i64) {
        self.partitions[partition as usize].tried.insert(to);
    }

    /// A commit of the records from `from` to `to` was acknowledged: nobody else commits them.
    pub fn acknowledged(&mut self, partition: i32, from: i64, to: i64) {
        self.acknowledged += 1;
        let it = &mut self.partitions[partition as usize];
        it.floor = it.floor.max(to);
        let before = it.covered.range(..to).next_back();
        if let Some((first, end)) = before.filter(|(_, end)| **end > from) {
            self.findings.duplicated += 1;
            self.findings.say(format!(
                "partition {partition}: {from}..{to} was committed, and {first}..{end} as well"
            ));
        }
        it.covered.insert(from, to);
    }

    /// Below this no committed offset may be seen by who asks from now on.
    pub fn floor(&self, partition: i32) -> i64 {
        self.partitions[partition as usize].floor
    }

    /// What is committed (0 for nothing), asked for when the floor was `floor`.
    pub fn committed(&mut self, partition: i32, floor: i64, offset: i64) {
        let it = &mut self.partitions[partition as usize];
        if offset < floor {
            self.findings.lost += 1;
            self.findings.say(format!(
                "partition {partition}: {offset} is committed, and {floor} was before"
            ));
        }
        if offset > 0 && !it.tried.contains(&offset) {
            self.findings.say(format!(
                "partition {partition}: {offset} is committed, and nobody did it"
            ));
        }
        it.floor = it.floor.max(offset);
    }

    /// In the end: everything below `end` was committed, and read by somebody.
    pub fn close(&mut self, partition: i32, end: i64) {
        let it = &self.partitions[partition as usize];
        let unread = (0..end as usize).find(|at| !it.read.get(*at).is_some_and(|read| *read));
        if let Some(offset) = unread {
            self.findings.lost += 1;
            self.findings
                .say(format!("partition {partition}: nobody read {offset}"));
        }
        if it.floor != end {
            let floor = it.floor;
            self.findings.say(format!(
                "partition {partition} ends at {end} and is committed to {floor}"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(events: impl Fn(&mut Ledger)) -> Vec<String> {
        let mut ledger = Ledger::new(2);
        events(&mut ledger);
        ledger.findings.other
    }

    #[test]
    fn a_partition_has_one_owner_in_a_generation() {
        let found = after(|ledger| {
            ledger.assigned(3, "a", &[0, 1]);
            ledger.assigned(3, "a", &[0, 1]);
            ledger.assigned(4, "b", &[0]);
        });
        assert_eq!(found, [""; 0]);
        let found = after(|ledger| {
            ledger.assigned(3, "a", &[0, 1]);
            ledger.assigned(3, "b", &[1]);
        });
        assert_eq!(found, ["generation 3: a and b own partition 1"]);
    }

    #[test]
    fn committed_offsets_do_not_go_back_and_are_somebodys() {
        let found = after(|ledger| {
            ledger.tries(0, 5);
            ledger.acknowledged(0, 0, 5);
            ledger.tries(0, 9);
            let floor = ledger.floor(0);
            ledger.committed(0, floor, 5);
            // The one that was never answered had come to pass.
            ledger.committed(0, floor, 9);
        });
        assert_eq!(found, [""; 0]);
        let found = after(|ledger| {
            ledger.tries(0, 5);
            ledger.acknowledged(0, 0, 5);
            ledger.committed(0, 5, 0);
            ledger.committed(1, 0, 3);
        });
        let expected = [
            "partition 0: 0 is committed, and 5 was before",
            "partition 1: 3 is committed, and nobody did it",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn acknowledged_commits_cover_a_record_once() {
        let found = after(|ledger| {
            ledger.acknowledged(0, 5, 9);
            ledger.acknowledged(0, 0, 5);
            ledger.acknowledged(0, 9, 10);
            ledger.acknowledged(1, 0, 5);
        });
        assert_eq!(found, [""; 0]);
        let found = after(|ledger| {
            ledger.acknowledged(0, 0, 5);
            ledger.acknowledged(0, 4, 6);
        });
        let expected = ["partition 0: 4..6 was committed, and 0..5 as well"];
        assert_eq!(found, expected);
    }

    #[test]
    fn in_the_end_everything_was_read_and_committed() {
        let found = after(|ledger| {
            ledger.read(0, 0, 2);
            ledger.read(0, 3, 5);
            ledger.acknowledged(0, 0, 5);
            ledger.close(0, 5);
            ledger.close(1, 1);
        });
        let expected = [
            "partition 0: nobody read 2",
            "partition 1: nobody read 0",
            "partition 1 ends at 1 and is committed to 0",
        ];
        assert_eq!(found, expected);
    }
}
