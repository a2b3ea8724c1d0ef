//! Real purchase histories: the CDNOW master data set, moved on in time as a whole so that it ends yesterday.
//!
//! Source and terms: `examples/data/README.md`. The set holds numbers, dates and amounts, and nobody's name.

use anyhow::{Context as _, bail};
use jiff::civil::Date;
use jiff::{Span, ToSpan as _};

const MASTER: &str = include_str!("../../examples/data/cdnow_master.txt");

/// The purchases of all customers.
pub(super) struct DataSet {
    /// One history a customer, by number.
    pub(super) histories: Vec<History>,
    /// Days by which every date was moved on.
    pub(super) moved_days: i32,
    /// The oldest purchase, as published.
    pub(super) first: Date,
    /// The newest purchase, as published.
    pub(super) last: Date,
}

/// The purchases of one customer.
pub(super) struct History {
    /// The customer's number in the data set.
    pub(super) customer: u32,
    /// The purchases, oldest first.
    pub(super) orders: Vec<Order>,
}

/// One purchase.
pub(super) struct Order {
    /// When, moved on.
    pub(super) on: Date,
    /// How much, in dollars, as published.
    pub(super) amount: &'static str,
}

impl DataSet {
    /// Reads the set, its newest purchase on `newest`, of at most `limit` customers.
    pub(super) fn ending_on(newest: Date, limit: usize) -> anyhow::Result<Self> {
        let mut rows = Vec::with_capacity(70_000);
        for line in MASTER.lines().skip(1) {
            rows.push(row(line).with_context(|| format!("not a line of the data set: `{line}`"))?);
        }
        let dates = || rows.iter().map(|(_, on, _)| *on);
        let (Some(first), Some(last)) = (dates().min(), dates().max()) else { bail!("the data set is empty") };
        let moved_days = last.until(newest)?.get_days();
        let shift: Span = moved_days.days();
        let mut histories: Vec<History> = Vec::new();
        for (customer, on, amount) in rows {
            let order = Order { on: on.checked_add(shift)?, amount };
            let known = histories.len();
            match histories.last_mut() {
                Some(history) if history.customer == customer => history.orders.push(order),
                _ if known == limit => break,
                _ => histories.push(History { customer, orders: vec![order] }),
            }
        }
        for history in &mut histories {
            history.orders.sort_by_key(|order| order.on);
        }
        Ok(Self { histories, moved_days, first, last })
    }

    /// How many purchases there are.
    pub(super) fn orders(&self) -> usize {
        self.histories.iter().map(|history| history.orders.len()).sum()
    }
}

/// Customer, date, number of CDs, dollars.
fn row(line: &'static str) -> Option<(u32, Date, &'static str)> {
    let mut words = line.split_ascii_whitespace();
    let customer = words.next()?.parse().ok()?;
    let on = Date::strptime("%Y%m%d", words.next()?).ok()?;
    let _pieces: u32 = words.next()?.parse().ok()?;
    let amount = words.next()?;
    words.next().is_none().then_some((customer, on, amount))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use jiff::civil::date;

    #[test]
    fn the_whole_set_is_there_and_ends_on_the_day_asked_for() {
        let set = DataSet::ending_on(date(2026, 11, 21), usize::MAX).unwrap();
        assert_eq!((set.histories.len(), set.orders()), (23_570, 69_659));
        assert_eq!((set.first, set.last), (date(1997, 1, 1), date(1998, 6, 30)));
        let newest = set.histories.iter().flat_map(|history| &history.orders).map(|order| order.on).max().unwrap();
        assert_eq!(newest, date(2026, 11, 21));
        let first = &set.histories[0];
        assert_eq!((first.customer, first.orders[0].amount), (1, "11.77"));
    }

    #[test]
    fn a_part_of_the_set_is_moved_by_as_much_as_the_whole() {
        let whole = DataSet::ending_on(date(2026, 11, 21), usize::MAX).unwrap();
        let part = DataSet::ending_on(date(2026, 11, 21), 10).unwrap();
        assert_eq!((part.histories.len(), part.moved_days), (10, whole.moved_days));
        assert_eq!(part.histories[9].orders[0].on, whole.histories[9].orders[0].on);
    }
}
