//! JoinGroup (R106, R107, R109).

use expect_test::expect;

use super::play::SETTINGS;
use super::{Play, play};

#[test]
fn r106_a_newcomer_comes_back_with_the_id_it_is_given() {
    expect![[r#"
        0 a join            -> Empty 0 +group(g0 of 0) a=MemberIdRequired(a-1)
        1 a join            -> CompletingRebalance 1 a=joined(a-1 g1 leads a-1)
        2 a heartbeat       -> CompletingRebalance 1 a=ok
        3 a sync shares=a:x -> Stable 1 +group(g1 of 1) a=share:x
        4 a heartbeat       -> Stable 1 a=ok
    "#]]
    .assert_eq(&play(
        "
        0 a join
        1 a join
        2 a heartbeat
        3 a sync shares=a:x
        4 a heartbeat",
    ));
}

#[test]
fn r106_old_clients_join_at_once() {
    expect![[r#"
        0 a join v=3 -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
    "#]]
    .assert_eq(&play("0 a join v=3"));
}

#[test]
fn a_second_member_makes_the_first_rejoin_and_only_the_leader_hears_of_all() {
    expect![[r#"
        0 a join v=3            -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        1 a sync shares=a:x     -> Stable 1 +group(g1 of 1) a=share:x
        2 b join v=3            -> PreparingRebalance 2
        3 a heartbeat           -> PreparingRebalance 2 a=RebalanceInProgress
        4 a join                -> CompletingRebalance 2 a=joined(a-1 g2 leads a-1+b-2) b=joined(b-2 g2)
        5 a heartbeat           -> CompletingRebalance 2 a=ok
        6 b sync                -> CompletingRebalance 2
        7 a sync shares=a:x,b:y -> Stable 2 +group(g2 of 2) a=share:x b=share:y
        8 b heartbeat           -> Stable 2 b=ok
    "#]].assert_eq(&play(
        "
        0 a join v=3
        1 a sync shares=a:x
        2 b join v=3
        3 a heartbeat
        4 a join
        5 a heartbeat
        6 b sync
        7 a sync shares=a:x,b:y
        8 b heartbeat",
    ));
}

#[test]
fn r106_refusals_name_what_was_asked() {
    expect![[r#"
        0 a join id=nobody                -> Dead a=UnknownMemberId(nobody)
        1 a join protocols=               -> Empty 0 +group(g0 of 0) a=InconsistentGroupProtocol()
        2 a join type=                    -> Empty 0 a=InconsistentGroupProtocol()
        3 a join v=3                      -> CompletingRebalance 1 a=joined(a-4 g1 leads a-4)
        4 b join v=3 id=nobody            -> CompletingRebalance 1 b=UnknownMemberId(nobody)
        5 b join v=3 type=connect         -> CompletingRebalance 1 b=InconsistentGroupProtocol()
        6 b join v=3 protocols=roundrobin -> CompletingRebalance 1 b=InconsistentGroupProtocol()
    "#]]
    .assert_eq(&play(
        "
        0 a join id=nobody
        1 a join protocols=
        2 a join type=
        3 a join v=3
        4 b join v=3 id=nobody
        5 b join v=3 type=connect
        6 b join v=3 protocols=roundrobin",
    ));
}

#[test]
fn r106_a_full_group_takes_no_more() {
    let mut play = Play::new(crate::group::Settings {
        max_size: 2,
        ..SETTINGS
    });
    expect![[r#"
        0 a join v=3            -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        1 b join v=3            -> PreparingRebalance 2
        2 a join                -> CompletingRebalance 2 a=joined(a-1 g2 leads a-1+b-2) b=joined(b-2 g2)
        3 c join v=3            -> CompletingRebalance 2 c=GroupMaxSizeReached()
        4 b sync                -> CompletingRebalance 2
        5 a sync shares=a:x,b:y -> Stable 2 +group(g2 of 2) a=share:x b=share:y
        6 c join v=3            -> Stable 2 c=GroupMaxSizeReached()
        7 a join                -> PreparingRebalance 2
    "#]].assert_eq(&play.play(
        "
        0 a join v=3
        1 b join v=3
        2 a join
        3 c join v=3
        4 b sync
        5 a sync shares=a:x,b:y
        6 c join v=3
        7 a join",
    ));
}

#[test]
fn r107_a_new_group_waits_for_more_members_and_longer_while_they_come() {
    let mut play = Play::new(crate::group::Settings {
        initial_rebalance_delay_ms: 3_000,
        ..SETTINGS
    });
    expect![[r#"
        0    a join v=3 -> PreparingRebalance 1 +group(g0 of 0)
        2000 b join v=3 -> PreparingRebalance 2
        2999 - expire   -> PreparingRebalance 2
        3000 - expire   -> PreparingRebalance 2
        5999 - expire   -> PreparingRebalance 2
        6000 - expire   -> CompletingRebalance 2 a=joined(a-1 g1 leads a-1+b-2) b=joined(b-2 g1)
    "#]]
    .assert_eq(&play.play(
        "
        0    a join v=3
        2000 b join v=3
        2999 - expire
        3000 - expire
        5999 - expire
        6000 - expire",
    ));
    // The wait for more ends with the rebalance timeout.
    let mut play = Play::new(crate::group::Settings {
        initial_rebalance_delay_ms: 3_000,
        ..SETTINGS
    });
    expect![[r#"
        0    a join v=3 rebalance=4000 -> PreparingRebalance 1 +group(g0 of 0)
        2000 b join v=3 rebalance=4000 -> PreparingRebalance 2
        3000 - expire                  -> PreparingRebalance 2
        3500 c join v=3 rebalance=4000 -> PreparingRebalance 3
        4000 - expire                  -> CompletingRebalance 3 a=joined(a-1 g1 leads a-1+b-2+c-3) b=joined(b-2 g1) c=joined(c-3 g1)
    "#]].assert_eq(&play.play(
        "
        0    a join v=3 rebalance=4000
        2000 b join v=3 rebalance=4000
        3000 - expire
        3500 c join v=3 rebalance=4000
        4000 - expire",
    ));
}

#[test]
fn r109_who_rejoins_in_any_state_stays_known() {
    expect![[r#"
        0 a join v=3                -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        1 b join v=3                -> PreparingRebalance 2
        2 a join                    -> CompletingRebalance 2 a=joined(a-1 g2 leads a-1+b-2) b=joined(b-2 g2)
        3 a join                    -> CompletingRebalance 2 a=joined(a-1 g2 leads a-1+b-2)
        4 b join                    -> CompletingRebalance 2 b=joined(b-2 g2)
        5 a join protocols=range:t  -> PreparingRebalance 2
        6 b join                    -> CompletingRebalance 2 a=joined(a-1 g3 leads a-1+b-2) b=joined(b-2 g3)
        7 a sync                    -> Stable 2 +group(g3 of 2) a=share:
        8 b sync shares=a:x,b:y     -> Stable 2 b=share:
        9 a join protocols=range:t  -> PreparingRebalance 2
        10 b join                   -> CompletingRebalance 2 a=joined(a-1 g4 leads a-1+b-2) b=joined(b-2 g4)
        11 a join protocols=range:u -> PreparingRebalance 2
        12 b join                   -> CompletingRebalance 2 a=joined(a-1 g5 leads a-1+b-2) b=joined(b-2 g5)
    "#]].assert_eq(&play(
        "
        0 a join v=3
        1 b join v=3
        2 a join
        3 a join
        4 b join
        5 a join protocols=range:t
        6 b join
        7 a sync
        8 b sync shares=a:x,b:y
        9 a join protocols=range:t
        10 b join
        11 a join protocols=range:u
        12 b join",
    ));
}

#[test]
fn r109_a_parked_join_keeps_its_member_alive() {
    expect![[r#"
        0     a join v=3            -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        1     a sync shares=a:x     -> Stable 1 +group(g1 of 1) a=share:x
        2     b join v=3            -> PreparingRebalance 2
        3     a heartbeat           -> PreparingRebalance 2 a=RebalanceInProgress
        9000  a heartbeat           -> PreparingRebalance 2 a=RebalanceInProgress
        18000 a heartbeat           -> PreparingRebalance 2 a=RebalanceInProgress
        27000 a heartbeat           -> PreparingRebalance 2 a=RebalanceInProgress
        30000 - expire              -> PreparingRebalance 2
        36000 a join                -> CompletingRebalance 2 a=joined(a-1 g2 leads a-1+b-2) b=joined(b-2 g2)
        36001 b sync                -> CompletingRebalance 2
        36002 a sync shares=a:x,b:y -> Stable 2 +group(g2 of 2) a=share:x b=share:y
        40000 b heartbeat           -> Stable 2 b=ok
    "#]].assert_eq(&play(
        "
        0     a join v=3
        1     a sync shares=a:x
        2     b join v=3
        3     a heartbeat
        9000  a heartbeat
        18000 a heartbeat
        27000 a heartbeat
        30000 - expire
        36000 a join
        36001 b sync
        36002 a sync shares=a:x,b:y
        40000 b heartbeat",
    ));
}

#[test]
fn who_does_not_rejoin_in_time_is_left_behind_and_the_leader_too() {
    expect![[r#"
        0     a join v=3 rebalance=5000 -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        1     a sync shares=a:x         -> Stable 1 +group(g1 of 1) a=share:x
        2     b join v=3 rebalance=5000 -> PreparingRebalance 2
        5001  - expire                  -> PreparingRebalance 2
        5002  - expire                  -> CompletingRebalance 1 b=joined(b-2 g2 leads b-2)
        5003  a heartbeat               -> CompletingRebalance 1 a=UnknownMemberId
        5004  b sync shares=b:y         -> Stable 1 +group(g2 of 1) b=share:y
    "#]].assert_eq(&play(
        "
        0     a join v=3 rebalance=5000
        1     a sync shares=a:x
        2     b join v=3 rebalance=5000
        5001  - expire
        5002  - expire
        5003  a heartbeat
        5004  b sync shares=b:y",
    ));
}

#[test]
fn a_newcomer_whose_client_gave_up_goes_after_five_minutes() {
    expect![[r#"
        0      a join v=3 rebalance=600000 -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        1      a sync shares=a:x           -> Stable 1 +group(g1 of 1) a=share:x
        2      b join v=3 rebalance=600000 -> PreparingRebalance 2
        9000   a heartbeat                 -> PreparingRebalance 2 a=RebalanceInProgress
        300002 a heartbeat                 -> PreparingRebalance 2 a=RebalanceInProgress
        300003 - expire                    -> PreparingRebalance 1 b=UnknownMemberId()
    "#]].assert_eq(&play(
        "
        0      a join v=3 rebalance=600000
        1      a sync shares=a:x
        2      b join v=3 rebalance=600000
        9000   a heartbeat
        300002 a heartbeat
        300003 - expire",
    ));
}

#[test]
fn an_id_that_was_given_and_never_used_expires_and_holds_nobody_up_after() {
    expect![[r#"
        0     a join v=3          -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        1     a sync shares=a:x   -> Stable 1 +group(g1 of 1) a=share:x
        2     b join session=6000 -> Stable 1 b=MemberIdRequired(b-2)
        3     c join v=3          -> PreparingRebalance 2
        4     a join              -> PreparingRebalance 2
        6001  - expire            -> PreparingRebalance 2
        6002  - expire            -> CompletingRebalance 2 a=joined(a-1 g2 leads a-1+c-3) c=joined(c-3 g2)
        6003  b join              -> CompletingRebalance 2 b=UnknownMemberId(b-2)
    "#]].assert_eq(&play(
        "
        0     a join v=3
        1     a sync shares=a:x
        2     b join session=6000
        3     c join v=3
        4     a join
        6001  - expire
        6002  - expire
        6003  b join",
    ));
}

#[test]
fn the_protocol_with_most_votes_wins_and_all_must_know_it() {
    expect![[r#"
        0 a join v=3 protocols=range,sticky -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        1 b join v=3 protocols=sticky,range -> PreparingRebalance 2
        2 c join v=3 protocols=sticky,range -> PreparingRebalance 3
        3 a join protocols=range,sticky     -> CompletingRebalance 3 a=joined(a-1 g2 leads a-1+b-2+c-3) b=joined(b-2 g2) c=joined(c-3 g2)
        4 b join protocols=sticky,range     -> CompletingRebalance 3 b=joined(b-2 g2)
        5 c sync                            -> CompletingRebalance 3
        6 a sync shares=a:x                 -> Stable 3 +group(g2 of 3) a=share:x c=share:
        7 - describe                        -> Stable 3 -=consumer[sticky][a-1:/x b-2:/ c-3:/]
    "#]].assert_eq(&play(
        "
        0 a join v=3 protocols=range,sticky
        1 b join v=3 protocols=sticky,range
        2 c join v=3 protocols=sticky,range
        3 a join protocols=range,sticky
        4 b join protocols=sticky,range
        5 c sync
        6 a sync shares=a:x
        7 - describe",
    ));
}

#[test]
fn the_same_member_on_two_connections_is_answered_on_both() {
    expect![[r#"
        0 a join v=3        -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        1 a sync shares=a:x -> Stable 1 +group(g1 of 1) a=share:x
        2 b join v=3        -> PreparingRebalance 2
        3 b join id=b-2     -> PreparingRebalance 2 b=RebalanceInProgress(b-2)
        4 a join            -> CompletingRebalance 2 a=joined(a-1 g2 leads a-1+b-2) b=joined(b-2 g2)
    "#]]
    .assert_eq(&play(
        "
        0 a join v=3
        1 a sync shares=a:x
        2 b join v=3
        3 b join id=b-2
        4 a join",
    ));
}
