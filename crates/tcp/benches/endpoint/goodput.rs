//! Goodput over a path that loses.

pub(crate) fn run(quick: bool) {
    let _ = quick;
}
