//! Dates as documents write them → milliseconds since 1970. Owns which spellings are known: those that Elasticsearch,
//! OpenSearch and Solr take without being told a format. Without a zone a date is in UTC, as it is in the engines.

/// Milliseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1000;

/// The milliseconds from 1970-01-01T00:00Z to a date; `None` where the text is no date.
///
/// Known are ISO 8601 and RFC 3339 (`2026-05-17T08:30:00.250+02:00`), cut off at any of their parts (`2026`, `2026-05`,
/// `2026-05-17`, `2026-05-17T08`), with a space for the `T`, with slashes in the day (`2026/05/17 08:30:00`), and
/// `20260517`.
pub fn millis(text: &str) -> Option<i64> {
    let mut rest = Rest(text.trim().as_bytes());
    let year = i64::from(rest.number(4)?);
    if rest.is_done() {
        return Some(day(year, 1, 1)? * DAY);
    }
    let Some(separator) = rest.one_of(b"-/") else {
        let (month, date) = (rest.number(2)?, rest.number(2)?);
        return rest.is_done().then_some(day(year, month, date)? * DAY);
    };
    let month = rest.number(2)?;
    if rest.is_done() {
        return Some(day(year, month, 1)? * DAY);
    }
    rest.one_of(&[separator])?;
    let day = day(year, month, rest.number(2)?)? * DAY;
    if rest.is_done() {
        return Some(day);
    }
    rest.one_of(b"Tt ")?;
    let time = rest.time()?;
    let zone = rest.zone()?;
    rest.is_done().then_some(day + time - zone)
}

/// The days from 1970-01-01 to a day of the Gregorian calendar; `None` where the month has no such day.
///
/// The years begin in March here, so that the leap day is the last one of its year (Howard Hinnant, `days_from_civil`).
fn day(year: i64, month: u32, date: u32) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&date) {
        return None;
    }
    let (year, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = i64::from((153 * months + 2) / 5 + date - 1);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    Some(era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468)
}

/// The part of a text that is not read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    /// The number that the next `count` digits are.
    fn number(&mut self, count: usize) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let digit = |number: u32, byte: &u8| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0'));
        let number = digits.iter().try_fold(0, digit)?;
        self.0 = rest;
        Some(number)
    }

    /// The next byte, where it is one of these.
    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        let found = bytes.contains(first).then_some(*first)?;
        self.0 = rest;
        Some(found)
    }

    /// `08`, `08:30`, `08:30:15` or `08:30:15.250`, in milliseconds. A second more than a minute has is a leap second.
    fn time(&mut self) -> Option<i64> {
        let (mut minute, mut second, mut fraction) = (0, 0, 0);
        let hour = self.number(2)?;
        if self.one_of(b":").is_some() {
            minute = self.number(2)?;
            if self.one_of(b":").is_some() {
                second = self.number(2)?;
                if self.one_of(b".,").is_some() {
                    fraction = self.fraction()?;
                }
            }
        }
        let time = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second);
        (hour < 24 && minute < 60 && second <= 60).then_some(time * 1000 + fraction)
    }

    /// The digits of a fraction of a second, in milliseconds; what is finer is cut off.
    fn fraction(&mut self) -> Option<i64> {
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at(count);
        let digit = |place: usize| digits.get(place).map_or(0, |byte| i64::from(byte - b'0'));
        let millis = digit(0) * 100 + digit(1) * 10 + digit(2);
        self.0 = rest;
        (count > 0).then_some(millis)
    }

    /// `Z`, `+02:00`, `+0200`, `+02` or nothing, in milliseconds east of Greenwich. A space may stand before it.
    fn zone(&mut self) -> Option<i64> {
        let _ = self.one_of(b" ");
        if self.is_done() || self.one_of(b"Zz").is_some() {
            return Some(0);
        }
        let sign = if self.one_of(b"+-")? == b'-' { -1 } else { 1 };
        let hours = self.number(2)?;
        let _ = self.one_of(b":");
        let minutes = if self.is_done() { 0 } else { self.number(2)? };
        let zone = i64::from(hours) * 60 + i64::from(minutes);
        (hours <= 18 && minutes < 60).then_some(sign * zone * 60 * 1000)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_spelling_is_the_same_moment() {
        // `date -u -d 2026-05-17T06:30:15Z +%s`
        const MOMENT: i64 = 1_778_999_415_000;
        for (text, after) in [
            ("2026-05-17T06:30:15Z", 0),
            ("2026-05-17t06:30:15z", 0),
            ("2026-05-17T06:30:15", 0),
            ("2026-05-17 06:30:15", 0),
            (" 2026/05/17 06:30:15 Z ", 0),
            ("2026/05/17 08:30:15 +0200", 0),
            ("2026-05-17T08:30:15+02:00", 0),
            ("2026-05-17T08:30:15+02", 0),
            ("2026-05-16T20:00:15-10:30", 0),
            ("2026-05-17T06:30:15.25Z", 250),
            ("2026-05-17T06:30:15,250999999", 250),
            ("2026-05-17T06:30", -15_000),
            ("2026-05-17T06", -1_815_000),
            ("2026-05-17", -23_415_000),
            ("20260517", -23_415_000),
            ("2026-05", -23_415_000 - 16 * DAY),
            ("2026", -23_415_000 - 136 * DAY),
        ] {
            assert_eq!(millis(text), Some(MOMENT + after), "{text}");
        }
        assert_eq!(millis("1970-01-01"), Some(0));
        assert_eq!(millis("1969-12-31T23:59:59.999Z"), Some(-1));
        assert_eq!(millis("2000-02-29"), Some(951_782_400_000));
    }

    #[test]
    fn what_is_no_date_has_no_moment() {
        for text in [
            "",
            "yesterday",
            "26-05-17",
            "2026-13-01",
            "2026-02-29",
            "2100-02-29",
            "2026-04-31",
            "2026-05-00",
            "2026-05/17",
            "2026-05-17T24:00",
            "2026-05-17T06:60",
            "2026-05-17T06:30:15.",
            "2026-05-17T06:30:15+25:00",
            "2026-05-17T06:30:15Z and more",
            "2026-W05-1",
            "1778999415000",
            "٢٠٢٦",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn each_day_follows_the_day_before(year in 1i64..9998, month in 1u32..=12, date in 1u32..=31) {
            let Some(today) = day(year, month, date) else { return Ok(()) };
            let next = day(year, month, date + 1)
                .or_else(|| day(year, month + 1, 1))
                .or_else(|| day(year + 1, 1, 1));
            prop_assert_eq!(next, Some(today + 1));
        }

        #[test]
        fn any_text_is_read(text in "[0-9TZ:+ ./-]{0,30}|.{0,12}") {
            let _ = millis(&text);
        }
    }
}
