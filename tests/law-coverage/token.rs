//! The words and signs of a Rust source: enough to tell a test from a function, without what stands in comments and
//! texts.

/// One piece of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A name or keyword.
    Word(&'a str),
    /// A sign.
    Sign(char),
    /// A literal, whatever it says.
    Literal,
}

/// Takes a source apart.
pub(crate) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        if let Some(length) = comment(rest) {
            rest = rest.get(length..).unwrap_or_default();
        } else if let Some(length) = literal(rest) {
            tokens.push(Token::Literal);
            rest = rest.get(length..).unwrap_or_default();
        } else if is_word(first) {
            let length = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(length);
            tokens.push(Token::Word(word));
            rest = after;
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Sign(first));
            }
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    tokens
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The length of the comment that begins here. Block comments nest.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0_u32, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            return Some(at);
        }
    }
    Some(text.len())
}

/// The length of the text, byte text or character that begins here.
fn literal(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r", "b", "c"].into_iter().find(|prefix| {
        let after = text.strip_prefix(prefix).unwrap_or_default();
        let raw = prefix.ends_with('r') && after.trim_start_matches('#').starts_with('"');
        raw || (!prefix.ends_with('r') && after.starts_with('"')) || (*prefix == "b" && after.starts_with('\''))
    });
    let prefix = prefix.unwrap_or_default();
    let after = text.get(prefix.len()..)?;
    if prefix.ends_with('r') {
        let marks = after.len() - after.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(marks));
        let begin = prefix.len() + marks + 1;
        return Some(text.get(begin..)?.find(&end).map_or(text.len(), |at| begin + at + end.len()));
    }
    let quote = after.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    if quote == '\'' && !is_character(after) {
        // A lifetime.
        return None;
    }
    let mut escaped = false;
    for (at, character) in after.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return Some(prefix.len() + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// Whether a character begins here, and not a lifetime.
fn is_character(text: &str) -> bool {
    let mut characters = text.chars().skip(1);
    characters.next() == Some('\\') || characters.next() == Some('\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<&str> {
        tokens(source)
            .into_iter()
            .filter_map(|token| match token {
                Token::Word(word) => Some(word),
                Token::Sign(_) | Token::Literal => None,
            })
            .collect()
    }

    #[test]
    fn comments_and_texts_are_no_words() {
        let source =
            "a /* fn x /* y */ z */ b // fn c\n \"fn d \\\" e\" f r#\"fn \" g\"# h b\"i\" b'j' '\\'' 'k' l";
        assert_eq!(words(source), ["a", "b", "f", "h", "l"]);
    }

    #[test]
    fn a_lifetime_is_no_character() {
        assert_eq!(words("fn x<'a>(y: &'a str) {} // '"), ["fn", "x", "a", "y", "a", "str"]);
    }

    #[test]
    fn what_does_not_end_ends_with_the_source() {
        for open in ["/* a", "\"a", "r#\"a\"", "b'"] {
            assert!(words(open).iter().all(|word| *word == "b" || *word == "a"), "{open}");
        }
    }
}
