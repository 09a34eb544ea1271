//! What a replay of the log brings back (R117, replication.md G1).

use expect_test::expect;

use super::play::SETTINGS;
use super::{Play, play};

#[test]
fn r117_a_stable_group_comes_back_without_a_rebalance_and_its_sessions_run_in_full() {
    expect![[r#"
        0     a join v=3            -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        1     b join v=3 static=i   -> PreparingRebalance 2
        2     a join                -> CompletingRebalance 2 a=joined(a-1 g2 leads a-1+i-2) b=joined(i-2 g2)
        3     a sync shares=a:x,b:y -> Stable 2 +group(g2 of 2) a=share:x
        4     b sync                -> Stable 2 b=share:y
        5     a commit at=t-0@5     -> Stable 2 +t-0@5 commit=ok
        9000  - restart             -> Stable 2
        9001  a heartbeat           -> Stable 2 a=ok
        9002  a sync                -> Stable 2 a=share:x
        9003  b heartbeat           -> Stable 2 b=ok
        9004  - fetch               -> Stable 2 fetch=[t-0@5:]
        9005  - describe            -> Stable 2 -=consumer[range][a-1:/x i-2:/y]
        18999 - expire              -> Stable 2
        19003 - expire              -> Empty 0 +group(g3 of 0)
    "#]].assert_eq(&play(
        "
        0     a join v=3
        1     b join v=3 static=i
        2     a join
        3     a sync shares=a:x,b:y
        4     b sync
        5     a commit at=t-0@5
        9000  - restart
        9001  a heartbeat
        9002  a sync
        9003  b heartbeat
        9004  - fetch
        9005  - describe
        18999 - expire
        19003 - expire",
    ));
}

#[test]
fn a_restart_in_the_middle_of_a_rebalance_brings_the_last_stored_generation_back() {
    expect![[r#"
        0 a join v=3        -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        1 a sync shares=a:x -> Stable 1 +group(g1 of 1) a=share:x
        2 b join v=3        -> PreparingRebalance 2
        3 a join            -> CompletingRebalance 2 a=joined(a-1 g2 leads a-1+b-2) b=joined(b-2 g2)
        4 - restart         -> Stable 1
        5 a heartbeat       -> Stable 1 a=IllegalGeneration
        6 b heartbeat       -> Stable 1 b=UnknownMemberId
        7 a join            -> CompletingRebalance 1 a=joined(a-1 g2 leads a-1)
        8 - describe        -> CompletingRebalance 1 -=consumer[][a-1:/x]
    "#]]
    .assert_eq(&play(
        "
        0 a join v=3
        1 a sync shares=a:x
        2 b join v=3
        3 a join
        4 - restart
        5 a heartbeat
        6 b heartbeat
        7 a join
        8 - describe",
    ));
}

#[test]
fn a_static_member_that_came_back_is_the_one_that_is_stored() {
    expect![[r#"
        0 a join static=i    -> CompletingRebalance 1 +group(g0 of 0) a=joined(i-1 g1 leads i-1)
        1 a sync shares=a:x  -> Stable 1 +group(g1 of 1) a=share:x
        2 a join id=         -> Stable 1 +group(g1 of 1) a=joined(i-2 g1 leads i-2 skips)
        3 - restart          -> Stable 1
        4 a heartbeat        -> Stable 1 a=ok
        5 a heartbeat id=i-1 -> Stable 1 a=FencedInstanceId
        6 a sync             -> Stable 1 a=share:x
    "#]]
    .assert_eq(&play(
        "
        0 a join static=i
        1 a sync shares=a:x
        2 a join id=
        3 - restart
        4 a heartbeat
        5 a heartbeat id=i-1
        6 a sync",
    ));
}

#[test]
fn deleted_groups_and_offsets_stay_deleted() {
    expect![[r#"
        0 - commit at=t-0@5,t-1@6 -> Empty 0 +t-0@5 +t-1@6 commit=ok,ok
        1 - topic-deleted t=u     -> Empty 0 topic-deleted=ok
        2 - delete topics=t-0     -> Empty 0 -t-0 delete=ok
        3 - restart               -> Empty 0
        4 - fetch                 -> Empty 0 fetch=[t-1@6:]
        5 - forget                -> Dead -t-1 -group forget=ok
        6 - restart               -> Dead
        7 - fetch                 -> Dead fetch=[]
        8 - commit at=t-0@7       -> Empty 0 +t-0@7 commit=ok
        9 - restart               -> Empty 0
        10 - fetch                -> Empty 0 fetch=[t-0@7:]
    "#]]
    .assert_eq(&play(
        "
        0 - commit at=t-0@5,t-1@6
        1 - topic-deleted t=u
        2 - delete topics=t-0
        3 - restart
        4 - fetch
        5 - forget
        6 - restart
        7 - fetch
        8 - commit at=t-0@7
        9 - restart
        10 - fetch",
    ));
}

#[test]
fn a_group_that_has_become_too_large_shrinks_by_a_rebalance() {
    let mut story = Play::new(SETTINGS);
    story.play(
        "
        0 a join v=3
        1 b join v=3
        2 a join
        3 a sync shares=a:x,b:y
        4 b sync",
    );
    story.set_max_size(1);
    expect![[r#"
        5 - restart   -> PreparingRebalance 2
        6 a heartbeat -> PreparingRebalance 2 a=RebalanceInProgress
        7 a join      -> PreparingRebalance 2
        8 b join      -> CompletingRebalance 1 b=GroupMaxSizeReached() a=joined(a-1 g3 leads a-1)
    "#]]
    .assert_eq(&story.play(
        "
        5 - restart
        6 a heartbeat
        7 a join
        8 b join",
    ));
}
