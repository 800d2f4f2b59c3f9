//! Named places in the flow at which the chaos bench can make this process die or stand still. Without the cargo feature
//! `chaos` they are compiled to nothing.
//!
//! The bench writes an order, `<name> <pass> <abort|stop>`, into the file that [`ORDER_FILE`] names, while the process runs.
//! The process obeys when it passes the place for the `pass`-th time under that order, and first renames the file to end in
//! `.obeyed`, by which the bench sees it and a restarted process does not obey again.

/// The environment variable that says where orders are written.
pub const ORDER_FILE: &str = "RIALTO_CRASH_POINT";

/// Whether the crash points are in this build.
pub const IN_THIS_BUILD: bool = cfg!(feature = "chaos");

/// A place at which this process dies or stands still when the bench has ordered so.
#[cfg(not(feature = "chaos"))]
#[inline(always)]
pub fn here(_name: &str) {}

#[cfg(feature = "chaos")]
pub use live::here;

#[cfg(feature = "chaos")]
mod live {
    use std::{
        fs,
        path::PathBuf,
        process::Command,
        sync::{Mutex, OnceLock, PoisonError},
    };

    use super::ORDER_FILE;

    /// What the process is to do at the place.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum Action {
        /// Die at once: nothing is unwound or flushed.
        Abort,
        /// Stand still until the bench wakes or kills it.
        Stop,
    }

    /// How often the ordered place was passed.
    #[derive(Debug, Default)]
    pub(super) struct Passes {
        order: String,
        count: u64,
    }

    impl Passes {
        /// Counts a pass of `name` under `order`; says what to do if this is the pass that was ordered.
        pub(super) fn pass(&mut self, order: &str, name: &str) -> Option<Action> {
            let mut words = order.split_whitespace();
            if words.next() != Some(name) {
                return None;
            }
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
        static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
        static PASSES: Mutex<Option<Passes>> = Mutex::new(None);
        let Some(file) = FILE.get_or_init(|| std::env::var_os(ORDER_FILE).map(PathBuf::from)) else { return };
        let Ok(order) = fs::read_to_string(file) else { return };
        let mut passes = PASSES.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(action) = passes.get_or_insert_default().pass(&order, name) else { return };
        drop(passes);
        // Without the mark a restarted process would die again and again.
        if fs::rename(file, file.with_extension("obeyed")).is_err() {
            return;
        }
        match action {
            Action::Abort => std::process::abort(),
            // This thread waits for `kill`, so that it goes no further before the process stands still.
            Action::Stop => {
                drop(Command::new("kill").args(["-STOP", &std::process::id().to_string()]).status())
            }
        }
    }
}

#[cfg(all(test, feature = "chaos"))]
mod tests {
    use std::{env, fs, os::unix::process::ExitStatusExt, process::Command};

    use super::{
        ORDER_FILE, here,
        live::{Action, Passes},
    };

    #[test]
    fn the_ordered_pass_of_the_ordered_place_is_found() {
        let mut passes = Passes::default();
        let order = "book.before_commit 2 abort";
        assert_eq!(passes.pass(order, "book.after_commit"), None);
        assert_eq!(passes.pass(order, "book.before_commit"), None);
        assert_eq!(passes.pass(order, "book.before_commit"), Some(Action::Abort));
        assert_eq!(passes.pass(order, "book.before_commit"), None);
        assert_eq!(passes.pass("book.before_commit 1 stop", "book.before_commit"), Some(Action::Stop));
        assert_eq!(passes.pass("book.before_commit 1 sing", "book.before_commit"), None);
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
        let (orders, log) = (folder.join("order"), folder.join("log"));
        let run = || {
            let mut child = Command::new(env::current_exe().unwrap());
            child.args(["--exact", "crash_point::tests::the_process_dies_at_the_ordered_pass"]);
            child.env(ORDER_FILE, &orders).env(LOG, &log).output().unwrap().status
        };
        fs::write(&orders, "test.place 3 abort").unwrap();
        let died = run();
        let passed = fs::read_to_string(&log).unwrap();
        let survived = run();
        let obeyed = folder.join("order.obeyed").is_file();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!((died.signal().is_some(), passed.as_str()), (true, "2"), "{died}");
        assert!(obeyed && survived.success(), "an order is obeyed once: {survived}");
    }
}
