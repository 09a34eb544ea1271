//! Prices that are no loop of requests: appends over many files, syncs, a process, a connection.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Files, append};
use crate::load::Histogram;
use crate::measure::{Process, now_ns};

/// Appends of `bytes` to `files` files in turn: CPU of each.
///
/// # Errors
/// The file's.
pub fn append_files(directory: &Path, files: usize, bytes: usize, count: u64) -> Result<Value> {
    let mut all = Files::create(directory, files)?;
    let record = vec![0x5a; bytes];
    let before = Process::sample(std::process::id())?;
    for _ in 0..count {
        let file = all.turn();
        append(file, 0, &record)?;
        file.1 += bytes as u64;
    }
    let cost = Process::sample(std::process::id())?.since(&before);
    all.empty()?;
    let cpu_ns = cost["cpu_ns"].as_u64().unwrap_or(0);
    Ok(json!({ "files": files, "bytes": bytes, "cpu_ns_each": cpu_ns / count }))
}

/// fdatasync after writes of 4 KiB that extend the file, or into preallocated blocks, from
/// `threads` threads with a file each.
///
/// # Errors
/// The file's.
pub fn sync_files(
    directory: &Path,
    threads: usize,
    preallocated: bool,
    count: u64,
) -> Result<Value> {
    let files = Files::create(directory, threads)?;
    let all: Result<Vec<Vec<u64>>> = std::thread::scope(|scope| {
        let workers: Vec<_> = files
            .files
            .iter()
            .map(|file| scope.spawn(move || sync_one(&file.0, preallocated, count)))
            .collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined
            .map(|result| result.unwrap_or_else(|_| anyhow::bail!("a thread panicked")))
            .collect()
    });
    let mut took = Histogram::default();
    all?.into_iter().flatten().for_each(|ns| took.record(ns));
    Ok(json!({
        "threads": threads,
        "preallocated": preallocated,
        "took": took.to_json(),
    }))
}

fn sync_one(file: &File, preallocated: bool, count: u64) -> Result<Vec<u64>> {
    const PIECE: [u8; 4096] = [0x5a; 4096];
    if preallocated {
        let flags = rustix::fs::FallocateFlags::empty();
        rustix::fs::fallocate(file, flags, 0, count * PIECE.len() as u64)?;
        file.sync_all()?;
    }
    let one = |index: u64| {
        rustix::io::pwrite(file, &PIECE, index * PIECE.len() as u64)?;
        let start = now_ns();
        rustix::fs::fdatasync(file)?;
        Ok(now_ns() - start)
    };
    (0..count).map(one).collect()
}

/// The least a start can take: a process that binds, is connected to, and replies. `program` is
/// this binary, which does that when called with `bind`.
///
/// # Errors
/// The process does not start.
pub fn fork_exec(program: &Path, count: u64) -> Result<Value> {
    let mut took = Histogram::default();
    for _ in 0..count {
        let start = now_ns();
        let mut child = Command::new(program)
            .arg("bind")
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let out = child.stdout.as_mut().context("stdout is piped")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line)?;
        let mut socket = TcpStream::connect(line.trim())?;
        socket.write_all(&[1])?;
        socket.read_exact(&mut [0])?;
        took.record(now_ns() - start);
        child.wait()?;
    }
    Ok(took.to_json())
}

/// Accepts `count` connections of this process and keeps them: time of each pair and the
/// kernel's slab per endpoint.
///
/// # Errors
/// Too few descriptors.
pub fn idle_accept(count: u64) -> Result<Value> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let slab_before = slab_kb();
    let start = now_ns();
    let mut held = Vec::new();
    for _ in 0..count {
        held.push(TcpStream::connect(address)?);
        held.push(listener.accept()?.0);
    }
    let took = now_ns() - start;
    let slab = slab_kb().saturating_sub(slab_before) * 1024;
    Ok(json!({
        "connections": count,
        "ns_each": took / count,
        "slab_bytes_per_endpoint": slab / (2 * count),
    }))
}

fn slab_kb() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("Slab:"));
    let value = line.and_then(|line| line.split_whitespace().nth(1));
    value.and_then(|kb| kb.parse().ok()).unwrap_or(0)
}
