//! Functions with their sizes.
//!
//! A table is an array that a function has directly in its body, be it `[...]`, `vec![...]` or the value of a `const`: its lines do
//! not count as the function's, however many rows it has. A row is an element of it. It is no table if a row has more than
//! [`ROW_LINES`] lines, since that is code in the guise of a row.

use proc_macro2::{Delimiter, Group, Ident, Spacing, TokenStream, TokenTree};

/// Lines that a row of a table may have.
const ROW_LINES: usize = 30;

pub struct Function {
    pub name: String,
    /// Where `fn` stands.
    pub line: usize,
    /// From `fn` to the closing brace, without lines of tables.
    pub lines: usize,
    /// `self` included.
    pub parameters: usize,
}

/// The functions in `tokens`, those in modules, traits, other functions and macros' arguments included.
pub fn of(tokens: &TokenStream) -> Vec<Function> {
    let mut found = Vec::new();
    collect(tokens, &mut found);
    found
}

fn collect(tokens: &TokenStream, found: &mut Vec<Function>) {
    let trees: Vec<TokenTree> = tokens.clone().into_iter().collect();
    for (at, tree) in trees.iter().enumerate() {
        match tree {
            TokenTree::Ident(word) if word == "fn" => {
                found.extend(function(word, &trees[at + 1..]));
            }
            TokenTree::Group(group) => collect(&group.stream(), found),
            _ => {}
        }
    }
}

/// The function that `after` spells behind the word `fn`; none for a type such as `fn(u64) -> u64`.
fn function(word: &Ident, after: &[TokenTree]) -> Option<Function> {
    let TokenTree::Ident(name) = after.first()? else {
        return None;
    };
    let parameters = after
        .iter()
        .find_map(|t| of_kind(t, Delimiter::Parenthesis))?;
    let body = after
        .iter()
        .take_while(|t| !is_punct(t, ';'))
        .find_map(|t| of_kind(t, Delimiter::Brace));
    let line = word.span().start().line;
    let end = body.unwrap_or(parameters).span_close().end().line;
    Some(Function {
        name: name.to_string(),
        line,
        lines: end + 1 - line - body.map_or(0, table_lines),
        parameters: elements(parameters).len(),
    })
}

fn of_kind(tree: &TokenTree, kind: Delimiter) -> Option<&Group> {
    match tree {
        TokenTree::Group(group) if group.delimiter() == kind => Some(group),
        _ => None,
    }
}

fn is_punct(tree: &TokenTree, char: char) -> bool {
    matches!(tree, TokenTree::Punct(p) if p.as_char() == char)
}

/// The lines between the brackets of tables that stand directly in a body.
fn table_lines(body: &Group) -> usize {
    body.stream()
        .into_iter()
        .filter_map(|t| of_kind(&t, Delimiter::Bracket).cloned())
        .filter(|table| elements(table).iter().all(|row| span(row) <= ROW_LINES))
        .map(|table| table.span_close().end().line - table.span_open().start().line)
        .sum()
}

fn span(row: &[TokenTree]) -> usize {
    match (row.first(), row.last()) {
        (Some(first), Some(last)) => last.span().end().line + 1 - first.span().start().line,
        _ => 0,
    }
}

/// What commas separate in a group. A comma between angle brackets separates nothing; `->` closes no bracket.
fn elements(group: &Group) -> Vec<Vec<TokenTree>> {
    let mut elements = vec![Vec::new()];
    let mut depth = 0usize;
    let mut arrow = false;
    for tree in group.stream() {
        let mut comma = false;
        let mut joint_minus = false;
        if let TokenTree::Punct(p) = &tree {
            match p.as_char() {
                '<' => depth += 1,
                '>' if !arrow => depth = depth.saturating_sub(1),
                ',' => comma = depth == 0,
                '-' | '=' => joint_minus = p.spacing() == Spacing::Joint,
                _ => {}
            }
        }
        arrow = joint_minus;
        if comma {
            elements.push(Vec::new());
        } else if let Some(last) = elements.last_mut() {
            last.push(tree);
        }
    }
    elements.retain(|e| !e.is_empty());
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Function {
        let mut all = of(&text.parse().unwrap());
        assert_eq!(all.len(), 1, "{text}");
        all.remove(0)
    }

    #[test]
    fn lines_are_from_the_word_to_the_brace() {
        let f = only("\n/// Doc.\n#[inline]\nfn f(\n) -> u64 {\n    1\n}\n");
        assert_eq!((f.name.as_str(), f.line, f.lines), ("f", 4, 4));
    }

    #[test]
    fn a_declaration_in_a_trait_has_no_body() {
        let all = of(&"trait T { fn f(&self);\nfn g() {\n}\n}".parse().unwrap());
        let lines: Vec<usize> = all.iter().map(|f| f.lines).collect();
        assert_eq!(lines, [1, 2]);
    }

    #[test]
    fn a_function_within_a_function_is_found() {
        let names: Vec<String> = of(&"fn f() { fn g() {} }".parse().unwrap())
            .into_iter()
            .map(|f| f.name)
            .collect();
        assert_eq!(names, ["f", "g"]);
    }

    #[test]
    fn a_type_of_functions_is_no_function() {
        assert!(of(&"struct S { f: fn(u8, u8) -> u8 }".parse().unwrap()).is_empty());
    }

    #[test]
    fn parameters_are_counted_with_self() {
        assert_eq!(only("fn f() {}").parameters, 0);
        assert_eq!(only("fn f(&mut self, a: u8) {}").parameters, 2);
        let generic = "fn f<A, B>(a: Map<A, B>, g: impl Fn(A, B) -> Map<A, B>, c: [u8; 2],) {}";
        assert_eq!(only(generic).parameters, 3);
        assert_eq!(only("fn f(g: fn() -> u8, h: u8) {}").parameters, 2);
    }

    #[test]
    fn rows_of_a_table_are_no_lines_of_the_function() {
        let rows = "(1,\n 2),\n".repeat(100);
        let of = |table: &str| only(&format!("fn f() {{\n{table}\n}}")).lines;
        assert_eq!(of(&format!("vec![\n{rows}]")), 3);
        assert_eq!(
            of(&format!("const T: [(u8, u8); 100] = [\n{rows}];\nT.len()")),
            4
        );
        // Within a loop or a call it is no table of the function.
        assert_eq!(of(&format!("loop {{ [\n{rows}] }}")), 204);
    }

    #[test]
    fn code_in_the_guise_of_a_row_counts() {
        let row = format!("|| {{\n{}}},\n", "go();\n".repeat(ROW_LINES));
        assert!(only(&format!("fn f() {{\nvec![\n{row}]\n}}")).lines > ROW_LINES);
    }
}
