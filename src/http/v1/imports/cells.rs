//! The cells of one line of CSV (RFC 4180), strictly. A cell never holds a line break, because no attribute may: so a
//! quote that is never closed loses one line and not the rest of the file. Libraries for CSV guess at stray quotes
//! instead of telling them.

use app::Code;

/// Cuts a line into its cells.
///
/// # Errors
/// When a quote stands where none may, or is not closed.
pub(super) fn cells(line: &str) -> Result<Vec<String>, Code> {
    let mut cells = Vec::new();
    let mut rest = line;
    loop {
        let (cell, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_cell(quoted)?,
            None => plain_cell(rest)?,
        };
        cells.push(cell);
        match after {
            Some(after) => rest = after,
            None => return Ok(cells),
        }
    }
}

fn plain_cell(text: &str) -> Result<(String, Option<&str>), Code> {
    let (cell, after) = match text.split_once(',') {
        Some((cell, after)) => (cell, Some(after)),
        None => (text, None),
    };
    if cell.contains('"') { Err(Code::CsvQuoting) } else { Ok((cell.to_owned(), after)) }
}

fn quoted_cell(text: &str) -> Result<(String, Option<&str>), Code> {
    let mut cell = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"').ok_or(Code::CsvQuoting)?;
        cell.push_str(part);
        match after.chars().next() {
            Some('"') => {
                cell.push('"');
                rest = after.strip_prefix('"').unwrap_or_default();
            }
            Some(',') => return Ok((cell, after.strip_prefix(','))),
            None => return Ok((cell, None)),
            Some(_) => return Err(Code::CsvQuoting),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<Vec<String>> {
        cells(line).ok()
    }

    #[test]
    fn cells_are_read_as_they_were_written() {
        for (line, expected) in [
            ("", vec![""]),
            ("a", vec!["a"]),
            ("a,b", vec!["a", "b"]),
            (",", vec!["", ""]),
            ("\"\"", vec![""]),
            ("\"a,b\",c", vec!["a,b", "c"]),
            ("\"say \"\"yes\"\"\",", vec!["say \"yes\"", ""]),
            ("ä, b ", vec!["ä", " b "]),
            ("\"\"\"\"", vec!["\""]),
        ] {
            assert_eq!(read(line), Some(expected.into_iter().map(str::to_owned).collect()), "{line}");
        }
    }

    #[test]
    fn a_stray_or_open_quote_is_told() {
        for line in ["a\"b", "\"a", "\"a\"b", "a,\"b", "\"a\"\"", "a, \"b\"", "\""] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
