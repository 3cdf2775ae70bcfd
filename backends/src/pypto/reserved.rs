//! Names that nothing in a file may have: Python's keywords, what the files import, and built-in names that the
//! language gives a meaning of its own.

pub(super) const RESERVED: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield", "match", "case", "type", "pl", "pld", "pypto", "self", "abs", "bool", "float",
    "int", "len", "list", "max", "min", "print", "range", "slice", "sum", "tuple",
];
