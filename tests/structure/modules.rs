//! Which module of a crate imports which, and circles among them.
//!
//! The modules of one folder are the nodes of a graph. What stands below a module belongs to it, so a path from
//! `search/layer/plans.rs` to `search/kernel/grid.rs` is an edge from `layer` to `kernel` in folder `search`. The file `mod.rs` of
//! a folder is no node: a module may use what its parent has for all its parts.
//!
//! In the root of a crate each circle is refused. Further down files of one topic may speak of each other, and a circle is
//! refused when two folders are on it.

use std::collections::BTreeMap;

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::source::Source;

/// A module of a crate: names from the root, which has none.
type Module = Vec<String>;

/// Some module names something in another one.
pub struct Import {
    pub from: Module,
    /// A module, or an item of one.
    pub to: Module,
    /// File and line.
    pub place: String,
}

/// The imports of a crate, and all its modules.
pub struct Modules {
    /// For each module, whether it is a folder.
    pub modules: BTreeMap<Module, bool>,
    pub imports: Vec<Import>,
}

/// The modules of the crate whose folder is `root`.
pub fn of_crate(all: &[Source], root: &str) -> Modules {
    let src = format!("{root}src/");
    let mut found = Modules {
        modules: BTreeMap::new(),
        imports: Vec::new(),
    };
    for source in all {
        let Some(inside) = source.path.strip_prefix(&src) else {
            continue;
        };
        let (module, is_folder) = module_of(inside);
        let mut file = File {
            path: &source.path,
            imports: &mut found.imports,
        };
        file.collect(&source.tokens(), &module);
        found.modules.insert(module, is_folder);
    }
    found
}

/// The module of a file below `src`, and whether it is a folder.
fn module_of(path: &str) -> (Module, bool) {
    let mut names: Module = path
        .trim_end_matches(".rs")
        .split('/')
        .map(str::to_string)
        .collect();
    let is_folder = names.last().is_some_and(|n| n == "mod");
    let is_root = names == ["lib"] || names == ["main"];
    if is_folder || is_root {
        names.pop();
    }
    (names, is_folder)
}

struct File<'a> {
    path: &'a str,
    imports: &'a mut Vec<Import>,
}

impl File<'_> {
    /// Collects the paths in `tokens`, which stand in `module`.
    fn collect(&mut self, tokens: &TokenStream, module: &Module) {
        let trees: Vec<TokenTree> = tokens.clone().into_iter().collect();
        let mut at = 0;
        while at < trees.len() {
            if is_test_attribute(&trees[at..]) {
                at += 2 + item_length(&trees[at + 2..]);
                continue;
            }
            match &trees[at] {
                TokenTree::Ident(word) if starts_path(word) => {
                    let begin = match word.to_string().as_str() {
                        "crate" => Module::new(),
                        "super" => parent(module),
                        _ => module.clone(),
                    };
                    let line = word.span().start().line;
                    at += 1 + self.path(&trees[at + 1..], begin, (module, line));
                    continue;
                }
                TokenTree::Ident(word) if word == "mod" => {
                    if let [_, TokenTree::Ident(name), TokenTree::Group(body), ..] = &trees[at..] {
                        let mut inner = module.clone();
                        inner.push(name.to_string());
                        self.collect(&body.stream(), &inner);
                        at += 3;
                        continue;
                    }
                }
                TokenTree::Group(group) => self.collect(&group.stream(), module),
                _ => {}
            }
            at += 1;
        }
    }

    /// Reads `:: a :: b` or `:: {a, b :: c}` behind the path `begin`; returns how many tokens that are. `from` is the
    /// module that the path stands in, and the line where it starts.
    fn path(&mut self, trees: &[TokenTree], mut begin: Module, from: (&Module, usize)) -> usize {
        let mut at = 0;
        while let [a, b, next, ..] = &trees[at..] {
            if !is_colon(a) || !is_colon(b) {
                break;
            }
            match next {
                TokenTree::Ident(word) if word == "super" => begin = parent(&begin),
                TokenTree::Ident(word) => begin.push(word.to_string()),
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    self.branches(&group.stream(), &begin, from);
                    return at + 3;
                }
                _ => break, // A glob, or `::<T>`.
            }
            at += 3;
        }
        self.imports.push(Import {
            from: from.0.clone(),
            to: begin,
            place: format!("{}:{}", self.path, from.1),
        });
        at
    }

    /// The branches `a :: b, c` of a `use` behind the path `begin`.
    fn branches(&mut self, tokens: &TokenStream, begin: &Module, from: (&Module, usize)) {
        let trees: Vec<TokenTree> = tokens.clone().into_iter().collect();
        for branch in trees.split(|t| matches!(t, TokenTree::Punct(p) if p.as_char() == ',')) {
            if let Some(TokenTree::Ident(word)) = branch.first() {
                let mut begin = begin.clone();
                if word != "self" {
                    begin.push(word.to_string());
                }
                self.path(&branch[1..], begin, from);
            }
        }
    }
}

fn parent(module: &Module) -> Module {
    module[..module.len().saturating_sub(1)].to_vec()
}

fn starts_path(word: &proc_macro2::Ident) -> bool {
    word == "crate" || word == "super" || word == "self"
}

fn is_colon(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Punct(p) if p.as_char() == ':')
}

/// Whether `trees` start with `#[cfg(test)]`.
fn is_test_attribute(trees: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(attribute), ..] = trees else {
        return false;
    };
    hash.as_char() == '#'
        && attribute.delimiter() == Delimiter::Bracket
        && attribute.stream().to_string().replace(' ', "") == "cfg(test)"
}

/// Tokens of the item that `trees` start with: up to a `;` or behind its braces.
fn item_length(trees: &[TokenTree]) -> usize {
    let ends = |t: &TokenTree| match t {
        TokenTree::Punct(p) => p.as_char() == ';',
        TokenTree::Group(g) => g.delimiter() == Delimiter::Brace,
        _ => false,
    };
    trees
        .iter()
        .position(ends)
        .map_or(trees.len(), |last| last + 1)
}

/// The circles of a crate, each in words.
pub fn circles(krate: &Modules) -> Vec<String> {
    let mut edges: BTreeMap<Module, BTreeMap<(&str, &str), &str>> = BTreeMap::new();
    for import in &krate.imports {
        let common = common_prefix(&import.from, &import.to);
        let folder = import.from[..common].to_vec();
        let (Some(from), Some(to)) = (import.from.get(common), import.to.get(common)) else {
            continue;
        };
        let node = |name: &String| {
            let mut module = folder.clone();
            module.push(name.clone());
            krate.modules.contains_key(&module)
        };
        if node(from) && node(to) {
            edges
                .entry(folder)
                .or_default()
                .entry((from, to))
                .or_insert(&import.place);
        }
    }
    let of = |(folder, edges): (&Module, &BTreeMap<(&str, &str), &str>)| {
        circles_of_folder(krate, folder, edges)
    };
    edges.iter().flat_map(of).collect()
}

fn common_prefix(a: &[String], b: &[String]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn circles_of_folder(
    krate: &Modules,
    folder: &Module,
    edges: &BTreeMap<(&str, &str), &str>,
) -> Vec<String> {
    let graph = DiGraphMap::<&str, ()>::from_edges(edges.keys().copied());
    let is_folder = |name: &&&str| {
        let mut module = folder.clone();
        module.push(name.to_string());
        krate.modules.get(&module) == Some(&true)
    };
    let refused = |circle: &Vec<&str>| {
        circle.len() > 1 && (folder.is_empty() || circle.iter().filter(is_folder).count() > 1)
    };
    let in_words = |circle: Vec<&str>| {
        let inside = edges
            .iter()
            .filter(|((a, b), _)| circle.contains(a) && circle.contains(b))
            .map(|((a, b), place)| format!("    {a} -> {b} ({place})"));
        let head = format!("in src/{}: {}", folder.join("/"), circle.join(", "));
        [head]
            .into_iter()
            .chain(inside)
            .collect::<Vec<_>>()
            .join("\n")
    };
    tarjan_scc(&graph)
        .into_iter()
        .filter(refused)
        .map(in_words)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> = files
            .iter()
            .map(|(path, text)| Source {
                path: format!("ir/src/{path}"),
                text: text.to_string(),
            })
            .collect();
        circles(&of_crate(&sources, "ir/"))
    }

    #[test]
    fn modules_that_name_each_other_are_a_circle() {
        let circle = found(&[
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "fn f() { crate::a::f() }"),
        ]);
        assert_eq!(circle.len(), 1);
        assert!(circle[0].contains("a -> b (ir/src/a.rs:1)"), "{circle:?}");
        assert!(circle[0].contains("b -> a (ir/src/b.rs:1)"), "{circle:?}");
        assert!(found(&[("a.rs", "use crate::b::B;"), ("b.rs", "")]).is_empty());
    }

    #[test]
    fn a_module_stands_for_all_below_it() {
        let circle = [
            ("a/mod.rs", "mod one;"),
            ("a/one.rs", "use super::super::b::two::T;"),
            ("b/mod.rs", "mod two;"),
            ("b/two.rs", "use crate::{a::one::A, c::{self, C}};"),
            ("c.rs", ""),
        ];
        assert_eq!(found(&circle).len(), 1);
    }

    #[test]
    fn what_only_tests_import_is_no_edge() {
        let tests = [
            (
                "a.rs",
                "#[cfg(test)] mod tests { use crate::b::B; } #[cfg(test)] use crate::b;",
            ),
            ("b.rs", "use crate::a::A;"),
        ];
        assert!(found(&tests).is_empty());
    }

    #[test]
    fn a_module_in_a_file_has_a_parent_of_its_own() {
        let inner = [
            (
                "a.rs",
                "mod inner { use super::b::f; use super::super::c; } mod b {}",
            ),
            ("b.rs", "use crate::a;"),
            ("c.rs", ""),
        ];
        assert!(found(&inner).is_empty());
    }

    #[test]
    fn below_the_root_a_circle_has_two_folders() {
        let files = [
            ("a/mod.rs", ""),
            ("a/x.rs", "use super::y::Y;"),
            ("a/y.rs", "use super::x::X;"),
        ];
        assert!(found(&files).is_empty());
        let folders = [
            ("a/mod.rs", ""),
            ("a/x/mod.rs", "use super::file::F;"),
            ("a/file.rs", "use super::y::Y;"),
            ("a/y/mod.rs", ""),
            ("a/y/deep.rs", "use super::super::x::X;"),
        ];
        let circle = found(&folders);
        assert_eq!(circle.len(), 1);
        assert!(circle[0].starts_with("in src/a: "), "{circle:?}");
    }

    #[test]
    fn what_a_parent_has_for_its_parts_is_no_circle() {
        let parent = [
            ("a/mod.rs", "mod x; use self::x::X; pub struct S;"),
            ("a/x/mod.rs", "use super::S; use crate::a::T;"),
        ];
        assert!(found(&parent).is_empty());
    }
}
