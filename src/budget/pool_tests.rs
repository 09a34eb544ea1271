//! Scenarios of a pool of 100 bytes. Each line is one step: `HOLDER take|ask|back|drop BYTES`.

use expect_test::{Expect, expect};

use super::*;

/// Who holds what, step by step.
fn play(scenario: &str) -> String {
    let pool = Pool::new(100);
    let mut accounts: BTreeMap<String, Account> = BTreeMap::new();
    let mut tickets: Vec<(String, Ticket)> = Vec::new();
    let mut story = String::new();
    for line in scenario
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, what, bytes] = words[..] else {
            panic!("{line}");
        };
        let bytes: usize = bytes.parse().expect("a number");
        let account = accounts
            .entry(name.to_owned())
            .or_insert_with(|| Account::new(pool.clone(), Arc::default()));
        match what {
            "take" => {
                if !account.try_take(bytes) {
                    tickets.push((name.to_owned(), account.ask(bytes)));
                }
            }
            "ask" => tickets.push((name.to_owned(), account.ask(bytes))),
            "anyway" => account.take_anyway(bytes),
            "back" => account.give_back(bytes),
            "leave" => tickets.retain(|(n, t)| !(n == name && t.bytes == bytes)),
            "drop" => {
                accounts.remove(name);
            }
            _ => panic!("{line}"),
        }
        settle(&mut accounts, &mut tickets);
        let held = accounts.iter().map(|(n, a)| format!(" {n}={}", a.held));
        let usage = pool.usage();
        story += &format!(
            "{line:<12} -> used {} waiting {}{}\n",
            usage.used,
            usage.waiting,
            held.collect::<String>()
        );
    }
    tickets.clear();
    accounts.clear();
    let usage = pool.usage();
    assert_eq!((usage.used, usage.waiting), (0, 0), "everything came back");
    story
}

fn settle(accounts: &mut BTreeMap<String, Account>, tickets: &mut Vec<(String, Ticket)>) {
    let mut open = Vec::new();
    for (name, mut ticket) in tickets.drain(..) {
        match ticket.granted.try_recv() {
            Ok(()) => accounts.get_mut(&name).expect("not dropped").settle(ticket),
            Err(_) => open.push((name, ticket)),
        }
    }
    *tickets = open;
}

fn check(scenario: &str, expected: Expect) {
    expected.assert_eq(&play(scenario));
}

#[test]
fn what_does_not_fit_waits_and_the_oldest_comes_first() {
    check(
        "a take 60
         b take 50
         c take 10
         a back 20
         b back 50
         c back 10",
        expect![[r#"
            a take 60    -> used 60 waiting 0 a=60
            b take 50    -> used 60 waiting 1 a=60 b=0
            c take 10    -> used 60 waiting 2 a=60 b=0 c=0
            a back 20    -> used 100 waiting 0 a=40 b=50 c=10
            b back 50    -> used 50 waiting 0 a=40 b=0 c=10
            c back 10    -> used 40 waiting 0 a=40 b=0 c=0
        "#]],
    );
}

#[test]
fn nobody_is_overtaken_by_what_is_smaller() {
    check(
        "a take 90
         b take 95
         c take 5
         a back 5
         a drop 0",
        expect![[r#"
            a take 90    -> used 90 waiting 0 a=90
            b take 95    -> used 90 waiting 1 a=90 b=0
            c take 5     -> used 90 waiting 2 a=90 b=0 c=0
            a back 5     -> used 85 waiting 2 a=85 b=0 c=0
            a drop 0     -> used 100 waiting 0 b=95 c=5
        "#]],
    );
}

#[test]
fn while_others_wait_a_holder_gets_a_quarter_beyond_its_first() {
    // `a` is the oldest and may not go on; `b` takes its first, however large, and then no more.
    check(
        "a take 70
         a take 20
         b take 40
         b take 30
         a back 20
         b take 30
         a back 50
         b back 40",
        expect![[r#"
            a take 70    -> used 70 waiting 0 a=70
            a take 20    -> used 70 waiting 1 a=70
            b take 40    -> used 70 waiting 2 a=70 b=0
            b take 30    -> used 70 waiting 3 a=70 b=0
            a back 20    -> used 90 waiting 2 a=50 b=40
            b take 30    -> used 90 waiting 3 a=50 b=40
            a back 50    -> used 90 waiting 1 a=20 b=70
            b back 40    -> used 80 waiting 0 a=20 b=60
        "#]],
    );
}

#[test]
fn three_quarters_are_all_that_one_holder_may_have_beyond_its_first() {
    check(
        "a take 60
         a take 20
         b take 10
         a back 30
         c take 100
         b back 10
         a back 50",
        expect![[r#"
            a take 60    -> used 60 waiting 0 a=60
            a take 20    -> used 60 waiting 1 a=60
            b take 10    -> used 70 waiting 1 a=60 b=10
            a back 30    -> used 60 waiting 0 a=50 b=10
            c take 100   -> used 60 waiting 1 a=50 b=10 c=0
            b back 10    -> used 50 waiting 1 a=50 b=0 c=0
            a back 50    -> used 100 waiting 0 a=0 b=0 c=100
        "#]],
    );
}

#[test]
fn who_leaves_the_queue_holds_up_nobody() {
    check(
        "a take 50
         b take 60
         c take 50
         b leave 60",
        expect![[r#"
            a take 50    -> used 50 waiting 0 a=50
            b take 60    -> used 50 waiting 1 a=50 b=0
            c take 50    -> used 50 waiting 2 a=50 b=0 c=0
            b leave 60   -> used 100 waiting 0 a=50 b=0 c=50
        "#]],
    );
}

#[test]
fn an_overdrawn_pool_gives_nothing_until_that_is_made_up_for() {
    check(
        "a anyway 150
         b take 1
         a back 50
         a back 1",
        expect![[r#"
            a anyway 150 -> used 150 waiting 0 a=150
            b take 1     -> used 150 waiting 1 a=150 b=0
            a back 50    -> used 100 waiting 1 a=100 b=0
            a back 1     -> used 100 waiting 0 a=99 b=1
        "#]],
    );
}

#[test]
fn many_threads_leave_nothing_behind_and_nobody_waiting() {
    let pool = Pool::new(100);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let tasks = (0..16).map(|i: usize| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let mut account = Account::new(pool, Arc::default());
                for round in 0..500 {
                    let bytes = 1 + (i * 31 + round * 7) % 60;
                    if !account.try_take(bytes) {
                        let mut ticket = account.ask(bytes);
                        if round % 5 == 0 {
                            tokio::task::yield_now().await;
                            continue; // gives up
                        }
                        (&mut ticket).await;
                        account.settle(ticket);
                    }
                    tokio::task::yield_now().await;
                    account.give_back(bytes);
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("no panic");
        }
    });
    let usage = pool.usage();
    assert_eq!((usage.used, usage.waiting), (0, 0));
}
