//! What looks for inputs that break a rule: changes known inputs, keeps those that came to something new, and judges each by its
//! target, its time and its memory.

use std::{
    collections::HashSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::Duration,
};

use harness::BenchError;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rustix::time::{ClockId, clock_gettime};

use crate::mutation::{Form, Mutator};

/// The processor time that one input may take. Without optimization everything takes ten times as long.
pub const MAX_TIME: Duration = Duration::from_millis(if cfg!(debug_assertions) { 100 } else { 10 });
/// The memory that one input may take: this, and so much for each byte of it.
const MAX_MEMORY_BYTES: u64 = 512 << 10;
const MAX_MEMORY_FACTOR: u64 = 256;
/// How many inputs are kept.
const MAX_KEPT: usize = 4_096;
/// How often a smaller input is tried that fails as well.
const MAX_SHRINKING: u32 = 2_000;

/// What an input came to, in a few words, or what is wrong.
pub type Checked = Result<String, String>;

/// Reads an input, and judges what came of it.
pub type Check = Box<dyn FnMut(&[u8]) -> Checked>;

/// Something that reads what others write.
pub struct Target {
    /// Good inputs, and bad ones that are near to them.
    pub seeds: Vec<Vec<u8>>,
    /// Words of the inputs' language.
    pub words: Vec<Vec<u8>>,
    /// What inputs are made of.
    pub form: Form,
    /// Reads an input, and judges what came of it.
    pub check: Check,
}

/// What a search came to.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// How many inputs were tried.
    pub inputs: u64,
    /// How many things they came to that differ.
    pub outcomes: usize,
    /// The first input that broke a rule, as small as it was made.
    pub broken: Option<Broken>,
}

/// An input that breaks a rule.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The input.
    pub input: Vec<u8>,
    /// What is wrong.
    pub complaint: String,
}

/// Searches a target.
pub struct Search {
    target: Target,
    mutator: Mutator,
    random: StdRng,
    kept: Vec<Vec<u8>>,
    outcomes: HashSet<String>,
    inputs: u64,
}

impl Search {
    /// A search that begins with the target's seeds, and with what broke a rule once (`found`).
    pub fn new(mut target: Target, found: Vec<Vec<u8>>, seed: u64) -> Self {
        let mutator = Mutator { form: target.form, words: std::mem::take(&mut target.words) };
        let kept: Vec<Vec<u8>> = target.seeds.drain(..).chain(found).collect();
        let random = StdRng::seed_from_u64(seed);
        Self { target, mutator, random, kept, outcomes: HashSet::new(), inputs: 0 }
    }

    /// Tries the inputs that there are, then changed ones as long as `goes_on` says so of how many were tried, until one breaks a
    /// rule.
    pub fn run(&mut self, mut goes_on: impl FnMut(u64, usize) -> bool) -> Found {
        let known = self.kept.len();
        for at in 0..known {
            if let Err(complaint) = self.try_one(&self.kept[at].clone()) {
                return self.found(Some(self.kept[at].clone()), complaint);
            }
        }
        while goes_on(self.inputs, self.outcomes.len()) {
            // The first ones are good, and those that were kept last are new: both are changed more than others.
            let all = self.kept.len();
            let among = match self.random.random_range(0..3) {
                0 => 0..known,
                1 => all.saturating_sub(16)..all,
                _ => 0..all,
            };
            let (one, other) = (self.random.random_range(among), self.random.random_range(0..all));
            let (one, other) = (&self.kept[one], &self.kept[other]);
            let input = self.mutator.mutated(&mut self.random, one, other);
            match self.try_one(&input) {
                Ok(true) if self.kept.len() < MAX_KEPT => self.kept.push(input),
                Ok(_) => {}
                Err(complaint) => {
                    let small = self.shrunk(input);
                    let complaint = self.try_one(&small).err().unwrap_or(complaint);
                    return self.found(Some(small), complaint);
                }
            }
        }
        self.found(None, String::new())
    }

    fn found(&self, broken: Option<Vec<u8>>, complaint: String) -> Found {
        let broken = broken.map(|input| Broken { input, complaint });
        Found { inputs: self.inputs, outcomes: self.outcomes.len(), broken }
    }

    /// Whether the input came to something new.
    fn try_one(&mut self, input: &[u8]) -> Result<bool, String> {
        self.inputs += 1;
        checked(&mut self.target, input).map(|outcome| self.outcomes.insert(outcome))
    }

    /// A smaller input that breaks a rule as well.
    fn shrunk(&mut self, mut input: Vec<u8>) -> Vec<u8> {
        let (mut part, mut tries) = (input.len() / 2, 0);
        while part > 0 && tries < MAX_SHRINKING {
            let mut at = 0;
            while at < input.len() && tries < MAX_SHRINKING {
                tries += 1;
                let mut smaller = input.clone();
                drop(smaller.drain(at..(at + part).min(input.len())));
                if checked(&mut self.target, &smaller).is_err() { input = smaller } else { at += part }
            }
            part /= 2;
        }
        input
    }
}

/// What one input comes to.
///
/// # Errors
/// Which rule it breaks: one of the target's, no panic, or the bounds of time and memory.
pub fn checked(target: &mut Target, input: &[u8]) -> Checked {
    let (outcome, mut took, memory) = measured(target, input);
    let outcome = outcome?;
    let length = u64::try_from(input.len()).unwrap_or(u64::MAX);
    if memory > MAX_MEMORY_BYTES + MAX_MEMORY_FACTOR * length {
        return Err(format!("took {memory} bytes of memory"));
    }
    // Who is interrupted looks slow: only what is slow each time is.
    for _ in 0..3 {
        if took <= MAX_TIME {
            return Ok(outcome);
        }
        took = took.min(measured(target, input).1);
    }
    Err(format!("took {took:?}"))
}

fn measured(target: &mut Target, input: &[u8]) -> (Checked, Duration, u64) {
    let mut outcome = Err(String::new());
    let began = processor_time();
    let memory = allocation_counter::measure(|| {
        let check = AssertUnwindSafe(|| (target.check)(input));
        outcome = catch_unwind(check).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            Err(format!("panicked: {}", text.unwrap_or_default()))
        });
    });
    (outcome, processor_time().saturating_sub(began), memory.bytes_max)
}

/// The processor time that this thread has had.
pub fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default())
}

/// What broke a rule of this target once, and must not any more: the files of `tests/fuzz/found`.
///
/// # Errors
/// When a file can't be read.
pub fn found_before(target: &str) -> Result<Vec<Vec<u8>>, BenchError> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/found").join(target);
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path()).collect();
    files.sort();
    Ok(files.iter().map(fs::read).collect::<Result<_, _>>()?)
}

/// Keeps an input that breaks a rule, and says where.
///
/// # Errors
/// When it can't be written.
pub fn save(target: &str, broken: &Broken) -> Result<PathBuf, BenchError> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz").join(target);
    fs::create_dir_all(&folder)?;
    let name: String = blake3::hash(&broken.input).to_hex().chars().take(16).collect();
    let file = folder.canonicalize()?.join(name);
    fs::write(&file, &broken.input)?;
    Ok(file)
}
