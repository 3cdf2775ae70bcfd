//! Words of commands that are shown, as a shell takes them.

use std::path::Path;

/// A file by its name alone: what stands in kernels must not tell from where they were made.
pub fn name(path: &Path) -> String {
    let name = path.file_name().map_or(path, Path::new);
    let text = name.display().to_string();
    // What begins with a minus is an option; alone, it is the standard input.
    match text.starts_with('-') && text != "-" {
        true => quoted(&format!("./{text}")),
        false => quoted(&text),
    }
}

/// A word as a shell takes it, in one line and without a backslash, which in a comment of C++ would do more than stand there. What is
/// no character of a line is written as awk's number of it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/=,:+%@".contains(c);
    // Some shells look up what stands after these.
    let plain_word = !word.starts_with(['=', '%', '@']) && word.chars().all(plain);
    if !word.is_empty() && plain_word {
        return word.into();
    }
    if !word.chars().any(|c| c.is_control() || c == '\\') {
        let pieces: Vec<String> = word.split('\'').map(|p| format!("'{p}'")).collect();
        return pieces.join("\"'\"");
    }
    let (mut text, mut numbers) = (String::new(), String::new());
    for c in word.chars() {
        match c.is_ascii() && !(c.is_ascii_alphanumeric() || "._-/=,:+@ ".contains(c)) {
            true => {
                text.push_str("%c");
                numbers.push_str(&format!(", {}", u32::from(c)));
            }
            false => text.push(c),
        }
    }
    format!("\"$(awk 'BEGIN {{ printf \"{text}\"{numbers} }}')\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the shell makes of a word is the word.
    #[cfg(unix)]
    #[test]
    fn words_survive_the_shell() {
        for word in [
            "a.tw", "", "a b", "it's", "$HOME", "`id`", "$(id)", "a\nb", "a\\", "\t", "=ls", "~",
            "*", "a;b", "é\u{1}", "\"", "!!", "%d\n.tw",
        ] {
            let line = format!("printf '[%s]' {}", quoted(word));
            assert!(!line.contains('\n'), "{line:?}");
            let out = std::process::Command::new("sh")
                .args(["-c", &line])
                .output();
            let out = String::from_utf8(out.expect("there is a shell").stdout);
            assert_eq!(out.expect("it is text"), format!("[{word}]"), "{line}");
        }
        assert_eq!(name(Path::new("a/-x.tw")), "./-x.tw");
        assert_eq!(name(Path::new("../a/x.tw")), "x.tw");
        assert_eq!(name(Path::new("-")), "-");
    }
}
