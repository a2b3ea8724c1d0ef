//! Bodies of many lines: NDJSON, streamed, or one JSON array; every line is read by itself, and a broken one does not lose
//! the others.

use actix_web::{HttpRequest, web};
use app::{Code, Fault};
use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use serde::Deserializer as _;
use serde::Serialize;
use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde_json::Value;
use utoipa::ToSchema;
use validator::Validate;

use super::json::{self, Rejection};
use super::problem::{FaultDocument, Problem};
use super::{body, negotiate};

/// The most bytes of a body of lines.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// The most bytes of a body that is one array: it is held whole.
const MOST_ARRAY_BYTES: usize = 8 * 1024 * 1024;
/// The most bytes of one line.
const MOST_LINE_BYTES: usize = 256 * 1024;
/// The most lines of a body.
const MOST_LINES: u32 = 100_000;

/// Newline-delimited JSON.
pub const NDJSON: &str = "application/x-ndjson";
/// One JSON document.
pub const JSON: &str = "application/json";

/// Whether the body is lines, and the media type of the answer.
///
/// # Errors
/// 415 for another type, 406 when neither form of answer is wanted.
pub fn formats(request: &HttpRequest) -> Result<(bool, &'static str), Problem> {
    let (is_lines, offers) = match body::media_type(request).as_deref() {
        Some(NDJSON | "application/ndjson") => (true, [NDJSON, JSON]),
        Some(JSON) => (false, [JSON, NDJSON]),
        _ => {
            return Err(Problem::of(Code::UnsupportedMediaType)
                .saying("send `application/json` or `application/x-ndjson`"));
        }
    };
    let answer = negotiate::media_type(request, &offers).ok_or_else(|| Problem::of(Code::NotAcceptable))?;
    let answer = if answer == NDJSON { NDJSON } else { JSON };
    Ok((is_lines, answer))
}

/// Why a line was rejected.
#[derive(Debug)]
pub struct LineProblem {
    /// The code that stands for the whole.
    pub code: Code,
    /// What is wrong, fault by fault.
    pub faults: Vec<Fault>,
}

impl From<Vec<Fault>> for LineProblem {
    fn from(faults: Vec<Fault>) -> Self {
        Self { code: faults.first().map_or(Code::InvalidField, |fault| fault.code), faults }
    }
}

/// Why a line was rejected, as it is written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LineProblem)]
pub struct LineProblemBody {
    /// The stable code of the problem.
    #[schema(value_type = String)]
    code: &'static str,
    /// What is wrong, fault by fault.
    errors: Vec<FaultDocument>,
}

impl From<&LineProblem> for LineProblemBody {
    fn from(problem: &LineProblem) -> Self {
        Self { code: problem.code.as_str(), errors: problem.faults.iter().map(FaultDocument::from).collect() }
    }
}

/// Reads a body line by line and hands every line over with its number, from 1.
///
/// # Errors
/// Those of the body as a whole, and those of `take`.
pub async fn read<T: DeserializeOwned + Validate>(
    request: &HttpRequest,
    payload: web::Payload,
    is_lines: bool,
    mut take: impl AsyncFnMut(u32, Result<T, LineProblem>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    if is_lines { stream(request, payload, &mut take).await } else { array(request, payload, &mut take).await }
}

async fn stream<T: DeserializeOwned + Validate>(
    request: &HttpRequest,
    mut payload: web::Payload,
    take: &mut impl AsyncFnMut(u32, Result<T, LineProblem>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    body::refuse_encoded(request)?;
    if body::declared_bytes(request).is_some_and(|declared| declared > MOST_BYTES) {
        return Err(Problem::of(Code::PayloadTooLarge));
    }
    let (mut total, mut splitter) = (0_usize, Lines::of_at_most(MOST_LINE_BYTES));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| body::broken(&error))?;
        total = total.saturating_add(chunk.len());
        if total > MOST_BYTES {
            return Err(Problem::of(Code::PayloadTooLarge));
        }
        splitter.add(&chunk);
        while let Some((number, line)) = splitter.next() {
            if let Some(line) = read_line(line.as_ref()) {
                bounded(number)?;
                take(number, line).await?;
            }
        }
    }
    if let Some((number, line)) = splitter.rest()
        && let Some(line) = read_line(line.as_ref())
    {
        bounded(number)?;
        take(number, line).await?;
    }
    Ok(())
}

/// One line; `None`: it is empty.
fn read_line<T: DeserializeOwned + Validate>(line: Option<&Bytes>) -> Option<Result<T, LineProblem>> {
    let Some(line) = line else { return Some(Err(vec![Fault::at("", Code::TooLong)].into())) };
    if line.trim_ascii().is_empty() {
        return None;
    }
    Some(json::parse::<T>(line).map_err(|rejection| match rejection {
        Rejection::Unreadable(code) => LineProblem { code, faults: vec![Fault::at("", code)] },
        Rejection::Invalid(faults) => faults.into(),
    }))
}

/// An array is one document: if it is not well-formed, nothing of it is taken.
async fn array<T: DeserializeOwned + Validate>(
    request: &HttpRequest,
    payload: web::Payload,
    take: &mut impl AsyncFnMut(u32, Result<T, LineProblem>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let bytes = body::read(request, &mut payload.into_inner(), MOST_ARRAY_BYTES).await?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Problem::of(Code::InvalidUtf8))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let lines = reader.deserialize_seq(Elements(std::marker::PhantomData::<fn() -> T>));
    let lines = lines.and_then(|lines| reader.end().map(|()| lines));
    let lines = lines.map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Problem::fault("", Code::InvalidField),
        _ => Problem::of(Code::MalformedJson),
    })?;
    for (number, line) in (1..).zip(lines) {
        bounded(number)?;
        take(number, line).await?;
    }
    Ok(())
}

fn bounded(number: u32) -> Result<(), Problem> {
    if number > MOST_LINES {
        return Err(Problem::of(Code::PayloadTooLarge).saying("send at most 100,000 lines at once"));
    }
    Ok(())
}

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

/// Reads an array element by element, so that one of a wrong shape does not lose the others.
struct Elements<T>(std::marker::PhantomData<fn() -> T>);

impl<'de, T: DeserializeOwned + Validate> Visitor<'de> for Elements<T> {
    type Value = Vec<Result<T, LineProblem>>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut lines = Vec::new();
        while let Some(element) = elements.next_element::<Value>()? {
            // One more than allowed is kept, so that the excess is seen.
            if u32::try_from(lines.len()).is_ok_and(|count| count <= MOST_LINES) {
                lines.push(json::convert::<T>(element).map_err(LineProblem::from));
            }
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<(u32, Option<usize>)> {
        let mut splitter = Lines::of_at_most(MOST_LINE_BYTES);
        let mut lines = Vec::new();
        for chunk in chunks {
            splitter.add(chunk);
            while let Some((number, line)) = splitter.next() {
                lines.push((number, line.map(|line| line.len())));
            }
        }
        lines.extend(splitter.rest().map(|(number, line)| (number, line.map(|line| line.len()))));
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
        let long = vec![b'x'; MOST_LINE_BYTES + 1];
        assert_eq!(split(&[b"a\n", &long, b"\nb"]), vec![(1, Some(1)), (2, None), (3, Some(1))]);
        assert_eq!(split(&[&long, &long, b"tail\nb\n"]), vec![(1, None), (2, Some(1))]);
        assert_eq!(split(&[&long]), vec![(1, None)]);
    }
}
