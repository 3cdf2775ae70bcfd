//! The page: well-formed, whole, and by itself.

use crate::common::{GATE, SMALL, graph, options};
use crate::{Shown, shown};
use roxmltree::{Document, Node, ParsingOptions};
use std::collections::BTreeSet;
use tilewright::detail::Details;
use tilewright::form::Form;
use tilewright::page::html;
use tilewright::report::Report;
use tilewright::run;

fn page(shown: &Shown) -> String {
    html(&shown.outcome.report, &shown.details)
}

fn parse(text: &str) -> Document<'_> {
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(text, options).expect("the page is well-formed")
}

fn with_class<'d>(of: Node<'d, 'd>, class: &'d str) -> impl Iterator<Item = Node<'d, 'd>> {
    of.descendants().filter(move |n| {
        let classes = n.attribute("class").unwrap_or_default();
        classes.split(' ').any(|c| c == class)
    })
}

fn by_id<'d>(document: &'d Document<'d>, id: &str) -> Node<'d, 'd> {
    let found = document
        .descendants()
        .find(|n| n.attribute("id") == Some(id));
    found.unwrap_or_else(|| panic!("#{id} is on the page"))
}

fn text(of: Node) -> String {
    of.descendants()
        .filter_map(|n| n.text().filter(|_| n.is_text()))
        .collect()
}

/// Ids are of one element, and every link leads to one of them.
fn links_lead_somewhere(document: &Document) {
    let mut ids = BTreeSet::new();
    for id in document.descendants().filter_map(|n| n.attribute("id")) {
        assert!(ids.insert(id), "#{id} twice");
    }
    let mut count = 0;
    for node in document.descendants() {
        for attribute in node.attributes() {
            let value = attribute.value();
            match attribute.name() {
                "href" => {
                    let target = value.strip_prefix('#').expect("links stay on the page");
                    assert!(ids.contains(target), "{value} leads nowhere");
                    count += 1;
                }
                "aria-controls" | "aria-labelledby" => {
                    assert!(ids.contains(value), "{value} is not there");
                }
                "src" | "srcset" | "action" | "data" => panic!("{value} is somewhere else"),
                _ => assert!(!value.contains("//"), "{value}"),
            }
        }
        if ["style", "script"].contains(&node.tag_name().name()) {
            let text = text(node);
            let text = text.replace("//<![CDATA[", "").replace("//]]>", "");
            for other in [
                "http:",
                "https:",
                "@import",
                "url(",
                "fetch(",
                "XMLHttpRequest",
                "import(",
            ] {
                assert!(!text.contains(other), "{other}");
            }
        }
        assert!(!["link", "iframe", "img", "object"].contains(&node.tag_name().name()));
    }
    assert!(count > 10, "{count} links");
}

fn kernels(report: &Report) -> impl Iterator<Item = (Form, &str)> {
    let of = |form: Form| {
        let report = match form {
            Form::Written => &report.written,
            Form::Optimized => &report.optimized,
        };
        report.kernels.iter().map(move |k| (form, k.name.as_str()))
    };
    Form::ALL.into_iter().flat_map(of)
}

/// Every kernel is a box of its graph, which leads to its own place within a group.
fn kernels_are_link_targets(document: &Document, report: &Report) {
    let mut count = 0;
    for (form, kernel) in kernels(report) {
        let id = format!("{}-{kernel}", form.name());
        let group = by_id(document, &id)
            .ancestors()
            .find(|n| n.tag_name().name() == "article");
        assert!(group.is_some_and(|g| text(g).contains(kernel)), "{id}");
        let link = format!("#{id}");
        let graph = by_id(document, "graph");
        let boxes = with_class(graph, "node").filter(|n| n.attribute("href") == Some(&link));
        assert_eq!(boxes.count(), 1, "{link}");
        count += 1;
    }
    assert!(count > 1);
}

#[test]
fn every_section_is_there_with_what_it_is_about() {
    let shown = shown(GATE, &SMALL);
    let report = &shown.outcome.report;
    let page = page(&shown);
    let document = parse(&page);
    links_lead_somewhere(&document);
    kernels_are_link_targets(&document, report);
    let summary = text(by_id(&document, "summary"));
    for part in [
        format!(
            "{:.2} µs → {:.2} µs",
            report.written.us, report.optimized.us
        ),
        format!("{:.2}×", report.speedup),
        format!("{} checks passed", report.checks.len()),
        format!("{:.2} µs", report.optimized.bound.us),
    ] {
        assert!(summary.contains(&part), "{part}: {summary}");
    }
    let checks = by_id(&document, "checks");
    let rows = checks.descendants().filter(|n| n.tag_name().name() == "tr");
    assert_eq!(rows.count(), 1 + report.checks.len());
    assert!(
        text(checks).contains("of the row's scale"),
        "tolerances are told"
    );
    let candidates = text(by_id(&document, "candidates"));
    assert_eq!(candidates.contains("picked"), !report.candidates.is_empty());
    let groups = by_id(&document, "kernels");
    let kernels = || {
        shown
            .details
            .forms
            .as_ref()
            .into_iter()
            .flat_map(|(_, f)| &f.kernels)
    };
    let buffers = kernels().flat_map(|k| &k.memory).map(|m| m.buffers.len());
    assert_eq!(with_class(groups, "buffer").count(), buffers.sum::<usize>());
    let steps = kernels().map(|k| k.chain.len()).sum::<usize>();
    assert!(steps > 0);
    assert_eq!(with_class(groups, "rule").count(), steps);
    let sources: BTreeSet<String> = with_class(groups, "source")
        .map(|n| {
            text(
                n.descendants()
                    .find(|n| n.tag_name().name() == "pre")
                    .expect("it has text"),
            )
        })
        .collect();
    let files: BTreeSet<String> = (shown.outcome.files.as_ref().into_iter())
        .flat_map(|(_, files)| files)
        .filter(|f| f.path.ends_with(".cpp"))
        .map(|f| f.text.clone())
        .collect();
    assert_eq!(
        sources, files,
        "the text that is shown is the text that is emitted"
    );
    let blocks: usize = shown
        .details
        .forms
        .as_ref()
        .into_iter()
        .flat_map(|(_, f)| &f.timeline)
        .map(|k| k.blocks.len())
        .sum();
    let timeline = by_id(&document, "timeline");
    let drawn = timeline
        .descendants()
        .filter(|n| n.tag_name().name() == "rect" && n.has_attribute("data-say"));
    assert_eq!(drawn.count(), blocks, "each block is on its core");
}

#[test]
fn pages_of_one_run_are_equal() {
    let pages = [(); 2].map(|()| page(&shown(GATE, &SMALL)));
    assert!(pages[0] == pages[1]);
}

/// Without a run kernels are simulated without data, and nothing is said to be right.
#[test]
fn what_was_not_run_is_said() {
    let graph = graph(GATE, &SMALL);
    let outcome = run::optimize(&graph, &options()).expect("it is optimized");
    let details = Details::new(&outcome, &options());
    let page = html(&outcome.report, &details);
    let document = parse(&page);
    links_lead_somewhere(&document);
    assert!(text(by_id(&document, "summary")).contains("Not run"));
    assert!(text(by_id(&document, "timeline")).contains("simulated without data"));
    assert!(text(by_id(&document, "checks")).contains("Nothing was run"));
    assert!(
        page.contains("class=\"source\""),
        "text is emitted all the same"
    );
}

#[test]
fn a_whole_layer_of_several_ranks_fits() {
    let shown = shown("dsv4_flash_moe", &[]);
    let ranks = shown.details.forms.optimized.ranks;
    assert!(ranks > 1);
    let page = page(&shown);
    let document = parse(&page);
    links_lead_somewhere(&document);
    kernels_are_link_targets(&document, &shown.outcome.report);
    let timeline = text(by_id(&document, "timeline"));
    for rank in 0..ranks {
        assert!(timeline.contains(&format!("rank {rank}")));
    }
    assert!(page.len() < 5 << 20, "{} bytes", page.len());
}

#[test]
fn the_critical_path_is_told() {
    let shown = shown("all_reduce", &[]);
    let page = page(&shown);
    let document = parse(&page);
    links_lead_somewhere(&document);
    let table = by_id(&document, "timelines-panel0");
    let rows = table.descendants().filter(|n| n.has_tag_name("tr")).skip(1);
    let rows: Vec<String> = rows.map(text).collect();
    let path = &shown.details.forms.optimized.critical;
    let mut kernels: Vec<&str> = path.iter().map(|s| s.kernel.as_str()).collect();
    kernels.dedup();
    assert!(kernels.len() > 1);
    assert_eq!(rows.len(), kernels.len());
    for (row, kernel) in rows.iter().zip(&kernels) {
        assert!(row.starts_with(kernel), "{row}");
    }
    assert!(rows[0].ends_with("at the start"), "{rows:?}");
    let before = format!("when {} is over", kernels[0]);
    assert!(rows[1].ends_with(&before), "{rows:?}");
}
