//! What groups may take in memory (security.md section 7).

use expect_test::expect;

use super::Play;
use super::play::SETTINGS;
use crate::group::GroupMemory;

#[test]
fn beyond_its_memory_a_coordinator_takes_no_new_groups_and_members_and_the_others_go_on() {
    let mut play = Play::within(SETTINGS, GroupMemory::limited(1_000));
    expect![[r#"
        0 a join v=3 protocols=range:t -> CompletingRebalance 1 +group(g0 of 0) a=joined(a-1 g1 leads a-1)
        1 a sync shares=a:x            -> Stable 1 +group(g1 of 1) a=share:x
        2 b join                       -> Stable 1 b=CoordinatorNotAvailable()
        2 s join static=i              -> Stable 1 s=CoordinatorNotAvailable()
        3 a heartbeat                  -> Stable 1 a=ok
        4 a commit at=t-0@5:note,t-1@6 -> Stable 1 +t-0@5 +t-1@6 commit=ok,ok
        5 a join protocols=range:t     -> CompletingRebalance 1 a=joined(a-1 g2 leads a-1)
        6 a leave                      -> Empty 0 +group(g3 of 0) a=ok
        7 - forget                     -> Dead -t-0 -t-1 -group forget=ok
        8 b join                       -> Empty 0 +group(g0 of 0) b=MemberIdRequired(b-5)
    "#]].assert_eq(&play.play(
        "
        0 a join v=3 protocols=range:t
        1 a sync shares=a:x
        2 b join
        2 s join static=i
        3 a heartbeat
        4 a commit at=t-0@5:note,t-1@6
        5 a join protocols=range:t
        6 a leave
        7 - forget
        8 b join",
    ));
    let mut full = Play::within(SETTINGS, GroupMemory::limited(0));
    expect![[r#"
        0 - commit at=t-0@5 -> Dead commit=CoordinatorNotAvailable
        1 a join            -> Dead a=CoordinatorNotAvailable()
    "#]]
    .assert_eq(&full.play(
        "
        0 - commit at=t-0@5
        1 a join",
    ));
}

#[test]
fn what_is_counted_comes_back_to_nothing() {
    let memory = GroupMemory::limited(usize::MAX);
    let mut play = Play::within(SETTINGS, memory.clone());
    play.play(
        "
        0 a join v=3 protocols=range:t+u static=i
        1 b join v=3 protocols=range:t
        2 a join protocols=range:t
        3 a sync shares=a:x,b:y
        4 b sync
        5 a join id= protocols=range:t
        6 c join
        7 a commit at=t-0@5:note,t-1@6,u-0@7
        8 a commit at=t-0@6:note2
        9 - restart
        10 b join protocols=range:t+v
        11 a join protocols=range:t
        12 a sync
        13 b sync shares=a:long,b:longer
        14 - delete topics=u-0
        15 - topic-deleted t=t
        16 - leave members=a,b
        17 - forget",
    );
    assert_eq!(memory.used(), 0);
    let mut play = Play::within(SETTINGS, memory.clone());
    play.play("0 a join v=3\n1 - commit at=t-0@5");
    assert!(memory.used() > 0);
    drop(play);
    assert_eq!(
        memory.used(),
        0,
        "a machine that is dropped gives back what it had"
    );
}
