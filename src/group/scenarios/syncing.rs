//! SyncGroup and Heartbeat (R110, R111).

use expect_test::expect;

use super::play::SETTINGS;
use super::{Play, play};

#[test]
fn r110_everybody_gets_what_the_leader_gave_and_who_was_forgotten_nothing() {
    expect![[r#"
        0 a join v=3        -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        1 b join v=3        -> PreparingRebalance 2
        2 a join            -> CompletingRebalance 2 a=joined(a-1 g2 leads a-1+b-2) b=joined(b-2 g2)
        3 b sync            -> CompletingRebalance 2
        4 a sync shares=a:x -> Stable 2 +group(g2 of 2) a=share:x b=share:
        5 b sync            -> Stable 2 b=share:
        6 a sync            -> Stable 2 a=share:x
        7 - describe        -> Stable 2 -=consumer[range][a-1:/x b-2:/]
    "#]]
    .assert_eq(&play(
        "
        0 a join v=3
        1 b join v=3
        2 a join
        3 b sync
        4 a sync shares=a:x
        5 b sync
        6 a sync
        7 - describe",
    ));
}

#[test]
fn r110_wrong_generations_members_and_protocols_have_their_codes() {
    expect![[r#"
        0 a sync                                         -> Dead a=UnknownMemberId
        1 a join v=3                                     -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        2 a sync g=7                                     -> CompletingRebalance 1 a=IllegalGeneration
        3 b sync id=nobody                               -> CompletingRebalance 1 b=UnknownMemberId
        4 a sync type=connect                            -> CompletingRebalance 1 a=InconsistentGroupProtocol
        5 a sync type=consumer protocol=sticky           -> CompletingRebalance 1 a=InconsistentGroupProtocol
        6 a sync type=consumer protocol=range shares=a:x -> Stable 1 +group(g1 of 1) a=share:x
        7 b join v=3                                     -> PreparingRebalance 2
        8 a sync                                         -> PreparingRebalance 2 a=RebalanceInProgress
    "#]].assert_eq(&play(
        "
        0 a sync
        1 a join v=3
        2 a sync g=7
        3 b sync id=nobody
        4 a sync type=connect
        5 a sync type=consumer protocol=sticky
        6 a sync type=consumer protocol=range shares=a:x
        7 b join v=3
        8 a sync",
    ));
}

#[test]
fn r111_heartbeats_tell_how_the_group_stands() {
    expect![[r#"
        0 a heartbeat           -> Dead a=UnknownMemberId
        1 a join                -> Empty 0 +group(g0 of 0) a=MemberIdRequired(a-1)
        2 a heartbeat           -> Empty 0 a=UnknownMemberId
        3 a join                -> CompletingRebalance 1 a=joined(a-1 g1 leads a-1)
        4 a heartbeat g=5       -> CompletingRebalance 1 a=IllegalGeneration
        5 a heartbeat           -> CompletingRebalance 1 a=ok
        6 b heartbeat id=nobody -> CompletingRebalance 1 b=UnknownMemberId
        7 a sync shares=a:x     -> Stable 1 +group(g1 of 1) a=share:x
        8 a heartbeat           -> Stable 1 a=ok
        9 b join v=3            -> PreparingRebalance 2
        10 a heartbeat          -> PreparingRebalance 2 a=RebalanceInProgress
    "#]]
    .assert_eq(&play(
        "
        0 a heartbeat
        1 a join
        2 a heartbeat
        3 a join
        4 a heartbeat g=5
        5 a heartbeat
        6 b heartbeat id=nobody
        7 a sync shares=a:x
        8 a heartbeat
        9 b join v=3
        10 a heartbeat",
    ));
}

#[test]
fn r110_who_joins_and_never_syncs_is_removed_although_it_heartbeats() {
    expect![[r#"
        0     a join v=3 rebalance=5000 -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        1     b join v=3 rebalance=5000 -> PreparingRebalance 2
        2     a join rebalance=5000     -> CompletingRebalance 2 a=joined(a-1 g2 leads a-1+b-2) b=joined(b-2 g2)
        3     a sync shares=a:x,b:y     -> Stable 2 +group(g2 of 2) a=share:x
        4000  b heartbeat               -> Stable 2 b=ok
        4001  a heartbeat               -> Stable 2 a=ok
        5001  - expire                  -> Stable 2
        5002  - expire                  -> PreparingRebalance 1
        5003  b heartbeat               -> PreparingRebalance 1 b=UnknownMemberId
        5004  a join rebalance=5000     -> CompletingRebalance 1 a=joined(a-1 g3 leads a-1)
    "#]].assert_eq(&play(
        "
        0     a join v=3 rebalance=5000
        1     b join v=3 rebalance=5000
        2     a join rebalance=5000
        3     a sync shares=a:x,b:y
        4000  b heartbeat
        4001  a heartbeat
        5001  - expire
        5002  - expire
        5003  b heartbeat
        5004  a join rebalance=5000",
    ));
}

#[test]
fn a_leader_that_dies_before_it_shares_out_makes_the_others_rejoin() {
    expect![[r#"
        0     a join v=3        -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        1     b join v=3        -> PreparingRebalance 2
        2     a join            -> CompletingRebalance 2 a=joined(a-1 g2 leads a-1+b-2) b=joined(b-2 g2)
        3     b sync            -> CompletingRebalance 2
        8000  b heartbeat       -> CompletingRebalance 2 b=ok
        10002 - expire          -> PreparingRebalance 1 b=RebalanceInProgress
        10003 b join            -> CompletingRebalance 1 b=joined(b-2 g3 leads b-2)
        10004 b sync shares=b:x -> Stable 1 +group(g3 of 1) b=share:x
    "#]].assert_eq(&play(
        "
        0     a join v=3
        1     b join v=3
        2     a join
        3     b sync
        8000  b heartbeat
        10002 - expire
        10003 b join
        10004 b sync shares=b:x",
    ));
}

#[test]
fn a_rebalance_sends_those_back_who_wait_for_their_share() {
    expect![[r#"
        0 a join v=3 -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        1 b join v=3 -> PreparingRebalance 2
        2 a join     -> CompletingRebalance 2 a=joined(a-1 g2 leads a-1+b-2) b=joined(b-2 g2)
        3 b sync     -> CompletingRebalance 2
        4 c join v=3 -> PreparingRebalance 3 b=RebalanceInProgress
        5 a sync     -> PreparingRebalance 3 a=RebalanceInProgress
        6 a join     -> PreparingRebalance 3
        7 b join     -> CompletingRebalance 3 a=joined(a-1 g3 leads a-1+b-2+c-4) b=joined(b-2 g3) c=joined(c-4 g3)
    "#]].assert_eq(&play(
        "
        0 a join v=3
        1 b join v=3
        2 a join
        3 b sync
        4 c join v=3
        5 a sync
        6 a join
        7 b join",
    ));
}

#[test]
fn a_share_too_large_to_be_stored_leaves_the_group_usable() {
    let mut play = Play::new(crate::group::Settings {
        max_batch_bytes: 1_000,
        ..SETTINGS
    });
    expect![[r#"
        0 a join v=3                 -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        1 b join v=3                 -> PreparingRebalance 2
        2 a join                     -> CompletingRebalance 2 a=joined(a-1 g2 leads a-1+b-2) b=joined(b-2 g2)
        3 b sync                     -> CompletingRebalance 2
        4 a sync shares=a:bytes*2000 -> PreparingRebalance 2 a=UnknownServerError b=UnknownServerError
        5 a heartbeat                -> PreparingRebalance 2 a=RebalanceInProgress
        6 a join                     -> PreparingRebalance 2
        7 b join                     -> CompletingRebalance 2 a=joined(a-1 g3 leads a-1+b-2) b=joined(b-2 g3)
        8 a sync shares=a:x,b:y      -> Stable 2 +group(g3 of 2) a=share:x
        9 b sync                     -> Stable 2 b=share:y
    "#]].assert_eq(&play.play(
        "
        0 a join v=3
        1 b join v=3
        2 a join
        3 b sync
        4 a sync shares=a:bytes*2000
        5 a heartbeat
        6 a join
        7 b join
        8 a sync shares=a:x,b:y
        9 b sync",
    ));
}

#[test]
fn the_same_sync_on_two_connections_is_answered_on_both() {
    expect![[r#"
        0 a join v=3        -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        1 b join v=3        -> PreparingRebalance 2
        2 a join            -> CompletingRebalance 2 a=joined(a-1 g2 leads a-1+b-2) b=joined(b-2 g2)
        3 b sync            -> CompletingRebalance 2
        4 b sync            -> CompletingRebalance 2 b=RebalanceInProgress
        5 a sync shares=b:y -> Stable 2 +group(g2 of 2) a=share: b=share:y
    "#]]
    .assert_eq(&play(
        "
        0 a join v=3
        1 b join v=3
        2 a join
        3 b sync
        4 b sync
        5 a sync shares=b:y",
    ));
}

#[test]
fn a_silent_member_is_expelled_and_the_survivor_hears_of_it_in_its_heartbeat() {
    expect![[r#"
        0     a join v=3            -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        1     b join v=3            -> PreparingRebalance 2
        2     a join                -> CompletingRebalance 2 a=joined(a-1 g2 leads a-1+b-2) b=joined(b-2 g2)
        3     a sync shares=a:x,b:y -> Stable 2 +group(g2 of 2) a=share:x
        4     b sync                -> Stable 2 b=share:y
        9000  a heartbeat           -> Stable 2 a=ok
        10003 - expire              -> PreparingRebalance 1
        10004 - expire              -> PreparingRebalance 1
        10005 a heartbeat           -> PreparingRebalance 1 a=RebalanceInProgress
        10006 b heartbeat           -> PreparingRebalance 1 b=UnknownMemberId
        10007 a join                -> CompletingRebalance 1 a=joined(a-1 g3 leads a-1)
        10008 b join                -> CompletingRebalance 1 b=UnknownMemberId(b-2)
    "#]].assert_eq(&play(
        "
        0     a join v=3
        1     b join v=3
        2     a join
        3     a sync shares=a:x,b:y
        4     b sync
        9000  a heartbeat
        10003 - expire
        10004 - expire
        10005 a heartbeat
        10006 b heartbeat
        10007 a join
        10008 b join",
    ));
}
