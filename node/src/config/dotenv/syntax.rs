//! The lines of a `.env` file as python-dotenv reads them, by which OpenSecureConf 2.1 took its settings.

/// One statement: a name with its value, or malformed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// Where it begins, from 1.
    pub(super) line: usize,
    /// Its text, which a quoted value may stretch over many lines.
    pub(super) text: String,
    pub(super) content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// `NAME=value`; no value where the `=` is missing.
    Binding { name: String, value: Option<Value> },
    /// python-dotenv cannot read it either.
    Malformed,
}

/// A value without its quotes, before `${NAME}` in it is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) text: String,
    /// Between single quotes `$` is a dollar sign.
    pub(super) single_quoted: bool,
    /// Why the value differs from the text in the file.
    pub(super) rewriting: Option<Rewriting>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rewriting {
    /// ` # ...` behind it was left out.
    Comment,
    /// A backslash between quotes had a meaning.
    Escape,
}

/// A file's statements in their order. Lines end with `\n` alone.
pub(super) fn statements(text: &str) -> Vec<Statement> {
    let mut cursor = Cursor {
        text,
        at: 0,
        line: 1,
    };
    let mut statements = Vec::new();
    loop {
        cursor.skip_while(is_blank);
        if cursor.rest().is_empty() {
            return statements;
        }
        let (from, line) = (cursor.at, cursor.line);
        let content = cursor.binding().unwrap_or_else(|| {
            cursor.skip_line();
            Some(Content::Malformed)
        });
        if let Some(content) = content {
            let text = text.get(from..cursor.at).unwrap_or_default().to_owned();
            statements.push(Statement {
                line,
                text,
                content,
            });
        }
    }
}

/// The characters that Python's `\s` counts as blank.
fn is_blank(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

fn is_blank_inside_a_line(letter: char) -> bool {
    is_blank(letter) && letter != '\n' && letter != '\r'
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn advance(&mut self, bytes: usize) -> &'a str {
        let taken = self.rest().get(..bytes).unwrap_or_default();
        self.at += taken.len();
        self.line += taken.matches('\n').count();
        taken
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|letter| !wanted(letter)).unwrap_or(rest.len());
        self.advance(end)
    }

    fn skip(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.advance(text.len());
        }
        found
    }

    fn skip_line(&mut self) {
        self.skip_while(|letter| letter != '\n');
        self.skip("\n");
    }

    /// One statement up to the end of its line; `Some(None)` is a comment, `None` is malformed.
    #[expect(
        clippy::option_option,
        reason = "a comment is well formed and says nothing"
    )]
    fn binding(&mut self) -> Option<Option<Content>> {
        self.export();
        let name = self.name()?;
        self.skip_while(is_blank_inside_a_line);
        let value = if self.skip("=") {
            let blanks = self.skip_while(is_blank_inside_a_line);
            Some(if !blanks.is_empty() && self.peek() == Some('#') {
                Value {
                    text: String::new(),
                    single_quoted: false,
                    rewriting: Some(Rewriting::Comment),
                }
            } else {
                self.value()?
            })
        } else {
            None
        };
        self.end_of_line()?;
        Some(name.map(|name| Content::Binding { name, value }))
    }

    fn export(&mut self) {
        let before = (self.at, self.line);
        if !self.skip("export") || self.skip_while(is_blank_inside_a_line).is_empty() {
            (self.at, self.line) = before;
        }
    }

    /// `Some(None)` where a comment begins.
    #[expect(
        clippy::option_option,
        reason = "a comment is well formed and has no name"
    )]
    fn name(&mut self) -> Option<Option<String>> {
        if self.peek() == Some('#') {
            return Some(None);
        }
        let name = if let Some(quoted) = self.rest().strip_prefix('\'') {
            let (name, _) = quoted.split_once('\'')?;
            self.advance(name.len() + "''".len());
            name
        } else {
            self.skip_while(|letter| letter != '=' && letter != '#' && !is_blank(letter))
        };
        (!name.is_empty()).then(|| Some(name.to_owned()))
    }

    fn value(&mut self) -> Option<Value> {
        match self.peek() {
            Some(quote @ ('\'' | '"')) => self.quoted(quote),
            _ => Some(self.unquoted()),
        }
    }

    fn quoted(&mut self, quote: char) -> Option<Value> {
        let (mut text, mut rewriting) = (String::new(), None);
        let mut letters = self.rest().char_indices().skip(1);
        while let Some((offset, letter)) = letters.next() {
            if letter == quote {
                self.advance(offset + 1);
                return Some(Value {
                    text,
                    single_quoted: quote == '\'',
                    rewriting,
                });
            }
            if letter != '\\' {
                text.push(letter);
                continue;
            }
            let (_, escaped) = letters.next()?;
            if let Some(meaning) = escape(escaped, quote) {
                text.push(meaning);
                rewriting = Some(Rewriting::Escape);
            } else {
                text.extend(['\\', escaped]);
            }
        }
        None
    }

    fn unquoted(&mut self) -> Value {
        let whole = self.skip_while(|letter| letter != '\n' && letter != '\r');
        let comment = whole.match_indices('#').find(|(at, _)| {
            let before = whole.get(..*at).unwrap_or_default();
            before.chars().next_back().is_some_and(is_blank)
        });
        let text = comment.map_or(whole, |(at, _)| whole.get(..at).unwrap_or_default());
        Value {
            text: text.trim_end_matches(is_blank).to_owned(),
            single_quoted: false,
            rewriting: comment.map(|_| Rewriting::Comment),
        }
    }

    /// Only a comment may follow a value.
    fn end_of_line(&mut self) -> Option<()> {
        let before = (self.at, self.line);
        self.skip_while(is_blank_inside_a_line);
        if self.peek() == Some('#') {
            self.skip_while(|letter| letter != '\n' && letter != '\r');
        }
        if self.rest().is_empty() || self.skip("\n") {
            return Some(());
        }
        (self.at, self.line) = before;
        None
    }
}

/// The meaning of a backslash and this letter between these quotes.
fn escape(letter: char, quote: char) -> Option<char> {
    match (letter, quote) {
        ('\\' | '\'', _) => Some(letter),
        (_, '\'') => None,
        ('"', _) => Some('"'),
        ('a', _) => Some('\u{7}'),
        ('b', _) => Some('\u{8}'),
        ('f', _) => Some('\u{c}'),
        ('n', _) => Some('\n'),
        ('r', _) => Some('\r'),
        ('t', _) => Some('\t'),
        ('v', _) => Some('\u{b}'),
        _ => None,
    }
}
