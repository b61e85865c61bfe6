//! Dates as services write them (RFC 3339).

use std::time::{Duration, UNIX_EPOCH};

/// Bytes of a date and time without a fraction and an offset.
const WITHOUT_FRACTION: usize = "2026-11-22T10:00:00".len();

/// The time since the Unix epoch that a date with a time and an offset says.
/// `None`: it is no such date (RFC 3339 §5.6), or before 1970.
pub(super) fn parse(date: &str) -> Option<Duration> {
    // `t` and `z` are as good as `T` and `Z`.
    let date = date.to_ascii_uppercase();
    let (local, offset) = match date.strip_suffix('Z') {
        Some(local) => (local, None),
        None => {
            let (local, offset) = date.split_at_checked(date.len().checked_sub("+01:00".len())?)?;
            (local, Some(offset))
        }
    };
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let fraction = local.get(WITHOUT_FRACTION..)?;
    if !fraction.is_empty() && !fraction.strip_prefix('.').is_some_and(is_digits) {
        return None;
    }
    // It knows `Z` only.
    let local = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    let local = local.duration_since(UNIX_EPOCH).ok()?;
    offset.map_or(Some(local), |offset| from_local(local, offset))
}

/// What is written by a clock that is so far ahead of, or behind, UTC.
fn from_local(local: Duration, offset: &str) -> Option<Duration> {
    let &[sign, h, hh, b':', m, mm] = offset.as_bytes() else { return None };
    let number = |tens: u8, ones: u8| {
        let digit = |byte: u8| char::from(byte).to_digit(10);
        Some(digit(tens)? * 10 + digit(ones)?)
    };
    let (hours, minutes) = (number(h, hh)?, number(m, mm)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let offset = Duration::from_secs(u64::from(hours * 60 + minutes) * 60);
    match sign {
        b'+' => local.checked_sub(offset),
        b'-' => local.checked_add(offset),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        let at = |date: &str| parse(date).unwrap();
        assert_eq!(at("1985-04-12T23:20:50.52Z"), Duration::from_millis(482_196_050_520));
        assert_eq!(at("1996-12-19T16:39:57-08:00"), at("1996-12-20T00:39:57Z"));
        assert_eq!(at("1990-12-31T15:59:60-08:00"), at("1990-12-31T23:59:60Z"));
        assert_eq!(at("2026-12-01t00:00:00z"), at("2026-12-01T00:00:00Z"));
        assert_eq!(at("2026-12-01T00:00:00+01:00"), at("2026-11-30T23:00:00Z"));
        assert_eq!(at("2026-12-01T00:00:00-00:00"), at("2026-12-01T00:00:00+00:00"));
    }

    #[test]
    fn what_is_no_date_of_the_rfc_is_none() {
        for date in [
            "",
            "Z",
            "+01:00",
            "soon",
            "2026-12-01",
            "2026-12-01T00:00:00",
            "2026-12-01 00:00:00Z",
            "2026-12-01T00:00Z",
            "2026-12-01T00:00:00.Z",
            "2026-12-01T00:00:00,5Z",
            "2026-12-01T00:00:00ZZ",
            "2026-12-01T00:00:00Z+01:00",
            "2026-12-01T00:00:00+01:00Z",
            "2026-12-01T00:00:00+00:00+01:00",
            "2026-12-01T00:00:00+0100",
            "2026-12-01T00:00:00+01",
            "2026-12-01T00:00:00+1:00",
            "2026-12-01T00:00:00+24:00",
            "2026-12-01T00:00:00+00:60",
            "2026-12-01T00:00:00\u{2212}01:00",
            "2026-12-01T00:00:00*01:00",
            "2026-02-29T00:00:00+01:00",
            "2026-12-01T24:00:00+01:00",
            "+2026-12-01T00:00:00Z",
            "2026-12-01T00:00:00Z ",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+00:01",
        ] {
            assert_eq!(parse(date), None, "{date}");
        }
    }

    /// By the grammar of §5.6, written once more.
    fn is_of_the_rfc(date: &str) -> bool {
        let like = |text: &str, form: &str| {
            text.len() == form.len()
                && text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
                    b'0' => byte.is_ascii_digit(),
                    b'T' => byte.eq_ignore_ascii_case(&b'T'),
                    form => byte == form,
                })
        };
        let bare = date.strip_suffix(['Z', 'z']).or_else(|| {
            let (bare, offset) = date.split_at_checked(date.len().checked_sub(6)?)?;
            (like(offset, "+00:00") || like(offset, "-00:00")).then_some(bare)
        });
        let Some((seconds, fraction)) = bare.and_then(|bare| bare.split_at_checked(19)) else {
            return false;
        };
        let zeros = "0".repeat(fraction.len().saturating_sub(1));
        let good =
            fraction.is_empty() || fraction.len() > 1 && like(fraction, &format!(".{zeros}"));
        good && like(seconds, "0000-00-00T00:00:00")
    }

    proptest! {
        #[test]
        fn every_offset_says_the_same_moment(
            millis in 86_400_000_u64..250_000_000_000_000,
            minutes in -1439_i64..1440,
        ) {
            let moment = Duration::from_millis(millis);
            let shift = Duration::from_secs(minutes.unsigned_abs() * 60);
            let (sign, local) =
                if minutes < 0 { ('-', moment - shift) } else { ('+', moment + shift) };
            let local = humantime::format_rfc3339(UNIX_EPOCH + local).to_string();
            let (hours, minutes) = (minutes.abs() / 60, minutes.abs() % 60);
            let date = local.replace('Z', &format!("{sign}{hours:02}:{minutes:02}"));
            prop_assert_eq!(parse(&date), Some(moment), "{}", date);
        }

        #[test]
        fn what_is_read_is_of_the_rfc(
            date in "2026-12-01T00:00:00(\\.[0-9]{1,3})?(Z|[+-]0[0-9]:[0-9]0)",
            place in any::<prop::sample::Index>(),
            removed in 0_usize..3,
            put in "[0-9TtZz:+. -]{0,2}|é",
        ) {
            let at = place.index(date.len());
            let end = (at + removed).min(date.len());
            let changed = [&date[..at], &put, &date[end..]].concat();
            prop_assert!(parse(&changed).is_none() || is_of_the_rfc(&changed), "{}", changed);
        }

        #[test]
        fn no_text_is_too_much(date in ".{0,40}") {
            prop_assert!(parse(&date).is_none() || is_of_the_rfc(&date));
        }
    }
}
