//! CPU time and memory of processes with their descendants, and of the whole machine, from
//! `/proc`. Figures of what does not exist are zero.

use std::fs;
use std::time::Duration;

/// Ticks a second of the times in `/proc`: 100 for user space on every Linux.
const TICKS: u64 = 100;

/// Resident memory of a process tree in bytes; pages shared within the tree count each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub now: u64,
    /// The highest since the processes began.
    pub peak: u64,
}

/// The process and all its living descendants.
pub fn tree(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        let tasks = fs::read_dir(format!("/proc/{pid}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(
                children
                    .split_whitespace()
                    .filter_map(|child| child.parse::<u32>().ok()),
            );
        }
        next += 1;
    }
    found
}

/// User and system time that the tree used so far, ended children included.
pub fn cpu(pid: u32) -> Duration {
    let ticks: u64 = tree(pid).into_iter().map(ticks).sum();
    Duration::from_millis(ticks * 1000 / TICKS)
}

fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The command's name is in parentheses and may hold anything.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    // utime, stime, cutime and cstime are fields 14 to 17; the first here is field 3.
    let times = fields.split_whitespace().skip(11).take(4);
    times.filter_map(|time| time.parse::<u64>().ok()).sum()
}

pub fn memory(pid: u32) -> Memory {
    let mut memory = Memory::default();
    for pid in tree(pid) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        memory.now += kilobytes(&status, "VmRSS:") * 1024;
        memory.peak += kilobytes(&status, "VmHWM:") * 1024;
    }
    memory
}

fn kilobytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// CPU time that all cores of the machine were busy since it started.
pub fn machine() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = stat.lines().next().unwrap_or_default();
    let times: Vec<u64> = first
        .split_whitespace()
        .skip(1)
        .filter_map(|time| time.parse().ok())
        .collect();
    // user nice system [idle iowait] irq softirq
    let busy: u64 = [0, 1, 2, 5, 6]
        .iter()
        .filter_map(|index| times.get(*index))
        .sum();
    Duration::from_millis(busy * 1000 / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_its_own_process() {
        let me = std::process::id();
        let before = cpu(me);
        let mut number = 1_u64;
        while cpu(me) - before < Duration::from_millis(50) {
            number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005));
        }
        assert!(machine() >= cpu(me) - before);
        let memory = memory(me);
        assert!(memory.now > 1 << 20 && memory.peak >= memory.now / 2);
        assert_eq!(tree(me)[0], me);
    }
}
