//! One layer at many sizes.

use crate::{folder, number, with_db};
use serde_json::Value;
use std::path::Path;

fn tune(folder: &Path, args: &[&str]) -> Value {
    let ran = with_db(
        folder,
        &[&["tune", "--effort", "quick", "--json"], args].concat(),
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).expect("a report is JSON")
}

fn refused(folder: &Path, args: &[&str]) -> String {
    let ran = with_db(folder, &[&["tune", "norm.tw"], args].concat());
    assert_ne!(ran.code, Some(0), "{}", ran.stdout);
    ran.stderr
}

/// Buckets as their smallest and largest sizes.
fn ends(report: &Value) -> Vec<(i64, i64)> {
    let size = |b: &Value, name: &str| b[name].as_i64().expect("a size is a number");
    let buckets = report["buckets"].as_array().expect("there are buckets");
    let ends = buckets.iter().map(|b| (size(b, "from"), size(b, "to")));
    ends.collect()
}

#[test]
fn neighbours_share_kernels_and_lose_no_more_than_they_may() {
    let folder = folder();
    let many = ["norm.tw", "--set", "D=512", "--for", "T=1..40,256"];
    let report = tune(
        folder.path(),
        &[&many[..], &["--loss", "10", "-o", "out"]].concat(),
    );
    assert_eq!(report["sharing"], "padded");
    let buckets = ends(&report);
    assert_eq!((buckets[0].0, buckets[buckets.len() - 1].1), (1, 256));
    assert!((2..20).contains(&buckets.len()), "{buckets:?}");
    assert!(buckets.windows(2).all(|w| w[0].1 < w[1].0), "{buckets:?}");
    let measured = report["measured"].as_array().expect("sizes were tuned");
    assert!(measured.len() < 41, "all sizes were tuned");
    for bucket in report["buckets"].as_array().expect("there are buckets") {
        assert!(number(bucket, "loss") <= 0.1, "{bucket}");
        let smallest = measured.iter().find(|m| m["size"] == bucket["from"]);
        let own = number(smallest.expect("it was tuned"), "us");
        assert!(number(bucket, "us") <= own * 1.1, "{bucket}");
    }
    // Kernels a bucket, with the sizes that they run, and which can be checked.
    let table = std::fs::read_to_string(folder.path().join("out/kernels.json")).expect("a table");
    let table: Value = serde_json::from_str(&table).expect("it is JSON");
    assert_eq!(table["param"], "T");
    let programs = table["sizes"].as_array().expect("there are sizes");
    assert_eq!(programs.len(), buckets.len());
    for (program, (from, to)) in programs.iter().zip(&buckets) {
        assert_eq!(
            (&program["from"], &program["to"]),
            (&(*from).into(), &(*to).into())
        );
        let kernel = program["kernels"][0]["name"]
            .as_str()
            .expect("it has a name");
        assert_eq!(kernel, format!("norm_T{to}"));
        assert!(folder.path().join(format!("out/{kernel}.cpp")).exists());
    }
    let checked = with_db(folder.path(), &["check", "out"]);
    assert_eq!(checked.code, Some(0), "{}", checked.text());
    // What is the same of all is said once, with the sizes.
    let said = checked.stdout.matches("nothing is wrong").count();
    let (from, to) = buckets[0];
    let first = match from == to {
        true => format!("T={to}"),
        false => format!("T={from} to {to}"),
    };
    let text: Vec<&str> = checked.stdout.split_whitespace().collect();
    assert!(text.join(" ").contains(&first), "{}", checked.text());
    assert_eq!(said, 1, "{}", checked.text());
    // All of it is known.
    let again = tune(folder.path(), &[&many[..], &["--loss", "10"]].concat());
    assert_eq!(ends(&again), buckets);
    for m in again["measured"].as_array().expect("there are sizes") {
        assert_eq!(m["new"], 0);
    }
    // Who may lose nothing shares less.
    let strict = tune(folder.path(), &[&many[..], &["--loss", "0"]].concat());
    assert!(ends(&strict).len() > buckets.len());
}

#[test]
fn rows_that_depend_on_each_other_are_not_padded() {
    let folder = folder();
    let layer = "graph sums {
  param T = 16
  input a: bf16[32, T]
  input x: bf16[T, 64]
  kernel sums {
    y = matmul_nn(a, x)
  }
  output y
}
";
    std::fs::write(folder.path().join("sums.tw"), layer).expect("a file is written");
    let report = tune(folder.path(), &["sums.tw", "--for", "T=16,32"]);
    assert_eq!(report["sharing"], "dependent");
    assert_eq!(ends(&report), [(16, 16), (32, 32)]);
}

#[test]
fn sizes_that_are_none_are_refused() {
    let folder = folder();
    for (sizes, said) in [
        ("T", "it has no `=`"),
        ("T=0..4", "`0` is no size"),
        ("T=9..4", "ends before it begins"),
        ("T=1..9999999", "more than 65536 sizes"),
    ] {
        let text = refused(folder.path(), &["--for", sizes]);
        assert!(
            text.contains("tilewright::tune::sizes") && text.contains(said),
            "{text}"
        );
    }
    let text = refused(folder.path(), &["--for", "T=1..4", "--set", "T=8"]);
    assert!(text.contains("set by another option"), "{text}");
    let text = refused(folder.path(), &["--for", "TT=1..4"]);
    assert!(text.contains("`TT`"), "{text}");
    let text = refused(folder.path(), &["--for", "T=1..4", "--loss=-1"]);
    assert!(text.contains("percent"), "{text}");
}
