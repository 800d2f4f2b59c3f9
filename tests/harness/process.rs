//! Child processes that do not outlive their parent.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{OnceLock, mpsc},
    time::{Duration, Instant},
};

use crate::BenchError;

/// A running program.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

/// As whom a program runs, and what reaches it when its parent dies.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    /// The user and group, when they are not to be the parent's.
    pub user: Option<(u32, u32)>,
    /// Whether the user needs to reach files below folders that are closed to it.
    pub passes_closed_folders: bool,
    /// The signal's name, without SIG.
    pub signal_on_parent_death: &'static str,
}

/// Runs as the parent does, and is killed with it.
pub const KILLED_WITH_PARENT: Guard =
    Guard { user: None, passes_closed_folders: false, signal_on_parent_death: "KILL" };

impl Process {
    /// Starts `command`, its output going to the end of `log`.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(name: &'static str, command: Command, guard: Guard, log: &Path) -> Result<Self, BenchError> {
        let mut command = guarded(&command, guard);
        let file = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = spawn(command).map_err(|error| format!("cannot start {name}: {error}"))?;
        Ok(Self { name, child, log: log.to_owned() })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends it a signal, by its name without SIG.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: &str) -> Result<(), BenchError> {
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(self.pid().to_string()).status()?;
        if sent.success() { Ok(()) } else { Err(format!("{} is not running", self.name).into()) }
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When it takes longer than `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Result<std::process::ExitStatus, BenchError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                return Err(format!("{} still runs after {timeout:?}", self.name).into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it has written `file`, and returns what is in it.
    ///
    /// # Errors
    /// When it ends first or takes too long; says what it logged last.
    pub fn wait_for_file(&mut self, file: &Path) -> Result<String, BenchError> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Ok(text) = std::fs::read_to_string(file) {
                return Ok(text);
            }
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let how = ended.map_or_else(|| "does not come up".to_owned(), |status| status.to_string());
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(12).collect();
                let last: Vec<&str> = last.into_iter().rev().collect();
                return Err(format!("{}: {how}; its log ends with\n{}", self.name, last.join("\n")).into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether util-linux's setpriv is there; without it (macOS) children of a killed parent stay.
fn has_setpriv() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        Command::new("setpriv").arg("--version").output().is_ok_and(|out| out.status.success())
    })
}

/// The same command, run under its guard.
pub fn guarded(command: &Command, guard: Guard) -> Command {
    use std::os::unix::process::CommandExt;
    if !has_setpriv() {
        let mut plain = Command::new(command.get_program());
        copy(command, &mut plain);
        if let Some((user, group)) = guard.user {
            plain.uid(user).gid(group);
        }
        return plain;
    }
    let mut wrapped = Command::new("setpriv");
    wrapped.args(["--pdeathsig", guard.signal_on_parent_death]);
    if let Some((user, group)) = guard.user {
        wrapped.args(["--reuid", &user.to_string(), "--regid", &group.to_string(), "--clear-groups"]);
    }
    if guard.passes_closed_folders {
        wrapped.args(["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]);
    }
    wrapped.arg("--").arg(command.get_program());
    copy(command, &mut wrapped);
    wrapped
}

fn copy(from: &Command, to: &mut Command) {
    to.args(from.get_args());
    for (name, value) in from.get_envs() {
        match value {
            Some(value) => to.env(name, value),
            None => to.env_remove(name),
        };
    }
    if let Some(folder) = from.get_current_dir() {
        to.current_dir(folder);
    }
}

/// Starts a child from a thread that lives as long as the process: the death of the *thread* that started it is what the
/// system takes for the parent's death.
fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static KEEPER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let keeper = KEEPER.get_or_init(|| {
        let (orders, to_do) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, started) in to_do {
                let _ = started.send(command.spawn());
            }
        });
        orders
    });
    let (started, result) = mpsc::channel();
    let gone = || io::Error::other("the thread that starts processes is gone");
    keeper.send((command, started)).map_err(|_| gone())?;
    result.recv().map_err(|_| gone())?
}
