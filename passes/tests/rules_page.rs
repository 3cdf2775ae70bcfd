//! `docs/rules.md` is what the rule tables say.

use tilewright_passes::egraph::rules;

#[test]
fn the_page_of_rules_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rules.md");
    let page = rules::markdown(rules::table());
    if std::env::var_os("TILEWRIGHT_BLESS").is_some() {
        std::fs::write(path, &page).expect("docs/rules.md can be written");
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == page,
        "docs/rules.md is not what the rules say: run this test with TILEWRIGHT_BLESS=1"
    );
}
