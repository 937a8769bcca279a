//! A function on Lambda.

fn main() {}
