//! Which of several servers is the primary: pure. A server that was replaced does not know so; its timeline tells, which each promotion
//! makes one longer.

/// Which database system a server has, and on which of its timelines it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The system's identifier, which all of its standbys share.
    pub system: i64,
    /// The timeline.
    pub timeline: i64,
}

/// Why a server that accepts writes is not written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It was the primary, and another server was promoted.
    #[error("was replaced: it is on timeline {found}, and timeline {seen} was begun elsewhere")]
    Replaced {
        /// Its timeline.
        found: i64,
        /// The latest that was seen.
        seen: i64,
    },
    /// It is no copy of the database that was seen.
    #[error("has another database system, not a copy of the same one")]
    Stranger,
    /// Two servers began the same timeline, each by itself.
    #[error("accepts writes on the same timeline as another server: nobody can say whose payments count")]
    Twin,
}

impl Lineage {
    /// Whether a server of this lineage may be written to after what was `seen`.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(self, seen: Option<Self>) -> Result<(), Unfit> {
        match seen {
            Some(seen) if seen.system != self.system => Err(Unfit::Stranger),
            Some(seen) if seen.timeline > self.timeline => {
                Err(Unfit::Replaced { found: self.timeline, seen: seen.timeline })
            }
            _ => Ok(()),
        }
    }
}

/// The servers that accept writes, by their places: which of them is the primary, if any, and what is wrong with the others. `current` is
/// the primary so far, and `seen` its lineage.
pub(super) fn choose(
    seen: Option<Lineage>,
    current: usize,
    writable: &[(usize, Lineage)],
) -> (Option<usize>, Vec<(usize, Unfit)>) {
    let newest = writable.iter().map(|(_, lineage)| lineage).filter(|lineage| lineage.judge(seen).is_ok());
    let newest = newest.max_by_key(|lineage| lineage.timeline).copied();
    let (mut fit, mut unfit) = (Vec::new(), Vec::new());
    for &(place, lineage) in writable {
        match lineage.judge(seen).and_then(|()| lineage.judge(newest)) {
            Ok(()) => fit.push(place),
            Err(why) => unfit.push((place, why)),
        }
    }
    // Of several systems none is the right one, unless one was seen before.
    if seen.is_none() && unfit.iter().any(|(_, why)| *why == Unfit::Stranger) {
        return (None, writable.iter().map(|(place, _)| (*place, Unfit::Stranger)).collect());
    }
    let primary = match fit.as_slice() {
        [only] => Some(*only),
        several => several.iter().copied().find(|place| seen.is_some() && *place == current),
    };
    unfit.extend(fit.iter().filter(|place| Some(**place) != primary).map(|place| (*place, Unfit::Twin)));
    (primary, unfit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn on(timeline: i64) -> Lineage {
        Lineage { system: 7, timeline }
    }

    #[test]
    fn the_newest_timeline_wins_and_older_ones_are_named() {
        assert_eq!(choose(None, 0, &[]), (None, vec![]));
        assert_eq!(choose(None, 0, &[(1, on(1))]), (Some(1), vec![]));
        let replaced = |found, seen| Unfit::Replaced { found, seen };
        assert_eq!(choose(None, 0, &[(0, on(1)), (1, on(2))]), (Some(1), vec![(0, replaced(1, 2))]));
        assert_eq!(choose(Some(on(1)), 0, &[(0, on(1)), (1, on(2))]), (Some(1), vec![(0, replaced(1, 2))]));
        assert_eq!(choose(Some(on(2)), 1, &[(0, on(1))]), (None, vec![(0, replaced(1, 2))]));
    }

    #[test]
    fn nobody_is_chosen_among_equals_but_who_was_it_before() {
        let twins = [(0, on(2)), (1, on(2))];
        assert_eq!(choose(None, 0, &twins), (None, vec![(0, Unfit::Twin), (1, Unfit::Twin)]));
        assert_eq!(choose(Some(on(2)), 1, &twins), (Some(1), vec![(0, Unfit::Twin)]));
    }

    #[test]
    fn another_system_is_never_written_to() {
        let other = Lineage { system: 8, timeline: 9 };
        assert_eq!(choose(Some(on(1)), 0, &[(0, other)]), (None, vec![(0, Unfit::Stranger)]));
        assert_eq!(choose(Some(on(1)), 0, &[(0, other), (1, on(1))]), (Some(1), vec![(0, Unfit::Stranger)]));
        let strangers = (None, vec![(0, Unfit::Stranger), (1, Unfit::Stranger)]);
        assert_eq!(choose(None, 0, &[(0, other), (1, on(1))]), strangers);
    }
}
