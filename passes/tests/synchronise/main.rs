//! Flags of hand-built and of random kernels, checked run by run by a checker of its own.

mod build;
mod checker;
mod kernels;
mod mutate;
mod random;
mod ranks;

use build::text;
use mutate::mutants;
use random::{Choices, random};
use std::sync::LazyLock;
use tilewright_ir::kernel::Kernel;
use tilewright_ir::machine::Machine;
use tilewright_passes::kernel::synchronise::{
    SynchroniseError, check_event_ids, synchronise, synchronise_with_notes,
};

/// What flags are for.
static A3: LazyLock<Machine> = LazyLock::new(|| Machine::builtin("A3").unwrap());

/// Checks a few runs, which differ in the outcome of conditions.
fn holds(kernel: &Kernel) -> Result<(), String> {
    (0..4).try_for_each(|seed| {
        let mut choices = Choices::new(seed);
        checker::check(kernel, &mut || choices.below(2) == 0)
    })
}

/// Synchronises, checks and compares.
fn expect(kernel: &Kernel, expected: &str) {
    let done = synchronise_with_notes(kernel, &A3.geometry).unwrap();
    assert_eq!(done.notes, [""; 0]);
    assert_eq!(holds(&done.kernel), Ok(()));
    let lines: Vec<_> = expected
        .lines()
        .map(|l| l.strip_prefix("        ").unwrap_or(l))
        .collect();
    assert_eq!(text(&done.kernel).trim_end(), lines.join("\n").trim());
    // What the pass inserted does not disturb it.
    assert_eq!(
        synchronise(&done.kernel, &A3.geometry).unwrap(),
        done.kernel
    );
}

#[test]
fn one_slot() {
    expect(
        &kernels::vector_loop(1),
        "
        set V->MTE2 0
        set MTE3->V 1
        for i in 0..8
          wait V->MTE2 0
          MTE2: x <-
          set MTE2->V 0
          wait MTE2->V 0
          wait MTE3->V 1
          V: y <- x
          set V->MTE3 0
          set V->MTE2 0
          wait V->MTE3 0
          MTE3:  <- y
          set MTE3->V 1
        wait V->MTE2 0
        wait MTE3->V 1
        ",
    );
}

#[test]
fn two_slots() {
    expect(
        &kernels::vector_loop(2),
        "
        set V->MTE2 0
        set V->MTE2 1
        set MTE3->V 2
        set MTE3->V 3
        for i in 0..8
          wait V->MTE2 0+i%2
          MTE2: x <-
          set MTE2->V 0+i%2
          wait MTE2->V 0+i%2
          wait MTE3->V 2+i%2
          V: y <- x
          set V->MTE3 0+i%2
          set V->MTE2 0+i%2
          wait V->MTE3 0+i%2
          MTE3:  <- y
          set MTE3->V 2+i%2
        wait V->MTE2 0
        wait V->MTE2 1
        wait MTE3->V 2
        wait MTE3->V 3
        ",
    );
}

#[test]
fn three_slots() {
    expect(
        &kernels::vector_loop(3),
        "
        set V->MTE2 0
        set V->MTE2 1
        set V->MTE2 2
        set MTE3->V 3
        set MTE3->V 4
        set MTE3->V 5
        for i in 0..8
          wait V->MTE2 0+i%3
          MTE2: x <-
          set MTE2->V 0+i%3
          wait MTE2->V 0+i%3
          wait MTE3->V 3+i%3
          V: y <- x
          set V->MTE3 0+i%3
          set V->MTE2 0+i%3
          wait V->MTE3 0+i%3
          MTE3:  <- y
          set MTE3->V 3+i%3
        wait V->MTE2 0
        wait V->MTE2 1
        wait V->MTE2 2
        wait MTE3->V 3
        wait MTE3->V 4
        wait MTE3->V 5
        ",
    );
}

/// The moves of an iteration run beside the product of the one before and the loads of the next one; the store waits
/// for the last product only.
#[test]
fn cube_loop() {
    expect(
        &kernels::cube_loop(),
        "
        set M->MTE1 4
        set M->MTE1 5
        set MTE1->MTE2 0
        set MTE1->MTE2 1
        for k in 0..6
          wait MTE1->MTE2 0+k%2
          MTE2: a1 <-
          set MTE2->MTE1 0+k%2
          MTE2: b1 <-
          set MTE2->MTE1 2+k%2
          wait MTE2->MTE1 0+k%2
          wait M->MTE1 4+k%2
          MTE1: a0 <- a1
          wait MTE2->MTE1 2+k%2
          MTE1: b0 <- b1
          set MTE1->M 0+k%2
          set MTE1->MTE2 0+k%2
          wait MTE1->M 0+k%2
          barrier M
          if
            M: c <- a0 b0
          else
            M: c <- a0 b0 c
          set M->MTE1 4+k%2
        set M->FIX 0
        wait M->FIX 0
        FIX:  <- c
        wait M->MTE1 4
        wait M->MTE1 5
        wait MTE1->MTE2 0
        wait MTE1->MTE2 1
        ",
    );
}

/// Both loops use the tokens of one class. `z` overlays `x`, so its first load waits for the first loop's last reader.
#[test]
fn two_phases() {
    expect(
        &kernels::two_phases(),
        "
        set V->MTE2 1
        set V->MTE2 2
        set MTE3->V 2
        set MTE3->V 3
        MTE2: sum <-
        for i in 0..4
          wait V->MTE2 1+i%2
          MTE2: x <-
          set MTE2->V 0+i%2
          wait MTE2->V 0+i%2
          barrier V
          V: sum <- sum x
          set V->MTE2 1+i%2
        set V->MTE2 0
        barrier V
        V: sum <- sum
        wait V->MTE2 0
        barrier V
        for j in 0..4
          wait V->MTE2 1+j%2
          MTE2: z <-
          set MTE2->V 0+j%2
          wait MTE2->V 0+j%2
          wait MTE3->V 2+j%2
          V: y <- z sum
          set V->MTE3 0+j%2
          set V->MTE2 1+j%2
          wait V->MTE3 0+j%2
          MTE3:  <- y
          set MTE3->V 2+j%2
        wait V->MTE2 1
        wait V->MTE2 2
        wait MTE3->V 2
        wait MTE3->V 3
        ",
    );
}

/// The tokens are primed once: the loads of a row start while the last row is still being worked on.
#[test]
fn rows_around_columns() {
    expect(
        &kernels::rows(),
        "
        set V->MTE2 0
        set V->MTE2 1
        set MTE3->V 2
        set MTE3->V 3
        for row in 0..3
          barrier V
          V: sum <-
          for i in 0..5
            wait V->MTE2 0+i%2
            MTE2: x <-
            set MTE2->V 0+i%2
            wait MTE2->V 0+i%2
            barrier V
            V: sum <- sum x
            set V->MTE2 0+i%2
          barrier V
          for j in 0..5
            wait V->MTE2 0+j%2
            MTE2: z <-
            set MTE2->V 0+j%2
            wait MTE2->V 0+j%2
            wait MTE3->V 2+j%2
            V: y <- z sum
            set V->MTE3 0+j%2
            set V->MTE2 0+j%2
            wait V->MTE3 0+j%2
            MTE3:  <- y
            set MTE3->V 2+j%2
        wait V->MTE2 0
        wait V->MTE2 1
        wait MTE3->V 2
        wait MTE3->V 3
        ",
    );
}

/// A pipeline in a conditional has its tokens inside: they stay as they are when it is left out.
#[test]
fn pipeline_in_a_conditional() {
    expect(
        &kernels::conditional(),
        "
        set V->MTE2 0
        set V->MTE2 1
        set MTE3->V 2
        set MTE3->V 3
        for i in 0..8
          if
            wait V->MTE2 0+i%2
            MTE2: x <-
            set MTE2->V 0+i%2
            wait MTE2->V 0+i%2
            wait MTE3->V 2+i%2
            V: y <- x
            set V->MTE3 0+i%2
            set V->MTE2 0+i%2
            wait V->MTE3 0+i%2
            MTE3:  <- y
            set MTE3->V 2+i%2
          else
        wait V->MTE2 0
        wait V->MTE2 1
        wait MTE3->V 2
        wait MTE3->V 3
        ",
    );
}

/// Ten loaded tiles of two slots in one loop: more ids than there are.
#[test]
fn short_of_ids() {
    let kernel = kernels::many_loads(10);
    let done = synchronise_with_notes(&kernel, &A3.geometry).unwrap();
    assert_eq!(holds(&done.kernel), Ok(()));
    assert_eq!(
        done.notes,
        ["more than 8 event ids from MTE2 to V: neighbouring flags are merged"]
    );
}

/// Branches have ids of their own, so a loop beside them rotates through as many as are left; where branches alone have too many,
/// who asks beforehand is told.
#[test]
fn a_loop_leaves_ids_to_branches() {
    let kernel = kernels::branches_and_a_loop(5);
    let done = synchronise_with_notes(&kernel, &A3.geometry).unwrap();
    assert_eq!(holds(&done.kernel), Ok(()));
    let fewer = |n: &String| n.contains("rotate through 2 ids at most");
    assert!(done.notes.iter().any(fewer), "{:?}", done.notes);
    assert_eq!(check_event_ids(&kernel, &A3.geometry), Ok(()));
    let kernel = kernels::branches_and_a_loop(9);
    let short = check_event_ids(&kernel, &A3.geometry);
    assert!(
        matches!(short, Err(SynchroniseError::EventIds { .. })),
        "{short:?}"
    );
    assert_eq!(synchronise(&kernel, &A3.geometry).map(|_| ()), short);
}

/// More slots than ids: flags rotate through all ids that there are, which no note complains of, since the loop still runs
/// ahead by as many iterations.
#[test]
fn more_slots_than_ids() {
    for trips in [8, 20] {
        let done =
            synchronise_with_notes(&kernels::vector_loop_of(9, trips), &A3.geometry).unwrap();
        assert_eq!(holds(&done.kernel), Ok(()));
        assert_eq!(done.notes, [""; 0]);
        let text = text(&done.kernel);
        for flag in ["set MTE2->V 0+i%8", "wait V->MTE2 0+i%8"] {
            assert!(text.contains(flag), "{text}");
        }
    }
}

/// Many loads, each used before the next: more flags than ids, of which some are in flight at a time.
#[test]
fn loads_run_ahead_by_as_many_as_there_are_ids() {
    let kernel = kernels::loads_and_uses(20);
    let done = synchronise_with_notes(&kernel, &A3.geometry).unwrap();
    assert_eq!(holds(&done.kernel), Ok(()));
    assert_eq!(
        done.notes,
        [
            "more than 8 event ids from MTE2 to V: neighbouring flags are merged, 6 are in flight at most"
        ]
    );
    let text = text(&done.kernel);
    let before_first_answer = text.split("wait V->MTE2").next().unwrap();
    assert_eq!(before_first_answer.matches("MTE2: x").count(), 7, "{text}");
}

#[test]
fn a_tile_without_an_address() {
    let mut kernel = kernels::vector_loop(2);
    kernel.tiles[1].addrs.clear();
    let error = synchronise(&kernel, &A3.geometry).unwrap_err();
    assert_eq!(error.to_string(), "kernel `k`: tile `y` has no addresses");
}

#[test]
fn random_kernels_are_safe() {
    let mut short = 0;
    for seed in 0..3000 {
        let kernel = random(seed, 1 + seed as usize % 4, seed % 2 == 0);
        match synchronise_with_notes(&kernel, &A3.geometry) {
            Ok(done) => {
                if let Err(why) = holds(&done.kernel) {
                    panic!("seed {seed}: {why}\n{}", text(&done.kernel));
                }
            }
            Err(SynchroniseError::EventIds { .. }) => short += 1,
            Err(e) => panic!("seed {seed}: {e}\n{}", text(&kernel)),
        }
    }
    assert_eq!(short, 0);
}

/// Every flag and every barrier is needed, but for those that tokens shared between loops make up for, by the parity of
/// the trips: the pass does not count on that.
#[test]
fn nothing_is_superfluous() {
    let extra: Vec<_> = kernels::all()
        .iter()
        .map(|k| {
            let done = synchronise(k, &A3.geometry).unwrap();
            let idle = mutants(&done).into_iter().filter(|m| holds(&m.1).is_ok());
            idle.map(|m| m.0).collect::<Vec<_>>()
        })
        .collect();
    let none: Vec<String> = vec![];
    assert_eq!(
        extra,
        [
            none.clone(),
            none.clone(),
            none.clone(),
            none,
            vec!["V->MTE2 0".to_string()],
            vec!["barrier V at 10".to_string()],
        ]
    );
}

/// Straight-line kernels have nothing superfluous; kernels with loops have little: where two loops touch the same rows
/// or slots in some iterations only, or a loop has fewer trips than slots.
#[test]
fn little_is_superfluous_in_random_kernels() {
    let count = |nesting| {
        let (mut all, mut extra) = (0, 0);
        for seed in 0..1000 {
            let Ok(done) = synchronise(&random(seed, nesting, false), &A3.geometry) else {
                continue;
            };
            let mutants = mutants(&done);
            all += mutants.len();
            extra += mutants.iter().filter(|m| holds(&m.1).is_ok()).count();
        }
        (all, extra)
    };
    let (all, extra) = count(0);
    assert!(all > 1000);
    assert_eq!(extra, 0);
    let (all, extra) = count(1);
    assert!(extra * 100 <= all * 4, "{extra} of {all}");
}
