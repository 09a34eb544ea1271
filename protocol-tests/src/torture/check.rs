//! The judge: what was sent and acknowledged against what the partition holds. Pure, so that a
//! test can show it a log that lost, repeated, moved or made up a record.

use std::collections::BTreeMap;
use std::fmt;

use super::record::RecordId;

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
    /// Everything else, as sentences; at most [`MAX_SENTENCES`].
    pub other: Vec<String>,
}

const MAX_SENTENCES: usize = 20;

impl Findings {
    pub fn is_empty(&self) -> bool {
        *self == Findings::default()
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

/// Judges one partition. `log[offset]` is the record there, `None` if its bytes are not those of
/// any record sent; `sent` what each producer sent to this partition, in order; `seen[offset]`
/// what a consumer was given before the broker died.
pub fn check(
    partition: &str,
    log: &[Option<RecordId>],
    sent: &BTreeMap<u16, &[Sent]>,
    seen: &[Option<RecordId>],
) -> Findings {
    let mut findings = Findings::default();
    let found = order(partition, log, sent, &mut findings);
    for (&producer, batches) in sent {
        let offsets = found.get(&producer).map_or(&[][..], Vec::as_slice);
        for batch in *batches {
            let in_log: Vec<Option<i64>> = (batch.first..batch.first + batch.count)
                .map(|ordinal| offsets.get(ordinal as usize).copied().flatten())
                .collect();
            judge(partition, producer, batch, &in_log, &mut findings);
        }
    }
    let differs = |&offset: &usize| log.get(offset) != Some(&seen[offset]);
    if let Some(offset) = (0..seen.len()).find(differs) {
        findings.say(format!(
            "{partition}: a consumer was given {:?} at {offset} (and went on to {}), where {:?} is \
             now",
            seen[offset],
            seen.len(),
            log.get(offset)
        ));
    }
    findings
}

/// The first offset of each producer's records by ordinal; counts what is out of order.
fn order(
    partition: &str,
    log: &[Option<RecordId>],
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
    for (offset, record) in log.iter().enumerate() {
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
        *place = Some(offset as i64);
        let newest = newest.entry(id.producer).or_default();
        if id.ordinal < *newest {
            findings.reordered += 1;
        }
        *newest = id.ordinal.max(*newest);
    }
    found
}

fn judge(
    partition: &str,
    producer: u16,
    batch: &Sent,
    in_log: &[Option<i64>],
    findings: &mut Findings,
) {
    let first = batch.first;
    match batch.outcome {
        Outcome::Acknowledged(base_offset) => {
            findings.lost += in_log.iter().filter(|offset| offset.is_none()).count() as u64;
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
            let whole = match in_log.first().copied().flatten() {
                None => in_log.iter().all(Option::is_none),
                Some(base_offset) => (base_offset..).map(Some).zip(in_log).all(|(a, b)| a == *b),
            };
            if !whole {
                findings.say(format!(
                    "{partition}: of the unanswered batch {first} of producer {producer} only a \
                     part is in the log"
                ));
            }
        }
    }
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

    fn judged(ordinals: &[u32], sent: &[Sent]) -> Findings {
        check("t-0", &log(ordinals), &BTreeMap::from([(1, sent)]), &[])
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
        let findings = check("t-0", &log, &BTreeMap::from([(1, &sent[..])]), &[]);
        assert_eq!(findings.other.len(), 2, "{findings}");
    }

    #[test]
    fn what_a_consumer_saw_must_stay() {
        let sent = [batch(0, 1, UNKNOWN), batch(1, 1, UNKNOWN)];
        let sent = BTreeMap::from([(1, &sent[..])]);
        assert!(check("t-0", &log(&[0, 1]), &sent, &log(&[0])).is_empty());
        assert_eq!(
            check("t-0", &log(&[0]), &sent, &log(&[0, 1])).other.len(),
            1
        );
        assert_eq!(check("t-0", &log(&[1]), &sent, &log(&[0])).other.len(), 1);
    }
}
