//! Nobody stands alone: what a recipient gets of all quasi-identifiers together is shared by at least k persons, and
//! what is counted is told of groups of at least k (PSE-05, PSE-17).
//!
//! A [`Census`] counts, for one recipient and purpose, how many permitted persons share each combination of served
//! values. [`Crowds`] is what follows from it: which of the values of a combination may be told. It always covers all
//! quasi-identifiers of the contract, whatever one ask names: answers to several asks put together tell no more.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use super::gather::{Gathering, open_permitted};
use super::minimise::Served;
use crate::attribute::{AttributeName, LIFECYCLE_STAGES, ServedForm};
use crate::decision::{Ask, Decision, decide};
use crate::id::PullId;
use crate::policy::{RecipientRule, ValidPolicy};
use crate::purpose::Purpose;
use crate::seal::{Keyring, OpenError, SealedSubject, SubjectKey};
use crate::time::Timestamp;

/// The most attributes that are counted together.
pub const MAX_TOGETHER: usize = 8;

/// The quasi-identifiers that a recipient may have for a purpose, the least dispensable first, as its contract lists
/// them.
#[must_use]
pub fn quasi_identifiers(
    policy: &ValidPolicy,
    recipient: &RecipientRule,
    purpose: &Purpose,
) -> Vec<AttributeName> {
    let is_quasi = |name: &&AttributeName| {
        policy.attribute(name).is_some_and(|rule| {
            rule.quasi_identifier && rule.k > 1 && rule.served.is_some() && rule.purposes.contains(purpose)
        })
    };
    recipient.attributes.iter().filter(is_quasi).take(MAX_TOGETHER).cloned().collect()
}

/// One combination: 16 bits an attribute, 0 for no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Combination(u128);

impl Combination {
    fn of(cells: impl Iterator<Item = u16>) -> Self {
        let place = |(at, code): (usize, u16)| u128::from(code) << (16 * at);
        Self(cells.take(MAX_TOGETHER).enumerate().map(place).fold(0, |all, one| all | one))
    }

    /// The sixteen bits of one attribute.
    const fn code(self, at: usize) -> u16 {
        (self.0 >> (16 * at)) as u16
    }

    const fn without(self, at: usize) -> Self {
        Self(self.0 & !(0xffff << (16 * at)))
    }
}

/// A served value as it is counted; 0: none.
const fn code_of(served: &Served) -> u16 {
    match served {
        Served::Code(code) => code.saturating_add(1),
        Served::Score(score) => *score as u16 + 1,
        Served::Flag(flag) => *flag as u16 + 1,
        // Not counted in groups: the policy's check sees to it.
        Served::Null | Served::Codes(_) | Served::Text(_) => 0,
    }
}

/// A count in the making. What it gathers never leaves: it ends in numbers.
#[derive(Debug)]
pub struct Census<'a>(Gathering<'a>);

impl<'a> Census<'a> {
    /// Begins to count those who are permitted for an ask.
    #[must_use]
    pub fn new(policy: &'a ValidPolicy, keyring: &'a Keyring, ask: &'a Ask, now: Timestamp) -> Self {
        let mut gathering = Gathering::new(policy, keyring, ask, (PullId::from_bytes([0; 16]), 0), now);
        gathering.guard = Guard::open();
        Self(gathering)
    }

    /// Decides about one stored person and, if permitted, counts them.
    pub fn consider(&mut self, sealed: &SealedSubject<'_>) {
        self.0.consider(sealed, 0);
    }

    /// The numbers.
    #[must_use]
    pub fn tally(self) -> Tally {
        let width = self.0.served.len();
        let mut tally = Tally { persons: self.0.rows.len() as u64, combinations: HashMap::new() };
        for row in 0..self.0.rows.len() {
            let cells = self.0.cells.get(row * width..(row + 1) * width).unwrap_or_default();
            let combination = Combination::of(cells.iter().map(code_of));
            *tally.combinations.entry(combination).or_default() += 1;
        }
        tally
    }
}

/// How many persons share each combination of values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    persons: u64,
    combinations: HashMap<Combination, u64>,
}

impl Tally {
    /// Adds the numbers of others.
    pub fn add(&mut self, other: &Self) {
        self.persons += other.persons;
        for (combination, count) in &other.combinations {
            *self.combinations.entry(*combination).or_default() += count;
        }
    }

    /// How many persons were counted.
    #[must_use]
    pub const fn persons(&self) -> u64 {
        self.persons
    }
}

/// What may be told of which combination.
pub struct Crowds {
    ask: Ask,
    /// For each combination that was counted, the bits of the attributes that may be told.
    told: HashMap<Combination, u8>,
}

impl fmt::Debug for Crowds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crowds").field("combinations", &self.told.len()).finish_non_exhaustive()
    }
}

impl Crowds {
    /// What follows from a count of the ask's attributes.
    ///
    /// A combination that fewer than k persons share loses its last value and is counted with those who have no such
    /// value, and so on until there are enough of them.
    #[must_use]
    pub fn of(ask: Ask, tally: &Tally) -> Self {
        let rules = ask.plan.attributes.iter().filter_map(|asked| asked.rule.as_ref());
        let k = rules.map(|rule| u64::from(rule.k)).max().unwrap_or(1);
        let width = ask.plan.attributes.len().min(MAX_TOGETHER);
        let mut groups: BTreeMap<Combination, (u64, Vec<Combination>)> = tally
            .combinations
            .iter()
            .map(|(combination, count)| (*combination, (*count, vec![*combination])))
            .collect();
        let values = |of: Combination| (0..width).filter(move |at| of.code(*at) != 0);
        for most in (1..=width).rev() {
            let small: Vec<_> = groups
                .iter()
                .filter(|(of, (count, _))| *count < k && values(**of).count() == most)
                .map(|(of, _)| *of)
                .collect();
            for group in small {
                let (Some(last), Some((count, members))) = (values(group).next_back(), groups.remove(&group))
                else {
                    continue;
                };
                let wider = groups.entry(group.without(last)).or_default();
                wider.0 += count;
                wider.1.extend(members);
            }
        }
        let told = groups
            .iter()
            .flat_map(|(group, (_, members))| {
                let bits = values(*group).fold(0_u8, |bits, at| bits | 1 << at);
                members.iter().map(move |member| (*member, bits))
            })
            .collect();
        Self { ask, told }
    }

    /// The bits of what may be told of a combination. One that was not counted has nobody to hide among.
    fn told(&self, combination: Combination) -> u8 {
        self.told.get(&combination).copied().unwrap_or_default()
    }
}

/// What keeps a page from singling persons out.
#[derive(Debug)]
pub(super) struct Guard {
    /// The columns of quasi-identifiers, each with its place among all of the contract.
    columns: Vec<(usize, Option<usize>)>,
    /// Whether the page has a column for every one of them.
    is_whole: bool,
    crowds: Option<Arc<Crowds>>,
}

impl Guard {
    /// The guard of an ask: until it knows the crowds, no quasi-identifier passes.
    pub(super) fn of(ask: &Ask, served: &[usize]) -> Self {
        let is_quasi = |at: &usize| {
            let rule = ask.plan.attributes.get(*at).and_then(|asked| asked.rule.as_ref());
            rule.is_some_and(|rule| rule.quasi_identifier && rule.k > 1)
        };
        let columns = served.iter().enumerate().filter(|(_, at)| is_quasi(at)).map(|(slot, _)| (slot, None));
        Self { columns: columns.collect(), is_whole: false, crowds: None }
    }

    const fn open() -> Self {
        Self { columns: Vec::new(), is_whole: false, crowds: None }
    }

    /// Lets pass what the crowds allow. Crowds of another ask allow nothing.
    pub(super) fn know(&mut self, crowds: Arc<Crowds>, ask: &Ask, served: &[usize]) {
        let (known, asked) = (&crowds.ask.plan, &ask.plan);
        if known.policy != asked.policy || known.recipient != asked.recipient || known.purpose != asked.purpose {
            return;
        }
        for (slot, place) in &mut self.columns {
            let name = served.get(*slot).and_then(|at| asked.attributes.get(*at)).map(|one| &one.name);
            *place = known.attributes.iter().position(|one| Some(&one.name) == name);
        }
        self.is_whole =
            (0..known.attributes.len()).all(|at| self.columns.iter().any(|(_, place)| *place == Some(at)));
        self.crowds = Some(crowds);
    }

    /// Takes out of a row what would single the person out.
    ///
    /// # Errors
    /// When the person's other quasi-identifiers do not open.
    pub(super) fn hide(
        &self,
        policy: &ValidPolicy,
        key: &SubjectKey,
        sealed: &SealedSubject<'_>,
        (row, now): (&mut [Served], Timestamp),
    ) -> Result<(), OpenError> {
        if self.columns.is_empty() {
            return Ok(());
        }
        let told = match &self.crowds {
            None => 0,
            Some(crowds) if self.is_whole => {
                let slot_of =
                    |at| self.columns.iter().find(|(_, place)| *place == Some(at)).map(|(slot, _)| *slot);
                let cells = (0..crowds.ask.plan.attributes.len())
                    .map(|at| slot_of(at).and_then(|slot| row.get(slot)).map_or(0, code_of));
                crowds.told(Combination::of(cells))
            }
            Some(crowds) => crowds.told(combination_of(policy, crowds, key, sealed, now)?),
        };
        for (slot, place) in &self.columns {
            let is_told = place.is_some_and(|place| told >> place & 1 == 1);
            if let Some(cell) = row.get_mut(*slot).filter(|_| !is_told) {
                *cell = Served::Null;
            }
        }
        Ok(())
    }
}

/// A person's whole combination, by a permit of its own: of it, nothing but the answer of [`Crowds`] is used.
fn combination_of(
    policy: &ValidPolicy,
    crowds: &Crowds,
    key: &SubjectKey,
    sealed: &SealedSubject<'_>,
    now: Timestamp,
) -> Result<Combination, OpenError> {
    let standing = key.open_standing(sealed.standing)?;
    let Decision::Permit(permit) = decide(policy, &standing, &crowds.ask, now) else { return Ok(Combination(0)) };
    let columns: Vec<usize> = (0..crowds.ask.plan.attributes.len()).collect();
    let mut cells = vec![Served::Null; columns.len()];
    open_permitted(&permit, key, sealed, (&columns, &mut cells))?;
    Ok(Combination::of(cells.iter().map(code_of)))
}

/// A group of persons who share their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What they share, an attribute each; `None`: no value that may be told.
    pub values: Vec<(AttributeName, Option<GroupValue>)>,
    /// About how many they are.
    pub persons: u64,
}

/// A value that a group shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupValue {
    /// A label of a closed list.
    Label(Arc<str>),
    /// A score.
    Score(u16),
    /// Yes or no.
    Flag(bool),
}

/// What may be told of a count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// About how many persons were counted; `None`: too few to tell.
    pub persons: Option<u64>,
    /// The groups that are large enough.
    pub groups: Vec<Group>,
    /// How many groups are not told.
    pub withheld: u64,
}

/// What numbers are rounded to.
pub const ROUNDED_TO: u64 = 5;

const fn rounded(number: u64) -> u64 {
    (number + ROUNDED_TO / 2) / ROUNDED_TO * ROUNDED_TO
}

impl Tally {
    /// What may be told: groups of at least `least` persons, in rounded numbers. When what is left out would be found by
    /// subtraction, the smallest of the other groups is left out with it.
    #[must_use]
    pub fn statistics(&self, ask: &Ask, least: u64) -> Statistics {
        let mut groups: Vec<_> = self.combinations.iter().map(|(of, count)| (*count, *of)).collect();
        groups.sort_unstable_by(|a, b| b.cmp(a));
        let mut told = groups.partition_point(|(count, _)| *count >= least);
        let left: u64 = groups.iter().skip(told).map(|(count, _)| count).sum();
        if told > 0 && (1..least).contains(&left) {
            told -= 1;
        }
        let withheld = groups.len().saturating_sub(told) as u64;
        groups.truncate(told);
        groups.sort_unstable_by_key(|(_, of)| *of);
        let groups = groups
            .into_iter()
            .map(|(count, of)| Group {
                values: ask
                    .plan
                    .attributes
                    .iter()
                    .enumerate()
                    .map(|(at, asked)| {
                        let form = asked.rule.as_ref().and_then(|rule| rule.served.as_ref());
                        (asked.name.clone(), form.and_then(|form| value_of(form, of.code(at))))
                    })
                    .collect(),
                persons: rounded(count),
            })
            .collect();
        Statistics { persons: (self.persons >= least).then(|| rounded(self.persons)), groups, withheld }
    }
}

fn value_of(form: &ServedForm, code: u16) -> Option<GroupValue> {
    let code = code.checked_sub(1)?;
    match form {
        ServedForm::Band { labels, .. } | ServedForm::Prefix { labels, .. } | ServedForm::OneOf { labels } => {
            labels.get(usize::from(code)).map(|label| GroupValue::Label(Arc::clone(label)))
        }
        ServedForm::Lifecycle { .. } => {
            LIFECYCLE_STAGES.get(usize::from(code)).map(|stage| GroupValue::Label((*stage).into()))
        }
        ServedForm::Score { .. } => Some(GroupValue::Score(code)),
        ServedForm::Flag => Some(GroupValue::Flag(code == 1)),
        ServedForm::ManyOf { .. } | ServedForm::Plain => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::policy::validate::tests::shipped;
    use proptest::prelude::*;

    /// Age band, region and household band, in this order, of at least ten.
    fn ask() -> Ask {
        let policy = ValidPolicy::from_sources(&shipped()).unwrap();
        let recipient = policy.recipient(&"segmentation".parse().unwrap()).unwrap().clone();
        let purpose: Purpose = "profiling_segmentation".parse().unwrap();
        let names = quasi_identifiers(&policy, &recipient, &purpose);
        assert_eq!(
            names.iter().map(AttributeName::as_str).collect::<Vec<_>>(),
            ["age_band", "region", "household_band"]
        );
        Ask::new(&policy, recipient.id.clone(), purpose, names)
    }

    fn tally(of: &[([u16; 3], u64)]) -> Tally {
        let mut tally = Tally::default();
        for (codes, count) in of {
            tally.persons += count;
            *tally.combinations.entry(Combination::of(codes.iter().copied())).or_default() += count;
        }
        tally
    }

    fn told(crowds: &Crowds, codes: [u16; 3]) -> [u16; 3] {
        let of = Combination::of(codes.iter().copied());
        [0, 1, 2].map(|at| if crowds.told(of) >> at & 1 == 1 { of.code(at) } else { 0 })
    }

    #[test]
    fn pse_05_a_small_group_becomes_coarser_until_it_is_large_enough() {
        let counted = tally(&[
            ([1, 1, 1], 10),
            ([1, 1, 2], 9),
            ([1, 1, 3], 1),
            ([2, 1, 1], 9),
            ([1, 2, 0], 3),
            ([1, 2, 4], 6),
        ]);
        let crowds = Crowds::of(ask(), &counted);
        assert_eq!(told(&crowds, [1, 1, 1]), [1, 1, 1]);
        // Nine and one are ten without the household.
        assert_eq!((told(&crowds, [1, 1, 2]), told(&crowds, [1, 1, 3])), ([1, 1, 0], [1, 1, 0]));
        // Nobody to hide among, and nobody who was counted.
        assert_eq!((told(&crowds, [2, 1, 1]), told(&crowds, [6, 6, 4])), ([0, 0, 0], [0, 0, 0]));
        // Three and six: not ten in their region either, and not ten of their age.
        assert_eq!((told(&crowds, [1, 2, 0]), told(&crowds, [1, 2, 4])), ([0, 0, 0], [0, 0, 0]));
    }

    proptest! {
        #[test]
        fn pse_05_what_is_told_together_is_shared_by_at_least_k(
            counted in prop::collection::vec(([0_u16..4, 0_u16..5, 0_u16..4], 1_u64..14), 0..40)
        ) {
            let crowds = Crowds::of(ask(), &tally(&counted));
            let mut groups: BTreeMap<[u16; 3], u64> = BTreeMap::new();
            for (codes, count) in &counted {
                *groups.entry(told(&crowds, *codes)).or_default() += count;
            }
            for (values, persons) in groups {
                prop_assert!(persons >= 10 || values == [0, 0, 0], "{:?} of {}", values, persons);
            }
        }
    }

    #[test]
    fn pse_17_a_group_of_k_less_one_is_suppressed_and_cannot_be_found_by_subtraction() {
        let of = |counts: &[([u16; 3], u64)]| tally(counts).statistics(&ask(), 10);
        let one_small = of(&[([1, 0, 0], 9), ([2, 0, 0], 12), ([3, 0, 0], 31)]);
        assert_eq!((one_small.persons, one_small.groups.len(), one_small.withheld), (Some(50), 1, 2));
        assert_eq!(one_small.groups[0].persons, 30);
        assert_eq!(one_small.groups[0].values[0].1, Some(GroupValue::Label("35-44".into())));
        // Two that are ten together are not found by subtraction.
        let two_small = of(&[([1, 0, 0], 9), ([2, 0, 0], 5), ([3, 0, 0], 31)]);
        assert_eq!((two_small.groups.len(), two_small.withheld), (1, 2));
        assert_eq!(of(&[([1, 0, 0], 9)]).persons, None);
    }

    #[test]
    fn pse_13_counts_that_differ_by_one_person_look_alike() {
        let of = |count| tally(&[([1, 0, 0], count)]).statistics(&ask(), 10);
        assert_eq!(of(21), of(20));
        assert_eq!(of(9), of(8));
    }
}
