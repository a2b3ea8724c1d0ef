//! What commands print: results on standard output, progress on standard error and only where somebody watches.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Prints one line of a result. A reader that went away is no fault.
pub fn say(line: impl Display) {
    let _gone = writeln!(io::stdout().lock(), "{line}");
}

/// Prints one line for the person at the terminal, apart from the result.
pub fn note(line: impl Display) {
    let _gone = writeln!(io::stderr().lock(), "{line}");
}

/// A progress bar on a terminal; elsewhere nothing until [`Progress::done`] says one line.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    what: &'static str,
}

impl Progress {
    /// A bar over `length` steps.
    #[must_use]
    pub fn new(what: &'static str, length: u64) -> Self {
        // The target hides itself when standard error is no terminal.
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("  {msg:<28} {bar:32} {human_pos:>8}/{human_len} {per_sec:>12}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(250));
        Self { bar, what }
    }

    /// Counts further steps.
    pub fn advance(&self, steps: u64) {
        self.bar.inc(steps);
    }

    /// Says how far it is, and what there is in all.
    pub fn set(&self, position: u64, length: u64) {
        self.bar.set_length(length.max(position));
        self.bar.set_position(position);
    }

    /// Takes the bar away and says what was done and how fast.
    pub fn done(self) {
        let (steps, took) = (self.bar.position(), self.bar.elapsed());
        self.bar.finish_and_clear();
        let rate = steps as f64 / took.as_secs_f64().max(0.001);
        say(format_args!(
            "  {:<28} {:>8} in {:>6.2} s ({rate:.0}/s)",
            self.what,
            thousands(steps),
            took.as_secs_f64()
        ));
    }

    /// Takes the bar away silently.
    pub fn clear(self) {
        self.bar.finish_and_clear();
    }
}

/// A number with its thousands set apart.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let shown = [0, 999, 1_000, 23_570, 1_234_567].map(thousands);
        assert_eq!(shown, ["0", "999", "1,000", "23,570", "1,234,567"]);
    }
}
