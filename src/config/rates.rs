//! Rates: `quotas.handshakes`, and `rate` and `bytes` of a direction.

use super::fault::Amount;
use super::node::Node;
use super::object::Object;
use super::relations::Relation;
use super::tree::Value;
use super::units::{self, Bound};
use crate::quota::rate::{Rate, Rates};
use std::time::Duration;

/// More than any client sends.
const COUNT: Bound = Bound { most: 1_000_000_000, text: "1000000000" };
const BYTES: Bound = Bound { most: 1 << 50, text: "1048576GiB" };

/// As long as somebody can wait, and as short as clocks are good for.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
const SHORTEST: Duration = Duration::from_millis(100);

/// What stands before the `/`.
#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Count,
    Bytes,
}

/// Reads `handshakes` of a policy's `quotas`.
pub(super) fn handshakes(node: &Node<'_>) -> Option<Rate> {
    let rates = node.object(&["per_ip"])?;
    rates.require("per_ip", "a rate like \"30/1m\"").and_then(|node| rate(node, Unit::Count))
}

/// Reads `rate` and `bytes` of a direction; `users`: the policy knows its users.
pub(super) fn of_messages(direction: &Object<'_>, users: bool) -> (Rates, Rates) {
    let of = |key, unit| direction.get(key).map(|node| rates(node, unit, users));
    (of("rate", Unit::Count).unwrap_or_default(), of("bytes", Unit::Bytes).unwrap_or_default())
}

fn rates(node: &Node<'_>, unit: Unit, users: bool) -> Rates {
    let keys = &["per_connection", "per_ip", "per_user"];
    let Some(rates) = node.object(keys) else { return Rates::default() };
    if !keys.iter().any(|key| rates.get(key).is_some()) && !rates.has_unknown_keys() {
        rates.report(super::fault::Shape::EmptyMap);
    }
    if let (Some(node), false) = (rates.get("per_user"), users) {
        node.report(Relation::PerUserWithoutAuth);
    }
    let of = |key| rates.get(key).and_then(|node| rate(node, unit));
    Rates { per_connection: of("per_connection"), per_ip: of("per_ip"), per_user: of("per_user") }
}

/// Whether one of `rate` and `bytes` of a direction counts by address; reports
/// nothing.
pub(super) fn count_by_address(direction: &Node<'_>) -> bool {
    let Value::Object(members) = &direction.tree.value else { return false };
    let of = members.iter().filter(|(key, _)| matches!(key.as_str(), "rate" | "bytes"));
    let of = of.map(|(key, tree)| direction.child(tree, key));
    of.into_iter().any(|node| node.has_member("per_ip"))
}

/// Reads `100/1m` or, with `Unit::Bytes`, `10MiB/1m`.
fn rate(node: &Node<'_>, unit: Unit) -> Option<Rate> {
    let form = match unit {
        Unit::Count => Amount::RateForm,
        Unit::Bytes => Amount::ByteRateForm,
    };
    let text = match &node.tree.value {
        Value::Text(text) => text,
        Value::Number(_) => {
            node.report(form);
            return None;
        }
        _ => {
            node.wrong_kind(match unit {
                Unit::Count => "a rate like \"100/1m\", in quotes",
                Unit::Bytes => "bytes in a time, like \"10MiB/1m\", in quotes",
            });
            return None;
        }
    };
    node.take(parse(text, unit, form))
}

fn parse(text: &str, unit: Unit, form: Amount) -> Result<Rate, Amount> {
    let (amount, period) = text.split_once('/').ok_or(form)?;
    let (count, bound) = match unit {
        Unit::Count => (units::digits(amount).map_err(|fault| spoken(fault, form))?, COUNT),
        Unit::Bytes => {
            let bytes = units::digits(amount).or_else(|_| units::size(amount));
            (bytes.map_err(|fault| spoken(fault, form))?, BYTES)
        }
    };
    let limit = bound.limit(count)?;
    let period = units::duration(period).map_err(|fault| spoken(fault, form))?;
    if period.is_zero() {
        return Err(Amount::Zero);
    }
    if !(SHORTEST..=LONGEST).contains(&period) {
        return Err(Amount::Period);
    }
    Rate::new(limit, period).ok_or(Amount::Zero)
}

/// What a part is not, as what the whole is not.
fn spoken(fault: Amount, form: Amount) -> Amount {
    match fault {
        Amount::SizeForm | Amount::DurationForm => form,
        other => other,
    }
}

/// Entry for the fuzzer: holds that any text gives a rate within its bounds or is
/// refused, and that no text is a rate that does not begin with its limit.
pub fn fuzz_rate(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for unit in [Unit::Count, Unit::Bytes] {
        let Ok(rate) = parse(text, unit, Amount::RateForm) else { continue };
        assert!(rate.limit() > 0 && (SHORTEST..=LONGEST).contains(&rate.period()));
        assert_eq!(text.matches('/').count(), 1);
        if unit == Unit::Count {
            let (limit, _) = text.split_once('/').unwrap_or_default();
            assert_eq!(limit.parse(), Ok(rate.limit()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate_of(limit: u64, millis: u64) -> Rate {
        Rate::new(limit, Duration::from_millis(millis)).unwrap()
    }

    #[test]
    fn a_rate_is_a_number_in_a_time() {
        let read = |text| parse(text, Unit::Count, Amount::RateForm);
        assert_eq!(read("100/1m"), Ok(rate_of(100, 60_000)));
        assert_eq!(read("1/24h"), Ok(rate_of(1, 86_400_000)));
        assert_eq!(read("5/100ms"), Ok(rate_of(5, 100)));
        let form = Amount::RateForm;
        for (text, fault) in [
            ("100", form),
            ("", form),
            ("/", form),
            ("100/", form),
            ("/1m", form),
            ("100/m", form),
            ("100 / 1m", form),
            ("100/1m/1m", form),
            ("100/60", form),
            ("1MiB/1m", form),
            ("x/1m", form),
            ("+1/1m", form),
            ("0/1m", Amount::Zero),
            ("100/0s", Amount::Zero),
            ("1.5/1m", Amount::Fraction),
            ("100/1.5m", Amount::Fraction),
            ("-1/1m", Amount::Negative),
            ("1/-1m", Amount::Negative),
            ("1/99ms", Amount::Period),
            ("1/25h", Amount::Period),
            ("1000000001/1m", Amount::AboveBound("1000000000")),
            ("99999999999999999999/1m", Amount::Overflow),
        ] {
            assert_eq!(read(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn bytes_may_have_a_unit_of_size() {
        let read = |text| parse(text, Unit::Bytes, Amount::ByteRateForm);
        assert_eq!(read("10MiB/1m"), Ok(rate_of(10 << 20, 60_000)));
        assert_eq!(read("1000/1s"), Ok(rate_of(1000, 1000)));
        for text in ["10MB/1m", "10MiB", "MiB/1m", "10 MiB/1m"] {
            assert_eq!(read(text), Err(Amount::ByteRateForm), "{text}");
        }
        assert_eq!(read("1.5MiB/1m"), Err(Amount::Fraction));
    }

    #[test]
    fn the_fuzzer_entry_holds_on_seeds() {
        for seed in ["100/1m", "10MiB/1m", "1/1/1", "0/0s", "/", "18446744073709551615/1h"] {
            fuzz_rate(seed.as_bytes());
        }
        fuzz_rate(&[0xff, b'/']);
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(text in "[-0-9.KMGiBmsh/ ]{0,24}|\\PC*") {
            fuzz_rate(text.as_bytes());
        }
    }
}
