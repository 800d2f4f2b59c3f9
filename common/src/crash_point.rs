//! Named places in the flow at which the chaos bench can make this process die or stand still. Without the cargo feature
//! `chaos` they are compiled to nothing.
//!
//! The bench writes an order, `<pass> <abort|stop>`, into a file that is called like the place, in the folder that [`ORDERS`]
//! names, while the process runs. The process obeys when it passes the place for the `pass`-th time under that order, and first
//! renames the file to end in [`OBEYED`], by which the bench sees it and a restarted process does not obey again.

/// The environment variable that says in which folder orders are written.
pub const ORDERS: &str = "RIALTO_CRASH_POINTS";

/// What the name of an order's file ends in once it is obeyed.
pub const OBEYED: &str = ".obeyed";

/// Whether the crash points are in this build.
pub const IN_THIS_BUILD: bool = cfg!(feature = "chaos");

/// A place at which this process dies or stands still when the bench has ordered so.
#[cfg(not(feature = "chaos"))]
#[inline(always)]
pub const fn here(_name: &str) {}

// What is done while compiling cannot be done again while running.
#[cfg(not(feature = "chaos"))]
const _: () = here("nowhere");

#[cfg(feature = "chaos")]
pub use live::here;

#[cfg(feature = "chaos")]
mod live {
    use std::{
        collections::HashMap,
        fs,
        path::PathBuf,
        process::Command,
        sync::{Mutex, OnceLock, PoisonError},
        time::Duration,
    };

    use super::{OBEYED, ORDERS};

    /// How much later than the process the thread wakes that stood still at the place.
    const AWAKE_LATER: Duration = Duration::from_millis(400);

    /// What the process is to do at the place.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum Action {
        /// Die at once: nothing is unwound or flushed.
        Abort,
        /// Stand still until the bench wakes or kills it.
        Stop,
    }

    /// How often an ordered place was passed.
    #[derive(Debug, Default)]
    pub(super) struct Passes {
        order: String,
        count: u64,
    }

    impl Passes {
        /// Counts a pass under `order`; says what to do if this is the pass that was ordered.
        pub(super) fn pass(&mut self, order: &str) -> Option<Action> {
            let mut words = order.split_whitespace();
            let pass: u64 = words.next()?.parse().ok()?;
            let action = match words.next()? {
                "abort" => Action::Abort,
                "stop" => Action::Stop,
                _ => return None,
            };
            if self.order != order {
                *self = Self { order: order.to_owned(), count: 0 };
            }
            self.count += 1;
            (self.count == pass).then_some(action)
        }
    }

    /// A place at which this process dies or stands still when the bench has ordered so.
    pub fn here(name: &str) {
        static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
        static PASSES: Mutex<Option<HashMap<String, Passes>>> = Mutex::new(None);
        let Some(folder) = FOLDER.get_or_init(|| std::env::var_os(ORDERS).map(PathBuf::from)) else { return };
        let Ok(order) = fs::read_to_string(folder.join(name)) else { return };
        let mut places = PASSES.lock().unwrap_or_else(PoisonError::into_inner);
        let passes = places.get_or_insert_default().entry(name.to_owned()).or_default();
        let Some(action) = passes.pass(&order) else { return };
        drop(places);
        // Without the mark a restarted process would die again and again.
        if fs::rename(folder.join(name), folder.join(format!("{name}{OBEYED}"))).is_err() {
            return;
        }
        match action {
            Action::Abort => std::process::abort(),
            // This thread waits for `kill`, so that it goes no further before the process stands still; and wakes later than
            // the others, so that they may overtake it.
            Action::Stop => {
                drop(Command::new("kill").args(["-STOP", &std::process::id().to_string()]).status());
                std::thread::sleep(AWAKE_LATER);
            }
        }
    }
}

#[cfg(all(test, feature = "chaos"))]
mod tests {
    use std::{env, fs, os::unix::process::ExitStatusExt, process::Command};

    use super::{
        ORDERS, here,
        live::{Action, Passes},
    };

    #[test]
    fn the_ordered_pass_is_found() {
        let mut passes = Passes::default();
        assert_eq!(passes.pass("2 abort"), None);
        assert_eq!(passes.pass("2 abort"), Some(Action::Abort));
        assert_eq!(passes.pass("2 abort"), None);
        assert_eq!(passes.pass("1 stop"), Some(Action::Stop));
        assert_eq!(passes.pass("1 sing"), None);
    }

    /// Runs itself as another process, which passes the place four times.
    #[test]
    fn the_process_dies_at_the_ordered_pass() {
        const LOG: &str = "CRASH_POINT_TEST_LOG";
        if let Some(log) = env::var_os(LOG) {
            for number in 1..=4 {
                here("test.elsewhere");
                here("test.place");
                fs::write(&log, number.to_string()).unwrap();
            }
            return;
        }
        let folder = env::temp_dir().join(format!("crash-point-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let log = folder.join("log");
        let run = || {
            let mut child = Command::new(env::current_exe().unwrap());
            child.args(["--exact", "crash_point::tests::the_process_dies_at_the_ordered_pass"]);
            child.env(ORDERS, &folder).env(LOG, &log).output().unwrap().status
        };
        fs::write(folder.join("test.place"), "3 abort").unwrap();
        let died = run();
        let passed = fs::read_to_string(&log).unwrap();
        let survived = run();
        let obeyed = folder.join("test.place.obeyed").is_file();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!((died.signal().is_some(), passed.as_str()), (true, "2"), "{died}");
        assert!(obeyed && survived.success(), "an order is obeyed once: {survived}");
    }
}
