//! A member of a group in a client program, and what it has seen so far.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use anyhow::{Result, ensure};

use super::NotApplicable;
use super::program::{Line, Place, Program};

pub struct Member<'p> {
    program: &'p Program,
    name: String,
    /// Records that scenarios have already looked at.
    taken: Cell<usize>,
}

impl<'p> Member<'p> {
    /// Has it join `group`; `options` are those of the contract.
    pub fn open(program: &'p Program, group: &str, options: &[(&str, &str)]) -> Result<Member<'p>> {
        let name = program.name("member");
        let options: Vec<String> = options.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let mut words = vec!["open", &name, group];
        words.extend(options.iter().map(String::as_str));
        program.tell(&words)?;
        Ok(Member {
            program,
            taken: Cell::new(0),
            name,
        })
    }

    /// Sends a command and waits for the word that answers it.
    fn call(&self, command: &str, arguments: &[&str], answer: &str) -> Result<()> {
        let answers = |lines: &[Line]| lines.iter().filter(|line| line.is(answer)).count();
        let before = self
            .program
            .wait(&self.name, command, |lines| Some(answers(lines)))?;
        self.program
            .tell(&[&[command, self.name.as_str()], arguments].concat())?;
        let answered = |lines: &[Line]| (answers(lines) > before).then_some(());
        self.program
            .wait(&self.name, &format!("{command} {arguments:?}"), answered)
    }

    /// Commits the position behind everything it was given; `how` is `sync` or `async`.
    pub fn commit(&self, how: &str) -> Result<()> {
        self.call("commit", &[how], "committed")
    }

    /// Commits before others take over what it has read. False for a client that commits by itself
    /// when it loses partitions, and does not do so when it is told to.
    pub fn settle(&self) -> Result<bool> {
        match self.commit("sync") {
            Ok(()) => Ok(true),
            Err(error) => error.downcast().map(|NotApplicable(_)| false),
        }
    }

    pub fn pause(&self, place: &Place) -> Result<()> {
        self.call("pause", &[&place.0, &place.1.to_string()], "paused")
    }

    pub fn resume(&self, place: &Place) -> Result<()> {
        self.call("resume", &[&place.0, &place.1.to_string()], "resumed")
    }

    pub fn seek(&self, place: &Place, offset: i64) -> Result<()> {
        self.call(
            "seek",
            &[&place.0, &place.1.to_string(), &offset.to_string()],
            "sought",
        )
    }

    /// Leaves the group as the client does when it is closed, without a commit.
    pub fn close(&self) -> Result<()> {
        self.call("close", &[], "closed")
    }

    /// How often it was told what it owns.
    pub fn assignments(&self) -> Result<usize> {
        let count = |lines: &[Line]| Some(lines.iter().filter(|line| line.is("assigned")).count());
        self.program
            .wait(&self.name, "a look at its assignments", count)
    }

    /// Every partition that was ever taken from it.
    pub fn revoked(&self) -> Result<BTreeSet<Place>> {
        let lines = self
            .program
            .wait(&self.name, "a look", |lines| Some(lines.to_vec()))?;
        let mut revoked = BTreeSet::new();
        for line in lines.iter().filter(|line| line.is("revoked")) {
            revoked.extend(line.places()?);
        }
        Ok(revoked)
    }

    /// Waits until it owns what `fits`, and returns that.
    pub fn owning(
        &self,
        what: &str,
        fits: impl Fn(&BTreeSet<Place>) -> bool,
    ) -> Result<BTreeSet<Place>> {
        self.program.wait(&self.name, what, |lines| {
            owned(lines).filter(|owned| fits(owned))
        })
    }

    /// Waits until it owns exactly these.
    pub fn owns(&self, wanted: &BTreeSet<Place>) -> Result<()> {
        let what = format!("it owns {wanted:?}");
        self.owning(&what, |owned| owned == wanted).map(|_| ())
    }

    /// Waits for the next records: exactly these offsets of these partitions, each partition in its
    /// order and with the values that [`super::cluster::value`] has there.
    pub fn reads(&self, wanted: &BTreeMap<Place, Range<i64>>) -> Result<()> {
        let count: usize = wanted.values().map(|range| range.clone().count()).sum();
        let from = self.taken.get();
        let what = format!("{count} records behind its first {from}: {wanted:?}");
        let read = self.program.wait(&self.name, &what, |lines| {
            let records: Vec<_> = lines.iter().filter_map(Line::record).skip(from).collect();
            let owned =
                |(place, offset, value): (Place, i64, &str)| (place, offset, value.to_owned());
            (records.len() >= count).then(|| records.into_iter().map(owned).collect::<Vec<_>>())
        })?;
        self.taken.set(from + read.len());
        let mut got: BTreeMap<Place, Vec<i64>> = BTreeMap::new();
        for (place, offset, value) in read {
            let sent = super::cluster::value(place.1, offset);
            ensure!(
                value == sent,
                "{place:?} at {offset}: {value}, sent was {sent}"
            );
            got.entry(place).or_default().push(offset);
        }
        let full = wanted.iter().filter(|(_, range)| !range.is_empty());
        let wanted: BTreeMap<Place, Vec<i64>> = full
            .map(|(place, range)| (place.clone(), range.clone().collect()))
            .collect();
        ensure!(
            got == wanted,
            "{} read {got:?}, wanted {wanted:?}",
            self.name
        );
        Ok(())
    }

    /// Waits for these among others, which a member that does not know yet that it was expelled may read.
    pub fn reads_at_last(&self, wanted: &BTreeMap<Place, Range<i64>>) -> Result<()> {
        let offsets = |(place, range): (&Place, &Range<i64>)| {
            range
                .clone()
                .map(|offset| (place.clone(), offset))
                .collect::<Vec<_>>()
        };
        let wanted: BTreeSet<(Place, i64)> = wanted.iter().flat_map(offsets).collect();
        let taken = self
            .program
            .wait(&self.name, &format!("{wanted:?}"), |lines| {
                let records = lines.iter().filter_map(Line::record);
                let read: Vec<_> = records.map(|(place, offset, _)| (place, offset)).collect();
                let all = wanted.iter().all(|record| read.contains(record));
                all.then_some(read.len())
            })?;
        self.taken.set(taken);
        Ok(())
    }

    /// Waits until it was told what it owns more often than `before`.
    pub fn is_assigned_again(&self, before: usize) -> Result<()> {
        self.program
            .wait(&self.name, "another assignment", |lines| {
                let assignments = lines.iter().filter(|line| line.is("assigned")).count();
                (assignments > before).then_some(())
            })
    }

    /// Waits for at least one record more and returns the offsets of all that have come.
    pub fn reads_some(&self) -> Result<Vec<i64>> {
        let from = self.taken.get();
        let read = self.program.wait(&self.name, "a record", |lines| {
            let records = lines.iter().filter_map(Line::record).skip(from);
            let offsets: Vec<i64> = records.map(|(_, offset, _)| offset).collect();
            (!offsets.is_empty()).then_some(offsets)
        })?;
        self.taken.set(from + read.len());
        Ok(read)
    }

    /// Whether a record has come that no scenario has looked at.
    pub fn has_more(&self) -> Result<bool> {
        let from = self.taken.get();
        self.program
            .wait(&self.name, "a look at its records", |lines| {
                Some(lines.iter().filter(|line| line.is("record")).count() > from)
            })
    }
}

/// What a member owns by its lines; None before its first assignment.
fn owned(lines: &[Line]) -> Option<BTreeSet<Place>> {
    let mut owned = None;
    for line in lines {
        let places = || line.places().unwrap_or_default();
        if line.is("assigned") {
            owned = Some(places());
        } else if line.is("revoked")
            && let Some(owned) = &mut owned
        {
            let gone = places();
            owned.retain(|place| !gone.contains(place));
        }
    }
    owned
}

/// Waits until `members` own all of `wanted`, each a share that is its alone, and returns the shares.
pub fn share(members: &[&Member], wanted: &BTreeSet<Place>) -> Result<Vec<BTreeSet<Place>>> {
    let most = wanted.len().div_ceil(members.len());
    let least = wanted.len() / members.len();
    let fair = |owned: &BTreeSet<Place>| (least..=most).contains(&owned.len());
    let mut shares = Vec::new();
    for member in members {
        let what = format!("it owns a fair share of {wanted:?}");
        shares.push(member.owning(&what, fair)?);
    }
    let all: BTreeSet<Place> = shares.iter().flatten().cloned().collect();
    let sum: usize = shares.iter().map(BTreeSet::len).sum();
    ensure!(
        &all == wanted && sum == wanted.len(),
        "the shares are {shares:?}, of {wanted:?}"
    );
    Ok(shares)
}

/// The same range of offsets in every one of these partitions.
pub fn each(places: &BTreeSet<Place>, range: Range<i64>) -> BTreeMap<Place, Range<i64>> {
    places
        .iter()
        .map(|place| (place.clone(), range.clone()))
        .collect()
}
