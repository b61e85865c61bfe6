//! Sizes, durations and whole numbers.

use super::fault::Amount;
use serde_json::Number;
use std::time::Duration;

/// The largest value that is taken, and how to write it.
#[derive(Clone, Copy)]
pub(super) struct Bound {
    pub(super) most: u64,
    pub(super) text: &'static str,
}

impl Bound {
    /// A limit: neither nothing nor more than the bound.
    pub(super) fn limit(self, value: u64) -> Result<u64, Amount> {
        if value == 0 { Err(Amount::Zero) } else { self.at_most(value) }
    }

    /// Nothing, or up to the bound.
    pub(super) fn at_most(self, value: u64) -> Result<u64, Amount> {
        if value > self.most { Err(Amount::AboveBound(self.text)) } else { Ok(value) }
    }
}

/// Up to here doubles hold every whole number.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A number as tokens write it: a whole one without fraction or exponent. A
/// `google.protobuf.Struct` knows doubles only, so 7.0 is 7.
pub(super) fn written(number: &Number) -> Result<String, Amount> {
    let value = number.as_f64().unwrap_or(f64::NAN);
    if value.fract() != 0.0 {
        Ok(number.to_string())
    } else if value.abs() < EXACT {
        Ok(format!("{value:.0}"))
    } else {
        Err(Amount::Inexact)
    }
}

/// Reads a whole number of at least 0. A `google.protobuf.Struct` knows doubles
/// only, so 128.0 and 1.28e2 are whole numbers too, as far as doubles are exact.
pub(super) fn whole(number: &Number) -> Result<u64, Amount> {
    if let Some(value) = number.as_u64() {
        return Ok(value);
    }
    let value = number.as_f64().unwrap_or(f64::NAN);
    if value < 0.0 {
        Err(Amount::Negative)
    } else if value.fract() != 0.0 {
        Err(Amount::Fraction)
    } else if value <= EXACT {
        // By text, since a cast would truncate in silence; -0.0 is nothing too.
        format!("{:.0}", value.abs()).parse().map_err(|_| Amount::Fraction)
    } else {
        Err(Amount::Overflow)
    }
}

/// Reads `64KiB`, `1MiB`, `1GiB` as bytes.
pub(super) fn size(text: &str) -> Result<u64, Amount> {
    scaled(text, &[("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)], Amount::SizeForm)
}

/// Reads `500ms`, `5s`, `10m`, `24h`.
pub(super) fn duration(text: &str) -> Result<Duration, Amount> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    scaled(text, &units, Amount::DurationForm).map(Duration::from_millis)
}

/// Reads digits and nothing else.
pub(super) fn digits(text: &str) -> Result<u64, Amount> {
    scaled(text, &[("", 1)], Amount::SizeForm)
}

/// Reads digits and directly behind them one of the units.
fn scaled(text: &str, units: &[(&str, u64)], form: Amount) -> Result<u64, Amount> {
    let (unit, rest) = match text.strip_prefix('-') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => {
            return Err(Amount::Negative);
        }
        _ => {
            let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
            (unit, text.strip_suffix(unit).unwrap_or_default())
        }
    };
    if unit.starts_with('.') {
        return Err(Amount::Fraction);
    }
    let factor = units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let (Some(factor), false) = (factor, rest.is_empty()) else {
        return Err(form);
    };
    // Only digits are left: what does not parse is too long for the type.
    let count: u64 = rest.parse().map_err(|_| Amount::Overflow)?;
    count.checked_mul(factor).ok_or(Amount::Overflow)
}

/// Entry for the fuzzer: holds that sizes and durations never panic, are exact,
/// and that nothing but digits and a unit is taken.
pub fn fuzz_units(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if let Ok(bytes) = size(text) {
        assert!(digits > 0 && digits + 3 == text.len());
        assert!(bytes.is_multiple_of(1 << 10));
    }
    if duration(text).is_ok() {
        assert!(digits > 0 && (1..=2).contains(&(text.len() - digits)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_need_a_binary_unit() {
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("1MiB"), Ok(1_048_576));
        assert_eq!(size("2GiB"), Ok(2_147_483_648));
        assert_eq!(size("0KiB"), Ok(0));
        for wrong in ["", "KiB", "64", "64 KiB", "64kb", "64KB", "64K", "+1KiB", "1KiBs", "٣KiB"] {
            assert_eq!(size(wrong), Err(Amount::SizeForm), "{wrong}");
        }
        assert_eq!(size("1.5MiB"), Err(Amount::Fraction));
        assert_eq!(size("-1MiB"), Err(Amount::Negative));
        assert_eq!(size("18446744073709551616KiB"), Err(Amount::Overflow));
        assert_eq!(size("18446744073709551615KiB"), Err(Amount::Overflow));
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
        for wrong in ["", "s", "5", "5 s", "5S", "1h30m", "5sec", "1d", "--5s", "-s"] {
            assert_eq!(duration(wrong), Err(Amount::DurationForm), "{wrong}");
        }
        assert_eq!(duration("1.5s"), Err(Amount::Fraction));
        assert_eq!(duration("-5s"), Err(Amount::Negative));
        assert_eq!(duration("99999999999999999999h"), Err(Amount::Overflow));
    }

    #[test]
    fn whole_numbers_may_come_as_doubles_while_those_are_exact() {
        let read = |text: &str| whole(&serde_json::from_str(text).unwrap());
        for one_hundred_and_twenty_eight in ["128", "128.0", "1.28e2", "1280e-1"] {
            assert_eq!(read(one_hundred_and_twenty_eight), Ok(128));
        }
        assert_eq!(read("0.0"), Ok(0));
        assert_eq!(read("-0.0"), Ok(0));
        assert_eq!(read("9007199254740992.0"), Ok(1 << 53));
        assert_eq!(read("1e16"), Err(Amount::Overflow));
        assert_eq!(read("1e300"), Err(Amount::Overflow));
        assert_eq!(read("1.5"), Err(Amount::Fraction));
        assert_eq!(read("-1"), Err(Amount::Negative));
        assert_eq!(read("-1.5"), Err(Amount::Negative));
        assert_eq!(read("18446744073709551615"), Ok(u64::MAX));
    }

    #[test]
    fn limits_are_neither_nothing_nor_above_their_bound() {
        let bound = Bound { most: 10, text: "10" };
        assert_eq!(bound.limit(0), Err(Amount::Zero));
        assert_eq!(bound.limit(1), Ok(1));
        assert_eq!(bound.limit(10), Ok(10));
        assert_eq!(bound.limit(11), Err(Amount::AboveBound("10")));
        assert_eq!(bound.at_most(0), Ok(0));
    }

    #[test]
    fn the_fuzzer_entry_holds_on_seeds() {
        for seed in ["64KiB", "-1s", "500ms", "9999999999999999999999h", "1.5MiB", "", "\u{ff}"] {
            fuzz_units(seed.as_bytes());
        }
        fuzz_units(&[0xff, 0xfe]);
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(text in "[-0-9.KMGiBmsh ]{0,24}|\\PC*") {
            fuzz_units(text.as_bytes());
        }

        #[test]
        fn sizes_and_durations_are_exact(count in 0u64..1 << 33) {
            prop_assert_eq!(size(&format!("{count}KiB")), Ok(count << 10));
            prop_assert_eq!(size(&format!("{count}GiB")), Ok(count << 30));
            prop_assert_eq!(duration(&format!("{count}ms")), Ok(Duration::from_millis(count)));
            prop_assert_eq!(duration(&format!("{count}h")), Ok(Duration::from_secs(count * 3600)));
        }
    }
}
