//! Names that the venue or we give to things: symbols, assets, client order ids.

use std::fmt;
use std::sync::Arc;

/// Why a name was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Empty, too long, or with control characters.
    #[error("`{0}` cannot be a {1}: 1 to {2} characters, none of them a control character")]
    BadName(String, &'static str, usize),
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Accepts a name as the venue spells it, in any script.
            ///
            /// # Errors
            ///
            /// [`IdError::BadName`] when it is empty, too long or has control characters.
            pub fn new(text: &str) -> Result<$name, IdError> {
                let fine = !text.is_empty() && text.chars().count() <= $max && !text.chars().any(char::is_control);
                if fine {
                    Ok($name(text.into()))
                } else {
                    Err(IdError::BadName(text.chars().take(40).collect(), $what, $max))
                }
            }

            /// The name as the venue spells it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }
    };
}

name! {
    /// A contract's symbol, such as `BTCUSDT`; may be in any script (PA-08) and over a hundred characters long.
    Symbol, "symbol", 200
}
name! {
    /// An asset that serves as margin, such as `USDT`.
    Asset, "asset", 64
}
name! {
    /// A client order id: ours begin with `bs-`; others are whatever the venue reports.
    ClientOrderId, "client order id", 64
}

impl ClientOrderId {
    /// The prefix of every id that the guard gives.
    pub const PREFIX: &'static str = "bs-";
    /// The prefix of the stops among them; no other id of ours goes on with this letter.
    pub const STOP_PREFIX: &'static str = "bs-s";

    /// Whether this id was given by a guard.
    pub fn is_ours(&self) -> bool {
        self.0.starts_with(Self::PREFIX)
    }

    /// Whether a guard gave this id to a protective stop. The order that comes of a stop carries it too.
    pub fn is_our_stop(&self) -> bool {
        self.0.starts_with(Self::STOP_PREFIX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pa_08_symbols_of_any_script_and_length_are_names() {
        for (text, fine) in [
            ("BTCUSDT", true),
            ("测试USDT", true),
            ("BTCUSDT_260327", true),
            (&"X".repeat(150), true),
            ("", false),
            ("A\nB", false),
            (&"X".repeat(201), false),
        ] {
            assert_eq!(Symbol::new(text).is_ok(), fine, "{text}");
        }
    }
}
