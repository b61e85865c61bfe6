//! Envoy as the core's host: each of its traits, in host calls.

use crate::host::{
    Call, CallId, Calls, Cas, CasMismatch, Clock, Hash, Level, Log, MetricId, MetricKind, Metrics,
    NotCalled, SharedData, Signatures, Timestamp,
};
use crate::metric::Series;
use prost::encoding::{WireType, encode_key, encode_varint};
use proxy_wasm::hostcalls;
use proxy_wasm::types::{LogLevel, MetricType};
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

/// Envoy, as the core sees it.
#[derive(Debug)]
pub(in crate::filter) struct Envoy;

impl Clock for Envoy {
    fn now(&self) -> Timestamp {
        let now = hostcalls::get_current_time().unwrap_or(SystemTime::UNIX_EPOCH);
        Timestamp::from_unix(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
    }

    /// `Instant` goes by the same clock, but tells only how long ago another one
    /// of this VM was, and workers have to agree on a time.
    #[expect(unsafe_code, reason = "the standard library hides what this call answers")]
    fn monotonic(&self) -> Duration {
        let mut nanoseconds = 0;
        // SAFETY: the host writes eight bytes to `time`, which are there.
        let _ = unsafe { clock_time_get(MONOTONIC, 0, &raw mut nanoseconds) };
        Duration::from_nanos(nanoseconds)
    }
}

/// WASI's number of its monotonic clock, which Envoy answers with its steady one:
/// the same for all VMs of the process.
const MONOTONIC: u32 = 1;

#[expect(unsafe_code, reason = "see `monotonic`")]
#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(id: u32, precision: u64, time: *mut u64) -> u32;
}

impl SharedData for Envoy {
    fn load(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
        let (value, cas) = hostcalls::get_shared_data(key).ok()?;
        // An empty value comes as none, but with a version.
        Some((value.unwrap_or_default(), Cas(NonZeroU32::new(cas?)?)))
    }

    fn store(&self, key: &str, value: &[u8], cas: Option<Cas>) -> Result<(), CasMismatch> {
        let cas = cas.map(|Cas(version)| version.get());
        hostcalls::set_shared_data(key, Some(value), cas).map_err(|_| CasMismatch)
    }
}

impl Log for Envoy {
    fn write(&self, level: Level, line: &str) {
        let _ = hostcalls::log(log_level(level), line);
    }

    /// The SDK reads the answer as an enum that has no place for `off`.
    #[expect(unsafe_code, reason = "see above")]
    fn writes(&self, level: Level) -> bool {
        let mut least = 0;
        // SAFETY: the host writes four bytes to `least`, which are there.
        let status = unsafe { proxy_get_log_level(&raw mut least) };
        status != 0 || log_level(level) as u32 >= least
    }
}

const fn log_level(level: Level) -> LogLevel {
    match level {
        Level::Info => LogLevel::Info,
        Level::Warn => LogLevel::Warn,
        Level::Error => LogLevel::Error,
    }
}

#[expect(unsafe_code, reason = "see `writes`")]
#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_log_level(level: *mut u32) -> u32;
}

impl Metrics for Envoy {
    fn define(&self, series: Series<'_>) -> MetricId {
        let kind = match series.family.kind() {
            MetricKind::Counter => MetricType::Counter,
            MetricKind::Gauge => MetricType::Gauge,
            MetricKind::Histogram => MetricType::Histogram,
        };
        MetricId(hostcalls::define_metric(kind, &series.stat_name()).unwrap_or(u32::MAX))
    }

    fn add(&self, id: MetricId, offset: i64) {
        let _ = hostcalls::increment_metric(id.0, offset);
    }

    fn record(&self, id: MetricId, value: u64) {
        let _ = hostcalls::record_metric(id.0, value);
    }
}

impl Signatures for Envoy {
    fn verify(&self, hash: Hash, spki_der: &[u8], signature: &[u8], text: &[u8]) -> Option<bool> {
        let fields = [hash.name().as_bytes(), spki_der, signature, text];
        let mut message = Vec::with_capacity(64 + fields.iter().map(|f| f.len()).sum::<usize>());
        for (number, field) in (1u32..).zip(fields) {
            encode_key(number, WireType::LengthDelimited, &mut message);
            encode_varint(u64::try_from(field.len()).ok()?, &mut message);
            message.extend_from_slice(field);
        }
        let answer = hostcalls::call_foreign_function("verify_signature", Some(&message));
        // Field 1, a bool: absent is false, as is an empty answer. A host
        // without the function can't tell.
        answer.ok().map(|bytes| bytes.is_some_and(|bytes| bytes.starts_with(&[0x08, 0x01])))
    }
}

/// Envoy makes every call from the root context, so an answer comes whether or
/// not the stream lives that asked; the SDK hands it to the context whose
/// callback made the call, and drops it when that has gone.
impl Calls for Envoy {
    fn call(&self, call: &Call) -> Result<CallId, NotCalled> {
        let mut headers = vec![
            (":method", call.method),
            (":path", call.path.as_str()),
            (":authority", call.authority.as_str()),
        ];
        headers.extend(call.headers.iter().map(|(name, value)| (*name, value.as_str())));
        let body = (!call.body.is_empty()).then_some(call.body.as_slice());
        hostcalls::dispatch_http_call(&call.cluster, headers, body, Vec::new(), call.timeout)
            .map(CallId)
            .map_err(|_| NotCalled)
    }
}
