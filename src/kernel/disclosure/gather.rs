//! Gathering a page: one permit a person, and only what it names is opened.

use std::sync::Arc;

use roaring::RoaringTreemap;

use super::Disclosure;
use super::batch::{Column, PermittedBatch};
use super::crowd::{Crowds, Guard};
use super::minimise::{Served, minimise};
use super::record::{DisclosureRecord, Whereabouts};
use crate::attribute::{LIFECYCLE_STAGES, ServedForm};
use crate::decision::{Ask, Decision, Permit, Refusal, decide};
use crate::id::PullId;
use crate::policy::ValidPolicy;
use crate::pseudonym::{Pseudonym, Pseudonymiser};
use crate::seal::{Keyring, OpenError, SealedRecord, SealedSubject, SubjectKey};
use crate::time::Timestamp;

/// A page in the making.
pub struct Gathering<'a> {
    policy: &'a ValidPolicy,
    keyring: &'a Keyring,
    ask: &'a Ask,
    pseudonymiser: Option<Pseudonymiser>,
    pull: PullId,
    page: u32,
    now: Timestamp,
    /// Indexes of the asked attributes that have a column.
    pub(super) served: Vec<usize>,
    pub(super) rows: Vec<(Pseudonym, u32)>,
    pub(super) cells: Vec<Served>,
    pub(super) guard: Guard,
    bitmap: RoaringTreemap,
    refused: Refused,
    /// Where the look-ups that were ended begin and end: rows, and who was refused until then.
    ended: Vec<(usize, Refused)>,
}

/// How many were refused, by reason.
type Refused = [u64; Refusal::CODES];

/// What came of one look-up, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How many persons may be known.
    pub persons: u64,
    /// How many may not, by reason, in code order.
    pub refused: Vec<(Refusal, u64)>,
}

impl std::fmt::Debug for Gathering<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gathering").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

impl<'a> Gathering<'a> {
    /// Begins a page of an ask.
    #[must_use]
    pub fn new(
        policy: &'a ValidPolicy,
        keyring: &'a Keyring,
        ask: &'a Ask,
        (pull, page): (PullId, u32),
        now: Timestamp,
    ) -> Self {
        let plan = &ask.plan;
        let pseudonymiser = plan
            .recipient_rule
            .as_ref()
            .map(|rule| keyring.pseudonymiser(&plan.recipient, &plan.purpose, rule.epochs.at(now)));
        let minimised: Vec<_> = ask.minimised().collect();
        let served: Vec<usize> = plan
            .attributes
            .iter()
            .enumerate()
            .filter(|(_, asked)| !minimised.contains(&&asked.name))
            .map(|(at, _)| at)
            .collect();
        Self {
            policy,
            keyring,
            ask,
            pseudonymiser,
            pull,
            page,
            now,
            guard: Guard::of(ask, &served),
            served,
            rows: Vec::new(),
            cells: Vec::new(),
            bitmap: RoaringTreemap::new(),
            refused: [0; Refusal::CODES],
            ended: Vec::new(),
        }
    }

    /// Lets quasi-identifiers pass as far as the crowds allow; without, none does.
    #[must_use]
    pub fn among(mut self, crowds: Option<Arc<Crowds>>) -> Self {
        if let Some(crowds) = crowds {
            self.guard.know(crowds, self.ask, &self.served);
        }
        self
    }

    /// Makes room for some persons.
    pub fn reserve(&mut self, persons: usize) {
        self.rows.reserve(persons);
        self.cells.reserve(persons.saturating_mul(self.served.len()));
    }

    /// Decides about one stored person and, if permitted, takes the permitted attributes in. `position` is the
    /// person's place in the look-up. A row that cannot be read or verified is refused.
    pub fn consider(&mut self, sealed: &SealedSubject<'_>, position: u32) {
        if let Err(refusal) = self.try_consider(sealed, position) {
            self.refuse(refusal);
        }
    }

    fn try_consider(&mut self, sealed: &SealedSubject<'_>, position: u32) -> Result<(), Refusal> {
        let unreadable = |_: OpenError| Refusal::Unreadable;
        let key = self.keyring.unwrap_key(sealed.id, sealed.wrapped_key).map_err(unreadable)?;
        let standing = key.open_standing(sealed.standing).map_err(unreadable)?;
        match decide(self.policy, &standing, self.ask, self.now) {
            Decision::Permit(permit) => self.disclose(permit, &key, sealed, position).map_err(unreadable),
            Decision::Refuse(refusal) => Err(refusal),
        }
    }

    /// Counts a person who is refused: not found, or not permitted.
    pub fn refuse(&mut self, refusal: Refusal) {
        if let Some(count) = self.refused.get_mut(refusal as usize) {
            *count += 1;
        }
    }

    /// Uses up a permit: opens the attributes it names, unless their retention is over, and minimises them. Nothing
    /// else of the record is decrypted.
    ///
    /// # Errors
    /// When the permit is another person's or of another ask, or a permitted attribute does not open. Then nothing of
    /// the person is taken in.
    pub fn disclose(
        &mut self,
        permit: Permit,
        key: &SubjectKey,
        sealed: &SealedSubject<'_>,
        position: u32,
    ) -> Result<(), OpenError> {
        let same = permit.subject == sealed.id && key.subject() == sealed.id;
        let Some(pseudonymiser) = self.pseudonymiser.as_ref().filter(|_| same) else { return Err(OpenError) };
        if !Arc::ptr_eq(&permit.plan, &self.ask.plan) {
            return Err(OpenError);
        }
        let begin = self.cells.len();
        self.cells.resize(begin + self.served.len(), Served::Null);
        let row = self.cells.get_mut(begin..).unwrap_or_default();
        let opened = open_permitted(&permit, key, sealed, (&self.served, row));
        if let Err(error) = opened.and_then(|()| self.guard.hide(self.policy, key, sealed, (row, self.now))) {
            self.cells.truncate(begin);
            return Err(error);
        }
        self.rows.push((pseudonymiser.of(sealed.id), position));
        self.bitmap.insert(sealed.ordinal);
        Ok(())
    }

    /// How many persons are in so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nobody is in yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Ends one look-up: who comes now belongs to the next.
    pub fn end_lookup(&mut self) -> Outcome {
        let (begin, before) = self.ended.last().copied().unwrap_or((0, [0; Refusal::CODES]));
        self.ended.push((self.rows.len(), self.refused));
        let mut since = self.refused;
        since.iter_mut().zip(before).for_each(|(count, before)| *count = count.saturating_sub(before));
        Outcome { persons: self.rows.len().saturating_sub(begin) as u64, refused: by_reason(&since) }
    }

    /// Ends a page of a pull.
    pub fn finish(mut self) -> Disclosure {
        let walked = self.bitmap.min().zip(self.bitmap.max());
        let whereabouts = walked.map_or(Whereabouts::NOBODY, |(first, last)| Whereabouts::Between(first, last));
        let record = self.record(whereabouts);
        let batch = self.batch_of(0..self.rows.len());
        Disclosure::new(record, batch)
    }

    /// Ends some look-ups that are disclosed as one: a batch for each that was ended, in their order.
    pub fn finish_lookups(mut self) -> Disclosure<Vec<PermittedBatch>> {
        let record = self.record(Whereabouts::Each(self.bitmap.iter().collect()));
        let mut begin = 0;
        let ends: Vec<usize> = self.ended.iter().map(|(end, _)| *end).collect();
        let batches = ends.into_iter().map(|end| self.batch_of(std::mem::replace(&mut begin, end)..end)).collect();
        Disclosure::new(record, batches)
    }

    /// Takes some rows out, sorted by pseudonym, so that their order tells nothing.
    fn batch_of(&mut self, rows: std::ops::Range<usize>) -> PermittedBatch {
        let mut order: Vec<(Pseudonym, u32, usize)> = rows
            .filter_map(|row| self.rows.get(row).map(|(pseudonym, position)| (*pseudonym, *position, row)))
            .collect();
        order.sort_unstable();
        let (cells, width) = (&mut self.cells, self.served.len());
        let columns = self
            .served
            .iter()
            .enumerate()
            .filter_map(|(column, at)| {
                let asked = self.ask.plan.attributes.get(*at)?;
                let form = asked.rule.as_ref()?.served.as_ref()?;
                let values = order.iter().map(|(_, _, row)| {
                    cells
                        .get_mut(row * width + column)
                        .map_or(Served::Null, |cell| std::mem::replace(cell, Served::Null))
                });
                Some((asked.name.clone(), build(form, values)))
            })
            .collect();
        PermittedBatch {
            pull: self.pull,
            page: self.page,
            purpose: self.ask.plan.purpose.clone(),
            policy: self.ask.plan.policy,
            pseudonyms: order.iter().map(|(pseudonym, _, _)| *pseudonym).collect(),
            positions: order.iter().map(|(_, position, _)| *position).collect(),
            columns,
        }
    }

    fn record(&self, whereabouts: Whereabouts) -> DisclosureRecord {
        let mut bitmap = Vec::with_capacity(self.bitmap.serialized_size());
        // INVARIANT: writing to a Vec cannot fail.
        if self.bitmap.serialize_into(&mut bitmap).is_err() {
            bitmap.clear();
        }
        let plan = &self.ask.plan;
        DisclosureRecord {
            pull: self.pull,
            page: self.page,
            recipient: plan.recipient.clone(),
            purpose: plan.purpose.clone(),
            attributes: self
                .served
                .iter()
                .filter_map(|at| plan.attributes.get(*at))
                .map(|asked| asked.name.clone())
                .collect(),
            withheld: self.ask.minimised().cloned().collect(),
            policy: plan.policy,
            at: self.now,
            subjects: self.bitmap.len(),
            refused: by_reason(&self.refused),
            whereabouts,
            bitmap_digest: self.keyring.bitmap_digest(&bitmap),
            bitmap,
        }
    }
}

/// The reasons that occurred.
fn by_reason(refused: &Refused) -> Vec<(Refusal, u64)> {
    let count = |refusal| refused.get(refusal as usize).copied().unwrap_or_default();
    Refusal::ALL.into_iter().map(|refusal| (refusal, count(refusal))).filter(|(_, many)| *many > 0).collect()
}

/// Walks the record once, in step with the inputs the ask needs, and opens what the permit names.
pub(super) fn open_permitted(
    permit: &Permit,
    key: &SubjectKey,
    sealed: &SealedSubject<'_>,
    (served, row): (&[usize], &mut [Served]),
) -> Result<(), OpenError> {
    let plan = &permit.plan;
    let mut inputs = plan.inputs.iter().peekable();
    for entry in SealedRecord::new(sealed.record).entries() {
        let entry = entry?;
        while inputs.next_if(|(name, _)| name.as_str() < entry.name()).is_some() {}
        let Some((_, bits)) = inputs.next_if(|(name, _)| name.as_str() == entry.name()) else {
            if inputs.peek().is_none() {
                break;
            }
            continue;
        };
        let wanted = bits & permit.granted;
        let mut value = None;
        for (slot, at) in served.iter().enumerate() {
            let Some(rule) = plan.attributes.get(*at).and_then(|asked| asked.rule.as_ref()) else { continue };
            let within = wanted >> at & 1 == 1 && !rule.retention.are_over(entry.observed_at(), permit.now);
            let (Some(form), true) = (&rule.served, within) else { continue };
            let value = match &mut value {
                Some(value) => value,
                none => none.insert(key.open_value(&entry)?),
            };
            if let Some(cell) = row.get_mut(slot) {
                *cell = minimise(form, value, permit.now);
            }
        }
    }
    Ok(())
}

fn build(form: &ServedForm, values: impl Iterator<Item = Served>) -> Column {
    let code = |served| match served {
        Served::Code(code) => Some(code),
        _ => None,
    };
    match form {
        ServedForm::Band { labels, .. } | ServedForm::Prefix { labels, .. } | ServedForm::OneOf { labels } => {
            Column::Labels { labels: labels.clone(), codes: values.map(code).collect() }
        }
        ServedForm::Lifecycle { .. } => Column::Labels {
            labels: LIFECYCLE_STAGES.iter().map(|stage| (*stage).into()).collect(),
            codes: values.map(code).collect(),
        },
        ServedForm::Score { .. } => Column::Scores(
            values.map(|served| if let Served::Score(score) = served { Some(score) } else { None }).collect(),
        ),
        ServedForm::Flag => Column::Flags(
            values.map(|served| if let Served::Flag(flag) = served { Some(flag) } else { None }).collect(),
        ),
        ServedForm::ManyOf { labels } => Column::LabelLists {
            labels: labels.clone(),
            codes: values
                .map(|served| if let Served::Codes(codes) = served { Some(codes) } else { None })
                .collect(),
        },
        ServedForm::Plain => Column::Texts(
            values.map(|served| if let Served::Text(text) = served { Some(text) } else { None }).collect(),
        ),
    }
}
