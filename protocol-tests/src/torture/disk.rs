//! Small file systems that a test may fill up or cut the power of: tmpfs, and ext4 in a file.
//! Both want root; the loop device goes with the mount.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ottla::clock::Clock;

/// The ioctl EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: from now on nothing reaches the
/// device, not even the journal. (Through Python, since an ioctl takes unsafe code.)
const SHUTDOWN: &str = "import fcntl, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(fd, 0x8004587d, struct.pack('I', 2))";

const RELEASED_WITHIN_MS: i64 = 30_000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// A mounted file system; unmounted when dropped.
pub struct Disk {
    mount: PathBuf,
    image: Option<PathBuf>,
}

impl Disk {
    /// ext4 of `mebibytes` in a file beside its mount point, both below `directory`.
    pub fn ext4(directory: &Path, mebibytes: u64) -> Result<Disk> {
        fs::create_dir_all(directory)?;
        let image = directory.join("image");
        File::create(&image)?.set_len(mebibytes << 20)?;
        run("mkfs.ext4", &["-q", "-F", path(&image)?])?;
        let disk = Disk {
            mount: directory.join("mount"),
            image: Some(image),
        };
        fs::create_dir_all(&disk.mount)?;
        disk.mount_image()?;
        Ok(disk)
    }

    pub fn tmpfs(directory: &Path, mebibytes: u64) -> Result<Disk> {
        let mount = directory.join("mount");
        fs::create_dir_all(&mount)?;
        let size = format!("size={mebibytes}m");
        let arguments = ["-t", "tmpfs", "-o", &size, "tmpfs", path(&mount)?];
        run("mount", &arguments)?;
        Ok(Disk { mount, image: None })
    }

    /// Where to put files.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// The power fails. Whoever has files open gets errors until [`Disk::power_on`].
    pub fn power_off(&self) -> Result<()> {
        run("python3", &["-c", SHUTDOWN, path(&self.mount)?])
    }

    /// Mounts again what has reached the device. Nobody may have a file open, but for a moment: a
    /// process that somebody else just starts holds what was open here until it runs its program.
    pub fn power_on(&self) -> Result<()> {
        let clock = Clock::system();
        while let Err(error) = run("umount", &[path(&self.mount)?]) {
            ensure!(clock.monotonic_ms() < RELEASED_WITHIN_MS, "{error:#}");
            std::thread::sleep(BETWEEN_LOOKS);
        }
        self.mount_image()
    }

    fn mount_image(&self) -> Result<()> {
        let image = self.image.as_ref().context("tmpfs keeps nothing")?;
        run("mount", &["-o", "loop", path(image)?, path(&self.mount)?])
    }

    /// Whether less than half of it is left.
    pub fn is_half_full(&self) -> Result<bool> {
        let space = rustix::fs::statvfs(&self.mount)?;
        Ok(space.f_bavail < space.f_blocks / 2)
    }

    /// Takes all free space, to the last block.
    pub fn fill(&self) -> Result<()> {
        let mut file = File::create(self.mount.join("filler"))?;
        let mut piece = vec![1; 1 << 20];
        while !piece.is_empty() {
            if file.write_all(&piece).is_err() {
                piece.truncate(piece.len() / 2);
            }
        }
        Ok(())
    }

    /// Gives back what [`Disk::fill`] took.
    pub fn make_room(&self) -> Result<()> {
        Ok(fs::remove_file(self.mount.join("filler"))?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that was killed may not be quite gone.
        if let Ok(mount) = path(&self.mount) {
            let _ = run("umount", &["--lazy", mount]);
        }
    }
}

/// Whether this machine and user may mount at all.
pub fn may_mount() -> bool {
    tempfile::tempdir().is_ok_and(|directory| Disk::ext4(directory.path(), 8).is_ok())
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("running {program}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{program} {arguments:?}: {complaint}"
    );
    Ok(())
}
