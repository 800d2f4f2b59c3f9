//! How payments went, in figures that the field knows: from what is on record of each.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use super::payment::State;

/// What counts of a payment.
#[derive(Clone, Debug)]
pub struct Course {
    /// When it came to be.
    pub began_at: SystemTime,
    /// How it stands.
    pub state: State,
    /// When its state last changed.
    pub updated_at: SystemTime,
    /// When it first was UNKNOWN.
    pub unknown_since: Option<SystemTime>,
}

impl Course {
    fn ended_at(&self) -> Option<SystemTime> {
        self.state.is_final().then_some(self.updated_at)
    }
}

/// The figures; each is defined in `stats.proto`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// S.
    pub payments: u64,
    /// Of them succeeded.
    pub succeeded: u64,
    /// F: of them ended unpaid.
    pub failed: u64,
    /// Of them UNKNOWN at some time.
    pub unknown: u64,
    /// From the first beginning to the last end.
    pub wall_time: Duration,
    /// How long those took that have ended, from the shortest on.
    pub times: Vec<Duration>,
    /// How long those took from first being UNKNOWN to their end that have ended, from the shortest on.
    pub times_to_certainty: Vec<Duration>,
}

impl Statistics {
    /// The figures of these payments.
    pub fn of<'a>(courses: impl IntoIterator<Item = &'a Course>) -> Self {
        let mut statistics = Self::default();
        let mut span: Option<(SystemTime, SystemTime)> = None;
        for course in courses {
            statistics.payments += 1;
            statistics.unknown += u64::from(course.unknown_since.is_some());
            let end = course.ended_at();
            let (first, last) = span.unwrap_or((course.began_at, course.began_at));
            span = Some((first.min(course.began_at), end.unwrap_or(last).max(last)));
            let Some(end) = end else { continue };
            match course.state {
                State::Succeeded => statistics.succeeded += 1,
                _ => statistics.failed += 1,
            }
            statistics.times.push(end.duration_since(course.began_at).unwrap_or_default());
            let in_doubt = course.unknown_since.and_then(|since| end.duration_since(since).ok());
            statistics.times_to_certainty.extend(in_doubt);
        }
        statistics.times.sort_unstable();
        statistics.times_to_certainty.sort_unstable();
        if let Some((first, last)) = span.filter(|_| !statistics.times.is_empty()) {
            statistics.wall_time = last.duration_since(first).unwrap_or_default();
        }
        statistics
    }

    /// The figures of those with each key, most payments first.
    pub fn by_key(courses: &[(String, Course)]) -> Vec<(String, Self)> {
        let mut by_key: BTreeMap<&str, Vec<&Course>> = BTreeMap::new();
        for (key, course) in courses {
            by_key.entry(key).or_default().push(course);
        }
        let mut groups: Vec<_> =
            by_key.into_iter().map(|(key, own)| (key.to_owned(), Self::of(own))).collect();
        groups.sort_by_key(|(_, figures)| std::cmp::Reverse(figures.payments));
        groups
    }

    /// The figures of each interval of this length from `start` to `end`, those without payments included.
    pub fn by_interval(
        courses: &[(String, Course)],
        (start, end): (SystemTime, SystemTime),
        length: Duration,
    ) -> Vec<(SystemTime, Self)> {
        let number = |at: SystemTime| {
            at.duration_since(start).unwrap_or_default().as_nanos().checked_div(length.as_nanos())
        };
        let mut by_number: BTreeMap<Option<u128>, Vec<&Course>> = BTreeMap::new();
        for (_, course) in courses {
            by_number.entry(number(course.began_at)).or_default().push(course);
        }
        let mut begins = start;
        let mut intervals = Vec::new();
        while begins < end && !length.is_zero() {
            let own = by_number.remove(&number(begins)).unwrap_or_default();
            intervals.push((begins, Self::of(own)));
            begins += length;
        }
        intervals
    }

    /// t.
    pub fn mean_time(&self) -> Duration {
        let ended = u128::try_from(self.times.len()).unwrap_or(u128::MAX).max(1);
        from_nanos(self.times.iter().map(Duration::as_nanos).sum::<u128>() / ended)
    }

    /// T = S · t.
    pub fn serial_time(&self) -> Duration {
        from_nanos(self.mean_time().as_nanos().saturating_mul(self.payments.into()))
    }

    /// D = (S − 1) · t.
    pub fn serial_delay(&self) -> Duration {
        from_nanos(self.mean_time().as_nanos().saturating_mul(self.payments.saturating_sub(1).into()))
    }

    /// How many ended in so much wall time.
    pub fn ended_per(&self, time: Duration) -> u64 {
        share(self.succeeded + self.failed, time.as_nanos(), self.wall_time.as_nanos())
    }

    /// T / wall time, in thousandths.
    pub fn speedup_permille(&self) -> u64 {
        share(1_000, self.serial_time().as_nanos(), self.wall_time.as_nanos())
    }

    /// P = (S − F) / S, in millionths.
    pub fn success_rate_ppm(&self) -> u64 {
        share(1_000_000, self.payments.saturating_sub(self.failed).into(), self.payments.into())
    }

    /// How many of all were UNKNOWN, in millionths.
    pub fn unknown_share_ppm(&self) -> u64 {
        share(1_000_000, self.unknown.into(), self.payments.into())
    }
}

/// The longest of the shortest `permille` of durations that are in order (nearest rank); none of none.
pub fn percentile(sorted: &[Duration], permille: usize) -> Option<Duration> {
    let rank = sorted.len().saturating_mul(permille).div_ceil(1_000).max(1);
    sorted.get(rank - 1).copied()
}

/// whole · part / of, rounded down; 0 where there is nothing to divide by.
fn share(whole: u64, part: u128, of: u128) -> u64 {
    let parts = u128::from(whole).saturating_mul(part).checked_div(of).unwrap_or_default();
    u64::try_from(parts).unwrap_or(u64::MAX)
}

fn from_nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
    }

    fn course(began_ms: u64, state: State, updated_ms: u64, unknown_ms: Option<u64>) -> Course {
        Course {
            began_at: at(began_ms),
            state,
            updated_at: at(updated_ms),
            unknown_since: unknown_ms.map(at),
        }
    }

    #[test]
    fn the_figures_are_as_they_are_defined() {
        let courses = [
            course(1_000, State::Succeeded, 1_100, None),
            course(1_000, State::Succeeded, 1_200, None),
            course(1_050, State::Failed, 1_150, None),
            course(1_100, State::Succeeded, 2_000, Some(1_500)),
            course(1_900, State::Unknown, 1_950, Some(1_950)),
        ];
        let figures = Statistics::of(&courses);
        assert_eq!((figures.payments, figures.succeeded, figures.failed, figures.unknown), (5, 3, 1, 2));
        // (100 + 200 + 100 + 900) / 4
        let t = Duration::from_millis(325);
        assert_eq!(figures.mean_time(), t);
        assert_eq!((figures.serial_time(), figures.serial_delay()), (t * 5, t * 4));
        assert_eq!(figures.wall_time, Duration::from_millis(1_000));
        assert_eq!(figures.ended_per(Duration::from_secs(1_000)), 4_000);
        assert_eq!(figures.speedup_permille(), 1_625);
        assert_eq!((figures.success_rate_ppm(), figures.unknown_share_ppm()), (800_000, 400_000));
        assert_eq!(figures.times_to_certainty, [Duration::from_millis(500)]);
    }

    #[test]
    fn of_nothing_and_of_what_has_not_ended_there_is_nothing_to_divide_by() {
        for figures in [Statistics::of(&[]), Statistics::of(&[course(1_000, State::Submitted, 1_000, None)])]
        {
            assert_eq!((figures.mean_time(), figures.wall_time), (Duration::ZERO, Duration::ZERO));
            assert_eq!((figures.serial_time(), figures.serial_delay()), (Duration::ZERO, Duration::ZERO));
            assert_eq!((figures.speedup_permille(), figures.ended_per(Duration::from_secs(1))), (0, 0));
        }
        assert_eq!(Statistics::of(&[]).success_rate_ppm(), 0);
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let times: Vec<_> = (1..=1_000).map(Duration::from_millis).collect();
        for (permille, ms) in [(500, 500), (900, 900), (990, 990), (999, 999), (1_000, 1_000)] {
            assert_eq!(percentile(&times, permille), Some(Duration::from_millis(ms)), "{permille}");
        }
        assert_eq!(percentile(&times[..1], 1), Some(Duration::from_millis(1)));
        assert_eq!(percentile(&times[..3], 500), Some(Duration::from_millis(2)));
        assert_eq!(percentile(&[], 500), None);
    }

    #[test]
    fn intervals_cover_the_window_and_each_payment_is_in_one() {
        let courses: Vec<_> = [1_000, 1_999, 2_000, 4_500]
            .into_iter()
            .map(|ms| (String::new(), course(ms, State::Succeeded, ms + 100, None)))
            .collect();
        let intervals = Statistics::by_interval(&courses, (at(1_000), at(5_500)), Duration::from_secs(1));
        let counts: Vec<_> = intervals.iter().map(|(begins, figures)| (*begins, figures.payments)).collect();
        assert_eq!(counts, [(at(1_000), 2), (at(2_000), 1), (at(3_000), 0), (at(4_000), 1), (at(5_000), 0)]);
        assert!(Statistics::by_interval(&[], (at(1_000), at(1_000)), Duration::from_secs(1)).is_empty());
    }

    #[test]
    fn groups_add_up() {
        let courses: Vec<_> = ["b", "a", "b"]
            .into_iter()
            .map(|key| (key.to_owned(), course(1_000, State::Succeeded, 1_100, None)))
            .collect();
        let groups: Vec<_> =
            Statistics::by_key(&courses).into_iter().map(|(key, figures)| (key, figures.payments)).collect();
        assert_eq!(groups, [("b".to_owned(), 2), ("a".to_owned(), 1)]);
    }
}
