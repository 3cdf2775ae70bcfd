//! The canonical text of a syntax tree: two spaces a level, one statement a line, comments at line ends in one column, at most
//! one blank line in a row. Parsing what is printed gives the same text again.

mod exchange;

pub use exchange::print_action;

use super::ast::*;

/// Columns after which a signature takes a line an operand.
const WIDTH: usize = 120;

/// Prints a file in its canonical form.
pub fn print(file: &File) -> String {
    let mut p = Printer { lines: vec![] };
    file.declared.iter().for_each(|line| p.declared(line));
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

/// Prints a declaration in its canonical form, with the comments before it.
pub fn print_declared(line: &Line<Declared>) -> String {
    let mut p = Printer { lines: vec![] };
    p.declared(line);
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

/// Prints what an operation takes and gives: `(x: float[R, C], eps: number) -> y: dtype(x)[R, C]`.
pub fn print_signature(signature: &Signature) -> String {
    let (taken, given) = parts(signature);
    format!("({}) -> {}", taken.join(", "), given.join(", "))
}

/// What it takes, and what it gives.
fn parts(signature: &Signature) -> (Vec<String>, Vec<String>) {
    let operands = signature.operands.iter().map(typed);
    let attributes = signature.attributes.iter().map(attribute);
    let results = signature.results.iter().map(typed);
    (operands.chain(attributes).collect(), results.collect())
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

    /// A condition with what it decides.
    fn branch<T>(
        &mut self,
        (level, head): (usize, &str),
        then: &Block<T>,
        otherwise: Option<&Block<T>>,
        trailing: Option<&str>,
        each: fn(&mut Self, usize, &T, Option<&str>),
    ) {
        let Some(otherwise) = otherwise else {
            return self.block(level, head, then, trailing, each);
        };
        self.block(level, head, then, None, each);
        // The closing brace stands before the word.
        self.lines.pop();
        self.block(level, "} else", otherwise, trailing, each);
    }

    fn item(&mut self, level: usize, item: &Item, trailing: Option<&str>) {
        match item {
            Item::Param(p) => {
                let code = format!("{} {} = {}", p.role.word(), p.name, print_expr(&p.value));
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

    fn declared(&mut self, line: &Line<Declared>) {
        self.trivia(0, &line.leading);
        let trailing = line.trailing.as_deref();
        match &line.kind {
            Declared::Definition(d) => {
                let head = self.signature("def", &d.signature);
                self.block(0, &head, &d.body, trailing, Self::step);
            }
            Declared::Exchange(e) => {
                let head = self.signature("exchange", &e.signature);
                self.block(0, &head, &e.body, trailing, Self::action);
            }
        }
    }

    /// A signature up to its last line, which is given back.
    fn signature(&mut self, word: &str, signature: &Signature) -> String {
        let name = &signature.name;
        let line = format!("{word} {name}{}", print_signature(signature));
        if line.len() <= WIDTH {
            return line;
        }
        let (taken, given) = parts(signature);
        self.push(0, &format!("{word} {name}("), None);
        taken
            .iter()
            .for_each(|t| self.push(1, &format!("{t},"), None));
        let line = format!(") -> {}", given.join(", "));
        if line.len() <= WIDTH {
            return line;
        }
        self.push(0, ") -> (", None);
        given
            .iter()
            .for_each(|g| self.push(1, &format!("{g},"), None));
        ")".into()
    }

    fn step(&mut self, level: usize, step: &Step, trailing: Option<&str>) {
        let head = print_step(step);
        match step {
            Step::Let { .. } => self.push(level, &head, trailing),
            Step::For { body, .. } => self.block(level, &head, body, trailing, Self::step),
            Step::If {
                then, otherwise, ..
            } => self.branch(
                (level, &head),
                then,
                otherwise.as_ref(),
                trailing,
                Self::step,
            ),
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
            Stmt::Hold { part, params } => {
                let part = part.iter().map(ToString::to_string);
                let words = part.chain(params.iter().map(held));
                format!("hold {}", words.collect::<Vec<_>>().join(" "))
            }
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

fn held(held: &Held) -> String {
    let values: Vec<String> = held.values.iter().map(print_expr).collect();
    format!("{}({})", held.param, values.join(", "))
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
    let ragged = typed.ragged.as_ref();
    let ragged = ragged.map_or(String::new(), |counts| format!(" ragged {counts}"));
    let spread = typed.spread.as_deref().map_or(String::new(), binomial);
    format!("{}: {}{ragged}{spread}", typed.name, print_types(typed))
}

fn binomial(b: &Binomial) -> String {
    let [trials, hits, of] = [&b.trials, &b.hits, &b.of].map(print_expr);
    format!(" ~ binomial({trials}, {hits}, {of})")
}

fn type_expr(ty: &TypeExpr) -> String {
    let element = match &ty.element {
        ElementExpr::Is(dtype, _) => dtype.name().to_string(),
        ElementExpr::Float(_) => "float".into(),
        ElementExpr::Any(_) => "any".into(),
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
    if let Some(low) = &i.low {
        s += &format!(" >= {}", print_expr(low));
    }
    match &i.range {
        None => {}
        Some(Range::Below(e)) => s += &format!(" < {}", print_expr(e)),
        Some(Range::UpTo(e)) => s += &format!(" <= {}", print_expr(e)),
        Some(Range::Normal(mean, deviation)) => {
            s += &format!(" ~ normal({}, {})", print_expr(mean), print_expr(deviation));
        }
    }
    s += &i.spread.as_deref().map_or(String::new(), binomial);
    s
}

fn wanted(wanted: &Wanted) -> String {
    let mut s = wanted.name.name.clone();
    if let Some(input) = &wanted.carried {
        s += &format!(" -> {input}");
    }
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
        ExprKind::Index { name, at } => {
            s.push_str(&name.name);
            s.push('[');
            for (i, slice) in at.iter().enumerate() {
                if i > 0 {
                    s.push_str(", ");
                }
                write_expr(s, &slice.start);
                if let Some(count) = &slice.count {
                    s.push_str(" : ");
                    write_expr(s, count);
                }
            }
            s.push(']');
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
