//! How much memory this process may have: the smallest limit of its control groups, else the
//! machine's.

use std::fs;
use std::path::{Path, PathBuf};

const CGROUPS: &str = "/sys/fs/cgroup";
const OWN_CGROUP: &str = "/proc/self/cgroup";

/// In bytes; `usize::MAX` where the system does not tell.
pub fn memory_limit() -> usize {
    let own = fs::read_to_string(OWN_CGROUP).unwrap_or_default();
    let of_groups = limit_files(&own, Path::new(CGROUPS))
        .iter()
        .filter_map(|file| parse(&fs::read_to_string(file).ok()?))
        .min();
    of_groups.unwrap_or(usize::MAX).min(total())
}

fn total() -> usize {
    let info = rustix::system::sysinfo();
    let unit = usize::try_from(info.mem_unit).unwrap_or(1);
    match usize::try_from(info.totalram).map(|ram| ram.saturating_mul(unit)) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(bytes) => bytes,
    }
}

/// The files that may hold a limit, from the process's own group up to the root: a parent's limit
/// binds its children, in both versions of control groups. Inside a container the path of
/// /proc/self/cgroup may not exist below /sys/fs/cgroup, whose root is then the container's group.
fn limit_files(own: &str, root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let (mount, name) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|c| c == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = mount.join(path.trim_start_matches('/'));
        let up_to_mount = group.ancestors().take_while(|dir| dir.starts_with(&mount));
        files.extend(up_to_mount.map(|dir| dir.join(name)));
    }
    files
}

/// `max` and version 1's almost 2^63 are no limits.
fn parse(text: &str) -> Option<usize> {
    let bytes: u64 = text.trim().parse().ok()?;
    usize::try_from(bytes).ok().filter(|_| bytes < 1 << 62)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_and_all_above_it_are_asked() {
        let root = Path::new("/cg");
        let two = limit_files("0::/a/b\n", root);
        let expected = ["/cg/a/b/memory.max", "/cg/a/memory.max", "/cg/memory.max"];
        assert_eq!(two, expected.map(PathBuf::from));
        let one = limit_files("5:cpu:/x\n4:memory,hugetlb:/x\n", root);
        let expected = [
            "/cg/memory/x/memory.limit_in_bytes",
            "/cg/memory/memory.limit_in_bytes",
        ];
        assert_eq!(one, expected.map(PathBuf::from));
        assert!(limit_files("no such thing", root).is_empty());
    }

    #[test]
    fn no_limit_is_told_from_a_limit() {
        assert_eq!(parse("536870912\n"), Some(512 << 20));
        assert_eq!(parse("max\n"), None);
        assert_eq!(parse("9223372036854771712"), None);
    }

    #[test]
    fn this_machine_has_some_memory() {
        assert!((1 << 20..usize::MAX).contains(&memory_limit()));
    }
}
