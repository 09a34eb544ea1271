//! The judge: what was sent and acknowledged against what the partition holds. Pure, so that a
//! test can show it a log that lost, repeated, moved or made up a record.

use std::collections::BTreeMap;
use std::fmt;

use super::record::{RecordId, SKIPPED};

/// What became of one batch that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No answer, or one that does not say: the batch is in the log once or not at all.
    Unknown,
    /// In the log at this base offset, for ever.
    Acknowledged(i64),
}

/// One batch: `count` records from `first` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub first: u32,
    pub count: u32,
    pub outcome: Outcome,
}

/// Everything wrong with one or more partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Acknowledged records that are nowhere in the log.
    pub lost: u64,
    /// Records that are in the log more than once.
    pub duplicated: u64,
    /// Records behind a later one of the same producer.
    pub reordered: u64,
    /// Acknowledged records that a power loss took from the end of a log that promised no more.
    pub forgiven: u64,
    /// Everything else, as sentences; at most [`MAX_SENTENCES`].
    pub other: Vec<String>,
}

const MAX_SENTENCES: usize = 20;

impl Findings {
    pub fn is_empty(&self) -> bool {
        let bad = self.lost + self.duplicated + self.reordered;
        bad == 0 && self.other.is_empty()
    }

    pub fn say(&mut self, sentence: impl Into<String>) {
        if self.other.len() < MAX_SENTENCES {
            self.other.push(sentence.into());
        }
    }

    pub fn add(&mut self, more: Findings) {
        self.lost += more.lost;
        self.duplicated += more.duplicated;
        self.reordered += more.reordered;
        self.forgiven += more.forgiven;
        more.other
            .into_iter()
            .for_each(|sentence| self.say(sentence));
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Findings {
            lost,
            duplicated,
            reordered,
            other,
            ..
        } = self;
        write!(
            f,
            "{lost} lost, {duplicated} duplicated, {reordered} reordered"
        )?;
        other
            .iter()
            .try_for_each(|sentence| write!(f, "\n  {sentence}"))
    }
}

/// What a partition holds, and how much of it may be missing.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Records below have been deleted on request or by retention.
    pub start: i64,
    /// `log[i]` is the record at `start + i`, `None` if its bytes are not those of any record
    /// sent.
    pub log: &'a [Option<RecordId>],
    /// The power was lost and nothing had asked for a sync: the end of the log may be gone.
    pub may_be_cut: bool,
}

impl View<'_> {
    fn end(&self) -> i64 {
        self.start + self.log.len() as i64
    }

    fn get(&self, offset: i64) -> Option<&Option<RecordId>> {
        self.log.get(usize::try_from(offset - self.start).ok()?)
    }
}

/// Judges one partition: `sent` is what each producer sent to it, in order; `seen[offset]` what a
/// consumer was given before the broker died.
pub fn check(
    partition: &str,
    view: &View,
    sent: &BTreeMap<u16, &[Sent]>,
    seen: &[Option<RecordId>],
) -> Findings {
    let mut findings = Findings::default();
    let found = order(partition, view, sent, &mut findings);
    for (&producer, batches) in sent {
        let offsets = found.get(&producer).map_or(&[][..], Vec::as_slice);
        for batch in *batches {
            let in_log: Vec<Option<i64>> = (batch.first..batch.first + batch.count)
                .map(|ordinal| offsets.get(ordinal as usize).copied().flatten())
                .collect();
            judge((partition, producer), view, batch, &in_log, &mut findings);
        }
    }
    let last = match view.may_be_cut {
        true => view.end().min(seen.len() as i64),
        false => seen.len() as i64,
    };
    let differs = |&offset: &i64| {
        let given = seen[offset as usize];
        given != SKIPPED && view.get(offset) != Some(&given)
    };
    if let Some(offset) = (view.start..last).find(differs) {
        findings.say(format!(
            "{partition}: a consumer was given {:?} at {offset} (and went on to {}), where {:?} is \
             now",
            seen[offset as usize],
            seen.len(),
            view.get(offset)
        ));
    }
    findings
}

/// The first offset of each producer's records by ordinal; counts what is out of order.
fn order(
    partition: &str,
    view: &View,
    sent: &BTreeMap<u16, &[Sent]>,
    findings: &mut Findings,
) -> BTreeMap<u16, Vec<Option<i64>>> {
    let mut found: BTreeMap<u16, Vec<Option<i64>>> = sent
        .iter()
        .map(|(&producer, batches)| {
            let end = batches.last().map_or(0, |last| last.first + last.count);
            (producer, vec![None; end as usize])
        })
        .collect();
    let mut newest: BTreeMap<u16, u32> = BTreeMap::new();
    for (offset, record) in (view.start..).zip(view.log) {
        let Some(id) = record else {
            findings.say(format!(
                "{partition}: what is at {offset} was never sent so"
            ));
            continue;
        };
        let place = found
            .get_mut(&id.producer)
            .and_then(|offsets| offsets.get_mut(id.ordinal as usize));
        let Some(place) = place else {
            findings.say(format!(
                "{partition}: {id:?} at {offset} was never sent here"
            ));
            continue;
        };
        if place.is_some() {
            findings.duplicated += 1;
            continue;
        }
        *place = Some(offset);
        let newest = newest.entry(id.producer).or_default();
        if id.ordinal < *newest {
            findings.reordered += 1;
        }
        *newest = id.ordinal.max(*newest);
    }
    found
}

fn judge(
    (partition, producer): (&str, u16),
    view: &View,
    batch: &Sent,
    in_log: &[Option<i64>],
    findings: &mut Findings,
) {
    let first = batch.first;
    match batch.outcome {
        Outcome::Acknowledged(base_offset) => {
            for (expected, offset) in (base_offset..).zip(in_log) {
                match offset {
                    None if expected < view.start => {}
                    None if view.may_be_cut && expected >= view.end() => findings.forgiven += 1,
                    None => findings.lost += 1,
                    Some(_) => {}
                }
            }
            let moved = (base_offset..)
                .zip(in_log)
                .find_map(|(expected, offset)| offset.filter(|&offset| offset != expected));
            if let Some(offset) = moved {
                findings.say(format!(
                    "{partition}: the batch {first} of producer {producer} was acknowledged at \
                     {base_offset} and has a record at {offset}"
                ));
            }
        }
        Outcome::Unknown => {
            if !is_whole(view.start, in_log) {
                findings.say(format!(
                    "{partition}: of the unanswered batch {first} of producer {producer} only a \
                     part is in the log"
                ));
            }
        }
    }
}

/// Whether all records of a batch are where one that is there says they are, but for those that
/// would be below the log start.
fn is_whole(start: i64, in_log: &[Option<i64>]) -> bool {
    let Some((index, offset)) = (0..).zip(in_log).find_map(|(i, o)| Some((i, (*o)?))) else {
        return true;
    };
    let base_offset = offset - index;
    (base_offset..)
        .zip(in_log)
        .all(|(expected, offset)| match offset {
            Some(offset) => *offset == expected,
            None => expected < start,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNKNOWN: Outcome = Outcome::Unknown;

    fn batch(first: u32, count: u32, outcome: Outcome) -> Sent {
        Sent {
            first,
            count,
            outcome,
        }
    }

    fn acked(first: u32, count: u32, base_offset: i64) -> Sent {
        batch(first, count, Outcome::Acknowledged(base_offset))
    }

    /// A log of producer 1's records by ordinal.
    fn log(ordinals: &[u32]) -> Vec<Option<RecordId>> {
        let id = |&ordinal| {
            Some(RecordId {
                producer: 1,
                ordinal,
            })
        };
        ordinals.iter().map(id).collect()
    }

    fn whole(log: &[Option<RecordId>]) -> View<'_> {
        View {
            start: 0,
            log,
            may_be_cut: false,
        }
    }

    fn judged(ordinals: &[u32], sent: &[Sent]) -> Findings {
        let log = log(ordinals);
        check("t-0", &whole(&log), &BTreeMap::from([(1, sent)]), &[])
    }

    /// The log begins at `start` and may have lost its end.
    fn judged_from(start: i64, ordinals: &[u32], sent: &[Sent]) -> Findings {
        let view = View {
            start,
            may_be_cut: true,
            log: &log(ordinals),
        };
        check("t-0", &view, &BTreeMap::from([(1, sent)]), &[])
    }

    #[test]
    fn what_lies_below_the_log_start_is_not_missed_and_the_rest_is() {
        let sent = [acked(0, 2, 0), acked(2, 2, 2), batch(4, 3, UNKNOWN)];
        assert!(judged_from(3, &[3, 4, 5, 6], &sent).is_empty());
        assert!(judged_from(6, &[6], &sent).is_empty());
        assert_eq!(judged_from(3, &[3, 5, 6], &sent).other.len(), 1, "moved");
        assert_eq!(judged_from(1, &[2, 3], &sent).lost, 1);
    }

    #[test]
    fn a_power_loss_may_take_the_end_and_nothing_before_it() {
        let sent = [acked(0, 2, 0), acked(2, 2, 2)];
        let findings = judged_from(0, &[0, 1], &sent);
        assert!(findings.is_empty());
        assert_eq!(findings.forgiven, 2);
        assert_eq!(judged_from(0, &[0, 2, 3], &sent).lost, 1);
    }

    #[test]
    fn what_was_acknowledged_and_is_there_is_right() {
        assert!(judged(&[0, 1, 2], &[acked(0, 2, 0), acked(2, 1, 2)]).is_empty());
        assert!(judged(&[], &[]).is_empty());
    }

    #[test]
    fn an_unanswered_batch_may_be_there_or_not_but_not_in_part() {
        assert!(judged(&[0, 1, 2], &[acked(0, 1, 0), batch(1, 2, UNKNOWN)]).is_empty());
        assert!(judged(&[0], &[acked(0, 1, 0), batch(1, 2, UNKNOWN)]).is_empty());
        assert_eq!(
            judged(&[0, 1], &[acked(0, 1, 0), batch(1, 2, UNKNOWN)])
                .other
                .len(),
            1
        );
        assert_eq!(
            judged(&[0, 2], &[acked(0, 1, 0), batch(1, 2, UNKNOWN)])
                .other
                .len(),
            1
        );
    }

    #[test]
    fn a_missing_acknowledged_record_is_lost() {
        let findings = judged(&[0, 1], &[acked(0, 2, 0), acked(2, 2, 2)]);
        assert_eq!(findings.to_string(), "2 lost, 0 duplicated, 0 reordered");
    }

    #[test]
    fn a_repeated_record_is_duplicated_and_a_late_one_reordered() {
        let sent = [acked(0, 1, 0), acked(1, 1, 1), batch(2, 1, UNKNOWN)];
        let twice = judged(&[0, 1, 2, 1], &sent);
        assert_eq!((twice.lost, twice.duplicated, twice.reordered), (0, 1, 0));
        let late = judged(
            &[0, 2, 1],
            &[batch(0, 1, UNKNOWN), batch(1, 1, UNKNOWN), sent[2]],
        );
        assert_eq!((late.lost, late.duplicated, late.reordered), (0, 0, 1));
    }

    #[test]
    fn a_record_at_another_offset_than_acknowledged_is_told() {
        let findings = judged(&[0, 1], &[acked(0, 1, 1), batch(1, 1, UNKNOWN)]);
        assert_eq!(findings.other.len(), 1, "{findings}");
    }

    #[test]
    fn bytes_nobody_sent_are_told() {
        let mut log = log(&[0, 1, 7]);
        log[1] = None;
        let sent = [acked(0, 1, 0), batch(1, 1, UNKNOWN)];
        let findings = check("t-0", &whole(&log), &BTreeMap::from([(1, &sent[..])]), &[]);
        assert_eq!(findings.other.len(), 2, "{findings}");
    }

    #[test]
    fn what_a_consumer_saw_must_stay() {
        let sent = [batch(0, 1, UNKNOWN), batch(1, 1, UNKNOWN)];
        let sent = BTreeMap::from([(1, &sent[..])]);
        let seen = |now: &[u32], before: &[u32]| {
            let findings = check("t-0", &whole(&log(now)), &sent, &log(before));
            findings.other.len()
        };
        assert_eq!(seen(&[0, 1], &[0]), 0);
        assert_eq!(seen(&[0], &[0, 1]), 1);
        assert_eq!(seen(&[1], &[0]), 1);
        let skipped = check("t-0", &whole(&log(&[0, 1])), &sent, &[SKIPPED]);
        assert!(skipped.is_empty(), "{skipped}");
    }
}
