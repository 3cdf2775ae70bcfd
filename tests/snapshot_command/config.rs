//! `tilewright.toml`: layers, defaults, and what is wrong with it.

use super::common::{self, tilewright};
use super::{LAYER, ends, in_order, project};
use serde_json::Value;
use std::fs;
use std::path::Path;

fn configure(folder: &Path, text: &str) {
    fs::write(folder.join("tilewright.toml"), text).expect("it is written");
}

#[test]
fn all_layers_of_the_configuration_are_kept() {
    let folder = project();
    let here = folder.path();
    configure(
        here,
        "[snapshot]\nwith = [\"times\"]\n\n[[layer]]\nfile = \"layers/norm.tw\"\n\n\
         [[layer]]\nfile = \"layers/norm.tw\"\nname = \"long\"\nset = { D = 4096 }\nmachine = \"910B4\"\nwith = []\n",
    );
    let ran = ends(here, &[], 0);
    let both = "layers/snapshots/norm: written\nlayers/snapshots/long: written\n";
    assert_eq!(ran.stdout, both);
    // From a folder below, and by the file, which is two layers.
    let ran = ends(&here.join("layers"), &["--check"], 0);
    assert_eq!(
        ran.stdout,
        "../layers/snapshots/norm: as it was\n../layers/snapshots/long: as it was\n"
    );
    ends(here, &[LAYER, "--check"], 0);
    let schedule = |name: &str| -> Value {
        let path = here.join(format!("layers/snapshots/{name}/schedule.json"));
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    };
    let (norm, long) = (schedule("norm"), schedule("long"));
    assert_eq!(
        (&norm["machine"], &long["machine"]),
        (&"A3".into(), &"910B4".into())
    );
    assert_eq!(
        (&norm["params"]["D"], &long["params"]["D"]),
        (&2048.into(), &4096.into())
    );
    assert!(norm["predicted_us"].is_number() && long["predicted_us"].is_null());
    // One of two differs, and options go over what the configuration says.
    let ran = ends(here, &["--check", "--machine", "910B4"], 1);
    in_order(
        &ran.stdout,
        &[
            "norm: differs",
            "machine: A3 -> 910B4",
            "long: as it was",
            "1 of 2 snapshots differs",
        ],
    );
    let ran = ends(here, &["--check", "--set", "D=1024"], 1);
    in_order(
        &ran.stdout,
        &[
            "param D: 2048 -> 1024",
            "param D: 4096 -> 1024",
            "2 of 2 snapshots differ",
        ],
    );
}

/// `[defaults]` holds for commands over a layer, and options go over it.
#[test]
fn defaults_hold_unless_an_option_says_otherwise() {
    let folder = common::folder();
    let here = folder.path();
    fs::create_dir(here.join("machines")).unwrap();
    let text = "base = \"910B4\"\nname = \"mine\"\n";
    fs::write(here.join("machines/mine.toml"), text).unwrap();
    configure(
        here,
        "[defaults]\nmachine = \"machines/mine.toml\"\nruntime = \"cann\"\nnode-limit = 900\n",
    );
    let small = ["--set", "D=256", "--set", "VOCAB=512", "--json"];
    let told = |folder: &Path, args: &[&str]| -> Value {
        let ran = tilewright(folder, &[args, &small[..]].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.text());
        serde_json::from_str(&ran.stdout).expect("one JSON object")
    };
    let optimized = told(here, &["optimize", "gate.tw"]);
    assert_eq!(optimized["machine"], "mine");
    assert_eq!(optimized["search"]["stop"], "node_limit");
    // The path of the machine starts at the configuration.
    let below = here.join("machines");
    assert_eq!(told(&below, &["optimize", "../gate.tw"])["machine"], "mine");
    for command in ["explain", "show", "run"] {
        let found = told(here, &[command, "gate.tw"]);
        assert!(
            command == "show" || found["machine"] == "mine",
            "{command}: {found}"
        );
    }
    let over = told(
        here,
        &[
            "optimize",
            "gate.tw",
            "--machine",
            "910B1",
            "--node-limit",
            "100000",
        ],
    );
    assert_eq!(over["machine"], "910B1");
    assert_ne!(over["search"]["stop"], "node_limit");
    // What is emitted says all that it was made with.
    let args = ["emit", "gate.tw", "--no-verify", "-o", "out"];
    assert_eq!(told(here, &args)["machine"], "mine");
    let kernel = fs::read_to_string(here.join("out/kernels.json")).unwrap();
    let first = serde_json::from_str::<Value>(&kernel).unwrap()["kernels"][0]["file"].clone();
    let text = fs::read_to_string(here.join("out").join(first.as_str().unwrap())).unwrap();
    in_order(
        &text,
        &[
            "regenerate: tilewright emit gate.tw",
            "--machine mine.toml --runtime cann",
            "--node-limit 900",
        ],
    );
}

/// The database of the configuration is the one that is used, after the option and the variable.
#[test]
fn the_database_is_the_configurations() {
    let folder = common::folder();
    let here = folder.path();
    configure(here, "[defaults]\ndb = \"tuned/mine.sqlite\"\n");
    let at = |db: Option<&str>, args: &[&str]| {
        let mut command = common::command(here, args);
        match db {
            Some(db) => command.env("TILEWRIGHT_DB", db),
            None => command.env_remove("TILEWRIGHT_DB"),
        };
        common::ran(&mut command).stderr
    };
    assert!(at(None, &["db", "list"]).contains("tuned/mine.sqlite"));
    assert!(at(Some("other.sqlite"), &["db", "list"]).contains("other.sqlite"));
    let option = ["db", "list", "--db", "third.sqlite"];
    assert!(at(Some("other.sqlite"), &option).contains("third.sqlite"));
}

#[test]
fn what_is_wrong_is_shown_in_its_place() {
    let folder = project();
    let here = folder.path();
    let head = "[[layer]]\nfile = \"layers/norm.tw\"\n";
    for (text, parts) in [
        (
            "[default]\n",
            &[
                "unknown field `default`",
                "tilewright.toml:1",
                "did you mean `defaults`?",
            ][..],
        ),
        (
            &format!("{head}nodelimit = 3\n"),
            &[
                "`nodelimit`",
                "tilewright.toml:3",
                "did you mean `node-limit`?",
            ],
        ),
        (
            &format!("{head}machine = \"910B9\"\n"),
            &[
                "there is no machine `910B9`",
                "tilewright.toml:3",
                "nearest is",
            ],
        ),
        (
            &format!("{head}runtime = \"cnn\"\n"),
            &[
                "no figures of the runtime `cnn`",
                "tilewright.toml:3",
                "cann",
            ],
        ),
        (
            &format!("{head}pin = [\n  \"norm.launch=spmd\",\n  \"norm.launch\",\n]\n"),
            &["tilewright.toml:5", "`norm.launch`"],
        ),
        (
            &format!("{head}name = \"a/b\"\n"),
            &["cannot be called `a/b`", "tilewright.toml:3"],
        ),
        (
            &format!("{head}as = \"c\"\n"),
            &["there is no emitter `c`", "tilewright.toml:3"],
        ),
        (
            &format!("{head}with = [\"time\"]\n"),
            &[
                "unknown variant `time`",
                "tilewright.toml:3",
                "did you mean `times`?",
            ],
        ),
        (
            "[[layer]]\nfile = \"layers/nrm.tw\"\n",
            &["there is no such file", "tilewright.toml:2"],
        ),
        (
            "[[layer]]\nfile = 3\n",
            &["invalid type", "tilewright.toml:2"],
        ),
        ("[defaults\n", &["tilewright.toml:1"]),
        ("", &["no layer is named"]),
    ] {
        configure(here, text);
        let ran = ends(here, &["--check"], 3);
        assert_eq!(ran.stdout, "");
        parts
            .iter()
            .for_each(|p| assert!(ran.stderr.contains(p), "{p} of {text}: {}", ran.stderr));
    }
    // Commands that only take its defaults look at all of it.
    configure(here, "[[layer]]\n");
    let ran = tilewright(here, &["show", LAYER]);
    assert_eq!(ran.code, Some(3));
    assert!(
        ran.stderr.contains("missing field `file`"),
        "{}",
        ran.stderr
    );
}

/// The page's configuration is one, and its commands do what it says.
#[test]
fn the_page_is_right() {
    let page = common::root().join("docs/snapshots.md");
    let page = fs::read_to_string(page).expect("the page is readable");
    let block = |language: &str| {
        let start = page
            .find(&format!("```{language}\n"))
            .expect("there is a block");
        let text = &page[start + language.len() + 4..];
        text[..text.find("```").expect("it ends")].to_owned()
    };
    let folder = project();
    configure(folder.path(), &block("toml"));
    let commands = block("sh");
    assert_eq!(commands.lines().count(), 2);
    for line in commands.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let ran = tilewright(folder.path(), &words[1..]);
        assert_eq!(ran.code, Some(0), "{line}: {}", ran.text());
    }
    // Every key that the page lists is known, and the other way round.
    let row = page.lines().find(|l| l.starts_with("| `[[layer]]` |"));
    let row = row
        .expect("keys of layers are listed")
        .split('|')
        .nth(2)
        .unwrap_or_default();
    let listed: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
    configure(folder.path(), "[[layer]]\nzzzzzz = 1\n");
    let ran = ends(folder.path(), &[], 3);
    // Lines of the help are broken where they are too long.
    let plain = |text: &str| text.split_whitespace().collect::<String>();
    let expected = format!("there are {}", listed.join(", "));
    assert!(
        plain(&ran.stderr).contains(&plain(&expected)),
        "{}",
        ran.stderr
    );
}
