//! Kernel programs: their text, and what the verifier refuses.

mod build;
mod instructions;
mod program;

use build::{a3, kernel, program, ub, verify};
use miette::Diagnostic;
use tilewright_ir::dtype::DType;
use tilewright_ir::kernel::{Unit, check_capacity};

#[test]
fn the_text_of_a_program() {
    let expected = "\
program example for A3
  input x: bf16 [16, 4096]
  workspace sums: f32 [16, 1]
  output y: f32 [16, 16]
  scalar num_tokens: 0..=16

kernel squares: vector
  covers norm
  launch spmd r=2
  params T_TILE=8
  pipeline 2
  tile x: ub bf16 8 x 256 row_major slots 2 at 0x0, 0x1000
  tile f: ub f32 8 x 256 row_major
  tile tmp: ub f32 8 x 256 row_major
  tile part: ub f32 8 x 1 col_major
  tile sum: ub f32 8 x 1 col_major
  body
    for k in pipeline(16, stage=2)
      TLOAD(x[k % 2], x[8 * r, 256 * k : 8 x 256])
      set_flag(MTE2, V, 0 + k % 2)
      wait_flag(MTE2, V, 0 + k % 2)
      TCVT(f, x[k % 2], rint)
      pipe_barrier(V)
      TMUL(f, f, f)
      pipe_barrier(V)
      TROWSUM(part, f, tmp=tmp)
      pipe_barrier(V)
      if k == 0
        TMOV(sum, part)
      else
        TADD(sum, sum, part)
    TMULS(sum, sum, 0.5)
    TSTORE(sums[8 * r, 0 : 8 x 1], sum.rows(-8 * r + num_tokens))

kernel product: cube
  launch spmd
  pipeline 1
  tile a: l1 bf16 16 x 16 nz
  tile b: l1 bf16 16 x 16 zn
  tile la: l0a bf16 16 x 16 zz
  tile lb: l0b bf16 16 x 16 right
  tile acc: l0c f32 16 x 16 acc
  body
    TLOAD(a, x[0, 16 : 16 x 16])
    TLOAD(b, x[0, 0 : 16 x 16])
    TMOV(la, a)
    TMOV(lb, b)
    TMATMUL(acc, la, lb)
    TMATMUL_ACC(acc, acc, la, lb)
    TSTORE(y[0, 0 : 16 x 16], acc)
";
    assert_eq!(program().to_string(), expected);
}

#[test]
fn what_is_right_is_verified() {
    verify(&program()).unwrap();
    let machine = a3();
    for kernel in &program().kernels {
        check_capacity(kernel, &machine).unwrap();
    }
}

#[test]
fn capacity_names_need_limit_and_the_nearest_remedy() {
    let machine = a3();
    let refusal = |tiles| {
        let e = check_capacity(&kernel("k", Unit::Vector, tiles, vec![]), &machine).unwrap_err();
        (e.to_string(), e.help().unwrap().to_string())
    };
    let mut double = ub("x", DType::F32, 8, 2048);
    double.slots = 3;
    assert_eq!(
        refusal(vec![double]),
        (
            "kernel `k`, largest tile `x` (196608 bytes in 3 slots): 196608 bytes of ub are needed, but A3 has 188416".into(),
            "save 8192 bytes: give `x` 2 slots instead of 3".into()
        )
    );
    assert_eq!(
        refusal(vec![ub("x", DType::F32, 8, 6144)]).1,
        "save 8192 bytes: make `x` 8 x 3072 instead of 8 x 6144"
    );
    let mut placed = ub("x", DType::F32, 8, 8);
    placed.addrs = vec![188320];
    assert_eq!(
        refusal(vec![placed.clone()]).0,
        "kernel `k`, largest tile `x` (256 bytes in 1 slots): 188576 bytes of ub are needed, but A3 has 188416"
    );
    placed.addrs = vec![48];
    assert_eq!(
        refusal(vec![placed]),
        (
            "kernel `k`, tile `x`: address 48 is no multiple of 32, which A3 needs in ub".into(),
            "place the tile at 64, the next multiple of 32".into()
        )
    );
}
