//! Many connections that say nothing, half of something, or something endlessly slowly.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::BufMut;
use kafka_protocol::messages::MetadataRequest;

use super::*;
use crate::wire::calls::{METADATA, fetch_request, poll};
use crate::wire::client::{framed, message};
use protocol_tests::random::Random;

/// Three times so many connections, where the machine allows as many.
const THIRD_OF_A_CROWD: usize = 3_333;
/// What an idle connection may cost the broker, in KiB.
const CONNECTION_KIB: u64 = 16;
/// What other work adds meanwhile, in KiB.
const NOISE_KIB: u64 = 16 << 10;

/// How many connections this process may open for one of the three parts of a crowd.
fn third_of_a_crowd() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, raised);
    // Tests run beside this one, and the broker needs as many.
    let fits = limit.maximum.unwrap_or(1 << 20) as usize / 2 / 3;
    if fits < THIRD_OF_A_CROWD {
        eprintln!("scaled down to 3 times {fits} connections: the limit of open files");
    }
    fits.min(THIRD_OF_A_CROWD)
}

fn connect(subject: &Subject) -> TcpStream {
    TcpStream::connect(&subject.bootstrap).expect("the broker accepts")
}

/// Whether the broker has closed it; it never says anything here.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).expect("an open socket");
    match stream.read(&mut [0]) {
        Ok(0) => true,
        Ok(_) => panic!("an answer to nothing"),
        Err(e) => e.kind() != ErrorKind::WouldBlock,
    }
}

#[test]
fn ten_thousand_connections_that_say_little_cost_little() {
    let Some(subject) = own_ottla(OTTLA, &[]) else {
        return;
    };
    let mut healthy = Healthy::new(&subject);
    let proc = subject.proc();
    let own_kib = proc.own_kib();
    let third = third_of_a_crowd();
    let frame = framed(&message(METADATA, 1, None, &MetadataRequest::default()));
    let gathered = || {
        poll("all to be accepted", || {
            (proc.descriptors() >= 3 * third).then_some(())
        })
    };
    let scattered = || {
        poll("the sockets to go", || {
            (proc.descriptors() < 100).then_some(())
        })
    };
    let gather = || {
        let crowd: Vec<TcpStream> = (0..3 * third).map(|_| connect(&subject)).collect();
        gathered();
        crowd
    };
    healthy.assert_unimpressed(3, gather, scattered);
    let mut silent: Vec<TcpStream> = (0..third).map(|_| connect(&subject)).collect();
    let mut halves: Vec<TcpStream> = (0..third).map(|_| connect(&subject)).collect();
    for stream in &mut halves {
        stream.write_all(&frame[..frame.len() / 2]).expect("sent");
    }
    let drips = Drips::start((0..third).map(|_| connect(&subject)).collect(), frame);
    gathered();
    healthy.work();
    let grown_kib = proc.own_kib().saturating_sub(own_kib);
    let allowed_kib = 3 * third as u64 * CONNECTION_KIB;
    eprintln!(
        "{} connections: {grown_kib} KiB, {:.1} KiB each",
        3 * third,
        grown_kib as f64 / (3 * third) as f64
    );
    assert!(
        grown_kib <= allowed_kib + NOISE_KIB,
        "grown by {grown_kib} KiB"
    );
    // Halves and drips are given up, those that say nothing may stay.
    poll("the halves to be closed", || {
        halves.iter_mut().all(is_closed).then_some(())
    });
    let mut dripping = drips.stop();
    poll("the drips to be closed", || {
        dripping.iter_mut().all(is_closed).then_some(())
    });
    assert!(!silent.iter_mut().any(is_closed), "silence is no offence");
    poll("the reason", || {
        (!subject.said("more slowly than 16 KiB").is_empty()).then_some(())
    });
    drop((silent, halves, dripping));
    scattered();
    healthy.work();
}

/// Sends one byte a second on each connection, from a thread of its own.
struct Drips {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Vec<TcpStream>>,
}

impl Drips {
    fn start(mut streams: Vec<TcpStream>, frame: Vec<u8>) -> Drips {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            // Never the last byte.
            for byte in frame[..frame.len() - 1].iter().cycle() {
                for stream in &mut streams {
                    let _ = stream.write(&[*byte]); // it may be closed
                }
                for _ in 0..10 {
                    if stopped.load(Ordering::Relaxed) {
                        return streams;
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
            streams
        });
        Drips { stop, thread }
    }

    fn stop(self) -> Vec<TcpStream> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it only writes")
    }
}

#[test]
fn two_hundred_announced_frames_of_100_mib_cost_nothing_and_hold_up_nobody() {
    let Some(subject) = own_ottla(OTTLA, &[]) else {
        return;
    };
    let mut healthy = Healthy::new(&subject);
    let proc = subject.proc();
    let own_kib = proc.own_kib();
    let mut start = vec![];
    start.put_i32(104_857_600);
    start.put_slice(&[0, 0, 0, 9, 0, 0, 0, 1]);
    let claim = || {
        let mut claims: Vec<TcpStream> = (0..200).map(|_| connect(&subject)).collect();
        for claim in &mut claims {
            claim.write_all(&start).expect("sent");
        }
        claims
    };
    healthy.assert_unimpressed(5, claim, || {
        poll("the sockets to go", || {
            (proc.descriptors() < 100).then_some(())
        })
    });
    let mut claims = claim();
    // Also what is too large for a connection's own buffer gets its share of the pool.
    healthy.batch = Batch::sized(100_000);
    let large = healthy.work();
    healthy.batch = Batch::sized(1_000);
    healthy.work();
    let grown_kib = proc.own_kib().saturating_sub(own_kib);
    eprintln!("200 claims: {grown_kib} KiB; large batches {large:?}");
    assert!(grown_kib <= NOISE_KIB, "grown by {grown_kib} KiB");
    poll("the first claims to be given up", || {
        claims.iter_mut().any(is_closed).then_some(())
    });
}

#[test]
fn a_thousand_readers_that_do_not_read_hold_up_nobody() {
    let Some(subject) = own_ottla(OTTLA, &[]) else {
        return;
    };
    let mut healthy = Healthy::new(&subject);
    let large = subject.topic("large");
    for _ in 0..40 {
        healthy.client.append(&large, &Batch::sized(200_000));
    }
    let proc = subject.proc();
    let own_kib = proc.own_kib();
    let fetches: Vec<u8> = (0..16)
        .flat_map(|i| framed(&message(12, i, None, &fetch_request(12, &large, 0))))
        .collect();
    let gather = || {
        let mut readers: Vec<TcpStream> = (0..1_000).map(|_| connect(&subject)).collect();
        for reader in &mut readers {
            reader.write_all(&fetches).expect("sent");
        }
        readers
    };
    let mut grown_kib = 0;
    healthy.assert_unimpressed(
        3,
        || {
            let readers = gather();
            poll("the readers to be served", || {
                (proc.descriptors() >= 1_000).then_some(())
            });
            grown_kib = grown_kib.max(proc.own_kib().saturating_sub(own_kib));
            readers
        },
        || {
            poll("the sockets to go", || {
                (proc.descriptors() < 100).then_some(())
            })
        },
    );
    let readers = gather();
    healthy.work();
    grown_kib = grown_kib.max(proc.own_kib().saturating_sub(own_kib));
    eprintln!("1,000 readers: {grown_kib} KiB");
    assert!(grown_kib <= 64 << 10, "grown by {grown_kib} KiB");
    drop(readers);
}

#[test]
fn garbage_and_connects_in_bursts_hold_up_nobody() {
    let Some(subject) = own_ottla(OTTLA, &[]) else {
        return;
    };
    let mut healthy = Healthy::new(&subject);
    let proc = subject.proc();
    let own_kib = proc.own_kib();
    let mut random = Random::new(44);
    for burst in 0..10 {
        let mut streams: Vec<TcpStream> = (0..500).map(|_| connect(&subject)).collect();
        if burst % 2 == 1 {
            for stream in &mut streams {
                let garbage: Vec<u8> = (0..64).map(|_| random.next() as u8).collect();
                let _ = stream.write_all(&garbage); // it may be closed by the length already
            }
        }
        healthy.work();
    }
    poll("the sockets to go", || {
        (proc.descriptors() < 100).then_some(())
    });
    let grown_kib = proc.own_kib().saturating_sub(own_kib);
    assert!(grown_kib <= NOISE_KIB, "grown by {grown_kib} KiB");
}
