//! Words for what has not happened: a look at the account after a shock.

use super::super::said::look;
use super::Stage;
use backstop::guard::preview::{Move, Shock};

impl Stage {
    /// `if MONEY MOVE… look WHAT`: what a person would be shown after a withdrawal (0 is none) and moves of marks such as
    /// `ALTUSDT=-0.08` or `*=0.05`. The guard itself stays as it is.
    pub(super) fn suppose(&self, withdrawal: &str, moves: &[&str], what: &str) -> Vec<String> {
        let moves = moves.iter().map(|it| {
            let (symbol, by) = it.split_once('=').unwrap();
            Move {
                symbol: (symbol != "*").then(|| symbol.parse().unwrap()),
                by: by.parse().unwrap(),
            }
        });
        let shock = Shock {
            withdrawal: withdrawal.parse().unwrap(),
            moves: moves.collect(),
        };
        let before = format!("{:?}", self.guard);
        let shown = match self.guard.shocked(&shock) {
            Ok(then) => look(&then.preview(self.now), what),
            Err(refused) => vec![format!("refused: {refused}")],
        };
        assert_eq!(format!("{:?}", self.guard), before, "a look changes nothing");
        shown
    }
}
