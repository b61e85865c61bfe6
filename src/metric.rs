//! The metrics that operators see: each is a row of one table, with its kind and
//! its labels. The README's table and the examples' `stats_tags` are held against it.

use crate::host::MetricKind;
use std::fmt::Write;

/// A metric without its labels' values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Opening handshakes, each once.
    HandshakesTotal,
    /// Whole messages that came.
    MessagesTotal,
    /// Bytes after the upgrade.
    BytesTotal,
    /// Violations after the upgrade.
    ViolationsTotal,
    /// WebSockets that have ended.
    ClosesTotal,
    /// WebSockets that count as open.
    Connections,
    /// Fill of the fullest table of counts, in percent.
    TableFill,
    /// Addresses and users that are banned.
    BansActive,
    /// Message bytes that are held.
    BufferedBytes,
    /// Time from the request to upstream's 101, in microseconds.
    HandshakeUs,
    /// Payload bytes of a message.
    MessageBytes,
    /// Time for which a WebSocket was open, in seconds.
    ConnectionSeconds,
}

/// The name of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    /// The policy's name.
    Policy,
    /// The side that sent the message: `client` or `server`.
    Direction,
    /// Result of a handshake.
    Result,
    /// Why.
    Reason,
    /// Action that was taken on a violation.
    Action,
    /// The rule that matched.
    Rule,
    /// The close code, or its class.
    Code,
    /// The side that ended the connection.
    By,
}

impl Label {
    /// Every label, in the order in which the examples' `stats_tags` list them.
    pub const ALL: [Self; 8] = [
        Self::Policy,
        Self::Direction,
        Self::Result,
        Self::Reason,
        Self::Action,
        Self::Rule,
        Self::Code,
        Self::By,
    ];

    /// Its name in Prometheus.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Direction => "direction",
            Self::Result => "result",
            Self::Reason => "reason",
            Self::Action => "action",
            Self::Rule => "rule",
            Self::Code => "code",
            Self::By => "by",
        }
    }
}

/// One line of the table.
struct Row {
    name: &'static str,
    kind: MetricKind,
    labels: &'static [Label],
}

impl Family {
    /// Every metric, in the order of the table.
    pub const ALL: [Self; 12] = [
        Self::HandshakesTotal,
        Self::MessagesTotal,
        Self::BytesTotal,
        Self::ViolationsTotal,
        Self::ClosesTotal,
        Self::Connections,
        Self::TableFill,
        Self::BansActive,
        Self::BufferedBytes,
        Self::HandshakeUs,
        Self::MessageBytes,
        Self::ConnectionSeconds,
    ];

    #[rustfmt::skip]
    const fn row(self) -> Row {
        use Label::{Action, By, Code, Direction, Policy, Reason, Result, Rule};
        use MetricKind::{Counter, Gauge, Histogram};
        let (name, kind, labels): (_, _, &'static [Label]) = match self {
            Self::HandshakesTotal   => ("wsguard_handshakes_total",   Counter,   &[Policy, Result, Reason]),
            Self::MessagesTotal     => ("wsguard_messages_total",     Counter,   &[Policy, Direction]),
            Self::BytesTotal        => ("wsguard_bytes_total",        Counter,   &[Policy, Direction]),
            Self::ViolationsTotal   => ("wsguard_violations_total",   Counter,   &[Policy, Direction, Reason, Action, Rule]),
            Self::ClosesTotal       => ("wsguard_closes_total",       Counter,   &[Policy, Code, By]),
            Self::Connections       => ("wsguard_connections",        Gauge,     &[Policy]),
            Self::TableFill         => ("wsguard_table_fill",         Gauge,     &[]),
            Self::BansActive        => ("wsguard_bans_active",        Gauge,     &[]),
            Self::BufferedBytes     => ("wsguard_buffered_bytes",     Gauge,     &[]),
            Self::HandshakeUs       => ("wsguard_handshake_us",       Histogram, &[Policy]),
            Self::MessageBytes      => ("wsguard_message_bytes",      Histogram, &[Policy, Direction]),
            Self::ConnectionSeconds => ("wsguard_connection_seconds", Histogram, &[Policy]),
        };
        Row { name, kind, labels }
    }

    /// Its name in Prometheus.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Counter, gauge or histogram.
    #[must_use]
    pub const fn kind(self) -> MetricKind {
        self.row().kind
    }

    /// The labels that it may have. One that does not apply is left out.
    #[must_use]
    pub const fn labels(self) -> &'static [Label] {
        self.row().labels
    }
}

/// A metric with its labels' values.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// Which metric.
    pub family: Family,
    /// Values of its labels, in the order of the table.
    pub labels: &'a [(Label, &'a str)],
}

impl Series<'_> {
    /// The name under which Envoy keeps it, as Istio's own filters write labels:
    /// `policy=.=chat;.;result=.=accepted;.;wsguard_handshakes_total`. Tag regexes of
    /// the form `(policy=\.=(.*?);\.;)`, which Istio makes of `extraStatTags`, take the
    /// labels out. No value can end its label early: a character that may stand in
    /// no name is written as `_`.
    #[must_use]
    pub fn stat_name(&self) -> String {
        let mut name = String::new();
        for (label, value) in self.labels {
            name.push_str(label.name());
            name.push_str("=.=");
            name.extend(value.chars().map(|c| if is_safe(c) { c } else { '_' }));
            name.push_str(";.;");
        }
        name.push_str(self.family.name());
        name
    }
}

/// As Prometheus shows it: `wsguard_handshakes_total{policy="chat",result="accepted"}`.
impl std::fmt::Display for Series<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.family.name())?;
        for (index, (label, value)) in self.labels.iter().enumerate() {
            f.write_char(if index == 0 { '{' } else { ',' })?;
            write!(f, "{}=\"{value}\"", label.name())?;
        }
        if self.labels.is_empty() { Ok(()) } else { f.write_char('}') }
    }
}

/// Names of policies, rules, reasons and codes have no other characters.
const fn is_safe(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex_automata::meta::Regex;

    /// Extracts tags from a stat name as Envoy does (`TagProducerImpl`): the second group
    /// of each regex that matches is the tag's value, and the text of its first group is
    /// removed from the name.
    fn extracted(stat_name: &str) -> (String, Vec<(&'static str, String)>) {
        let (mut name, mut tags) = (stat_name.to_owned(), Vec::new());
        for label in Label::ALL {
            // As Istio's bootstrap writes each of `extraStatTags`.
            let regex = format!(r"({}=\.=(.*?);\.;)", label.name());
            let regex = Regex::new(&regex).unwrap();
            let mut groups = regex.create_captures();
            regex.captures(&name, &mut groups);
            let (Some(whole), Some(value)) = (groups.get_group(1), groups.get_group(2)) else {
                continue;
            };
            tags.push((label.name(), name[value.range()].to_owned()));
            name.replace_range(whole.range(), "");
        }
        (name, tags)
    }

    #[test]
    fn a_name_has_the_form_of_the_contract() {
        let labels = [(Label::Policy, "chat"), (Label::Result, "accepted")];
        let series = Series { family: Family::HandshakesTotal, labels: &labels };
        let name = series.stat_name();
        assert_eq!(name, "policy=.=chat;.;result=.=accepted;.;wsguard_handshakes_total");
        assert_eq!(
            series.to_string(),
            r#"wsguard_handshakes_total{policy="chat",result="accepted"}"#
        );
        let (rest, tags) = extracted(&format!("wasmcustom.{name}"));
        assert_eq!(rest, "wasmcustom.wsguard_handshakes_total");
        assert_eq!(tags, [("policy", "chat".to_owned()), ("result", "accepted".to_owned())]);
        let bare = Series { family: Family::BansActive, labels: &[] };
        assert_eq!(
            (bare.stat_name(), bare.to_string()),
            ("wsguard_bans_active".into(), "wsguard_bans_active".into())
        );
    }

    #[test]
    fn a_value_can_not_end_its_label() {
        for hostile in ["a;.;b", "a=.=b", "x;.;reason=.=y", "a b", "ä", "a\n", ""] {
            let labels = [(Label::Policy, hostile), (Label::Reason, "r")];
            let series = Series { family: Family::HandshakesTotal, labels: &labels };
            let (rest, tags) = extracted(&series.stat_name());
            assert_eq!(rest, "wsguard_handshakes_total", "{hostile}");
            assert_eq!(tags[1], ("reason", "r".to_owned()), "{hostile}");
            assert_eq!(tags[0].1.chars().count(), hostile.chars().count(), "{hostile}");
        }
    }

    #[test]
    fn the_table_has_each_metric_once_and_labels_in_one_order() {
        let mut names: Vec<_> = Family::ALL.iter().map(|family| family.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Family::ALL.len());
        for family in Family::ALL {
            let place = |label: &Label| Label::ALL.iter().position(|known| known == label);
            assert!(family.labels().is_sorted_by_key(place), "{}", family.name());
            let total = family.name().ends_with("_total");
            assert_eq!(total, family.kind() == MetricKind::Counter, "{}", family.name());
        }
        // The regex of one label must not find its text at the end of another's name.
        for (one, other) in Label::ALL.iter().flat_map(|a| Label::ALL.map(|b| (*a, b))) {
            assert!(one == other || !one.name().ends_with(other.name()), "{other:?} in {one:?}");
        }
    }

    proptest! {
        /// Names as the configuration takes them, also those that look like labels.
        #[test]
        fn every_series_parses_by_istios_regexes(
            family in proptest::sample::select(&Family::ALL[..]),
            values in proptest::collection::vec(
                prop_oneof!["[a-z0-9_-]{1,64}", "(policy|rule|by|code)[-_.a-z]{0,9}"], 8),
            left_out in any::<u8>(),
        ) {
            let labels: Vec<(Label, &str)> = family.labels().iter().zip(&values)
                .enumerate()
                .filter(|(place, _)| left_out >> place & 1 == 0)
                .map(|(_, (label, value))| (*label, value.as_str()))
                .collect();
            let series = Series { family, labels: &labels };
            let (rest, tags) = extracted(&format!("wasmcustom.{}", series.stat_name()));
            prop_assert_eq!(rest, format!("wasmcustom.{}", family.name()));
            let expected: Vec<_> =
                labels.iter().map(|(label, value)| (label.name(), (*value).to_owned())).collect();
            prop_assert_eq!(tags, expected);
        }
    }
}
