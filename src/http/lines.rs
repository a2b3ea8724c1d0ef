//! A body that is lines, cut as it arrives, with a bound on each.

use bytes::{Buf as _, Bytes, BytesMut};

/// Cuts a stream into lines. A line that is too long is passed over, and told as such.
#[derive(Debug)]
pub(super) struct Lines {
    /// The most bytes of a line.
    most: usize,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line end.
    searched: usize,
    is_passing_over: bool,
    line: u32,
}

impl Lines {
    pub(super) fn of_at_most(most: usize) -> Self {
        Self { most, buffer: BytesMut::new(), searched: 0, is_passing_over: false, line: 0 }
    }

    pub(super) fn add(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole line with its number; without its bytes if it is too long.
    pub(super) fn next(&mut self) -> Option<(u32, Option<Bytes>)> {
        let end = self.buffer.iter().skip(self.searched).position(|byte| *byte == b'\n');
        let Some(end) = end.map(|end| end + self.searched) else {
            self.searched = self.buffer.len();
            if self.searched > self.most {
                self.is_passing_over = true;
                self.buffer.clear();
                self.searched = 0;
            }
            return None;
        };
        let line = self.buffer.split_to(end).freeze();
        self.buffer.advance(1);
        self.searched = 0;
        Some(self.number(line))
    }

    /// Whether a line is under way that is too long already.
    pub(super) const fn is_too_long(&self) -> bool {
        self.is_passing_over
    }

    /// What stands after the last line end.
    pub(super) fn rest(&mut self) -> Option<(u32, Option<Bytes>)> {
        if self.buffer.is_empty() && !self.is_passing_over {
            return None;
        }
        let line = self.buffer.split().freeze();
        Some(self.number(line))
    }

    fn number(&mut self, line: Bytes) -> (u32, Option<Bytes>) {
        self.line = self.line.saturating_add(1);
        let is_too_long = std::mem::take(&mut self.is_passing_over) || line.len() > self.most;
        (self.line, (!is_too_long).then_some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 1_000;

    fn split(chunks: &[&[u8]]) -> Vec<(u32, Option<usize>)> {
        let mut cut = Lines::of_at_most(MOST);
        let mut lines = Vec::new();
        for chunk in chunks {
            cut.add(chunk);
            while let Some((number, line)) = cut.next() {
                lines.push((number, line.map(|line| line.len())));
            }
        }
        lines.extend(cut.rest().map(|(number, line)| (number, line.map(|line| line.len()))));
        lines
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        let expected = vec![(1, Some(2)), (2, Some(0)), (3, Some(3))];
        assert_eq!(split(&[b"ab\n\ncde"]), expected);
        assert_eq!(split(&[b"a", b"b", b"\n", b"\nc", b"de"]), expected);
        assert_eq!(split(&[b"ab\n\ncde\n"]), expected);
    }

    #[test]
    fn a_line_that_is_too_long_loses_only_itself() {
        let long = vec![b'x'; MOST + 1];
        assert_eq!(split(&[b"a\n", &long, b"\nb"]), vec![(1, Some(1)), (2, None), (3, Some(1))]);
        assert_eq!(split(&[&long, &long, b"tail\nb\n"]), vec![(1, None), (2, Some(1))]);
        assert_eq!(split(&[&long]), vec![(1, None)]);
    }
}
