//! What was measured, and what is said of it.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// One run of one workload through one set-up.
pub struct Sample {
    /// Messages or handshakes.
    pub count: u64,
    /// CPU per message or handshake, in µs.
    pub proxy_us: f64,
    pub generator_us: f64,
    pub upstream_us: f64,
    /// Messages or handshakes per second.
    pub rate: f64,
    /// Nanoseconds.
    pub latency: Histogram<u64>,
}

/// All runs of one workload through one set-up, one for each round.
pub struct Row {
    pub workload: &'static str,
    pub setup: &'static str,
    pub samples: Vec<Sample>,
}

/// The middle of some figures, and the least and the most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    /// `None` of no figures.
    pub fn of(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.collect();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        };
        Some(Self { median, least, most })
    }

    /// The middle, and from the least to the most.
    pub fn shown(self) -> String {
        format!("{:.2} ({:.2}–{:.2})", self.median, self.least, self.most)
    }

    pub fn json(self) -> Value {
        json!({"median": self.median, "least": self.least, "most": self.most})
    }
}

impl Row {
    pub fn proxy(&self) -> Option<Spread> {
        Spread::of(self.samples.iter().map(|sample| sample.proxy_us))
    }

    pub fn generator(&self) -> Option<Spread> {
        Spread::of(self.samples.iter().map(|sample| sample.generator_us))
    }

    pub fn rate(&self) -> Option<Spread> {
        Spread::of(self.samples.iter().map(|sample| sample.rate))
    }

    /// CPU by that of another set-up for the same, round by round: what drifts
    /// between the rounds cancels out.
    pub fn ratio(&self, base: &Self) -> Option<Spread> {
        let pairs = self.samples.iter().zip(&base.samples);
        Spread::of(pairs.map(|(own, base)| own.proxy_us / base.proxy_us))
    }

    /// Latency at this quantile over all rounds, in µs.
    pub fn latency_us(&self, quantile: f64) -> f64 {
        let mut whole: Option<Histogram<u64>> = None;
        for sample in &self.samples {
            match &mut whole {
                Some(whole) => drop(whole.add(&sample.latency)),
                None => whole = Some(sample.latency.clone()),
            }
        }
        whole.map_or(0.0, |whole| whole.value_at_quantile(quantile) as f64 / 1e3)
    }

    pub fn json(&self, base: Option<&Self>) -> Value {
        json!({
            "workload": self.workload,
            "setup": self.setup,
            "rounds": self.samples.len(),
            "count": self.samples.iter().map(|sample| sample.count).sum::<u64>(),
            "proxy_cpu_us": self.proxy().map(Spread::json),
            "generator_cpu_us": self.generator().map(Spread::json),
            "upstream_cpu_us":
                Spread::of(self.samples.iter().map(|sample| sample.upstream_us)).map(Spread::json),
            "ratio_to_envoy": base.and_then(|base| self.ratio(base)).map(Spread::json),
            "per_second": self.rate().map(Spread::json),
            "latency_us": {
                "p50": self.latency_us(0.5), "p99": self.latency_us(0.99),
                "p999": self.latency_us(0.999),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        let of = |figures: &[f64]| Spread::of(figures.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(of(&[4.0, 1.0]).map(|spread| spread.median), Some(2.5));
    }
}
