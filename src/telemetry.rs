//! The log: one line an event on standard error, without personal data.
//!
//! Consentry's own events are written to hold none. Libraries know nothing of that, so they may only warn, whatever
//! the level; and a panic is reported by its place alone, because its message may quote what was being handled.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogLevel, LogSettings};

/// Starts the log. A second call changes nothing.
pub fn start(settings: &LogSettings) {
    let filter = EnvFilter::new(filter(settings.level));
    let builder = tracing_subscriber::fmt().with_writer(io::stderr).with_env_filter(filter);
    // Another subscriber may be there already, in tests; the first one stays.
    let _started = match settings.format {
        LogFormat::Json => {
            builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
        }
        LogFormat::Text => builder.with_ansi(false).try_init(),
    };
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(
            || "unknown".to_owned(),
            |place| format!("{}:{}:{}", place.file(), place.line(), place.column()),
        );
        let thread = std::thread::current();
        tracing::error!(place, thread = thread.name().unwrap_or("unnamed"), "panicked");
    }));
}

fn filter(level: LogLevel) -> String {
    let level = match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let libraries = if level == "error" { "error" } else { "warn" };
    // A target matches by prefix: `consentry` covers every crate of ours.
    format!("{libraries},consentry={level}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_never_do_more_than_warn() {
        for level in [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace] {
            let filter = filter(level);
            let (libraries, own) = filter.split_once(',').unwrap_or_default();
            assert!(matches!(libraries, "error" | "warn"), "{filter}");
            assert!(own.starts_with("consentry="), "{filter}");
        }
    }
}
