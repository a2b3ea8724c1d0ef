//! What must never compile, does not: each door of the kernel, tried from outside.

#[test]
fn the_doors_hold() {
    trybuild::TestCases::new().compile_fail("tests/doors/*.rs");
}
