//! The opt-in in two steps after an opt-out (11 CCR §7028(a)): a clear request, then a separate confirmation of it.
//!
//! The first step changes nothing. The second counts only if it names the first one's receipt, and uses it up.

use minicbor::{Decode, Encode};

use super::event::ConsentEvent;
use crate::id::ReceiptId;
use crate::time::Timestamp;

/// A first step that waits for its second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
struct FirstStep {
    #[n(0)]
    at: Timestamp,
    #[n(1)]
    receipt: Option<ReceiptId>,
}

/// The opt-ins in two steps to one purpose, or to sale and sharing as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct Steps {
    #[n(0)]
    first: Option<FirstStep>,
    #[n(1)]
    own_at: Option<Timestamp>,
    #[n(2)]
    parent_at: Option<Timestamp>,
    #[n(3)]
    told_at: Option<Timestamp>,
}

impl Steps {
    /// Takes a first step: the latest one waits.
    pub(super) fn begin(&mut self, event: &ConsentEvent) {
        if self.first.is_none_or(|known| event.captured_at >= known.at) {
            self.first = Some(FirstStep { at: event.captured_at, receipt: event.step });
        }
    }

    /// Takes a second step, if it confirms the one that waits.
    pub(super) fn confirm(&mut self, event: &ConsentEvent) {
        if !self.is_confirmed_by(event) {
            return;
        }
        let at = Some(event.captured_at);
        if event.by_parent {
            self.parent_at = self.parent_at.max(at);
        } else {
            self.own_at = self.own_at.max(at);
        }
        if event.conflict_notice {
            self.told_at = self.told_at.max(at);
        }
        // The first step is used up: the next opt-in needs its own.
        self.first = None;
    }

    /// Whether a second step confirms the first one that waits.
    #[must_use]
    pub fn is_confirmed_by(&self, second: &ConsentEvent) -> bool {
        self.first.is_some_and(|first| first.at <= second.captured_at && first.receipt == second.step)
    }

    /// When the latest second step was captured, of the person's own or of a parent.
    #[must_use]
    pub const fn opted_in_at(&self, by_parent: bool) -> Option<Timestamp> {
        if by_parent { self.parent_at } else { self.own_at }
    }

    /// When the latest second step was captured, whoever took it.
    #[must_use]
    pub fn latest_at(&self) -> Option<Timestamp> {
        self.own_at.max(self.parent_at)
    }

    /// When the latest second step was captured of somebody who was told of the conflict with their signal.
    #[must_use]
    pub const fn told_of_conflict_at(&self) -> Option<Timestamp> {
        self.told_at
    }
}
