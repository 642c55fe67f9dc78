//! When sessions usually come, and whether they have stayed away for too long.
//!
//! If nothing on the server matches `TlsCertificateName`, Exchange logs nothing at all: silence is a symptom. How much
//! silence is too much depends on the connector, so it is learned from four weeks of its own history, hour by hour:
//!
//! - **By what is usual**: a connector is silent when by its own rhythm at least [`USUAL_SESSIONS`] sessions should have
//!   come by now. What is usual in an hour is the lower quartile of the same hour of the same weekday: the least of two
//!   or three weeks, the second of four. So nights, weekends, a Friday that ends early and any time zone expect what
//!   they brought, and of four weeks one may be a holiday. As long as that hour of the week was seen once, it counts no
//!   more than the lower quartile of the same hour on like days (Monday to Friday, Saturday, Sunday; UTC). Before it
//!   was seen at all, like days alone count, and only from Tuesday to Thursday: at every other hour of UTC it is a
//!   weekend somewhere.
//! - **By its pauses**: a connector that is mostly quiet is silent when its pause is three times as long as the longest
//!   one before, but no more than a week longer, and at least a day. This needs more than a week of history, so that a
//!   weekend is in it.
//!
//! Whichever comes first. Ten sessions that should have come may be less than a day, also of a quiet connector: one
//! session every two hours is missed after twenty. Neither speaks before a day of history, because the same hour of a
//! day before has to be known, nor before an hour of silence, nor of a connector whose sessions all came in a few hours.
//! `silent_after` in the configuration replaces both.

use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::Serialize;

/// Hours of history: four weeks.
pub const HISTORY_HOURS: u16 = 28 * 24;

/// A busy connector is silent when so many sessions should have come.
pub const USUAL_SESSIONS: u32 = 10;

/// No learned silence is shorter: the hour after that of the last session has to be over.
pub const LEAST_SILENCE: SignedDuration = SignedDuration::from_hours(1);

/// Sessions in so few hours are no rhythm.
const LEAST_ACTIVE_HOURS: usize = 6;
/// The pauses of a connector are known when a whole week and a day have been seen.
const PAUSES_KNOWN: SignedDuration = SignedDuration::from_hours(8 * 24);
/// No silence of a quiet connector is shorter.
const LEAST_PAUSE: SignedDuration = SignedDuration::from_hours(24);
/// So many times the longest pause is too long.
const PAUSE_FACTOR: i32 = 3;
/// And so is one that is longer by this: else one silent week would excuse three.
const PAUSE_SURPLUS: SignedDuration = SignedDuration::from_hours(7 * 24);

/// So many hours are looked ahead for the moment at which enough sessions should have come: two weeks.
const LOOK_AHEAD: i64 = 14 * 24;

const WEEK_HOURS: usize = 7 * 24;

const HOUR_MILLIS: i64 = 3_600_000;

/// When the sessions of one connector of one server came.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Rhythm {
    /// Sessions in each hour, the first of them [`Self::first_hour`]; at most [`HISTORY_HOURS`].
    hours: Vec<u16>,
    /// Hours since 1970.
    first_hour: i64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

/// Why the silence is too long.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Silence {
    /// Longer than the configuration allows.
    Configured(SignedDuration),
    /// So many sessions should have come by now.
    Usual(u32),
    /// The longest pause before was so long.
    Pause(SignedDuration),
}

/// When a silence becomes too long.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Limit {
    /// The moment.
    pub at: Timestamp,
    /// Why.
    pub why: Silence,
}

impl Limit {
    fn after(last: Timestamp, limit: SignedDuration, why: Silence) -> Option<Self> {
        let at = last.checked_add(limit).ok()?;
        Some(Self { at, why })
    }
}

impl Rhythm {
    /// A session came. A row dated in the future counts as now.
    pub fn session(&mut self, time: Timestamp, now: Timestamp) {
        let time = time.min(now);
        self.last = self.last.max(Some(time));
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        let hour = hour_of(time);
        if self.hours.is_empty() {
            self.first_hour = hour;
        }
        self.reach_back(hour);
        let Ok(index) = usize::try_from(hour - self.first_hour) else {
            return;
        };
        if index >= self.hours.len() {
            self.reach_forward(index);
        }
        let index = usize::try_from(hour - self.first_hour).unwrap_or_default();
        if let Some(count) = self.hours.get_mut(index) {
            *count = count.saturating_add(1);
        }
    }

    /// When the last session came.
    pub fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// Whether the silence since the last session is too long, and why.
    pub fn silence(&self, silent_after: Option<SignedDuration>, now: Timestamp) -> Option<Silence> {
        let limit = self.limit(silent_after)?;
        (limit.at <= now).then_some(limit.why)
    }

    /// When the silence since the last session becomes too long, if no other comes; `None`: never, by what is known.
    pub fn limit(&self, silent_after: Option<SignedDuration>) -> Option<Limit> {
        let last = self.last?;
        if let Some(limit) = silent_after {
            return Limit::after(last, limit, Silence::Configured(limit));
        }
        let first = self.first?;
        let by_pause = || {
            let pause = self.longest_pause();
            let too_long = (pause * PAUSE_FACTOR).min(pause + PAUSE_SURPLUS);
            let too_long = too_long.max(LEAST_PAUSE);
            let is_known = last.duration_since(first) >= PAUSES_KNOWN;
            Limit::after(last, too_long, Silence::Pause(pause)).filter(|_| is_known)
        };
        let limits = self.usual_limit(last).into_iter().chain(by_pause());
        limits.min_by_key(|limit| limit.at)
    }

    /// The end of the first hour by which enough sessions should have come.
    fn usual_limit(&self, last: Timestamp) -> Option<Limit> {
        let active = self.hours.iter().filter(|&&count| count > 0).count();
        if active < LEAST_ACTIVE_HOURS {
            return None;
        }
        let next = hour_of(last) + 1;
        let mut usual: u32 = 0;
        let hour = (next..next + LOOK_AHEAD).find(|&hour| {
            usual = usual.saturating_add(u32::from(self.usual(hour)));
            usual >= USUAL_SESSIONS
        })?;
        Some(Limit {
            at: start_of(hour + 1),
            why: Silence::Usual(usual),
        })
    }

    fn reach_back(&mut self, hour: i64) {
        let Ok(missing) = usize::try_from(self.first_hour - hour) else {
            return;
        };
        if missing.saturating_add(self.hours.len()) > usize::from(HISTORY_HOURS) {
            return;
        }
        self.hours.splice(0..0, std::iter::repeat_n(0, missing));
        self.first_hour = hour;
    }

    fn reach_forward(&mut self, index: usize) {
        let surplus = (index + 1).saturating_sub(usize::from(HISTORY_HOURS));
        self.hours.drain(..surplus.min(self.hours.len()));
        self.first_hour += i64::try_from(surplus).unwrap_or_default();
        self.hours.resize(index + 1 - surplus, 0);
    }

    /// How many sessions this hour should bring at least.
    fn usual(&self, hour: i64) -> u16 {
        let same_hour_of_week: Vec<u16> = self
            .hours_alike(hour, WEEK_HOURS)
            .map(|(count, _)| count)
            .collect();
        let like_days = || {
            let wanted = kind_of(hour);
            self.hours_alike(hour, 24)
                .filter(|(_, known)| kind_of(*known) == wanted)
                .map(|(count, _)| count)
                .collect()
        };
        match same_hour_of_week[..] {
            [] if is_weekend_somewhere(hour) => 0,
            [] => lower_quartile(like_days()),
            [once] => lower_quartile(like_days()).min(once),
            _ => lower_quartile(same_hour_of_week),
        }
    }

    /// The known hours that are a whole number of periods away from this one: sessions in each, and the hour.
    fn hours_alike(&self, hour: i64, period: usize) -> impl Iterator<Item = (u16, i64)> {
        let period_hours = i64::try_from(period).unwrap_or(i64::MAX);
        let first = (hour - self.first_hour).rem_euclid(period_hours);
        let known = self.hours.iter().copied().zip(self.first_hour..);
        let skipped = usize::try_from(first).unwrap_or(usize::MAX);
        known.skip(skipped).step_by(period)
    }

    fn longest_pause(&self) -> SignedDuration {
        let runs = self.hours.split(|&count| count > 0).map(<[u16]>::len);
        let longest = runs.max().unwrap_or_default();
        SignedDuration::from_hours(i64::try_from(longest).unwrap_or_default() + 1)
    }
}

/// Days that are alike.
#[derive(Eq, PartialEq)]
enum DayKind {
    Workday,
    Saturday,
    Sunday,
}

fn kind_of(hour: i64) -> DayKind {
    match TimeZone::UTC.to_datetime(start_of(hour)).weekday() {
        Weekday::Saturday => DayKind::Saturday,
        Weekday::Sunday => DayKind::Sunday,
        _ => DayKind::Workday,
    }
}

/// Whether it is Friday to Monday, UTC.
fn is_weekend_somewhere(hour: i64) -> bool {
    let weekday = TimeZone::UTC.to_datetime(start_of(hour)).weekday();
    !matches!(
        weekday,
        Weekday::Tuesday | Weekday::Wednesday | Weekday::Thursday
    )
}

/// The value below which lies at most a quarter of them; 0 when there is none.
fn lower_quartile(mut counts: Vec<u16>) -> u16 {
    counts.sort_unstable();
    counts.get(counts.len() / 4).copied().unwrap_or_default()
}

fn start_of(hour: i64) -> Timestamp {
    Timestamp::from_millisecond(hour.saturating_mul(HOUR_MILLIS)).unwrap_or_default()
}

fn hour_of(time: Timestamp) -> i64 {
    time.as_millisecond().div_euclid(HOUR_MILLIS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Monday, 00:00 UTC.
    const MONDAY: &str = "2026-06-01T00:00:00Z";

    fn at(hours: i64) -> Timestamp {
        let monday: Timestamp = MONDAY.parse().unwrap_or_default();
        monday
            .checked_add(SignedDuration::from_hours(hours))
            .unwrap_or_default()
    }

    /// Plays hours from Monday on, with so many sessions in each.
    fn played(hours: i64, sessions: impl Fn(i64) -> u16) -> Rhythm {
        let mut rhythm = Rhythm::default();
        for hour in 0..hours {
            for _ in 0..sessions(hour) {
                rhythm.session(at(hour), at(hour));
            }
        }
        rhythm
    }

    /// An office: 20 sessions an hour from 7 to 18 o'clock, none at night and at the weekend.
    fn office(hour: i64) -> u16 {
        let weekend = hour / 24 % 7 >= 5;
        let open = (7..18).contains(&(hour % 24));
        if open && !weekend { 20 } else { 0 }
    }

    /// The first hour of silence at which it is told, looking every hour.
    fn told_after(rhythm: &Rhythm, from: i64, limit: i64) -> Option<i64> {
        (from..from + limit).find(|&hour| rhythm.silence(None, at(hour)).is_some())
    }

    #[test]
    fn nights_and_weekends_are_no_silence() {
        // Up to Tuesday of the third week, 17:00 being the last busy hour of each day.
        for week in 0..3 {
            for day in 0..5 {
                let evening = (week * 7 + day) * 24 + 18;
                let rhythm = played(evening, office);
                let next_morning = if day == 4 { 61 } else { 13 };
                for hour in evening..evening + next_morning {
                    let silence = rhythm.silence(None, at(hour));
                    assert_eq!(silence, None, "week {week}, day {day}, hour {hour}");
                }
            }
        }
    }

    /// Whatever the time zone, and however early Fridays end: no evening, morning or weekend is silence, from the second
    /// day on, whichever weekday the first one is.
    #[test]
    fn no_time_zone_has_a_weekend_of_silence() {
        for (name, ahead, friday_ends) in [
            ("Tokyo", 9, 18),
            ("Auckland", 13, 18),
            ("Los Angeles", -8, 18),
            ("Honolulu", -10, 18),
            ("Friday", 0, 14),
            ("Friday in Sydney", 10, 12),
        ] {
            let office = |hour: i64| {
                let local = hour + ahead;
                let ends = if local.div_euclid(24).rem_euclid(7) == 4 {
                    friday_ends
                } else {
                    18
                };
                let open = (8..ends).contains(&local.rem_euclid(24));
                let weekend = local.div_euclid(24).rem_euclid(7) >= 5;
                if open && !weekend { 20 } else { 0 }
            };
            for first in [0, 3, 5] {
                let mut rhythm = Rhythm::default();
                for hour in first * 24..(first + 23) * 24 {
                    let silence = rhythm.silence(None, at(hour));
                    assert_eq!(silence, None, "{name}, from day {first}, hour {hour}");
                    for _ in 0..office(hour) {
                        rhythm.session(at(hour), at(hour));
                    }
                }
            }
        }
    }

    #[test]
    fn a_silent_week_does_not_numb() {
        // The fourth week was silent; on the next Tuesday it stops again, at noon.
        let noon = 29 * 24 + 12;
        let week = |hour: i64| hour / (7 * 24);
        let rhythm = played(noon, |hour| if week(hour) == 3 { 0 } else { office(hour) });
        assert_eq!(told_after(&rhythm, noon, 50), Some(noon + 1));
        // A quiet one, too, is missed some day: a week later than its longest pause, from its last session on.
        let rarely = |hour: i64| u16::from(hour % 10 == 0 && week(hour) != 1);
        let rhythm = played(28 * 24, rarely);
        let (last, pause) = (670, 340 - 160);
        assert_eq!(
            told_after(&rhythm, 28 * 24, 1000),
            Some(last + pause + 7 * 24)
        );
    }

    #[test]
    fn a_busy_connector_that_stops_is_told_soon() {
        // Tuesday of the second week, silent from noon on: the hour that has begun does not count, the next one does.
        let noon = 8 * 24 + 12;
        let rhythm = played(noon, office);
        let silence = rhythm.silence(None, at(noon + 1));
        assert_eq!(silence, Some(Silence::Usual(20)));
        assert_eq!(rhythm.silence(None, at(noon)), None);
        // Silent from the evening on: told in the morning, when the first usual hour is over.
        let evening = 8 * 24 + 18;
        let rhythm = played(evening, office);
        assert_eq!(told_after(&rhythm, evening, 100), Some(9 * 24 + 8));
    }

    #[test]
    fn a_holiday_does_not_spoil_the_picture() {
        let holiday = 16;
        let noon = 22 * 24 + 12;
        let rhythm = played(noon, |hour| {
            if hour / 24 == holiday {
                0
            } else {
                office(hour)
            }
        });
        assert_eq!(told_after(&rhythm, noon, 10), Some(noon + 1));
    }

    #[test]
    fn nothing_is_told_before_a_day_of_history() {
        let rhythm = played(20, |_| 100);
        for hour in 20..24 {
            assert_eq!(rhythm.silence(None, at(hour)), None, "{hour}");
        }
        assert!(rhythm.silence(None, at(25)).is_some(), "the next day");
    }

    #[test]
    fn a_burst_is_no_rhythm() {
        let burst = |hours: i64| played(40, move |hour| if hour < hours { 100 } else { 0 });
        assert_eq!(told_after(&burst(5), 40, 500), None);
        assert!(told_after(&burst(6), 40, 500).is_some());
        // Nor is one on a Tuesday, when the next day is like it.
        let burst = |hours: i64| {
            let busy = 24..24 + 2 * hours;
            played(40, move |hour| {
                let is_busy = busy.contains(&hour) && hour % 2 == 0;
                if is_busy { 100 } else { 0 }
            })
        };
        assert_eq!(told_after(&burst(5), 40, 500), None);
        assert_eq!(told_after(&burst(6), 40, 500), Some(2 * 24 + 1));
    }

    #[test]
    fn a_connector_that_is_hardly_used_is_never_missed() {
        // Six sessions in a week, and none in the next one.
        let rhythm = played(14 * 24, |hour| u16::from(hour < 7 * 24 && hour % 25 == 0));
        assert_eq!(rhythm.hours.iter().filter(|&&count| count > 0).count(), 7);
        assert_eq!(rhythm.limit(None), None);
    }

    #[test]
    fn the_hour_of_the_last_session_does_not_count_and_the_next_one_has_to_be_over() {
        // 23 h 59 min of history end in the last minute of an hour.
        let minute = SignedDuration::from_mins(1);
        let mut rhythm = Rhythm::default();
        for hour in 48..72 {
            for _ in 0..20 {
                rhythm.session(at(hour + 1) - minute, at(hour + 1));
            }
        }
        let limit = Limit {
            at: at(73),
            why: Silence::Usual(20),
        };
        assert_eq!(rhythm.limit(None), Some(limit));
        assert!(limit.at.duration_since(rhythm.last().unwrap_or_default()) >= LEAST_SILENCE);
    }

    #[test]
    fn a_saturday_is_like_no_other_day() {
        // One session on Monday, and an office that works on Saturdays only.
        let busy = |hour| match (hour / 24, hour % 24) {
            (5, 8..18) => 20,
            (0, 0) => 1,
            _ => 0,
        };
        let rhythm = played(7 * 24, busy);
        assert_eq!(told_after(&rhythm, 7 * 24, 500), Some(12 * 24 + 9));
    }

    #[test]
    fn two_weeks_are_looked_ahead() {
        // Six hours of each Wednesday, with so many sessions each.
        let usual = |count: u16| {
            let rhythm = played(28 * 24, move |hour| {
                let is_busy = hour / 24 % 7 == 2 && hour % 24 < 6;
                if is_busy { count } else { 0 }
            });
            let limit = rhythm.usual_limit(rhythm.last().unwrap_or_default());
            limit.map(|limit| hour_of(limit.at) - hour_of(at(0)))
        };
        let wednesday = (28 + 2) * 24;
        assert_eq!(usual(12), Some(wednesday + 1));
        assert_eq!(usual(2), Some(wednesday + 5));
        let next = wednesday + 7 * 24;
        assert_eq!(usual(1), Some(next + 4), "the tenth, a week later");
    }

    #[test]
    fn a_quiet_connector_is_told_after_three_times_its_longest_pause() {
        // One session every 10 hours.
        let rarely = |hour| u16::from(hour % 10 == 0);
        let rhythm = played(7 * 24, rarely);
        assert_eq!(told_after(&rhythm, 168, 100), None, "a week is not enough");
        let rhythm = played(15 * 24, rarely);
        let last = 350;
        assert_eq!(told_after(&rhythm, 360, 500), Some(last + 30));
        // One session every 7 hours: three pauses are 21 hours, but no pause is too long before a day.
        let rhythm = played(15 * 24, |hour| u16::from(hour % 7 == 0));
        let last = 357;
        assert_eq!(told_after(&rhythm, 360, 500), Some(last + 24));
        // One session every 2 hours: ten of them should have come when the hour of the tenth is over.
        let rhythm = played(15 * 24, |hour| u16::from(hour % 2 == 0));
        let last = 358;
        assert_eq!(told_after(&rhythm, 360, 500), Some(last + 21));
    }

    #[test]
    fn what_is_configured_replaces_what_is_learned() {
        let rhythm = played(1, |_| 1);
        let limit = SignedDuration::from_hours(2);
        assert_eq!(rhythm.silence(Some(limit), at(1)), None);
        let told = Some(Silence::Configured(limit));
        assert_eq!(rhythm.silence(Some(limit), at(2)), told);
        let busy = played(10 * 24, |_| 100);
        let long = SignedDuration::from_hours(100);
        assert_eq!(busy.silence(Some(long), at(10 * 24 + 50)), None);
        assert_eq!(Rhythm::default().silence(Some(limit), at(50)), None);
    }

    #[test]
    fn history_is_bounded_and_rows_may_come_late_or_from_the_future() {
        let mut rhythm = played(40 * 24, |_| 1);
        assert_eq!(rhythm.hours.len(), usize::from(HISTORY_HOURS));
        assert_eq!(
            rhythm.first_hour,
            hour_of(at(40 * 24)) - i64::from(HISTORY_HOURS)
        );
        rhythm.session(at(0), at(40 * 24));
        assert_eq!(
            rhythm.hours.len(),
            usize::from(HISTORY_HOURS),
            "too late to count"
        );
        rhythm.session(at(400 * 24), at(40 * 24));
        assert_eq!(rhythm.last(), Some(at(40 * 24)));
        assert_eq!(rhythm.hours.len(), usize::from(HISTORY_HOURS));
        let mut rhythm = Rhythm::default();
        rhythm.session(at(10), at(20));
        rhythm.session(at(5), at(20));
        rhythm.session(at(7), at(20));
        assert_eq!(rhythm.hours, [1, 0, 1, 0, 0, 1]);
        rhythm.session(at(100_000), at(200_000));
        assert_eq!(rhythm.hours.iter().sum::<u16>(), 1);
        // Back to the first hour of four weeks, and no further.
        let mut rhythm = Rhythm::default();
        rhythm.session(at(1000), at(1000));
        let first = 1001 - i64::from(HISTORY_HOURS);
        rhythm.session(at(first - 1), at(1000));
        assert_eq!(rhythm.hours.len(), 1);
        rhythm.session(at(first), at(1000));
        assert_eq!(rhythm.hours.len(), usize::from(HISTORY_HOURS));
    }
}
