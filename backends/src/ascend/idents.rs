//! C++ identifiers: valid, unique in a kernel, and no keyword.

use indexmap::IndexSet;

/// Words of C++ and of the kernel's environment that a name must not be.
const RESERVED: &[&str] = &[
    "alignas",
    "alignof",
    "and",
    "asm",
    "auto",
    "bool",
    "break",
    "case",
    "catch",
    "char",
    "class",
    "compl",
    "const",
    "constexpr",
    "continue",
    "decltype",
    "default",
    "delete",
    "do",
    "double",
    "else",
    "enum",
    "event_t",
    "explicit",
    "export",
    "extern",
    "false",
    "float",
    "for",
    "friend",
    "goto",
    "half",
    "if",
    "inline",
    "int",
    "long",
    "main",
    "mutable",
    "namespace",
    "new",
    "noexcept",
    "not",
    "nullptr",
    "operator",
    "or",
    "private",
    "protected",
    "pto",
    "public",
    "register",
    "return",
    "short",
    "signed",
    "sizeof",
    "static",
    "std",
    "struct",
    "switch",
    "template",
    "this",
    "throw",
    "true",
    "try",
    "typedef",
    "typename",
    "union",
    "unsigned",
    "using",
    "virtual",
    "void",
    "volatile",
    "while",
    "xor",
    "bfloat16_t",
    "int8_t",
    "int32_t",
    "uint32_t",
    "int64_t",
    "uint64_t",
    "set_flag",
    "wait_flag",
    "pipe_barrier",
    "dcci",
    "dsb",
    "comm",
    "get_block_idx",
    // Constants of PTO-ISA, which a `using namespace pto` brings in.
    "BLOCK_BYTE_SIZE",
    "BLOCK_LEN",
    "BLOCK_MAX_PER_REPEAT",
    "BLOCK_NUM",
    "BLOCK_SIZE",
    "BURST_LEN_UNIT",
    "COL_SIZE",
    "CUBE_BLOCK_SIZE",
    "DIM_0",
    "DIM_1",
    "DIM_2",
    "DIM_3",
    "DIM_4",
    "DYNAMIC",
    "MASK_LEN",
    "MAX_ROW",
    "ONE_ROW",
    "REPEAT_BYTE",
    "REPEAT_MAX",
    "SLOT_NUM",
    "SLOT_SIZE",
    "TOTAL_DIM",
    "UB_SIZE",
    "VEC_CORES",
    "DS",
    "SS",
    "TS",
    "Clamp",
    "GmColumn",
    "GmTile",
    "GmTransposed",
    "PeerOf",
    "ReadArray",
    "WriteArray",
    "WriteScalar",
    "L1Left",
    "L1Right",
    "Layout",
    "Shape",
    "Stride",
    "Tile",
    "TileAcc",
    "TileLeft",
    "TileRight",
    "VecColumn",
    "VecTile",
];

/// The names taken so far.
#[derive(Debug, Default)]
pub(super) struct Idents {
    taken: IndexSet<String>,
}

impl Idents {
    /// `name` made valid; with `suffix` after it, and then a number, if it is taken.
    pub fn claim(&mut self, name: &str, suffix: &str) -> String {
        let plain = valid(name);
        if self.insert(&plain) {
            return plain;
        }
        let plain = match suffix {
            "" => plain,
            s => format!("{plain}_{s}"),
        };
        let mut unique = plain.clone();
        let mut number = 2;
        while !self.insert(&unique) {
            unique = format!("{plain}{number}");
            number += 1;
        }
        unique
    }

    fn insert(&mut self, name: &str) -> bool {
        !RESERVED.contains(&name) && self.taken.insert(name.to_owned())
    }
}

fn valid(name: &str) -> String {
    let mut out: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    // Names with two underscores, and `_` before a capital, belong to the compiler.
    while out.contains("__") {
        out = out.replace("__", "_");
    }
    let out = out.trim_start_matches('_');
    match out.chars().next() {
        None => "v".into(),
        Some(c) if c.is_ascii_digit() => format!("v{out}"),
        Some(_) => out.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::Idents;

    #[test]
    fn names_are_valid_and_unique() {
        let mut ids = Idents::default();
        let mut claim = |name| ids.claim(name, "tile");
        assert_eq!(claim("x"), "x");
        assert_eq!(claim("x"), "x_tile");
        assert_eq!(claim("x"), "x_tile2");
        assert_eq!(claim("half"), "half_tile");
        assert_eq!(claim("8.scale"), "v8_scale");
        assert_eq!(claim("__"), "v");
    }
}
