//! The one line that a worker prints.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// What a worker measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The calls that were answered within the measured time.
    pub calls: u64,
    /// The measured time.
    pub seconds: f64,
    /// How long it took until the first call could be made.
    pub connect_ms: f64,
    /// How long calls took, in microseconds; only under a fixed rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<Latency>,
}

impl Report {
    /// Prints it.
    pub fn print(&self) {
        print_line(self);
    }
}

/// Prints what the worker of that name measured, or why it failed; gives its exit status.
pub fn conclude<R: Serialize, E: Display>(name: &str, outcome: Result<R, E>) -> ExitCode {
    match outcome {
        Ok(report) => {
            print_line(&report);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print_line(report: &impl Serialize) {
    let line = serde_json::to_string(report).expect("numbers under plain names are valid JSON");
    println!("{line}");
}

/// Percentiles of the time from when a call was due to its answer, in microseconds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(
    missing_docs,
    reason = "each is the percentile that it is called after"
)]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    #[serde(rename = "p99.9")]
    pub p999: f64,
    pub max: f64,
}

impl Latency {
    /// An empty histogram of nanoseconds, precise to 0.1 %.
    pub(crate) fn histogram() -> Histogram<u64> {
        Histogram::new(3).expect("three digits are in bounds")
    }

    pub(crate) fn record(histogram: &mut Histogram<u64>, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).expect("no call takes centuries");
        histogram
            .record(nanoseconds)
            .expect("the histogram grows with what it is given");
    }

    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| microseconds(histogram.value_at_quantile(quantile));
        Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: microseconds(histogram.max()),
        }
    }
}

fn microseconds(nanoseconds: u64) -> f64 {
    Duration::from_nanos(nanoseconds).as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut histogram = Latency::histogram();
        for microseconds in 1..=1000 {
            Latency::record(&mut histogram, Duration::from_micros(microseconds));
        }
        let latency = Latency::of(&histogram);
        for (found, expected) in [
            (latency.p50, 500.0),
            (latency.p90, 900.0),
            (latency.p99, 990.0),
            (latency.p999, 999.0),
            (latency.max, 1000.0),
        ] {
            assert!((found / expected - 1.0).abs() < 0.002, "{found}");
        }
    }
}
