//! `--shock` and `--withdraw`: what is supposed, as it is written.

use crate::guard::preview::Move;
use crate::model::{Money, Ratio, Symbol, exact};
use rust_decimal::Decimal;

/// Largest move upwards, as a fraction: a hundredfold is no scenario, it is a slip.
const UP_MAX: Decimal = Decimal::ONE_HUNDRED;

/// `BTCUSDT=-8%` or `*=5%`.
///
/// # Errors
///
/// What to write instead.
pub(super) fn read_move(text: &str) -> Result<Move, String> {
    let how = "write SYMBOL=PERCENT, such as BTCUSDT=-8% or '*=5%'";
    let (name, percent) = text.split_once('=').ok_or(how)?;
    let symbol = match name {
        "*" => None,
        name if name.contains('*') => return Err(format!("`*` stands alone, for every contract; {how}")),
        name => Some(Symbol::new(name).map_err(|error| format!("{error}; {how}"))?),
    };
    let number = percent
        .strip_suffix('%')
        .ok_or_else(|| format!("`{percent}` is no percentage; {how}"))?;
    let by = exact(number.strip_prefix('+').unwrap_or(number))
        .map_err(|error| format!("{error}; {how}"))?
        .checked_div(Decimal::ONE_HUNDRED)
        .filter(|by| *by > Decimal::NEGATIVE_ONE && *by <= UP_MAX)
        .and_then(|by| Ratio::new(by).ok())
        .ok_or_else(|| {
            format!("{percent} is no move of a price; write more than -100% and at most 10000%")
        })?;
    Ok(Move { symbol, by })
}

/// `3000`, in the account's currency.
///
/// # Errors
///
/// What to write instead.
pub(super) fn read_money(text: &str) -> Result<Money, String> {
    let how = format!("write money in {}, such as 3000", crate::book::CURRENCY);
    let money: Money = text.parse().map_err(|error| format!("{error}; {how}"))?;
    if money.is_positive() {
        Ok(money)
    } else {
        Err(format!("it must be above zero; {how}"))
    }
}

/// Two moves of the same thing would leave open which one counts.
///
/// # Errors
///
/// Which one, and what to write.
pub(super) fn told_once(moves: &[Move]) -> Result<(), String> {
    for (index, one) in moves.iter().enumerate() {
        if moves
            .iter()
            .skip(index.saturating_add(1))
            .any(|other| other.symbol == one.symbol)
        {
            let name = one.symbol.as_ref().map_or("*", Symbol::as_str);
            return Err(format!("--shock {name} is there twice; write one move for it"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_is_read_exactly_or_its_error_says_what_to_write() {
        for (text, expected) in [
            ("BTCUSDT=-8%", "Some(BTCUSDT) -0.08"),
            ("*=+5%", "None 0.05"),
            ("测试USDT=0.125%", "Some(测试USDT) 0.00125"),
            ("BTCUSDT=-99.99%", "Some(BTCUSDT) -0.9999"),
            ("BTCUSDT=-100%", "more than -100%"),
            ("BTCUSDT=10001%", "at most 10000%"),
            ("BTCUSDT=-8", "no percentage; write SYMBOL=PERCENT"),
            ("BTCUSDT", "write SYMBOL=PERCENT"),
            ("=-8%", "write SYMBOL=PERCENT"),
            ("BTC*=-8%", "stands alone"),
            ("BTCUSDT=x%", "not a decimal number; write"),
        ] {
            let read = match read_move(text) {
                Ok(read) => {
                    let symbol = read.symbol.map(|symbol| symbol.to_string());
                    format!("{} {}", format!("{symbol:?}").replace('"', ""), read.by)
                }
                Err(error) => error,
            };
            assert!(read.contains(expected), "{text}: {read}");
        }
    }

    #[test]
    fn a_withdrawal_is_money_above_zero() {
        assert_eq!(read_money("3000.5").unwrap().to_string(), "3000.5");
        for text in ["0", "-5", "5%", "", "1e99"] {
            assert!(read_money(text).unwrap_err().contains("such as 3000"), "{text}");
        }
    }

    #[test]
    fn nothing_is_moved_twice() {
        let moves =
            |texts: &[&str]| -> Vec<Move> { texts.iter().map(|text| read_move(text).unwrap()).collect() };
        assert!(told_once(&moves(&["*=-5%", "BTCUSDT=-8%", "ETHUSDT=-8%"])).is_ok());
        for (twice, name) in [
            (["*=-5%", "*=5%"], "*"),
            (["BTCUSDT=-5%", "BTCUSDT=-5%"], "BTCUSDT"),
        ] {
            assert!(told_once(&moves(&twice)).unwrap_err().contains(name));
        }
    }
}
