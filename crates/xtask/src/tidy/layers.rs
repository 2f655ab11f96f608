//! A lexer that writes each character of a Rust file into one of three layers.

/// Which of the three layers a character belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layer {
    Code,
    Comment,
    Text,
}

/// Three texts as long as the file, blank where another one speaks.
#[derive(Default)]
pub(super) struct Layers {
    pub(super) code: String,
    pub(super) comments: String,
    /// Contents of string and character literals; their quotes are code.
    pub(super) strings: String,
}

impl Layers {
    pub(super) fn of(text: &str) -> Self {
        let mut splitter = Splitter::new(text);
        splitter.run();
        splitter.layers
    }
}

/// Where the walk over the characters is, and what it has written so far.
struct Splitter {
    characters: Vec<char>,
    at: usize,
    layers: Layers,
}

impl Splitter {
    fn new(text: &str) -> Self {
        Self {
            characters: text.chars().collect(),
            at: 0,
            layers: Layers::default(),
        }
    }

    fn run(&mut self) {
        while let Some(current) = self.peek(0) {
            match (current, self.peek(1)) {
                ('/', Some('/')) => self.line_comment(),
                ('/', Some('*')) => self.block_comment(),
                ('"', _) => self.string(),
                ('\'', _) => self.quote(),
                _ => match self.raw_hashes() {
                    Some((prefix, hashes)) => self.raw_string(prefix, hashes),
                    None => self.take(Layer::Code),
                },
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.at + ahead).copied()
    }

    /// Moves one character into its layer; the other layers get a space, all get line ends.
    fn take(&mut self, layer: Layer) {
        let Some(character) = self.peek(0) else {
            return;
        };
        self.at += 1;
        let blank = if character == '\n' { '\n' } else { ' ' };
        let pick = |wanted| if layer == wanted { character } else { blank };
        self.layers.code.push(pick(Layer::Code));
        self.layers.comments.push(pick(Layer::Comment));
        self.layers.strings.push(pick(Layer::Text));
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|character| character != '\n') {
            self.take(Layer::Comment);
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => depth += 1,
                (Some('*'), Some('/')) => depth -= 1,
                (None, _) => return,
                _ => {
                    self.take(Layer::Comment);
                    continue;
                }
            }
            self.take(Layer::Comment);
            self.take(Layer::Comment);
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.take(Layer::Code);
        while let Some(character) = self.peek(0) {
            if character == '"' {
                self.take(Layer::Code);
                return;
            }
            if character == '\\' {
                self.take(Layer::Text);
            }
            self.take(Layer::Text);
        }
    }

    /// A character literal, or the mark of a lifetime or a label.
    fn quote(&mut self) {
        let escaped = self.peek(1) == Some('\\');
        if !escaped && self.peek(2) != Some('\'') {
            self.take(Layer::Code);
            return;
        }
        self.take(Layer::Code);
        if escaped {
            self.take(Layer::Text);
        }
        self.take(Layer::Text);
        while self.peek(0).is_some_and(|character| character != '\'') {
            self.take(Layer::Text);
        }
        self.take(Layer::Code);
    }

    /// When a raw string starts here: the length of its `r`, `br` or `cr`, and its hashes.
    fn raw_hashes(&self) -> Option<(usize, usize)> {
        let before = self
            .at
            .checked_sub(1)
            .and_then(|at| self.characters.get(at));
        if before.is_some_and(|character| character.is_alphanumeric() || *character == '_') {
            return None;
        }
        let prefix = match (self.peek(0)?, self.peek(1)) {
            ('r', _) => 1,
            ('b' | 'c', Some('r')) => 2,
            _ => return None,
        };
        let mut hashes = 0;
        while self.peek(prefix + hashes) == Some('#') {
            hashes += 1;
        }
        (self.peek(prefix + hashes) == Some('"')).then_some((prefix, hashes))
    }

    fn raw_string(&mut self, prefix: usize, hashes: usize) {
        for _ in 0..=prefix + hashes {
            self.take(Layer::Code);
        }
        while self.peek(0).is_some() {
            let closes = self.peek(0) == Some('"')
                && (1..=hashes).all(|ahead| self.peek(ahead) == Some('#'));
            if closes {
                for _ in 0..=hashes {
                    self.take(Layer::Code);
                }
                return;
            }
            self.take(Layer::Text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_leave_the_code() {
        let layers =
            Layers::of("let a = \"fn { /* x\"; // b }\nlet c = '{'; /* d { /* e */ } */ f\n");
        assert_eq!(
            layers.code.split_whitespace().collect::<Vec<_>>().join(" "),
            "let a = \" \"; let c = ' '; f"
        );
        assert!(layers.comments.contains("// b }"));
        assert!(layers.strings.contains("fn { /* x"));
    }

    #[test]
    fn raw_strings_end_only_at_their_own_hashes() {
        let layers = Layers::of("let a = r#\"one \" two\"#; let b = br\"x\\\"; end");
        let code = layers.code;
        assert!(code.contains("end") && !code.contains("two"), "{code}");
    }

    #[test]
    fn lifetimes_are_not_character_literals() {
        let layers = Layers::of("fn a<'a>(b: &'a str) -> char { '\\'' }");
        assert!(layers.code.contains("fn a<'a>(b: &'a str) -> char {"));
    }
}
