//! Scenarios of fetch sessions.

use super::*;

fn key(partition: i32) -> PartitionKey {
    PartitionKey {
        topic: TopicKey::Name("t".into()),
        partition,
    }
}

fn at(offset: Offset) -> Position {
    Position {
        offset,
        max_bytes: 1000,
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
    }
}

fn ask(id: i32, epoch: i32) -> SessionRequest {
    SessionRequest {
        id,
        epoch,
        by_topic_id: false,
        from_follower: false,
    }
}

fn seen(high_watermark: Offset, has_records: bool) -> Seen {
    Seen {
        high_watermark,
        log_start_offset: 0,
        has_records,
        is_notable: false,
    }
}

fn partitions(begun: &Begun) -> Vec<i32> {
    begun.wanted.iter().map(|(key, _)| key.partition).collect()
}

/// A cache with a session over partitions 0, 1 and 2, all at high watermark 5 and read to it.
fn opened() -> (SessionCache, i32) {
    let mut cache = SessionCache::new(10, 1);
    let asked = (0..3).map(|p| (key(p), at(5))).collect();
    let begun = cache.begin(ask(0, 0), asked, &[], 0).expect("full");
    let finished = cache.finish(&begun, &[seen(5, false); 3], 0);
    assert_eq!(finished.mentions, [true; 3]);
    assert!(finished.session_id > 0);
    (cache, finished.session_id)
}

#[test]
fn r87_incremental_answers_mention_only_what_changed() {
    let (mut cache, id) = opened();
    let begun = cache.begin(ask(id, 1), Vec::new(), &[], 0).expect("known");
    assert_eq!(partitions(&begun), [0, 1, 2]);
    let finished = cache.finish(&begun, &[seen(5, false), seen(7, true), seen(5, false)], 0);
    assert_eq!(
        finished,
        Finished {
            session_id: id,
            mentions: vec![false, true, false]
        }
    );
}

#[test]
fn r77_partitions_that_returned_data_move_to_the_end() {
    let (mut cache, id) = opened();
    let begun = cache.begin(ask(id, 1), Vec::new(), &[], 0).expect("known");
    cache.finish(&begun, &[seen(7, true), seen(5, false), seen(5, false)], 0);
    let begun = cache
        .begin(ask(id, 2), vec![(key(0), at(7))], &[], 0)
        .expect("known");
    assert_eq!(partitions(&begun), [1, 2, 0]);
    assert_eq!(begun.wanted[2].1, at(7));
}

#[test]
fn r87_an_unmoved_position_with_data_is_sent_again_and_an_error_is_repeated() {
    let (mut cache, id) = opened();
    let error = Seen {
        high_watermark: -1,
        log_start_offset: -1,
        is_notable: true,
        has_records: false,
    };
    for epoch in 1..4 {
        let begun = cache
            .begin(ask(id, epoch), Vec::new(), &[], 0)
            .expect("known");
        let at = begun.wanted.iter().map(|(key, _)| match key.partition {
            0 => seen(7, true),
            1 => error,
            _ => seen(5, false),
        });
        let all: Vec<Seen> = at.collect();
        let finished = cache.finish(&begun, &all, 0);
        let mentioned: Vec<i32> = partitions(&begun)
            .into_iter()
            .zip(finished.mentions)
            .filter_map(|(partition, mentioned)| mentioned.then_some(partition))
            .collect();
        assert!(mentioned.contains(&0) && mentioned.contains(&1) && !mentioned.contains(&2));
    }
}

#[test]
fn r87_wrong_ids_and_epochs_have_their_own_errors() {
    let (mut cache, id) = opened();
    let mut begin = |request| {
        cache
            .begin(request, Vec::new(), &[], 0)
            .map(|begun| begun.wanted.len())
    };
    assert_eq!(begin(ask(0, 1)), Err(ResponseError::FetchSessionIdNotFound));
    assert_eq!(
        begin(ask(id ^ 1, 1)),
        Err(ResponseError::FetchSessionIdNotFound)
    );
    assert_eq!(
        begin(ask(id, 2)),
        Err(ResponseError::InvalidFetchSessionEpoch)
    );
    let by_id = SessionRequest {
        by_topic_id: true,
        ..ask(id, 1)
    };
    assert_eq!(begin(by_id), Err(ResponseError::FetchSessionTopicIdError));
    assert_eq!(begin(ask(id, 1)), Ok(3), "r88: the session lives on");
    assert_eq!(
        begin(ask(id, 1)),
        Err(ResponseError::InvalidFetchSessionEpoch)
    );
    assert_eq!(
        begin(ask(id, 2)),
        Ok(3),
        "r88: then the next right epoch works"
    );
}

#[test]
fn r87_epoch_minus_one_closes_and_answers_in_full_without_a_session() {
    let (mut cache, id) = opened();
    let begun = cache
        .begin(ask(id, -1), vec![(key(1), at(5))], &[], 0)
        .expect("closing");
    let finished = cache.finish(&begun, &[seen(5, false)], 0);
    assert_eq!(
        finished,
        Finished {
            session_id: NO_SESSION,
            mentions: vec![true]
        }
    );
    let gone = cache.begin(ask(id, 1), Vec::new(), &[], 0);
    assert_eq!(gone, Err(ResponseError::FetchSessionIdNotFound));
}

#[test]
fn r87_epoch_zero_with_any_id_opens_a_new_session() {
    let (mut cache, old) = opened();
    let begun = cache
        .begin(ask(old, 0), vec![(key(9), at(0))], &[], 0)
        .expect("full");
    let new = cache.finish(&begun, &[seen(5, false)], 0).session_id;
    assert!(new > 0 && new != old);
    assert!(
        cache.begin(ask(old, 1), Vec::new(), &[], 0).is_err(),
        "the old one is replaced"
    );
}

#[test]
fn forgotten_partitions_leave_and_an_empty_session_ends() {
    let (mut cache, id) = opened();
    let begun = cache
        .begin(ask(id, 1), Vec::new(), &[key(0), key(2)], 0)
        .expect("known");
    assert_eq!(partitions(&begun), [1]);
    let begun = cache
        .begin(ask(id, 2), Vec::new(), &[key(1)], 0)
        .expect("known");
    assert!(begun.wanted.is_empty());
    assert_eq!(cache.finish(&begun, &[], 0).session_id, NO_SESSION);
    assert_eq!(cache.cached_bytes, 0);
}

#[test]
fn r91_the_last_position_of_a_repeated_partition_wins() {
    let mut cache = SessionCache::new(10, 1);
    let asked = vec![(key(0), at(1)), (key(1), at(2)), (key(0), at(3))];
    let begun = cache.begin(ask(0, -1), asked, &[], 0).expect("sessionless");
    assert_eq!(begun.wanted, [(key(0), at(3)), (key(1), at(2))]);
}

/// Opens a session over so many partitions; its id.
fn open(cache: &mut SessionCache, partitions: i32, from_follower: bool, now: Millis) -> i32 {
    let request = SessionRequest {
        from_follower,
        ..ask(0, 0)
    };
    let asked: Vec<_> = (0..partitions).map(|p| (key(p), at(0))).collect();
    let count = asked.len();
    let begun = cache.begin(request, asked, &[], now).expect("full");
    cache
        .finish(&begun, &vec![seen(0, false); count], now)
        .session_id
}

#[test]
fn r87_without_a_free_slot_the_answer_is_full_and_has_no_session() {
    let mut cache = SessionCache::new(8, 1);
    for _ in 0..8 {
        assert_ne!(open(&mut cache, 2, false, 0), NO_SESSION);
    }
    assert_eq!(
        open(&mut cache, 9, false, 1),
        NO_SESSION,
        "a young session is not evicted"
    );
    assert_ne!(
        open(&mut cache, 1, true, 2),
        NO_SESSION,
        "but a follower evicts a client"
    );
    assert_ne!(
        open(&mut cache, 1, false, 2 + EVICTION_MS),
        NO_SESSION,
        "unused for long enough"
    );
}

#[test]
fn r87_slots_below_the_number_of_shards_are_none() {
    for (slots, sessions) in [(0, 0), (1, 0), (7, 0), (8, 8), (1000, 1000)] {
        let mut cache = SessionCache::new(slots, 1);
        let opened = (0..1001)
            .filter(|_| open(&mut cache, 1, false, 0) != NO_SESSION)
            .count();
        assert_eq!(opened, sessions, "{slots} slots");
    }
}

#[test]
fn an_aged_session_in_use_gives_way_to_a_larger_one_only() {
    let mut cache = SessionCache::new(8, 1);
    let ids: Vec<i32> = (0..8).map(|_| open(&mut cache, 2, false, 0)).collect();
    for &id in &ids {
        cache
            .begin(ask(id, 1), Vec::new(), &[], EVICTION_MS)
            .expect("known");
    }
    let now = EVICTION_MS + 1;
    assert_eq!(
        open(&mut cache, 2, false, now),
        NO_SESSION,
        "equals do not evict each other"
    );
    assert_ne!(open(&mut cache, 3, false, now), NO_SESSION);
}

#[test]
fn a_session_that_outgrows_the_cache_ends_and_is_answered_in_full() {
    let (mut cache, id) = opened();
    let too_many = MAX_CACHED_BYTES / PARTITION_BYTES + 1;
    let asked = (0..too_many as i32).map(|p| (key(p), at(5))).collect();
    let begun = cache.begin(ask(id, 1), asked, &[], 0).expect("known");
    assert_eq!(begun.wanted.len(), too_many);
    let seen = vec![seen(5, false); begun.wanted.len()];
    let finished = cache.finish(&begun, &seen, 0);
    assert_eq!(finished.session_id, NO_SESSION);
    assert!(finished.mentions.iter().all(|&mentioned| mentioned));
    assert_eq!(cache.cached_bytes, 0);
}

/// Opens a session over one partition of a topic with a name of `length` bytes.
fn open_named(cache: &mut SessionCache, length: usize, now: Millis) -> i32 {
    let key = PartitionKey {
        topic: TopicKey::Name("x".repeat(length).into()),
        partition: 0,
    };
    let begun = cache.begin(ask(0, 0), vec![(key, at(5))], &[], now);
    let begun = begun.expect("full");
    cache.finish(&begun, &[seen(5, false)], now).session_id
}

#[test]
fn long_names_fill_the_cache_before_its_slots_and_the_unused_are_evicted_for_new_ones() {
    let mut cache = SessionCache::new(1_000, 1);
    let length = 1 << 20;
    let opened: Vec<i32> = (0..40).map(|_| open_named(&mut cache, length, 0)).collect();
    let sessions = opened.iter().filter(|id| **id != NO_SESSION).count();
    assert_eq!(sessions, 31, "the names alone are 32 MiB for 32");
    assert!(cache.cached_bytes <= MAX_CACHED_BYTES);
    // Later those that nobody used give way.
    assert_ne!(open_named(&mut cache, length, EVICTION_MS + 1), NO_SESSION);
    assert_eq!(
        open_named(&mut cache, MAX_CACHED_BYTES, EVICTION_MS + 1),
        NO_SESSION
    );
    assert!(cache.cached_bytes <= MAX_CACHED_BYTES);
}
