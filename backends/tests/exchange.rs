//! Exchanges in the interpreter: what they bring, and what is refused of wrong ones.

use tilewright_backends::data::{Tensor, Tensors};
use tilewright_backends::reference::{Layers, ReferenceError, run_ranks};
use tilewright_ir::DType;
use tilewright_ir::graph::Graph;
use tilewright_ir::text;

/// A graph of two ranks with one exchange from `x: i32[2, 3]` to `y: i32[ROWS, 3]`.
fn graph(rows: usize, body: &str) -> Graph {
    let source = format!(
        "exchange t(x: i32[R, C]) -> y: i32[{rows}, C] {{\n{body}\n}}\ngraph g {{\n  ranks N = 2\n  input x: i32[2, 3] < 1000\n  \
         kernel k {{\n    y = t(x)\n  }}\n  output y\n}}\n"
    );
    let file = text::parse(&source).unwrap_or_else(|e| panic!("{body}: {e:?}"));
    text::elaborate(&file, &Default::default()).unwrap_or_else(|e| panic!("{body}: {e}"))
}

fn inputs() -> Vec<Tensors> {
    let of = |rank: i64| {
        let values: Vec<i64> = (0..6).map(|i| 100 * rank + i).collect();
        let x = Tensor::from_i64(DType::I32, &[2, 3], &values).expect("six elements");
        Tensors::from([("x".to_string(), x)])
    };
    vec![of(0), of(1)]
}

const GATHER: &str = "
window w: i32[ranks * R, C] alternating
counter done
for peer in 0..ranks {
  put x -> w[rank * R] on peer
}
for peer in 0..ranks {
  notify done on peer
}
wait done >= ranks * epoch
copy w -> y";

#[test]
fn every_rank_gets_the_rows_of_all_in_every_run() {
    let graph = graph(4, GATHER);
    let mut layers = Layers::new(&graph);
    for _ in 0..4 {
        for rank in layers.run(&inputs()).expect("it runs") {
            let y = rank.outputs["y"].to_i64();
            assert_eq!(y, [0, 1, 2, 3, 4, 5, 100, 101, 102, 103, 104, 105]);
            assert_eq!(rank.failure, None);
        }
    }
}

#[test]
fn integers_choose_rows_ranks_and_conditions() {
    let graph = graph(
        2,
        "
window w: i32[R, C]
counter c[2]
array turned[C]
read v = x
for i in 0..C {
  turned[C - 1 - i] = v[0, i] + x[1, i] * rank
}
var most = 0
for i in 0..C {
  if turned[i] > most {
    most = turned[i]
  } else {
    most = max(most, 1)
  }
}
if most != 0 {
  let other = 1 - rank
  put x[other] -> w[other] on other
  tile row = turned
  put row -> w[rank] on other
  notify c[1] on other
}
wait c[1] >= epoch
copy w[1 - rank] -> y[0]
tile t = w[rank]
tile sum: i32[1, C]
fill sum with 2
add t -> sum
copy sum -> y[1]",
    );
    let ran = run_ranks(&graph, &inputs()).expect("it runs");
    // The other rank has put its turned row into row `1 - rank`, and its own row `rank` into row `rank`.
    assert_eq!(
        ran[0].outputs["y"].to_i64(),
        [102 + 105, 101 + 104, 100 + 103, 102, 103, 104]
    );
    assert_eq!(ran[1].outputs["y"].to_i64(), [2, 1, 0, 5, 6, 7]);
}

#[test]
fn a_failure_is_told_and_the_program_goes_on() {
    let source = "exchange t(n: i32) -> s: i32[1, 4] {\n  \
         if n > 3 {\n    let over = n - 3\n    fail s \"rank {rank} has {over} more than 3\" help \"give {n} less {over}\"\n  }\n}\n\
         graph g {\n  ranks N = 2\n  input n: i32 <= 9\n  kernel k {\n    s = t(n)\n  }\n  output s\n}\n";
    let file = text::parse(source).expect("it parses");
    let graph = text::elaborate(&file, &Default::default()).expect("a graph");
    let of = |n: i64| {
        let n = Tensor::from_i64(DType::I32, &[], &[n]).expect("an integer");
        Tensors::from([("n".to_string(), n)])
    };
    let ran = run_ranks(&graph, &[of(3), of(5)]).expect("it runs");
    assert_eq!(ran[0].failure, None);
    assert_eq!(ran[0].outputs["s"].to_i64(), [0, 0, 0, 0]);
    assert_eq!(ran[1].outputs["s"].to_i64(), [1, 1, 2, 5]);
    let told = (
        "rank 1 has 2 more than 3".to_string(),
        "give 5 less 2".to_string(),
    );
    assert_eq!(ran[1].failure, Some(told));
}

fn refused(graph: &Graph, runs: usize) -> String {
    let mut layers = Layers::new(graph);
    for _ in 1..runs {
        layers.run(&inputs()).expect("the runs before are right");
    }
    let error: ReferenceError = layers.run(&inputs()).expect_err("it is refused");
    error.to_string()
}

#[test]
fn a_wait_that_nobody_ends_says_who_waits_for_what() {
    let twice = GATHER.replace("done >= ranks", "done >= 2 * ranks");
    let told = refused(&graph(4, &twice), 1);
    assert_eq!(
        told,
        "exchange `t` never ends: rank 0 waits in `wait done >= 2 * ranks * epoch` for 4, and the counter is 2; \
         rank 1 waits in `wait done >= 2 * ranks * epoch` for 4, and the counter is 2"
    );
}

#[test]
fn what_nobody_has_written_is_not_read() {
    let early = GATHER.replace("wait done >= ranks * epoch\n", "");
    let told = refused(&graph(4, &early), 1);
    assert!(
        told.contains(
            "rank 0, `copy w -> y`: it reads element (2, 0) of window `w`, which nobody has written"
        ),
        "{told}"
    );
    // Without the epoch, the second run reads what the first one brought.
    let stale = GATHER
        .replace(" alternating", "")
        .replace("ranks * epoch", "ranks");
    let told = refused(&graph(4, &stale), 2);
    assert!(
        told.contains("was written in run 1 of the layer, and not yet in run 2"),
        "{told}"
    );
}

#[test]
fn what_depends_on_data_is_checked_where_it_happens() {
    let cases = [
        (
            "copy x[x[1, 2]] -> y[0]",
            4,
            "on rank 0, `copy x[x[1, 2]] -> y[0]`: rows 5..6 of `x` are used, and there are 2",
        ),
        (
            "window w: i32[R, C]\nput x -> w on x[1, 0]",
            1,
            "there is no rank 3 of 2",
        ),
        ("let a = 7 / x[0, 0]", 1, "7 is divided by zero"),
        ("let a = (x[0, 0] - 1) % 3", 1, "-1 is divided by 3"),
        (
            "array a[2]\na[x[0, 2]] = 1",
            1,
            "elements 2..3 of `a` are used, and there are 2",
        ),
        (
            "array a[2]\na[0] = 3000000000",
            1,
            "3000000000 does not fit an element of `a`",
        ),
        (
            "tile t: i32[1, C]\ncopy t -> y[0]",
            1,
            "the tile `t` holds nothing yet",
        ),
        (
            "if rank > 0 {\n copy x -> y\n}",
            2,
            "rank 0: nobody has written element (0, 0) of its result `y`",
        ),
        (
            "copy x -> y first x[0, 1]",
            2,
            "nobody has written element (1, 0) of its result `y`",
        ),
    ];
    for (body, rows, words) in cases {
        let body = match body.contains("-> y") {
            true => body.to_string(),
            false => format!("{body}\ncopy x[0] -> y[0]"),
        };
        let told = refused(&graph(rows, &body), 1);
        assert!(told.contains(words), "{body}: {told}");
    }
}

/// Groups of rows of which only some exist.
#[test]
fn rows_that_do_not_exist_are_not_read() {
    let source = |row: &str| {
        format!(
            "exchange t(x: i32[G * R, C] ragged n, n: i32[G, 1]) -> y: i32[1, C] {{\n  copy x[{row}] -> y\n}}\n\
             graph g {{\n  ranks N = 2\n  input n: i32[2, 1] < 3\n  input x: i32[4, 3] ragged n < 9\n  \
             kernel k {{\n    y = t(x, n)\n  }}\n  output y\n}}\n"
        )
    };
    let run = |row: &str| {
        let file = text::parse(&source(row)).expect("it parses");
        let graph = text::elaborate(&file, &Default::default()).expect("a graph");
        let x = Tensor::from_i64(DType::I32, &[4, 3], &[1; 12]).expect("twelve elements");
        let n = Tensor::from_i64(DType::I32, &[2, 1], &[2, 1]).expect("two counts");
        let inputs = Tensors::from([("n".to_string(), n), ("x".to_string(), x)]);
        run_ranks(&graph, &[inputs.clone(), inputs])
    };
    assert_eq!(
        run("2").expect("it is there")[0].outputs["y"].to_i64(),
        [1, 1, 1]
    );
    let told = run("3").expect_err("it is not there").to_string();
    assert!(
        told.contains("it reads row 3 of `x`, and group 1 has 1 rows"),
        "{told}"
    );
}

/// `rank` and `epoch` as inputs are what every rank knows, whoever gives them.
#[test]
fn what_a_rank_knows_by_itself_is_not_drawn() {
    let source = "exchange t(n: i32, e: i32) -> y: i32[1, 2] {\n  copy n + 10 -> y[0, 0]\n  copy e * 100 -> y[0, 1]\n}\n\
         graph g {\n  ranks N = 2\n  input rank: i32\n  input epoch: i32\n  input x: f32[2, 3]\n  \
         kernel k {\n    y = t(rank, epoch)\n  }\n  kernel m {\n    z = mask_rows(x, rank)\n  }\n  output y, z\n}\n";
    let file = text::parse(source).expect("it parses");
    let graph = text::elaborate(&file, &Default::default()).expect("a graph");
    let generate = || tilewright_backends::data::generate(&graph, 3, &Default::default());
    let inputs = vec![generate().expect("drawn"), generate().expect("drawn")];
    assert!(inputs[0].get("rank").is_none() && inputs[0].get("epoch").is_none());
    let mut layers = Layers::new(&graph);
    for epoch in 1..3 {
        let ran = layers.run(&inputs).expect("it runs");
        for (rank, ran) in ran.iter().enumerate() {
            let y = ran.outputs["y"].to_i64();
            assert_eq!(y, [rank as i64 + 10, 100 * epoch]);
            let zeros = ran.outputs["z"]
                .to_f32()
                .iter()
                .filter(|z| **z == 0.0)
                .count();
            assert_eq!(zeros, 3 * (2 - rank));
        }
    }
    let mut wrong = inputs.clone();
    let one = Tensor::from_i64(DType::I32, &[], &[1]).expect("an integer");
    wrong.iter_mut().for_each(|r| {
        r.insert("rank".into(), one.clone());
    });
    let told = run_ranks(&graph, &wrong)
        .expect_err("rank 0 is not 1")
        .to_string();
    assert!(
        told.contains("`rank` of rank 0 is 1") && told.contains("it is 0"),
        "{told}"
    );
}
