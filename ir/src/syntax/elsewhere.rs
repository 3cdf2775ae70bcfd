//! Words of other languages, and what is written here instead.

/// Types, attributes and operations that have another name here.
const NAMES: [(&str, &str); 32] = [
    ("bfloat16", "bf16"),
    ("float", "f32"),
    ("float32", "f32"),
    ("fp32", "f32"),
    ("f64", "f32"),
    ("double", "f32"),
    ("float16", "f16"),
    ("fp16", "f16"),
    ("half", "f16"),
    ("int8", "i8"),
    ("int32", "i32"),
    ("int", "i32"),
    ("uint32", "u32"),
    ("int64", "i64"),
    ("long", "i64"),
    ("epsilon", "eps"),
    ("dtype", "to"),
    ("sum", "row_sum"),
    ("sum_rows", "row_sum"),
    ("mean", "row_mean"),
    ("mean_rows", "row_mean"),
    ("prod", "row_prod"),
    ("amax", "row_max"),
    ("amin", "row_min"),
    ("maximum", "max"),
    ("minimum", "min"),
    ("subtract", "sub"),
    ("multiply", "mul"),
    ("divide", "div"),
    ("concat", "concat_cols"),
    ("cat", "concat_cols"),
    ("pad", "pad_cols"),
];

/// Products, whose right operand lies one way or the other.
const PRODUCTS: [&str; 7] = ["matmul", "mm", "gemm", "dot", "linear", "bmm", "einsum"];
const PRODUCT: &str = "did you mean `matmul_nt`, whose right operand has a row for each column of the result, as weights \
     have, or `matmul_nn`, whose right operand is as in a @ b?";

/// What a column becomes one number by.
const REDUCED: [&str; 5] = ["sum", "max", "min", "mean", "prod"];

/// What a word of another language is called here, out of names that are known.
pub fn here<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (_, name) = NAMES
        .iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(word))?;
    names.into_iter().find(|n| n == name)
}

/// What helps where an operation has no counterpart of one name.
pub fn operation(word: &str) -> Option<String> {
    if PRODUCTS.contains(&word) {
        return Some(PRODUCT.into());
    }
    let by = word
        .strip_prefix("col_")
        .or_else(|| word.strip_prefix("column_"))
        .or_else(|| word.strip_suffix("_cols"))?;
    REDUCED.contains(&by).then(|| {
        format!(
            "reductions go along rows: `row_{by}`. For columns, give the layer the transposed tensor, whose rows they are"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_others_lead_to_ours() {
        assert_eq!(here("bfloat16", ["f32", "bf16"]), Some("bf16"));
        assert_eq!(here("epsilon", ["eps"]), Some("eps"));
        // What is not known here is no help.
        assert_eq!(here("epsilon", ["scale"]), None);
        assert!(operation("matmul").is_some_and(|h| h.contains("`matmul_nn`")));
        assert!(operation("col_sum").is_some_and(|h| h.contains("`row_sum`")));
        assert_eq!(operation("col_sub"), None);
    }
}
