//! Rust read just well enough to see what a file mentions: words and signs, without comments and texts.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A source file of the workspace.
pub(crate) struct File {
    /// From the workspace's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    tokens: Vec<(usize, String)>,
}

/// Where the workspace lies.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").into()
}

/// Every Rust file in it.
pub(crate) fn all() -> Vec<File> {
    let mut found = vec![];
    let mut dirs: Vec<_> = ["storage", "router", "tests"].map(|dir| root().join(dir)).into();
    while let Some(dir) = dirs.pop() {
        for inside in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = inside.path();
            if path.is_dir() && !path.ends_with("target") {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("source is text");
                let path = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.push(File { tokens: tokens(&text), path, text });
            }
        }
    }
    assert!(found.len() > 10, "the source was not found");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

impl File {
    /// Every identifier and keyword, with its line.
    pub(crate) fn words(&self) -> impl Iterator<Item = (usize, String)> {
        self.tokens.iter().filter(|(_, token)| is_word(token)).cloned()
    }

    /// Every path of two or more parts, and every one that is used, with its line; trees of uses are taken apart.
    pub(crate) fn paths(&self) -> Vec<(usize, String)> {
        paths(&self.tokens)
    }
}

fn paths(tokens: &[(usize, String)]) -> Vec<(usize, String)> {
    let mut found = vec![];
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].1 == "use" {
            at += 1;
            use_tree(tokens, &mut at, "", &mut found);
        } else if is_word(&tokens[at].1) {
            let line = tokens[at].0;
            let mut path = tokens[at].1.clone();
            at += 1;
            while tokens.get(at).is_some_and(|(_, token)| token == "::")
                && tokens.get(at + 1).is_some_and(|(_, token)| is_word(token))
            {
                path = format!("{path}::{}", tokens[at + 1].1);
                at += 2;
            }
            if path.contains("::") {
                found.push((line, path));
            }
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one branch of a tree of uses, up to the `,`, `}` or `;` behind it.
fn use_tree(
    tokens: &[(usize, String)],
    at: &mut usize,
    stem: &str,
    found: &mut Vec<(usize, String)>,
) {
    let mut path = stem.to_owned();
    while let Some((line, token)) = tokens.get(*at) {
        match &**token {
            "," | "}" | ";" => break,
            "::" => *at += 1,
            "as" => *at += 2,
            "{" => {
                while ["{", ","].contains(&tokens.get(*at).map_or("", |(_, token)| token)) {
                    *at += 1;
                    use_tree(tokens, at, &path, found);
                }
                *at += 1;
                return;
            }
            word => {
                path = if path.is_empty() { word.to_owned() } else { format!("{path}::{word}") };
                *at += 1;
                if tokens.get(*at).is_none_or(|(_, next)| next != "::") {
                    found.push((*line, path.clone()));
                }
            }
        }
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
}

/// Words, numbers and signs, each with its line; `::` is one sign.
fn tokens(text: &str) -> Vec<(usize, String)> {
    let mut tokens = vec![];
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => block_comment(rest),
            '"' => quoted(rest),
            'b' | 'c' if rest[1..].starts_with('"') => 1 + quoted(&rest[1..]),
            'r' if raw_marks(&rest[1..]).is_some() => raw(rest, 1),
            'b' | 'c' if rest[1..].starts_with('r') && raw_marks(&rest[2..]).is_some() => {
                raw(rest, 2)
            }
            '\'' => letter_or_lifetime(rest),
            _ if first.is_alphanumeric() || first == '_' => {
                let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
                let end = end.unwrap_or(rest.len());
                tokens.push((line, rest[..end].to_owned()));
                end
            }
            _ if rest.starts_with("::") => {
                tokens.push((line, "::".into()));
                2
            }
            _ => {
                if !first.is_whitespace() {
                    tokens.push((line, first.into()));
                }
                first.len_utf8()
            }
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match &text.as_bytes()[at..(at + 2).min(text.len())] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn quoted(text: &str) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, letter)| {
        let ends = *letter == '"' && !escaped;
        escaped = *letter == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

/// How many `#` open a raw text here, if one begins.
fn raw_marks(text: &str) -> Option<usize> {
    let marks = text.bytes().take_while(|byte| *byte == b'#').count();
    text[marks..].starts_with('"').then_some(marks)
}

fn raw(text: &str, prefix: usize) -> usize {
    let marks = raw_marks(&text[prefix..]).unwrap_or_default();
    let begin = prefix + marks + 1;
    let end = format!("\"{}", "#".repeat(marks));
    text[begin..].find(&end).map_or(text.len(), |at| begin + at + end.len())
}

/// `'a'` and `'\''` are letters and skipped; of `'a` only the mark is.
fn letter_or_lifetime(text: &str) -> usize {
    let mut letters = text.char_indices().skip(1);
    match letters.next() {
        Some((_, '\\')) => {
            let close = letters.skip(1).find(|(_, letter)| *letter == '\'');
            close.map_or(text.len(), |(at, _)| at + 1)
        }
        _ => match letters.next() {
            Some((at, '\'')) => at + 1,
            _ => 1,
        },
    }
}

#[test]
fn comments_and_texts_are_not_read() {
    let text = "let a = \"sled::\\\"x\"; // sled\n/* sled /* sled */ */ 'b: r#\"sled\"#; b\"sled\" '\\'' '\"' c";
    let words: Vec<_> = tokens(text).into_iter().filter(|(_, token)| is_word(token)).collect();
    let expected = [(1, "let"), (1, "a"), (2, "b"), (2, "c")];
    assert_eq!(words, expected.map(|(line, word)| (line, word.to_owned())));
}

#[test]
fn a_tree_of_uses_is_taken_apart() {
    let text =
        "pub use std::{fs, io::{self, Read as R}, net};\nfn f() { sled::open(a::B::<C>::d()) }";
    let found: Vec<_> = paths(&tokens(text)).into_iter().map(|(_, path)| path).collect();
    assert_eq!(
        found,
        ["std::fs", "std::io::self", "std::io::Read", "std::net", "sled::open", "a::B"]
    );
}
