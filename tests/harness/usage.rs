//! What processes use: CPU time and memory, as the kernel counts them.

use std::{fs, path::Path};

use crate::BenchError;

/// A process whose use is accounted.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// What it is called in the tables.
    pub name: &'static str,
    /// Its process id.
    pub pid: u32,
    /// Whether its children belong to it: PostgreSQL serves each connection with one.
    pub with_children: bool,
}

/// A line of `/proc/PID/stat`, as far as it is of use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// Clock ticks of its own.
    own: u64,
    /// Clock ticks of its children that have ended.
    ended_children: u64,
}

impl Account {
    /// The CPU time that it has used so far, in microseconds.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu_us(&self) -> Result<u64, BenchError> {
        let own = stat(self.pid).ok_or_else(|| format!("{} (process {}) is gone", self.name, self.pid))?;
        let mut ticks = own.own;
        if self.with_children {
            ticks += own.ended_children;
            for entry in fs::read_dir("/proc")?.flatten() {
                let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
                let child = pid.and_then(stat).filter(|stat| stat.parent == self.pid);
                ticks += child.map_or(0, |child| child.own + child.ended_children);
            }
        }
        Ok(to_us(ticks))
    }

    /// The memory that it has in use, in KiB.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn memory_kib(&self) -> Result<u64, BenchError> {
        self.status_kib("VmRSS:")
    }

    /// The most memory that it ever had in use, in KiB.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn peak_memory_kib(&self) -> Result<u64, BenchError> {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, name: &str) -> Result<u64, BenchError> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        kib.ok_or_else(|| format!("the kernel does not tell the memory of {}", self.name).into())
    }
}

/// The CPU time of this process's children that have ended and were waited for, in microseconds.
///
/// # Errors
/// When the kernel does not tell.
pub fn ended_children_us() -> Result<u64, BenchError> {
    let own = stat(std::process::id()).ok_or("the kernel does not tell of this process")?;
    Ok(to_us(own.ended_children))
}

/// The CPU time that the machine's cores have spent on programs so far, or that was taken from them, in microseconds.
///
/// # Errors
/// When the kernel does not tell.
pub fn machine_us() -> Result<u64, BenchError> {
    busy_us("cpu")
}

/// The same of one core.
///
/// # Errors
/// When there is no such core, or the kernel does not tell.
pub fn core_us(core: usize) -> Result<u64, BenchError> {
    busy_us(&format!("cpu{core}"))
}

fn busy_us(what: &str) -> Result<u64, BenchError> {
    let ticks = busy_ticks(&fs::read_to_string("/proc/stat")?, what);
    Ok(to_us(ticks.ok_or_else(|| format!("the kernel does not tell how busy {what} is"))?))
}

/// User, nice and system time, and what other guests of the same machine took (steal).
fn busy_ticks(stat: &str, what: &str) -> Option<u64> {
    let of = |line: &str| line.split_whitespace().next() == Some(what);
    let line = stat.lines().find(|line| of(line))?;
    let fields: Vec<u64> = line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    Some(fields.get(..3)?.iter().sum::<u64>() + fields.get(7).copied().unwrap_or_default())
}

fn to_us(ticks: u64) -> u64 {
    ticks * 1_000_000 / rustix::param::clock_ticks_per_second().max(1)
}

fn stat(pid: u32) -> Option<Stat> {
    parse(&fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?)
}

/// Fields are told apart by blanks, but the second, the program's name in brackets, may have blanks and brackets itself.
fn parse(line: &str) -> Option<Stat> {
    let (_, rest) = line.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // The third field of the line is the first here.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(4)?).ok()?,
        own: number(14)? + number(15)?,
        ended_children: number(16)? + number(17)?,
    })
}

#[cfg(test)]
mod tests {
    use std::{
        process::Command,
        time::{Duration, Instant},
    };

    use super::{Account, Stat, busy_ticks, core_us, ended_children_us, machine_us, parse};

    #[test]
    fn a_name_with_blanks_and_brackets_moves_no_field() {
        let line =
            "4711 (postgres: a) b (c) S 17 4711 4711 0 -1 4194560 1 2 3 4 250 31 1200 800 20 0 1 0 99 5 6";
        assert_eq!(parse(line), Some(Stat { parent: 17, own: 281, ended_children: 2_000 }));
        assert_eq!(parse("4711 (postgres"), None);
        assert_eq!(parse("4711 (postgres) S 17"), None);
    }

    #[test]
    fn the_machine_is_busy_with_programs_not_with_waiting() {
        let stat = "cpu  100 20 30 9000 500 7 8 40 5 5\ncpu0 50 10 15 4500 250 3 4 20 0 0\ncpu10 1 2 3 4\n";
        let busy = |what| busy_ticks(stat, what);
        assert_eq!([busy("cpu"), busy("cpu0"), busy("cpu10")], [Some(190), Some(95), Some(6)]);
        assert_eq!([busy("cpu1"), busy_ticks("intr 1 2 3", "cpu")], [None, None]);
        assert!(machine_us().unwrap() > 0);
        core_us(0).unwrap();
    }

    #[test]
    fn work_is_seen_and_rest_is_not() {
        let own = Account { name: "this", pid: std::process::id(), with_children: false };
        let before = own.cpu_us().unwrap();
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(300) {
            std::hint::black_box(began.elapsed());
        }
        let worked = own.cpu_us().unwrap() - before;
        assert!(worked > 50_000, "{worked}");
        assert!(own.memory_kib().unwrap() > 500);
        assert!(own.peak_memory_kib().unwrap() >= own.memory_kib().unwrap());
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        let idle = Account { name: "sleep", pid: child.id(), with_children: true };
        assert!(idle.cpu_us().unwrap() < 100_000);
        let mut child = child;
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(idle.cpu_us().is_err());
        ended_children_us().unwrap();
    }
}
