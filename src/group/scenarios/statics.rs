//! Static members (KIP-345, KIP-814, R113).

use expect_test::expect;

use super::play;

#[test]
fn r113_a_static_member_comes_back_under_a_new_id_without_a_rebalance() {
    expect![[r#"
        0 a join static=i       -> CompletingRebalance 1 +group(g0 of 0) a=joined(i-1 g1 leads i-1)
        1 b join v=3            -> PreparingRebalance 2
        2 a join                -> CompletingRebalance 2 b=joined(b-2 g2) a=joined(i-1 g2 leads b-2+i-1)
        3 a sync shares=a:x,b:y -> Stable 2 +group(g2 of 2) a=share:x
        4 b sync                -> Stable 2 b=share:y
        5 a join id=            -> Stable 2 +group(g2 of 2) a=joined(i-4 g2 leads b-2+i-4 skips)
        6 a sync                -> Stable 2 a=share:x
        7 b heartbeat           -> Stable 2 b=ok
        8 a heartbeat id=i-1    -> Stable 2 a=FencedInstanceId
        9 a join id=i-1         -> Stable 2 a=FencedInstanceId(i-1)
    "#]].assert_eq(&play(
        "
        0 a join static=i
        1 b join v=3
        2 a join
        3 a sync shares=a:x,b:y
        4 b sync
        5 a join id=
        6 a sync
        7 b heartbeat
        8 a heartbeat id=i-1
        9 a join id=i-1",
    ));
}

#[test]
fn r113_before_v9_a_returning_leader_is_not_told_that_it_leads() {
    expect![[r#"
        0 a join static=i v=5 -> CompletingRebalance 1 +group(g0 of 0) a=joined(i-1 g1 leads i-1)
        1 a sync shares=a:x   -> Stable 1 +group(g1 of 1) a=share:x
        2 a join id= v=5      -> Stable 1 +group(g1 of 1) a=joined(i-2 g1)
        3 a sync              -> Stable 1 a=share:x
    "#]]
    .assert_eq(&play(
        "
        0 a join static=i v=5
        1 a sync shares=a:x
        2 a join id= v=5
        3 a sync",
    ));
}

#[test]
fn r113_with_another_protocol_it_rebalances() {
    expect![[r#"
        0 a join static=i protocols=range,sticky -> CompletingRebalance 1 +group(g0 of 0) a=joined(i-1 g1 leads i-1)
        1 a sync shares=a:x                      -> Stable 1 +group(g1 of 1) a=share:x
        2 a join id= protocols=sticky            -> CompletingRebalance 1 a=joined(i-2 g2 leads i-2)
    "#]].assert_eq(&play(
        "
        0 a join static=i protocols=range,sticky
        1 a sync shares=a:x
        2 a join id= protocols=sticky",
    ));
}

#[test]
fn r113_what_waits_under_the_old_id_is_fenced() {
    expect![[r#"
        0 a join static=i   -> CompletingRebalance 1 +group(g0 of 0) a=joined(i-1 g1 leads i-1)
        1 a sync shares=a:x -> Stable 1 +group(g1 of 1) a=share:x
        2 b join v=3        -> PreparingRebalance 2
        3 a join            -> CompletingRebalance 2 b=joined(b-2 g2) a=joined(i-1 g2 leads b-2+i-1)
        4 b sync            -> CompletingRebalance 2
        5 c join static=i   -> PreparingRebalance 2 b=RebalanceInProgress
        6 b join            -> CompletingRebalance 2 b=joined(b-2 g3) c=joined(i-4 g3 leads b-2+i-4)
        7 c sync            -> Stable 2 +group(g3 of 2) c=share:
        8 a sync            -> Stable 2 a=FencedInstanceId
        9 a heartbeat       -> Stable 2 a=FencedInstanceId
    "#]]
    .assert_eq(&play(
        "
        0 a join static=i
        1 a sync shares=a:x
        2 b join v=3
        3 a join
        4 b sync
        5 c join static=i
        6 b join
        7 c sync
        8 a sync
        9 a heartbeat",
    ));
    expect![[r#"
        0 b join v=3        -> CompletingRebalance 1 +group(g0 of 0) b=joined(b-1 g1 leads b-1)
        1 b sync shares=b:x -> Stable 1 +group(g1 of 1) b=share:x
        2 a join static=i   -> PreparingRebalance 2
        3 c join static=i   -> PreparingRebalance 2 a=FencedInstanceId(i-2)
        4 b join            -> CompletingRebalance 2 b=joined(b-1 g2 leads b-1+i-3) c=joined(i-3 g2)
    "#]]
    .assert_eq(&play(
        "
        0 b join v=3
        1 b sync shares=b:x
        2 a join static=i
        3 c join static=i
        4 b join",
    ));
}

#[test]
fn r113_a_static_member_that_is_away_keeps_its_place_until_its_session_ends() {
    expect![[r#"
        0     a join static=i session=30000 rebalance=5000 -> CompletingRebalance 1 +group(g0 of 0) a=joined(i-1 g1 leads i-1)
        1     b join v=3 session=30000 rebalance=5000      -> PreparingRebalance 2
        2     a join session=30000 rebalance=5000          -> CompletingRebalance 2 b=joined(b-2 g2) a=joined(i-1 g2 leads b-2+i-1)
        3     a sync shares=a:x,b:y                        -> Stable 2 +group(g2 of 2) a=share:x
        4     b sync                                       -> Stable 2 b=share:y
        5     c join v=3 session=30000 rebalance=5000      -> PreparingRebalance 3
        6     b join session=30000 rebalance=5000          -> PreparingRebalance 3
        5005  - expire                                     -> CompletingRebalance 3 b=joined(b-2 g3 leads b-2+c-4+i-1) c=joined(c-4 g3)
        5006  b sync                                       -> Stable 3 +group(g3 of 3) b=share:
        5007  b sync shares=a:x                            -> Stable 3 b=share:
        10010 - expire                                     -> PreparingRebalance 1
        30003 - expire                                     -> Empty 0 +group(g4 of 0)
    "#]].assert_eq(&play(
        "
        0     a join static=i session=30000 rebalance=5000
        1     b join v=3 session=30000 rebalance=5000
        2     a join session=30000 rebalance=5000
        3     a sync shares=a:x,b:y
        4     b sync
        5     c join v=3 session=30000 rebalance=5000
        6     b join session=30000 rebalance=5000
        5005  - expire
        5006  b sync
        5007  b sync shares=a:x
        10010 - expire
        30003 - expire",
    ));
}

/// Or its timer would fire again and again at the same moment, for ever.
#[test]
fn who_waits_for_nobody_is_looked_after_every_100_ms_until_its_session_ends() {
    expect![[r#"
        0    a join static=i        -> CompletingRebalance 1 +group(g0 of 0) a=joined(i-1 g1 leads i-1)
        1    a sync shares=a:x      -> Stable 1 +group(g1 of 1) a=share:x
        2    a join id= rebalance=0 -> Stable 1 +group(g1 of 1) a=joined(i-2 g1 leads i-2 skips)
        3    b join                 -> Stable 1 b=MemberIdRequired(b-3)
        4    b leave                -> PreparingRebalance 1 b=ok
        4    - expire               -> PreparingRebalance 1
        103  - expire               -> PreparingRebalance 1
        104  - expire               -> PreparingRebalance 1
        10002 - expire              -> Empty 0 +group(g2 of 0)
    "#]].assert_eq(&play(
        "
        0    a join static=i
        1    a sync shares=a:x
        2    a join id= rebalance=0
        3    b join
        4    b leave
        4    - expire
        103  - expire
        104  - expire
        10002 - expire",
    ));
}
