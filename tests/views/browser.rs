//! The page in a browser: it opens without an error, and answers clicks and keys.
//!
//! Where no Chromium is found, the test says so and is passed over.

use crate::common::{GATE, SMALL};
use crate::shown;
use std::path::{Path, PathBuf};
use std::process::Command;
use tilewright::page::html;

/// What a person does, and what the page has to answer; each line that it adds is a failure.
const VISIT: &str = r##"
const failures = [];
const check = (holds, what) => { if (!holds) failures.push(what); };
addEventListener("error", (event) => failures.push("error: " + event.message));
console.error = (...what) => failures.push("console: " + what.join(" "));
addEventListener("load", () => setTimeout(() => {
  const key = (on, name) => on.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true }));
  const shown = (of) => Array.from(of.querySelectorAll(":scope > [role=tabpanel]")).filter((p) => !p.hidden);
  const node = document.querySelector("#graph a.node");
  node.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
  setTimeout(() => {
    const id = decodeURIComponent(node.getAttribute("href").slice(1));
    check(location.hash.slice(1) === id, "a box leads to its kernel");
    const group = document.getElementById(id).closest(".group");
    check(group.classList.contains("hit"), "the kernel's group is marked");
    check(group.contains(document.activeElement), "the kernel's group has the focus");
    const tabs = group.querySelector("[data-tabs]");
    check(shown(tabs).length === 1, "one panel is shown");
    const before = shown(tabs)[0];
    key(document.activeElement, "ArrowRight");
    check(shown(tabs).length === 1 && shown(tabs)[0] !== before, "an arrow key shows the next panel");
    key(document.activeElement, "End");
    check(shown(tabs)[0].querySelector("pre") !== null, "the last panel has the source");
    const svg = document.querySelector("svg.graph");
    const box = svg.getAttribute("viewBox");
    document.querySelector("[data-zoom-buttons] button").click();
    check(svg.getAttribute("viewBox") !== box, "a button zooms");
    const zoomed = svg.getAttribute("viewBox");
    key(svg.closest(".scroll"), "ArrowDown");
    check(svg.getAttribute("viewBox") !== zoomed, "an arrow key moves the graph");
    const chart = document.querySelector("#timeline [role=tabpanel]:not([hidden]) figure");
    const note = chart.querySelector("output").textContent;
    key(chart.querySelector(".scroll"), "ArrowRight");
    check(chart.querySelector("output").textContent !== note, "an arrow key tells of a block");
    const colour = () => getComputedStyle(document.body).backgroundColor;
    const was = colour();
    document.querySelector("[data-theme-button]").click();
    check(colour() !== was, "the button changes light and dark");
    check(document.documentElement.scrollWidth <= innerWidth, "nothing is wider than the window");
    document.title = failures.length ? "FAILED " + failures.join("; ") : "PASSED";
  }, 200);
}, 100));
"##;

fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut places = std::env::split_paths(&path).flat_map(|p| names.map(|n| p.join(n)));
    places.find(|p| p.is_file())
}

fn visit(chromium: &Path, page: &Path, width: usize) -> String {
    let profile = tempfile::tempdir().expect("there is room for temporary files");
    let output = Command::new(chromium)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--window-size={width},900"))
        .args(["--virtual-time-budget=4000", "--dump-dom"])
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("the browser starts");
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let title = dom
        .split("<title>")
        .nth(1)
        .and_then(|t| t.split("</title>").next());
    title.unwrap_or(&dom).to_owned()
}

#[test]
fn a_browser_opens_it_and_it_answers() {
    let Some(chromium) = chromium() else {
        eprintln!(
            "SKIPPED: there is no Chromium on the PATH, so the page was opened in no browser"
        );
        return;
    };
    let shown = shown(GATE, &SMALL);
    let page = html(&shown.outcome.report, &shown.details);
    let visited = page.replacen("<body>", &format!("<body><script>{VISIT}</script>"), 1);
    assert_ne!(page, visited);
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let file = folder.path().join("page.html");
    std::fs::write(&file, visited).expect("the page is written");
    for width in [1280, 500] {
        assert_eq!(
            visit(&chromium, &file, width),
            "PASSED",
            "{width} pixels wide"
        );
    }
}
