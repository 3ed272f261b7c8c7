//! Does a client of a member see what the ensemble has committed, whatever happens?

use crate::sim::runner::run;

#[test]
fn one() {
    for seed in 0..20 {
        let outcome = run(seed);
        eprintln!("{seed} {outcome:?}");
    }
}
