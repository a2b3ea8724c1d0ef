//! Counting a segment: how many persons share what, in rounded numbers, and never who (PSE-17; GDPR Arts. 5(1)(b), 89(1)).

use kernel::attribute::{AttributeName, ServedForm};
use kernel::authz::{Authorized, ReadProfiles};
use kernel::decision::Ask;
use kernel::disclosure::Statistics;
use kernel::ledger::RefusedAttempt;
use kernel::policy::PolicyVersion;
use kernel::purpose::Purpose;
use kernel::time::Timestamp;
use store::change::RecordCount;

use super::ProfileAsk;
use crate::error::{AppError, Code, Fault};
use crate::gateway::Gateway;

/// The most attributes that persons are grouped by.
pub const MOST_GROUPED: usize = 4;
/// No group of fewer is told of, whatever the policy says.
const LEAST: u64 = 10;
/// How long a count is good: whoever asks before and after one person's withdrawal gets the same numbers.
const KEPT_MS: i64 = 3_600_000;

/// What may be told of a segment.
#[derive(Debug, Clone)]
pub struct Segment {
    /// What for.
    pub purpose: Purpose,
    /// What persons are grouped by.
    pub attributes: Vec<AttributeName>,
    /// The policy that decided who counts.
    pub policy: PolicyVersion,
    /// When they were counted.
    pub counted_at: Timestamp,
    /// The fewest persons of a group that is told of.
    pub least: u64,
    /// The numbers.
    pub statistics: Statistics,
}

impl Gateway {
    /// Counts those whom a recipient may know for a purpose now, by attributes of its contract. On record as the disclosure
    /// of numbers before they are told.
    ///
    /// # Errors
    /// As for a pull; [`Code::TooMany`] for too many attributes, [`Code::InvalidField`] for one that is a list or a text.
    pub async fn count_segment(
        &self,
        by: &Authorized<ReadProfiles>,
        purpose: Purpose,
        attributes: Vec<AttributeName>,
    ) -> Result<Segment, AppError> {
        match attributes.len() {
            0 => return Err(AppError::invalid(Fault::at("/attributes", Code::Empty))),
            1..=MOST_GROUPED => {}
            _ => return Err(AppError::invalid(Fault::at("/attributes", Code::TooMany))),
        }
        let ready = self.ask(by, ProfileAsk { purpose, attributes }, RefusedAttempt::CountSegment).await?;
        let policy = self.policy();
        let mut least = LEAST;
        for (at, name) in ready.inner().attributes().enumerate() {
            let Some(rule) = policy.attribute(name) else { continue };
            if matches!(rule.served, None | Some(ServedForm::ManyOf { .. } | ServedForm::Plain)) {
                let detail = "persons are grouped by attributes with one value of a closed list";
                let pointer = format!("/attributes/{at}");
                return Err(AppError::invalid(Fault::saying(pointer, Code::InvalidField, detail)));
            }
            least = least.max(u64::from(rule.k));
        }
        // What the policy withholds for the purpose is left out.
        let grouped_by: Vec<_> = ready.columns().iter().map(|column| column.name.clone()).collect();
        let ask = Ask::new(&policy, ready.recipient().clone(), ready.purpose().clone(), grouped_by.clone());
        let count = self.count(&ask, KEPT_MS).await?;
        let statistics = count.tally.statistics(&ask, least);
        let record = RecordCount {
            recipient: ready.recipient().clone(),
            purpose: ready.purpose().clone(),
            attributes: grouped_by.clone(),
            policy: ready.policy_version(),
            groups: statistics.groups.len() as u64,
            withheld: statistics.withheld,
            at: self.now(),
        };
        self.inner.store.perform(&record).await?;
        Ok(Segment {
            purpose: ready.purpose().clone(),
            attributes: grouped_by,
            policy: ready.policy_version(),
            counted_at: count.at,
            least,
            statistics,
        })
    }
}
