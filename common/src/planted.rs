//! Bugs that the chaos bench plants to see whether it finds them. Without the cargo feature `planted` there are none, and
//! no release can be built with it.

#[cfg(all(feature = "planted", not(debug_assertions)))]
compile_error!("the feature `planted` builds bugs in on purpose: never in a release");

/// The environment variable that picks the bug.
pub const BUG: &str = "RIALTO_PLANTED";

/// Whether this bug is planted.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn is(_bug: &str) -> bool {
    false
}

/// Whether this bug is planted.
#[cfg(feature = "planted")]
pub fn is(bug: &str) -> bool {
    static PLANTED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    PLANTED.get_or_init(|| std::env::var(BUG).ok()).as_deref() == Some(bug)
}

#[cfg(test)]
mod tests {
    use std::{env, process::Command};

    use super::{BUG, is};

    /// Runs itself as another process, in which the bug is picked.
    #[test]
    fn a_bug_is_planted_only_where_it_is_built_in_and_picked() {
        const ASKED: &str = "PLANTED_TEST_ASKED";
        if env::var_os(ASKED).is_some() {
            assert_eq!(is("M0"), cfg!(feature = "planted"));
            return;
        }
        assert!(!is("M0"), "nobody picked it");
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", "planted::tests::a_bug_is_planted_only_where_it_is_built_in_and_picked"]);
        assert!(child.env(BUG, "M0").env(ASKED, "").output().unwrap().status.success());
    }
}
