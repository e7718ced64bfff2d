//! A number over time, in as many columns as a picture has: its size does not grow with the recording.

use rust_decimal::Decimal;

/// Columns of a picture: a line looks no better with more.
pub const COLUMNS: usize = 600;

/// What one column saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// First, least, greatest and last; `None` when nothing was known.
    pub seen: Option<[Decimal; 4]>,
    /// At some moment of it the number was not known.
    pub is_broken: bool,
}

/// A number over time.
#[derive(Clone, Debug)]
pub struct Series {
    began: i64,
    length: i64,
    columns: Vec<Column>,
}

impl Series {
    /// Between two moments, Unix ms.
    pub fn new((began, ended): (i64, i64)) -> Series {
        Series {
            began,
            length: ended.saturating_sub(began).max(1),
            columns: vec![Column::default(); COLUMNS],
        }
    }

    /// Adds what the number is at a moment; `None` when it is not known, which is a gap and no zero.
    pub fn add(&mut self, at: i64, value: Option<Decimal>) {
        let column = column_of(at.saturating_sub(self.began), self.length);
        let Some(column) = self.columns.get_mut(column) else {
            return;
        };
        match (value, &mut column.seen) {
            (None, _) => column.is_broken = true,
            (Some(value), None) => column.seen = Some([value; 4]),
            (Some(value), Some([_, least, greatest, last])) => {
                *least = value.min(*least);
                *greatest = value.max(*greatest);
                *last = value;
            }
        }
    }

    /// The columns in their order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The least and the greatest of all.
    pub fn range(&self) -> Option<(Decimal, Decimal)> {
        let seen = self.columns.iter().filter_map(|column| column.seen);
        seen.map(|[_, least, greatest, _]| (least, greatest))
            .reduce(|(a, b), (c, d)| (a.min(c), b.max(d)))
    }

    /// The last known value.
    pub fn last(&self) -> Option<Decimal> {
        let last = self.columns.iter().rev().find_map(|column| column.seen);
        last.map(|[_, _, _, last]| last)
    }
}

fn column_of(past: i64, length: i64) -> usize {
    let columns = i128::try_from(COLUMNS).unwrap_or(1);
    let column = i128::from(past.max(0)) * (columns - 1) / i128::from(length);
    usize::try_from(column).unwrap_or(0).min(COLUMNS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_keeps_every_extreme_in_a_bounded_size_and_gaps_stay_gaps() {
        let mut series = Series::new((1_000, 1_001_000));
        for n in 0..=1_000_000_i64 {
            let spike = if n == 777_777 { 9_000 } else { n % 7 };
            series.add(1_000 + n, (n < 900_000).then(|| Decimal::from(spike)));
        }
        assert_eq!(series.columns().len(), COLUMNS);
        assert_eq!(series.range(), Some((Decimal::ZERO, Decimal::from(9_000))));
        let last = series.columns().last().unwrap();
        assert_eq!((last.seen, last.is_broken), (None, true), "unknown is not zero");
        // What lies outside of the time is counted at its border, and nothing is lost or panics.
        series.add(i64::MIN, Some(Decimal::from(-5)));
        series.add(i64::MAX, Some(Decimal::from(-6)));
        assert_eq!(series.range().unwrap().0, Decimal::from(-6));
    }
}
