//! LeaveGroup and DeleteGroups (R112, R115).

use expect_test::expect;

use super::play;

#[test]
fn r112_what_is_left_rebalances_at_once_and_the_last_one_leaves_an_empty_group() {
    expect![[r#"
        0 a join v=3            -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        1 b join v=3            -> PreparingRebalance 2
        2 a join                -> CompletingRebalance 2 a=joined(a-1 g2 leads a-1+b-2) b=joined(b-2 g2)
        3 a sync shares=a:x,b:y -> Stable 2 +group(g2 of 2) a=share:x
        4 b sync                -> Stable 2 b=share:y
        5 b leave               -> PreparingRebalance 1 b=ok
        6 a heartbeat           -> PreparingRebalance 1 a=RebalanceInProgress
        7 a join                -> CompletingRebalance 1 a=joined(a-1 g3 leads a-1)
        8 a leave               -> Empty 0 +group(g4 of 0) a=ok
        9 a heartbeat           -> Empty 0 a=UnknownMemberId
        10 a join               -> Empty 0 a=UnknownMemberId(a-1)
    "#]].assert_eq(&play(
        "
        0 a join v=3
        1 b join v=3
        2 a join
        3 a sync shares=a:x,b:y
        4 b sync
        5 b leave
        6 a heartbeat
        7 a join
        8 a leave
        9 a heartbeat
        10 a join",
    ));
}

#[test]
fn r112_many_leave_with_an_answer_each() {
    expect![[r#"
        0 a leave                          -> Dead a=UnknownMemberId
        1 a join v=3                       -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        2 b join v=3                       -> PreparingRebalance 2
        3 s join v=5 static=i              -> PreparingRebalance 3
        4 a join                           -> CompletingRebalance 3 a=joined(a-1 g2 leads a-1+b-2+i-3) b=joined(b-2 g2) s=joined(i-3 g2)
        5 b join                           -> CompletingRebalance 3 b=joined(b-2 g2)
        6 c join                           -> CompletingRebalance 3 c=MemberIdRequired(c-6)
        7 - leave members=a,nobody,c,@i,@j -> PreparingRebalance 1 -=ok,UnknownMemberId,ok,ok,UnknownMemberId
        8 b join                           -> CompletingRebalance 1 b=joined(b-2 g3 leads b-2)
    "#]].assert_eq(&play(
        "
        0 a leave
        1 a join v=3
        2 b join v=3
        3 s join v=5 static=i
        4 a join
        5 b join
        6 c join
        7 - leave members=a,nobody,c,@i,@j
        8 b join",
    ));
}

#[test]
fn who_waits_when_it_leaves_is_told_that_it_is_gone() {
    expect![[r#"
        0 a join v=3          -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        1 a sync shares=a:x   -> Stable 1 +group(g1 of 1) a=share:x
        2 b join v=3          -> PreparingRebalance 2
        3 c join v=3          -> PreparingRebalance 3
        4 - leave members=c-3 -> PreparingRebalance 2 c=UnknownMemberId() -=ok
        5 a join              -> CompletingRebalance 2 a=joined(a-1 g2 leads a-1+b-2) b=joined(b-2 g2)
        6 - leave members=b   -> PreparingRebalance 1 -=ok
    "#]].assert_eq(&play(
        "
        0 a join v=3
        1 a sync shares=a:x
        2 b join v=3
        3 c join v=3
        4 - leave members=c-3
        5 a join
        6 - leave members=b",
    ));
}

#[test]
fn r115_a_group_is_deleted_once_nobody_is_left() {
    expect![[r#"
        0 - forget                -> Dead forget=GroupIdNotFound
        1 a join v=3              -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        2 a sync shares=a:x       -> Stable 1 +group(g1 of 1) a=share:x
        3 a commit at=t-0@5,t-1@6 -> Stable 1 +t-0@5 +t-1@6 commit=ok,ok
        4 - forget                -> Stable 1 forget=NonEmptyGroup
        5 a leave                 -> Empty 0 +group(g2 of 0) a=ok
        6 - forget                -> Dead -t-0 -t-1 -group forget=ok
        7 - fetch                 -> Dead fetch=[]
        8 - forget                -> Dead forget=GroupIdNotFound
    "#]].assert_eq(&play(
        "
        0 - forget
        1 a join v=3
        2 a sync shares=a:x
        3 a commit at=t-0@5,t-1@6
        4 - forget
        5 a leave
        6 - forget
        7 - fetch
        8 - forget",
    ));
}
