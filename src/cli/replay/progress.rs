//! The bar of a long replay: how far, how fast.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Duration;

/// Shorter work needs no bar.
const AFTER: Duration = Duration::from_secs(1);
/// Lines between two looks at the time.
const LOOK_EVERY: u64 = 1_024;

/// A bar that appears when the work takes longer than a second, on a terminal only.
pub struct Progress {
    bar: ProgressBar,
    lines: u64,
    is_wanted: bool,
}

impl Progress {
    /// For a number of lines; `None` when nobody counted them.
    pub fn new(lines: Option<u64>) -> Progress {
        let bar = match lines {
            Some(lines) => ProgressBar::new(lines),
            None => ProgressBar::no_length(),
        };
        bar.set_draw_target(ProgressDrawTarget::hidden());
        let template = match lines {
            Some(_) => "{bar:32} {percent}%  {human_pos} of {human_len} events, {rate}, {eta} left",
            None => "{spinner} {human_pos} events, {rate}, {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.with_key("rate", rate));
        }
        Progress {
            bar,
            lines: 0,
            is_wanted: std::io::stderr().is_terminal(),
        }
    }

    /// One line more.
    pub fn line(&mut self) {
        self.lines += 1;
        if !self.lines.is_multiple_of(LOOK_EVERY) {
            return;
        }
        self.bar.set_position(self.lines);
        if self.is_wanted && self.bar.elapsed() >= AFTER {
            self.is_wanted = false;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    /// Does something that prints, without tearing the bar.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Takes the bar away.
    pub fn end(self) {
        self.bar.finish_and_clear();
    }
}

fn rate(state: &ProgressState, out: &mut dyn Write) {
    let took = state.elapsed().as_millis().max(1);
    let rate = u128::from(state.pos()) * 1_000 / took;
    // There is nothing to be done about a line that cannot be drawn.
    let _ = write!(
        out,
        "{}/s",
        indicatif::HumanCount(u64::try_from(rate).unwrap_or(u64::MAX))
    );
}
