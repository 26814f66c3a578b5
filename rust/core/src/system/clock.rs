//! The clock that `time.monotonic` of Python shows too.

use rustix::time::{ClockId, clock_gettime};

/// In seconds.
#[must_use]
pub fn monotonic() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}
