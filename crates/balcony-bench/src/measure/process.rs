//! A process tree in /proc: its CPU time and its memory.

use std::collections::HashMap;
use std::fs;

/// CPU time of processes and all below them, in clock ticks: user and system, their own and that of
/// children they waited for. `Err`: the one that is gone.
pub(super) fn tree_ticks(roots: &[u32]) -> Result<u64, u32> {
    sum(roots, |pid| ticks(&stat(pid)?))
}

/// Resident memory of processes and all below them, in bytes; what they share counts for each.
/// `Err`: the one that is gone.
pub(super) fn tree_resident(roots: &[u32]) -> Result<u64, u32> {
    sum(roots, resident)
}

/// Adds up over processes and all below them, each once. Those below may come and go.
fn sum(roots: &[u32], read: impl Fn(u32) -> Option<u64>) -> Result<u64, u32> {
    let mut sum = 0;
    for pid in roots {
        sum += read(*pid).ok_or(*pid)?;
    }
    let below = descendants(roots);
    let below = below.into_iter().filter(|pid| !roots.contains(pid));
    Ok(sum + below.filter_map(read).sum::<u64>())
}

/// CPU time that the whole machine spent on anything but idling, in clock ticks.
pub(super) fn machine_ticks() -> Option<u64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let field = |(at, text): (usize, &str)| Some((at, text.parse::<u64>().ok()?));
    let fields = line.split_whitespace().enumerate().filter_map(field);
    // proc(5): user nice system idle iowait irq softirq steal, then guest times that user and nice
    // already hold.
    Some(
        fields
            .filter(|(at, _)| matches!(at, 0..=2 | 5..=7))
            .map(|(_, n)| n)
            .sum(),
    )
}

fn stat(pid: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok()
}

/// The fields behind the name, which may itself hold spaces and brackets; the first is the state.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    let behind = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    behind.split_whitespace()
}

/// proc(5): utime, stime, cutime and cstime are the fields 14 to 17.
fn ticks(stat: &str) -> Option<u64> {
    let numbers: Vec<u64> = fields(stat)
        .skip(11)
        .take(4)
        .map_while(|n| n.parse().ok())
        .collect();
    (numbers.len() == 4).then(|| numbers.iter().sum())
}

fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// The roots first, then every process that descends from them.
fn descendants(roots: &[u32]) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        let parent = stat(pid).and_then(|text| fields(&text).nth(1)?.parse().ok());
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = roots.to_vec();
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        found.extend(children.remove(&pid).unwrap_or_default());
        next += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_does_not_shift_the_fields() {
        let stat = "42 (a) b ) S 7 42 42 0 -1 4194560 1 0 0 0 100 20 3 4 20 0 1 0 5";
        assert_eq!(ticks(stat), Some(127));
        assert_eq!(fields(stat).nth(1), Some("7"));
    }

    #[test]
    fn this_process_has_memory_and_descends_from_its_parent() {
        let own = std::process::id();
        assert!(tree_resident(&[own]).unwrap() > 100_000);
        assert!(tree_ticks(&[own]).is_ok());
        let parent = fields(&stat(own).unwrap()).nth(1).unwrap().parse().unwrap();
        assert!(descendants(&[parent]).contains(&own));
        assert!(machine_ticks().unwrap() > 0);
    }

    #[test]
    fn a_process_that_does_not_exist_has_nothing() {
        assert_eq!(tree_ticks(&[u32::MAX]), Err(u32::MAX));
        assert_eq!(tree_resident(&[1, u32::MAX]), Err(u32::MAX));
    }

    #[test]
    fn a_process_below_another_that_is_named_counts_once() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let (own, below) = (std::process::id(), child.id());
        let counted = sum(&[own, below], |_| Some(1));
        let without = sum(&[own], |_| Some(1));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(without.unwrap() >= 2);
        assert_eq!(counted, without);
    }
}
