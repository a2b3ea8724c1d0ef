//! The log of the whole process, at the highest level that an operator can set, kept to be searched.

use std::io::{self, Write};
use std::sync::{Mutex, Once, PoisonError};

use tracing_subscriber::EnvFilter;

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Kept;

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Begins to keep the log.
pub(super) fn keep() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        // As in production: libraries may only warn, whatever the level of our own events.
        let filter = EnvFilter::new("warn,consentry=trace");
        tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(|| Kept).init();
    });
}

/// What was logged so far.
pub(crate) fn kept() -> String {
    String::from_utf8_lossy(&LINES.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}
