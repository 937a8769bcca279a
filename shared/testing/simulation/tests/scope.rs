//! A part of the small scope that the binary searches whole.

use towline_simulation::scope::search;

#[test]
fn the_first_states_of_the_small_scope_violate_nothing() {
    let scope = search(60_000);
    println!("{scope}");
    assert!(scope.violation.is_none(), "{scope}");
    assert!(scope.rests > 0, "{scope}");
}
