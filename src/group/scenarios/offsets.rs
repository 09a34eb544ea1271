//! Committed offsets (R99, R100, R103, R108, R114, R115).

use expect_test::expect;

use super::play::SETTINGS;
use super::{Play, play};

#[test]
fn r99_what_is_committed_is_fetched_and_too_long_metadata_is_not_committed() {
    expect![[r#"
        0 - fetch topics=t-0                                    -> Dead fetch=[t-0@none]
        1 - commit at=t-0@5:note,t-1@-1,t-2@7:01234567890,u-0@8 -> Empty 0 +t-0@5 +t-1@-1 +u-0@8 commit=ok,ok,OffsetMetadataTooLarge,ok
        2 - fetch                                               -> Empty 0 fetch=[t-0@5:note,t-1@-1:,u-0@8:]
        3 - fetch topics=u-0,t-0,t-9                            -> Empty 0 fetch=[u-0@8:,t-0@5:note,t-9@none]
        4 - commit at=t-0@2                                     -> Empty 0 +t-0@2 commit=ok
        5 - fetch topics=t-0                                    -> Empty 0 fetch=[t-0@2:]
    "#]].assert_eq(&play(
        "
        0 - fetch topics=t-0
        1 - commit at=t-0@5:note,t-1@-1,t-2@7:01234567890,u-0@8
        2 - fetch
        3 - fetch topics=u-0,t-0,t-9
        4 - commit at=t-0@2
        5 - fetch topics=t-0",
    ));
}

#[test]
fn r114_commits_are_judged_by_member_and_generation() {
    expect![[r#"
        0 a commit id=a g=3 v=8 -> Dead commit=IllegalGeneration
        1 a commit id=a g=3 v=9 -> Dead commit=GroupIdNotFound
        2 a join v=3            -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        3 a commit              -> CompletingRebalance 1 commit=RebalanceInProgress
        4 a sync shares=a:x     -> Stable 1 +group(g1 of 1) a=share:x
        5 a commit              -> Stable 1 +t-0@1 commit=ok
        6 a commit g=7          -> Stable 1 commit=IllegalGeneration
        7 - commit              -> Stable 1 commit=UnknownMemberId
        8 a commit id=nobody    -> Stable 1 commit=UnknownMemberId
        9 b join v=3            -> PreparingRebalance 2
        10 a commit             -> PreparingRebalance 2 +t-0@1 commit=ok
        11 a join               -> CompletingRebalance 2 a=joined(a-1 g2 leads a-1+b-2) b=joined(b-2 g2)
        12 a commit             -> CompletingRebalance 2 commit=RebalanceInProgress
        13 a leave              -> PreparingRebalance 1 a=ok
        14 b leave              -> Empty 0 +group(g3 of 0) b=ok
        15 - commit at=t-0@9    -> Empty 0 +t-0@9 commit=ok
    "#]].assert_eq(&play(
        "
        0 a commit id=a g=3 v=8
        1 a commit id=a g=3 v=9
        2 a join v=3
        3 a commit
        4 a sync shares=a:x
        5 a commit
        6 a commit g=7
        7 - commit
        8 a commit id=nobody
        9 b join v=3
        10 a commit
        11 a join
        12 a commit
        13 a leave
        14 b leave
        15 - commit at=t-0@9",
    ));
}

#[test]
fn a_commit_larger_than_a_batch_is_refused_whole() {
    let mut play = Play::new(crate::group::Settings {
        max_batch_bytes: 150,
        ..SETTINGS
    });
    expect![[r#"
        0 - commit at=t-0@5             -> Empty 0 +t-0@5 commit=ok
        1 - commit at=t-0@6,t-1@6,t-2@6 -> Empty 0 commit=UnknownServerError
        2 - fetch                       -> Empty 0 fetch=[t-0@5:]
    "#]]
    .assert_eq(&play.play(
        "
        0 - commit at=t-0@5
        1 - commit at=t-0@6,t-1@6,t-2@6
        2 - fetch",
    ));
}

#[test]
fn r103_offsets_of_nobody_expire_after_their_commit_and_the_group_with_them() {
    let mut play = Play::new(crate::group::Settings {
        offsets_retention_check_interval_ms: 10_000,
        ..SETTINGS
    });
    expect![[r#"
        0      - commit at=t-0@5 -> Empty 0 +t-0@5 commit=ok
        5000   - commit at=t-1@5 -> Empty 0 +t-1@5 commit=ok
        99999  - expire          -> Empty 0
        100000 - expire          -> Empty 0
        110000 - expire          -> Dead -t-0 -t-1 -group
        110001 - fetch           -> Dead fetch=[]
    "#]]
    .assert_eq(&play.play(
        "
        0      - commit at=t-0@5
        5000   - commit at=t-1@5
        99999  - expire
        100000 - expire
        110000 - expire
        110001 - fetch",
    ));
}

#[test]
fn r103_offsets_of_an_empty_group_count_from_when_it_became_empty() {
    let mut play = Play::new(crate::group::Settings {
        offsets_retention_check_interval_ms: 10_000,
        ..SETTINGS
    });
    expect![[r#"
        0      a join v=3 protocols=range:t session=1800000 -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        1      a sync shares=a:x                            -> Stable 1 +group(g1 of 1) a=share:x
        2      a commit at=t-0@5,u-0@5                      -> Stable 1 +t-0@5 +u-0@5 commit=ok,ok
        99000  - expire                                     -> Stable 1
        110000 - expire                                     -> Stable 1 -u-0
        120000 a leave                                      -> Empty 0 +group(g2 of 0) a=ok
        219000 - expire                                     -> Empty 0
        230000 - expire                                     -> Dead -t-0 -group
    "#]].assert_eq(&play.play(
        "
        0      a join v=3 protocols=range:t session=1800000
        1      a sync shares=a:x
        2      a commit at=t-0@5,u-0@5
        99000  - expire
        110000 - expire
        120000 a leave
        219000 - expire
        230000 - expire",
    ));
}

#[test]
fn r99_a_retention_of_its_own_outweighs_the_brokers() {
    let mut play = Play::new(crate::group::Settings {
        offsets_retention_check_interval_ms: 10_000,
        ..SETTINGS
    });
    expect![[r#"
        0      - commit at=t-0@5 retention=1000   -> Empty 0 +t-0@5 commit=ok
        1      - commit at=t-1@5 retention=500000 -> Empty 0 +t-1@5 commit=ok
        10000  - expire                           -> Empty 0 -t-0
        10001  - fetch                            -> Empty 0 fetch=[t-1@5:]
        200000 - expire                           -> Empty 0
        500001 - expire                           -> Dead -t-1 -group
    "#]]
    .assert_eq(&play.play(
        "
        0      - commit at=t-0@5 retention=1000
        1      - commit at=t-1@5 retention=500000
        10000  - expire
        10001  - fetch
        200000 - expire
        500001 - expire",
    ));
}

#[test]
fn r115_offsets_of_subscribed_topics_are_not_deleted() {
    expect![[r#"
        0 - delete topics=t-0          -> Dead delete=GroupIdNotFound
        1 a join v=3 protocols=range:t -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        2 a sync shares=a:x            -> Stable 1 +group(g1 of 1) a=share:x
        3 a commit at=t-0@5,u-0@6      -> Stable 1 +t-0@5 +u-0@6 commit=ok,ok
        4 - delete topics=t-0,u-0,u-1  -> Stable 1 -u-0 delete=GroupSubscribedToTopic,ok,ok
        5 - fetch                      -> Stable 1 fetch=[t-0@5:]
        6 a join protocols=range:?     -> CompletingRebalance 1 a=joined(a-1 g2 leads a-1)
        7 - delete topics=t-0          -> CompletingRebalance 1 delete=GroupSubscribedToTopic
        8 a leave                      -> Empty 0 +group(g3 of 0) a=ok
        9 - delete topics=t-0          -> Empty 0 -t-0 delete=ok
        10 b join v=3 type=connect     -> CompletingRebalance 1 b=joined(b-3 g4 leads b-3)
        11 b sync shares=b:x           -> Stable 1 +group(g4 of 1) b=share:x
        12 - delete topics=t-0         -> Stable 1 delete=NonEmptyGroup
    "#]].assert_eq(&play(
        "
        0 - delete topics=t-0
        1 a join v=3 protocols=range:t
        2 a sync shares=a:x
        3 a commit at=t-0@5,u-0@6
        4 - delete topics=t-0,u-0,u-1
        5 - fetch
        6 a join protocols=range:?
        7 - delete topics=t-0
        8 a leave
        9 - delete topics=t-0
        10 b join v=3 type=connect
        11 b sync shares=b:x
        12 - delete topics=t-0",
    ));
}

#[test]
fn a_topic_that_is_deleted_takes_its_offsets_along() {
    expect![[r#"
        0 - commit at=t-0@5,t-1@6,u-0@7 -> Empty 0 +t-0@5 +t-1@6 +u-0@7 commit=ok,ok,ok
        1 - topic-deleted t=t           -> Empty 0 -t-0 -t-1 topic-deleted=ok
        2 - fetch                       -> Empty 0 fetch=[u-0@7:]
    "#]]
    .assert_eq(&play(
        "
        0 - commit at=t-0@5,t-1@6,u-0@7
        1 - topic-deleted t=t
        2 - fetch",
    ));
}
