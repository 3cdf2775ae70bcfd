//! Text that fits its width: tables whose cells and paragraphs whose lines end between words, or between parts of a name, and never
//! within a number.

use super::terminal;
use comfy_table::{CellAlignment, ContentArrangement, TableComponent, presets};
use console::measure_text_width as width;

/// Columns between two columns of a table.
const GAP: usize = 2;

/// A table with a header.
#[derive(Debug, Clone)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    /// Columns of numbers.
    right: Vec<usize>,
    /// The columns that are shown.
    shown: Vec<usize>,
}

impl Table {
    pub fn new(header: &[&str]) -> Self {
        Table {
            header: header.iter().map(ToString::to_string).collect(),
            rows: vec![],
            right: vec![],
            shown: (0..header.len()).collect(),
        }
    }

    /// Numbers stand at the right of these columns.
    pub fn right(mut self, columns: &[usize]) -> Self {
        self.right = columns.to_vec();
        self
    }

    /// Shows these columns only. To be said before there are rows.
    pub fn only(mut self, columns: &[usize]) -> Self {
        let right = columns.iter().enumerate();
        let right = right.filter(|(_, c)| self.right.contains(c));
        self.right = right.map(|(place, _)| place).collect();
        self.header = columns.iter().map(|c| self.header[*c].clone()).collect();
        self.shown = columns.to_vec();
        self
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        let shown = self.shown.iter().filter_map(|c| cells.get(*c));
        self.rows.push(shown.cloned().collect());
    }

    /// As wide as the terminal at most.
    pub fn text(&self) -> String {
        self.at(terminal::columns())
    }

    /// As wide as so many columns at most, unless a word is wider than its column can become.
    pub fn at(&self, columns: usize) -> String {
        let widths = self.widths(columns);
        let cells = |row: &Vec<String>| -> Vec<String> {
            let cells = row.iter().zip(&widths);
            cells.map(|(cell, w)| wrap(cell, *w).join("\n")).collect()
        };
        let mut table = comfy_table::Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_style(TableComponent::HeaderLines, '─')
            .set_style(TableComponent::MiddleHeaderIntersections, '─')
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(cells(&self.header))
            .add_rows(self.rows.iter().map(cells));
        for (i, column) in table.column_iter_mut().enumerate() {
            // The line between columns is the second blank.
            column.set_padding((0, 1));
            if self.right.contains(&i) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        // The last column needs none of the blanks after it.
        let lines = table.lines().map(|line| {
            let shown = widths.iter().sum::<usize>() + GAP * (widths.len() - 1);
            let line: String = line.chars().take(shown).collect();
            line.trim_end().to_owned() + "\n"
        });
        lines.collect()
    }

    /// Columns for each column: what it needs, and less where that is too much for all together. Headers are broken first, and
    /// then the cells of the widest.
    fn widths(&self, columns: usize) -> Vec<usize> {
        let most = |i: usize, of: fn(&str) -> usize| -> usize {
            let cells = self.rows.iter().filter_map(|r| r.get(i));
            cells.map(|cell| of(cell)).max().unwrap_or(0)
        };
        let line = |cell: &str| cell.split('\n').map(width).max().unwrap_or(0);
        let word = |cell: &str| cell.split_whitespace().map(width).max().unwrap_or(0);
        let piece = |cell: &str| {
            let pieces = cell.split_whitespace().flat_map(pieces);
            pieces.map(width).max().unwrap_or(0)
        };
        let count = self.header.len();
        let each = |of: &dyn Fn(usize) -> usize| (0..count).map(of).collect::<Vec<usize>>();
        let cells = each(&|i| most(i, line).max(word(&self.header[i])));
        let least = each(&|i| most(i, piece).max(word(&self.header[i])));
        let mut widths = each(&|i| most(i, line).max(width(&self.header[i])));
        let room = columns.saturating_sub(GAP * count.saturating_sub(1));
        while widths.iter().sum::<usize>() > room {
            let above = |least: &[usize]| {
                let above = (0..count).filter(|i| widths[*i] > least[*i]);
                above.max_by_key(|i| (widths[*i], std::cmp::Reverse(*i)))
            };
            let Some(widest) = above(&cells).or_else(|| above(&least)) else {
                break;
            };
            widths[widest] -= 1;
        }
        widths
    }
}

/// The lines of a text, each of so many columns at most. A line ends at a blank, or else after `_`, `,`, `=`, `+` or `/`; what has none
/// of these stays whole.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![];
    for line in text.split('\n') {
        let mut now = String::new();
        for word in line.split_inclusive(' ') {
            let bare = word.trim_end();
            if width(&now) + width(bare) > columns && !now.trim().is_empty() {
                lines.push(std::mem::take(&mut now).trim_end().to_owned());
            }
            if width(bare) <= columns {
                now.push_str(word);
                continue;
            }
            for piece in pieces(word) {
                if width(&now) + width(piece.trim_end()) > columns && !now.is_empty() {
                    lines.push(std::mem::take(&mut now).trim_end().to_owned());
                }
                now.push_str(piece);
            }
        }
        lines.push(now.trim_end().to_owned());
    }
    lines
}

/// The parts of a word that stay whole.
fn pieces(word: &str) -> impl Iterator<Item = &str> {
    word.split_inclusive(['_', ',', '=', '+', '/'])
}

/// A paragraph over the terminal's width: its first line is indented by `first`, the others by `rest` columns.
pub fn paragraph(text: &str, first: usize, rest: usize) -> String {
    let columns = terminal::columns();
    let mut lines = wrap(text, columns.saturating_sub(first.max(rest)).max(1)).into_iter();
    let mut s = format!("{:first$}{}\n", "", lines.next().unwrap_or_default());
    for line in lines {
        s.push_str(&format!("{:rest$}{line}\n", ""));
    }
    s
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest(text: &str) -> usize {
        text.lines().map(width).max().unwrap_or(0)
    }

    #[test]
    fn lines_end_between_words_then_between_parts_of_names() {
        for (text, columns, lines) in [
            ("ffn_norm + x_norm", 12, vec!["ffn_norm +", "x_norm"]),
            (
                "gate_act_route_sort",
                9,
                vec!["gate_act_", "route_", "sort"],
            ),
            ("D_TILE=4096", 8, vec!["D_TILE=", "4096"]),
            // A number stays whole, however narrow its column is.
            ("1503.67", 3, vec!["1503.67"]),
            ("a\nb c", 9, vec!["a", "b c"]),
            ("", 9, vec![""]),
        ] {
            assert_eq!(wrap(text, columns), lines, "{text} in {columns}");
        }
    }

    #[test]
    fn tables_fit_and_break_no_number() {
        let mut table = Table::new(&["kernel", "predicted us", "what it is"]).right(&[1]);
        table.row([
            "ffn_norm_x_norm_quant".into(),
            "12345.67".into(),
            "one launch of all of them".into(),
        ]);
        table.row(["gate".into(), "8.20".into(), "small".into()]);
        let wide = table.at(120);
        assert_eq!(
            wide,
            "kernel                 predicted us  what it is\n\
             ──────────────────────────────────────────────────────────────\n\
             ffn_norm_x_norm_quant      12345.67  one launch of all of them\ngate                           8.20  small\n"
        );
        for columns in [36, 44, 60] {
            let text = table.at(columns);
            assert!(longest(&text) <= columns, "{columns}:\n{text}");
            for number in ["12345.67", "8.20"] {
                assert!(text.contains(number), "{columns}:\n{text}");
            }
        }
    }
}
