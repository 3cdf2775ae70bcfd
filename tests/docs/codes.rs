//! The codes that the sources declare, with the templates of their messages and remedies.

use crate::common;
use crate::literals::{template, text_of};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::BTreeMap;
use std::path::Path;

const PREFIX: &str = "tilewright::";

/// Where a code is declared: an error's variant, or a text in the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// What `#[error]` says; none where the message is made elsewhere.
    pub message: Option<String>,
    /// What `help` says.
    pub help: Option<String>,
    /// `Enum::Variant`, as a test would name it; empty of a text.
    pub path: String,
}

/// All codes, with each place that declares them.
pub fn all() -> BTreeMap<String, Vec<Declared>> {
    let mut reader = Reader::default();
    for folder in ["src", "ir/src", "passes/src", "backends/src"] {
        each_file(&common::root().join(folder), &mut |path| {
            if path.extension().is_some_and(|e| e == "rs") {
                reader.file(path);
            }
        });
    }
    // Errors first: a text may only name what an error declares.
    for (code, declared) in reader.texts {
        reader.errors.entry(code).or_insert_with(|| vec![declared]);
    }
    reader.errors
}

/// Calls `look` with all files of a folder and the folders in it, in the order of their names.
pub fn each_file(folder: &Path, look: &mut dyn FnMut(&Path)) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        match path.is_dir() {
            true => each_file(&path, look),
            false => look(&path),
        }
    }
}

#[derive(Default)]
struct Reader {
    errors: BTreeMap<String, Vec<Declared>>,
    texts: BTreeMap<String, Declared>,
    /// Messages of the file's variants, whose codes are given by a function.
    variants: BTreeMap<String, String>,
}

impl Reader {
    fn file(&mut self, path: &Path) {
        let text = std::fs::read_to_string(path).expect("a source is text");
        let tokens: TokenStream = text.parse().expect("a source is Rust");
        self.variants.clear();
        self.walk(tokens, "");
    }

    fn walk(&mut self, tokens: TokenStream, within: &str) {
        let all: Vec<TokenTree> = tokens.into_iter().collect();
        let mut message = None;
        let mut found: Option<(String, Option<String>)> = None;
        let mut owner = within.to_owned();
        for (i, token) in all.iter().enumerate() {
            let before = i.checked_sub(1).map(|b| &all[b]);
            match token {
                TokenTree::Group(g) if is_punct(before, '#') => match attribute(g.stream()) {
                    Some(Attribute::Error(text)) => message = text,
                    Some(Attribute::Code(code, help)) => found = Some((code, help)),
                    None => {}
                },
                TokenTree::Group(g) => self.walk(g.stream(), &owner),
                TokenTree::Ident(name) => {
                    if matches!(before, Some(TokenTree::Ident(b)) if *b == "enum" || *b == "struct")
                    {
                        owner = name.to_string();
                    }
                    let is_item = ["pub", "enum", "struct"].iter().any(|word| name == word);
                    if is_item {
                        continue;
                    }
                    self.name(&name.to_string(), &owner, message.take(), found.take());
                }
                TokenTree::Literal(literal) => self.text(&literal.to_string(), &all[..i]),
                TokenTree::Punct(_) => {}
            }
        }
    }

    /// A variant, or a struct, with the attributes before it.
    fn name(
        &mut self,
        name: &str,
        owner: &str,
        message: Option<String>,
        found: Option<(String, Option<String>)>,
    ) {
        if let Some(text) = &message {
            self.variants.insert(name.to_owned(), text.clone());
        }
        let Some((code, help)) = found else { return };
        let path = match name == owner {
            true => name.to_owned(),
            false => format!("{owner}::{name}"),
        };
        self.errors.entry(code).or_default().push(Declared {
            message,
            help,
            path,
        });
    }

    /// A text that is a code, as in `Fault::Hazard { .. } => "tilewright::sim::hazard"`.
    fn text(&mut self, literal: &str, before: &[TokenTree]) {
        let Some(code) = text_of(literal).filter(|t| is_code(t)) else {
            return;
        };
        let names = before.iter().rev().filter_map(|t| match t {
            TokenTree::Ident(name) => Some(name.to_string()),
            _ => None,
        });
        let near: Vec<String> = names.take(2).collect();
        let is_arm = matches!(before.last(), Some(TokenTree::Punct(p)) if p.as_char() == '>');
        let variant = near.first().filter(|_| is_arm);
        let declared = Declared {
            message: variant.and_then(|v| self.variants.get(v).cloned()),
            help: None,
            path: variant.map_or_else(String::new, |v| format!("{}::{v}", near[1])),
        };
        self.texts.entry(code).or_insert(declared);
    }
}

enum Attribute {
    Error(Option<String>),
    Code(String, Option<String>),
}

/// What an attribute of an error says, without its brackets.
fn attribute(tokens: TokenStream) -> Option<Attribute> {
    let all: Vec<TokenTree> = tokens.into_iter().collect();
    let (TokenTree::Ident(name), TokenTree::Group(inner)) = (all.first()?, all.get(1)?) else {
        return None;
    };
    if inner.delimiter() != Delimiter::Parenthesis {
        return None;
    }
    let parts: Vec<TokenTree> = inner.stream().into_iter().collect();
    if name == "error" {
        return Some(Attribute::Error(first_text(&parts)));
    }
    if name != "diagnostic" {
        return None;
    }
    let argument = |word: &str| {
        let at = parts
            .iter()
            .position(|t| matches!(t, TokenTree::Ident(n) if n == word))?;
        match parts.get(at + 1)? {
            TokenTree::Group(g) => Some(g.stream()),
            _ => None,
        }
    };
    let code: String = argument("code")?
        .into_iter()
        .map(|t| t.to_string())
        .collect();
    let help = argument("help").and_then(|h| first_text(&h.into_iter().collect::<Vec<_>>()));
    code.starts_with(PREFIX)
        .then_some(Attribute::Code(code, help))
}

fn first_text(tokens: &[TokenTree]) -> Option<String> {
    match tokens.first()? {
        TokenTree::Literal(l) => Some(template(&text_of(&l.to_string())?)),
        _ => None,
    }
}

fn is_punct(token: Option<&TokenTree>, char: char) -> bool {
    matches!(token, Some(TokenTree::Punct(p)) if p.as_char() == char)
}

/// Whether a text is a code and nothing else.
pub fn is_code(text: &str) -> bool {
    let is_word = |w: &str| {
        let mut chars = w.chars();
        !w.is_empty() && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    text.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.split("::").all(is_word))
}

#[test]
fn codes_are_found_with_what_they_say() {
    let all = all();
    assert!(all.len() > 300, "only {} codes", all.len());
    let of = |code: &str| &all[&format!("tilewright::{code}")][0];
    let pin = of("pins::unknown_kernel");
    assert_eq!(pin.path, "PinError::UnknownKernel");
    assert_eq!(
        pin.message.as_deref(),
        Some("there is no kernel `{kernel}` to pin")
    );
    assert_eq!(pin.help.as_deref(), Some("…the kernels are {known}"));
    let fault = of("sim::double_set");
    assert_eq!(fault.path, "Fault::DoubleSet");
    assert!(fault.message.is_some(), "{fault:?}");
}
