//! Which cores the system has, and which the generator of the load.

use std::{fmt, fs};

use harness::{BenchError, usage};
use rustix::{
    process::{Pid, setpriority_process},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

/// How far behind others strangers stand.
const STRANGERS_NICE: i32 = 10;

/// The machine's cores, divided.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    /// None on a machine with one core, which both share.
    generator: Option<Generator>,
    system: CpuSet,
}

/// The core that the load is made on.
#[derive(Clone, Copy, Debug)]
struct Generator {
    core: usize,
    set: CpuSet,
}

impl Cores {
    /// Leaves the last core to the generator, and the others to this thread and all that it starts.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn split() -> Result<Self, BenchError> {
        let all = sched_getaffinity(None)?;
        let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core)).collect();
        let [rest @ .., last] = cores.as_slice() else { return Err("no core to run on".into()) };
        if rest.is_empty() {
            return Ok(Self { generator: None, system: all });
        }
        let set = |cores: &[usize]| {
            let mut set = CpuSet::new();
            cores.iter().for_each(|core| set.set(*core));
            set
        };
        let divided =
            Self { generator: Some(Generator { core: *last, set: set(&[*last]) }), system: set(rest) };
        sched_setaffinity(None, &divided.system)?;
        Ok(divided)
    }

    /// Moves the calling thread to the generator's core.
    pub fn become_generator(&self) {
        if let Some(generator) = &self.generator {
            // A thread that stays where it is costs the figures, not the run.
            let _ = sched_setaffinity(None, &generator.set);
        }
    }

    /// Moves the calling thread there too, behind all others: it stands for somebody else's machine, and what it takes of this one's
    /// time is not what it does to the system.
    pub fn become_stranger(&self) {
        self.become_generator();
        let _ = setpriority_process(None, STRANGERS_NICE);
    }

    /// Moves a process to the generator's core, as if it ran on another machine than the rest of the system.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn move_to_generator(&self, process: u32) -> Result<(), BenchError> {
        let Some(generator) = &self.generator else { return Ok(()) };
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            let id: i32 = thread?.file_name().to_string_lossy().parse()?;
            sched_setaffinity(Pid::from_raw(id), &generator.set)?;
        }
        Ok(())
    }

    /// How long the generator's core has been busy so far, in microseconds; 0 where it has none of its own.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn generator_us(&self) -> Result<u64, BenchError> {
        self.generator.as_ref().map_or(Ok(0), |generator| usage::core_us(generator.core))
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.generator {
            Some(_) => write!(f, "system on {} of the cores, load from one of its own", self.system.count()),
            None => f.write_str("one core only: the load takes the system's time, which the figures show"),
        }
    }
}
