//! The canonical text of a syntax tree: two spaces a level, one statement a line, comments at line ends in one column, at most
//! one blank line in a row. Parsing what is printed gives the same text again.

use super::ast::*;

/// Prints a file in its canonical form.
pub fn print(file: &File) -> String {
    let mut p = Printer { lines: vec![] };
    for line in &file.definitions {
        p.trivia(0, &line.leading);
        p.definition(&line.kind, line.trailing.as_deref());
    }
    p.trivia(0, &file.graph.leading);
    let graph = &file.graph.kind;
    let head = format!("graph {}", graph.name);
    p.block(
        0,
        &head,
        &graph.body,
        file.graph.trailing.as_deref(),
        Printer::item,
    );
    p.trivia(0, &file.closing);
    p.finish()
}

/// Prints a definition in its canonical form, with the comments before it.
pub fn print_definition(line: &Line<Definition>) -> String {
    let mut p = Printer { lines: vec![] };
    p.trivia(0, &line.leading);
    p.definition(&line.kind, line.trailing.as_deref());
    p.finish()
}

/// Prints a line of a definition.
pub fn print_step(step: &Step) -> String {
    match step {
        Step::Let { targets, value } => format!("{} = {}", join(targets), print_expr(value)),
        Step::For { name, from, to, .. } => {
            format!("for {name} in {}..{}", print_expr(from), print_expr(to))
        }
        Step::If { condition, .. } => format!("if {}", print_condition(condition)),
    }
}

/// Prints what a definition takes and gives: `(x: float[R, C], eps: number) -> y: dtype(x)[R, C]`.
pub fn print_signature(definition: &Definition) -> String {
    let operands = definition.operands.iter().map(typed);
    let attributes = definition.attributes.iter().map(attribute);
    let taken: Vec<String> = operands.chain(attributes).collect();
    let results: Vec<String> = definition.results.iter().map(typed).collect();
    format!("({}) -> {}", taken.join(", "), results.join(", "))
}

/// Prints an expression.
pub fn print_expr(expr: &Expr) -> String {
    let mut s = String::new();
    write_expr(&mut s, expr);
    s
}

struct Text {
    level: usize,
    code: String,
    comment: Option<String>,
}

struct Printer {
    lines: Vec<Text>,
}

impl Printer {
    fn push(&mut self, level: usize, code: &str, comment: Option<&str>) {
        self.lines.push(Text {
            level,
            code: format!("{}{code}", "  ".repeat(level)),
            comment: comment.map(Into::into),
        });
    }

    fn trivia(&mut self, level: usize, trivia: &[Trivia]) {
        for t in trivia {
            match t {
                Trivia::Blank => self.push(0, "", None),
                Trivia::Comment(text) => self.push(level, &format!("//{text}"), None),
            }
        }
    }

    fn block<T>(
        &mut self,
        level: usize,
        head: &str,
        block: &Block<T>,
        trailing: Option<&str>,
        each: fn(&mut Self, usize, &T, Option<&str>),
    ) {
        self.push(level, &format!("{head} {{"), block.opening.as_deref());
        for line in &block.lines {
            self.trivia(level + 1, &line.leading);
            each(self, level + 1, &line.kind, line.trailing.as_deref());
        }
        self.trivia(level + 1, &block.closing);
        self.push(level, "}", trailing);
    }

    fn item(&mut self, level: usize, item: &Item, trailing: Option<&str>) {
        match item {
            Item::Param(p) => {
                let word = if p.ranks { "ranks" } else { "param" };
                let code = format!("{word} {} = {}", p.name, print_expr(&p.value));
                self.push(level, &code, trailing);
            }
            Item::Input(i) => self.push(level, &input(i), trailing),
            Item::Output(all) => {
                let all: Vec<String> = all.iter().map(wanted).collect();
                self.push(level, &format!("output {}", all.join(", ")), trailing);
            }
            Item::Kernel(k) => {
                let mut head = format!("kernel {}", k.name);
                if let Some(condition) = &k.when {
                    head += &format!(" when {}", print_condition(condition));
                }
                self.block(level, &head, &k.body, trailing, Self::stmt);
            }
        }
    }

    fn definition(&mut self, definition: &Definition, trailing: Option<&str>) {
        let head = format!("def {}{}", definition.name, print_signature(definition));
        self.block(0, &head, &definition.body, trailing, Self::step);
    }

    fn step(&mut self, level: usize, step: &Step, trailing: Option<&str>) {
        let head = print_step(step);
        match step {
            Step::Let { .. } => self.push(level, &head, trailing),
            Step::For { body, .. } => self.block(level, &head, body, trailing, Self::step),
            Step::If {
                then,
                otherwise: None,
                ..
            } => self.block(level, &head, then, trailing, Self::step),
            Step::If {
                then,
                otherwise: Some(otherwise),
                ..
            } => {
                self.block(level, &head, then, None, Self::step);
                // The closing brace stands before the word.
                self.lines.pop();
                self.block(level, "} else", otherwise, trailing, Self::step);
            }
        }
    }

    fn stmt(&mut self, level: usize, stmt: &Stmt, trailing: Option<&str>) {
        let code = match stmt {
            Stmt::Launch(kind) => format!("launch {kind}"),
            Stmt::Tile {
                name,
                size,
                axis,
                per_block,
            } => {
                let grid = if *per_block { " per block" } else { "" };
                format!("tile {name} = {} over {axis}{grid}", print_expr(size))
            }
            Stmt::Loop { depth: None, .. } => "loop range".into(),
            Stmt::Loop { depth: Some(d), .. } => format!("loop pipeline({})", print_expr(d)),
            Stmt::Let { targets, value } => format!("{} = {}", join(targets), print_expr(value)),
        };
        self.push(level, &code, trailing);
    }

    /// Neighbouring lines of one level with comments have them in one column.
    fn finish(self) -> String {
        let mut s = String::new();
        let group =
            |a: &Text, b: &Text| a.level == b.level && a.comment.is_some() && b.comment.is_some();
        for lines in self.lines.chunk_by(group) {
            let width = lines.iter().map(|l| l.code.len()).max().unwrap_or(0);
            for line in lines {
                s += &line.code;
                if let Some(comment) = &line.comment {
                    s += &" ".repeat(width - line.code.len() + 2);
                    s += &format!("//{comment}");
                }
                s.push('\n');
            }
        }
        s
    }
}

fn print_condition(c: &Condition) -> String {
    let [left, right] = [&c.left, &c.right].map(print_expr);
    format!("{left} {} {right}", c.op.name())
}

/// Prints the types that an operand may have: `f32[N] or f32[G, N]`.
pub fn print_types(typed: &Typed) -> String {
    let types: Vec<String> = typed.types.iter().map(type_expr).collect();
    types.join(" or ")
}

fn typed(typed: &Typed) -> String {
    format!("{}: {}", typed.name, print_types(typed))
}

fn type_expr(ty: &TypeExpr) -> String {
    let element = match &ty.element {
        ElementExpr::Is(dtype, _) => dtype.name().to_string(),
        ElementExpr::Float(_) => "float".into(),
        ElementExpr::Of(name) => format!("dtype({name})"),
    };
    match &ty.shape {
        ShapeExpr::Any => format!("{element}[...]"),
        ShapeExpr::Dims(dims) if dims.is_empty() => element,
        ShapeExpr::Dims(dims) => {
            let dims: Vec<String> = dims.iter().map(print_expr).collect();
            format!("{element}[{}]", dims.join(", "))
        }
    }
}

fn attribute(attribute: &Attribute) -> String {
    let mut s = format!("{}: {}", attribute.name, attribute.kind.name());
    for (compare, bound) in &attribute.bounds {
        s += &format!(" {} {}", compare.name(), print_expr(bound));
    }
    s
}

fn input(i: &Input) -> String {
    let mut s = format!("input {}: {}", i.name, i.dtype);
    if !i.shape.is_empty() {
        let dims: Vec<String> = i.shape.iter().map(print_expr).collect();
        s += &format!("[{}]", dims.join(", "));
    }
    if let Some(counts) = &i.ragged {
        s += &format!(" ragged {counts}");
    }
    match &i.range {
        None => {}
        Some(Range::Below(e)) => s += &format!(" < {}", print_expr(e)),
        Some(Range::UpTo(e)) => s += &format!(" <= {}", print_expr(e)),
        Some(Range::Normal(mean, deviation)) => {
            s += &format!(" ~ normal({}, {})", print_expr(mean), print_expr(deviation));
        }
    }
    s
}

fn wanted(wanted: &Wanted) -> String {
    let mut s = wanted.name.name.clone();
    if !wanted.within.is_empty() {
        let part = |(name, value): &(Ident, Expr)| format!("{name} = {}", print_expr(value));
        let parts: Vec<String> = wanted.within.iter().map(part).collect();
        s += &format!(" within({})", parts.join(", "));
    }
    s
}

fn join(names: &[Ident]) -> String {
    let names: Vec<&str> = names.iter().map(|n| n.name.as_str()).collect();
    names.join(", ")
}

fn write_expr(s: &mut String, expr: &Expr) {
    match &expr.kind {
        ExprKind::Number(text) | ExprKind::Name(text) => s.push_str(text),
        ExprKind::Call { name, args, attrs } => {
            s.push_str(&name.name);
            s.push('(');
            let mut first = true;
            let mut comma = |s: &mut String| {
                if !std::mem::take(&mut first) {
                    s.push_str(", ");
                }
            };
            for arg in args {
                comma(s);
                write_expr(s, arg);
            }
            for (key, value) in attrs {
                comma(s);
                s.push_str(&key.name);
                s.push_str(" = ");
                write_expr(s, value);
            }
            s.push(')');
        }
        ExprKind::Infix { op, left, right } => {
            write_expr(s, left);
            s.push(' ');
            s.push_str(op.name());
            s.push(' ');
            write_expr(s, right);
        }
        ExprKind::Negate(inner) => {
            s.push('-');
            write_expr(s, inner);
        }
        ExprKind::Paren(inner) => {
            s.push('(');
            write_expr(s, inner);
            s.push(')');
        }
    }
}
