//! The pages as a book: all of them are in its table of contents, their links lead somewhere, their layers run, and their commands are
//! there.

use crate::{common, fences, runs};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Little of a search is enough to see that a layer runs.
const FAST: &str = "[defaults]\niter-limit = 4\n";

/// The pages, and the README, by their paths from the root.
fn pages() -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(common::root().join("docs")).expect("the docs are there");
    let paths = entries.map(|e| e.expect("an entry").path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|p| p.extension().is_some_and(|e| e == "md"))
        .collect();
    paths.push(common::root().join("README.md"));
    paths.sort();
    let read = |p: PathBuf| {
        let text = fs::read_to_string(&p).expect("a page is text");
        (
            p.strip_prefix(common::root()).expect("below it").into(),
            text,
        )
    };
    paths.into_iter().map(read).collect()
}

/// The page outside of its blocks.
fn prose(page: &str) -> String {
    let mut fenced = false;
    let is_prose = |line: &&str| {
        let fence = line.starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    };
    page.lines()
        .filter(is_prose)
        .map(|l| format!("{l}\n"))
        .collect()
}

/// Where the links of a page go.
fn links(page: &str) -> Vec<String> {
    let prose = prose(page);
    let starts = prose.match_indices("](").map(|(i, _)| i + 2);
    let ends = starts.filter_map(|i| Some(prose[i..].split_once(')')?.0.to_owned()));
    ends.collect()
}

/// The name under which a heading can be linked to.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let keep = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    };
    text.chars().filter_map(keep).collect()
}

fn anchors(page: &str) -> BTreeSet<String> {
    let prose = prose(page);
    prose
        .lines()
        .filter(|l| l.starts_with('#'))
        .map(anchor)
        .collect()
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let summary = fs::read_to_string(common::root().join("docs/SUMMARY.md")).expect("a summary");
    let listed: BTreeSet<String> = links(&summary).into_iter().collect();
    let pages: BTreeSet<String> = pages()
        .into_iter()
        .filter_map(|(path, _)| Some(path.file_name()?.to_string_lossy().into_owned()))
        .filter(|name| name != "SUMMARY.md" && name != "README.md")
        .collect();
    assert_eq!(listed, pages);
}

#[test]
fn links_lead_somewhere() {
    let mut lost = vec![];
    for (path, text) in pages() {
        let folder = common::root().join(&path);
        let folder = folder.parent().expect("a folder");
        for link in links(&text) {
            if link.contains("://") {
                continue;
            }
            let (file, place) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => common::root().join(&path),
                file => folder.join(file),
            };
            let is_page = target.extension().is_some_and(|e| e == "md");
            let found = match fs::read_to_string(&target) {
                Ok(page) if is_page && !place.is_empty() => anchors(&page).contains(place),
                _ => target.exists(),
            };
            if !found {
                lost.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}

/// Writes a block that is a file.
fn write(folder: &Path, fence: &fences::Fence) {
    let path = folder.join(&fence.name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder is made");
    fs::write(path, &fence.text).expect("a file is written");
}

#[test]
fn layers_of_the_pages_run() {
    let mut layers = vec![];
    for (path, text) in pages() {
        let is_refused = path.ends_with("errors.md");
        for fence in fences::of(&text) {
            if fence.language == "tw" && fence.name.is_empty() && !is_refused {
                layers.push((format!("{}:{}", path.display(), fence.line), fence.text));
            }
        }
    }
    assert!(layers.len() > 10, "the cookbook has more than that");
    let wrong = runs::side_by_side(&layers, |(place, text)| {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        fs::write(folder.path().join("tilewright.toml"), FAST).expect("a file is written");
        fs::write(folder.path().join("layer.tw"), text).expect("a file is written");
        let ran = common::tilewright(folder.path(), &["run", "layer.tw", "--no-emit"]);
        let right = ran.code == Some(0) && ran.stdout.contains("checks passed");
        match right {
            true => vec![],
            false => vec![format!("{place}\n{}", ran.text())],
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[cfg(unix)]
#[test]
fn the_tutorial_works_from_top_to_bottom() {
    let page = fs::read_to_string(common::root().join("docs/tutorial.md")).expect("the tutorial");
    // Nothing but what the page says is there: what a limit of the search lets through, a reader may not get.
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let mut commands = 0;
    for fence in fences::of(&page) {
        if !fence.name.is_empty() {
            write(folder.path(), &fence);
        } else if fence.language == "sh" {
            let ran = runs::shell(folder.path(), &fence.text);
            assert_eq!(ran.code, Some(0), "line {}: {}", fence.line, ran.text());
            commands += 1;
        }
    }
    assert!(commands > 8, "only {commands} commands");
}

/// The words of a line of a shell, up to a comment, a pipe or another command.
fn words(line: &str) -> Vec<String> {
    let mut all = vec![];
    let mut word = String::new();
    let mut quote = None;
    for c in line.chars() {
        match quote {
            Some(q) if c == q => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c.is_whitespace() => {
                all.extend((!word.is_empty()).then(|| std::mem::take(&mut word)))
            }
            _ => word.push(c),
        }
    }
    all.extend((!word.is_empty()).then_some(word));
    let ends = |w: &String| ["#", "|", "&&", ";", ">", "<"].contains(&w.as_str());
    all.into_iter().take_while(|w| !ends(w)).collect()
}

/// Commands of `tilewright` in the blocks of a page, without the command's own name.
fn commands(page: &str) -> Vec<Vec<String>> {
    let mut all = vec![];
    for fence in fences::of(page) {
        if !["sh", "text"].contains(&fence.language.as_str()) {
            continue;
        }
        let joined = fence.text.replace("\\\n", " ");
        // A line with brackets shows what may follow, and is no command.
        for line in joined.lines().filter(|l| !l.contains(" [")) {
            let words = words(line);
            let own = |head: &[&str]| {
                words.iter().zip(head).filter(|(w, h)| w == h).count() == head.len()
            };
            let skip = match () {
                () if own(&["cargo", "run", "--release", "--"]) => 4,
                () if own(&["tilewright"]) => 1,
                () => continue,
            };
            all.push(words[skip..].to_vec());
        }
    }
    all
}

#[test]
fn commands_of_the_pages_are_there() {
    let mut all = vec![];
    for (path, text) in pages() {
        // Those of the tutorial and of errors are run.
        if path.ends_with("tutorial.md") || path.ends_with("errors.md") {
            continue;
        }
        for command in commands(&text) {
            all.push((path.display().to_string(), command));
        }
    }
    assert!(all.len() > 20, "only {} commands", all.len());
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let wrong = runs::side_by_side(&all, |(path, command)| {
        // `--help` behind the options: each of them is read before.
        let args: Vec<&str> = command
            .iter()
            .map(String::as_str)
            .chain(["--help"])
            .collect();
        let ran = common::tilewright(folder.path(), &args);
        let mut wrong = vec![];
        if ran.code != Some(0) {
            wrong.push(format!("{path}: {}\n{}", command.join(" "), ran.stderr));
        }
        for file in command.iter().filter(|w| w.starts_with("examples/")) {
            if !common::root().join(file).exists() {
                wrong.push(format!("{path}: {file} is not there"));
            }
        }
        wrong
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
