//! Whether logs are open and file regions in the page cache, and how they get there without
//! blocking a data thread: recovery of a log, or `sendfile` from a cold file, would stop every
//! connection of its thread.

use std::fs::File;
use std::io::IoSliceMut;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::off_runtime::off_runtime;
use crate::log::{Chunks, Records};
use crate::partition::Partition;

/// One read of the warming; bounds what a reader of large cold regions holds.
const READ_BYTES: usize = 256 << 10;

/// Those whose logs nobody has opened since the start.
pub fn unopened<'a>(partitions: impl Iterator<Item = &'a Arc<Partition>>) -> Vec<Arc<Partition>> {
    partitions.filter(|p| !p.is_opened()).cloned().collect()
}

/// Opens the logs on the blocking pool.
pub async fn open(partitions: Vec<Arc<Partition>>) {
    off_runtime(move || partitions.iter().for_each(|p| p.open_log())).await;
}

/// Whether the first or the last page of a region would have to come from the disk. The pages
/// between are taken to be as those are: the kernel reads ahead in between.
pub fn any<'a>(records: impl Iterator<Item = &'a Records>) -> bool {
    regions(records).any(|region| region.is_cold())
}

/// Reads the cold regions on the blocking pool, one hop for all of them. An error is left to the
/// send, which meets it again.
pub async fn warm<'a>(records: impl Iterator<Item = &'a Records>) {
    let cold: Vec<Region> = regions(records).filter(Region::is_cold).collect();
    if cold.is_empty() {
        return;
    }
    let read = move || {
        let mut buffer = vec![0; READ_BYTES];
        for region in &cold {
            let mut done = 0;
            while done < region.length {
                let size = READ_BYTES.min(region.length - done);
                let position = region.position + done as u64;
                match region.file.read_at(&mut buffer[..size], position) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => done += read,
                }
            }
        }
    };
    let _ = tokio::task::spawn_blocking(read).await;
}

struct Region {
    file: Arc<File>,
    position: u64,
    length: usize,
}

impl Region {
    fn is_cold(&self) -> bool {
        let last = self.position + self.length as u64 - 1;
        is_cold(&self.file, self.position) || is_cold(&self.file, last)
    }
}

fn regions<'a>(records: impl Iterator<Item = &'a Records>) -> impl Iterator<Item = Region> {
    records.filter_map(|records| match &records.chunks {
        Chunks::File {
            file,
            position,
            length,
        } if *length > 0 => Some(Region {
            file: file.clone(),
            position: *position,
            length: *length,
        }),
        _ => None,
    })
}

fn is_cold(file: &File, position: u64) -> bool {
    let mut byte = [0];
    let probe = preadv2(
        file,
        &mut [IoSliceMut::new(&mut byte)],
        position,
        ReadWriteFlags::NOWAIT,
    );
    // Where the file system cannot tell, the read is made as it is.
    matches!(probe, Err(Errno::AGAIN))
}
