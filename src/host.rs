//! What the core asks of its surroundings, one small trait per thing. Envoy
//! answers them in the filter, [`memory::MemoryHost`] in tests.

use crate::metric::Series;
use std::num::NonZeroU32;
use std::time::Duration;

pub mod memory;

/// Wall-clock time, counted from the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(Duration);

impl Timestamp {
    /// The time that lies `since_epoch` after the Unix epoch.
    #[must_use]
    pub const fn from_unix(since_epoch: Duration) -> Self {
        Self(since_epoch)
    }

    /// Time since the Unix epoch.
    #[must_use]
    pub const fn since_epoch(self) -> Duration {
        self.0
    }

    /// How long ago `earlier` was; zero when it lies ahead (clocks jump).
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// The time, so that tests can set it.
pub trait Clock {
    /// Wall-clock time now.
    fn now(&self) -> Timestamp;
    /// Time since some moment, the same one for all workers of the process; never
    /// goes back, whatever happens to the wall clock.
    fn monotonic(&self) -> Duration;
}

/// The version of a shared value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cas(pub NonZeroU32);

/// The value is not the one that was read: somebody was faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CasMismatch;

/// Values that all workers of the process share. There is no delete, no expiry
/// and no atomic add: only compare-and-set (`cas`) on whole values.
pub trait SharedData {
    /// The value of a key and its version; `None` when it was never set.
    fn load(&self, key: &str) -> Option<(Vec<u8>, Cas)>;
    /// Sets a value if it is still the one that was read as `cas`. Without
    /// `cas` it is set whatever stands there: an absent key has no version, so
    /// of two who find it absent, the second overwrites the first.
    ///
    /// # Errors
    /// [`CasMismatch`], and nothing is set.
    fn store(&self, key: &str, value: &[u8], cas: Option<Cas>) -> Result<(), CasMismatch>;
}

/// How loud an event line is, the quietest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something happened that is no violation (a connection opened or closed).
    Info,
    /// A security event.
    Warn,
    /// The operator must act (a document that does not load).
    Error,
}

/// Where lines for people and collectors go.
pub trait Log {
    /// Writes one line.
    fn write(&self, level: Level, line: &str);
    /// Whether lines of this level are written at all now.
    fn writes(&self, level: Level) -> bool;
}

/// What a metric is (Envoy's kinds).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution of values.
    Histogram,
}

/// A defined metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MetricId(pub u32);

/// Counters, gauges and histograms.
pub trait Metrics {
    /// Makes the metric known, or finds it: the same family with the same labels
    /// gives the same id.
    fn define(&self, series: Series<'_>) -> MetricId;
    /// Adds to a counter or gauge.
    fn add(&self, id: MetricId, offset: i64);
    /// Records a value of a histogram, or sets a gauge.
    fn record(&self, id: MetricId, value: u64);
}

/// A hash function, by the name that Envoy's `verify_signature` knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

impl Hash {
    /// `sha256` and the like.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
}

/// Signature verification that the host does natively, where it has it: RSA
/// PKCS#1 v1.5 and ECDSA, much faster than in wasm.
pub trait Signatures {
    /// Whether `signature` (ECDSA: DER) over `text` verifies with the public
    /// key `spki_der` (DER SubjectPublicKeyInfo); `None` when this host cannot
    /// tell, and the caller must do it itself.
    fn verify(&self, hash: Hash, spki_der: &[u8], signature: &[u8], text: &[u8]) -> Option<bool>;
}

/// Longest answer of a service that is read, in bytes: a key set of 64 keys with
/// their certificates, and far more than any session takes.
pub const MAX_ANSWER_BYTES: usize = 256 << 10;

/// A request to a service of the operator's.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// The cluster (Envoy's) that the service is reached by.
    pub cluster: String,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The service's name, for its `Host`.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// More header lines, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// Empty: none.
    pub body: Vec<u8>,
    /// How long the answer may take, connecting included.
    pub timeout: Duration,
}

/// Without path, headers and body, which may hold credentials.
impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cluster, authority, method, .. } = self;
        f.debug_struct("Call")
            .field("cluster", cluster)
            .field("authority", authority)
            .field("method", method)
            .finish_non_exhaustive()
    }
}

/// Tells the answers of calls apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u32);

/// What came of a call. Its `Debug` tells no body.
#[derive(Clone, PartialEq, Eq)]
pub enum CallAnswer {
    /// A whole answer; Envoy's own for what it could not reach, or not in time
    /// (503, 504).
    Whole {
        /// HTTP status.
        status: u16,
        /// Body, at most [`MAX_ANSWER_BYTES`].
        body: Vec<u8>,
    },
    /// A longer one, unread.
    TooLong,
    /// The connection was reset before there was one.
    Reset,
}

impl CallAnswer {
    /// Its status, if it came whole.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Whole { status, .. } => Some(*status),
            Self::TooLong | Self::Reset => None,
        }
    }

    /// How long its body is.
    #[must_use]
    pub const fn body_bytes(&self) -> usize {
        match self {
            Self::Whole { body, .. } => body.len(),
            Self::TooLong | Self::Reset => 0,
        }
    }
}

impl std::fmt::Debug for CallAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole { status, body } => write!(f, "Whole({status}, {} bytes)", body.len()),
            Self::TooLong => f.write_str("TooLong"),
            Self::Reset => f.write_str("Reset"),
        }
    }
}

/// There is no such cluster, or none of its hosts can be asked: the operator's
/// to mend, or a passing trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotCalled;

/// Requests to services. An answer comes back to the root context when the call
/// was made on a tick, and to the connection when it was made on one of its
/// callbacks; if that has gone by then, to nobody.
pub trait Calls {
    /// Sends a request.
    ///
    /// # Errors
    /// [`NotCalled`]; then there will be no answer.
    fn call(&self, call: &Call) -> Result<CallId, NotCalled>;
}

/// What workers count by: values and a clock that they share.
pub trait Common: Clock + SharedData {}

impl<T: Clock + SharedData> Common for T {}

/// Everything together; implemented for whatever implements the parts.
pub trait Host: Calls + Common + Log + Metrics + Signatures {}

impl<T: Calls + Common + Log + Metrics + Signatures> Host for T {}
