//! What the law asks of a message before it may have addresses: who sends it, how to stop it, what a first one says, and
//! no marketing in what is none.

use std::collections::BTreeSet;

use kernel::campaign::CampaignId;
use kernel::policy::{ControllerRule, PurposeRule};

use crate::error::{Code, Fault};

/// A message that is to be sent to many.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// Its name.
    pub id: CampaignId,
    /// What it is.
    pub class: CampaignClass,
    /// Whether it is the first message to these persons (GDPR Art. 21(4)).
    pub first_contact: bool,
    /// What its unsubscribe link stops.
    pub stop: StopKind,
    /// What its template shows.
    pub slots: BTreeSet<Slot>,
    /// What its template's blocks are.
    pub blocks: Vec<BlockClass>,
    /// Who it says sends it.
    pub sender: StatedSender,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CampaignClass {
    /// Direct marketing.
    Marketing,
    /// What a contract or a service needs.
    Transactional,
}

/// What an unsubscribe link stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopKind {
    /// The list: the purpose of the campaign.
    List,
    /// All marketing.
    AllMarketing,
}

/// A place in a template that the law asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// The sender's legal name.
    SenderName,
    /// The sender's postal address.
    PostalAddress,
    /// The address to ask that it stops.
    StopAddress,
    /// A visible unsubscribe link.
    UnsubscribeLink,
    /// The notice of the right to object, apart from everything else.
    ObjectionNotice,
}

/// What a block of a template is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockClass {
    /// Part of the service.
    Service,
    /// Marketing.
    Marketing,
}

/// What a campaign says of its sender; the policy knows better, so it may only agree.
#[derive(Debug, Clone, Default)]
pub struct StatedSender {
    /// Legal name.
    pub legal_name: Option<String>,
    /// Postal address.
    pub postal_address: Option<String>,
    /// Where to ask that it stops.
    pub stop_address: Option<String>,
}

impl Campaign {
    /// Everything that the campaign lacks.
    pub(super) fn check(&self, purpose: &PurposeRule, controller: &ControllerRule) -> Result<(), Vec<Fault>> {
        let mut faults = Vec::new();
        let class = if purpose.direct_marketing { CampaignClass::Marketing } else { CampaignClass::Transactional };
        if self.class != class {
            let detail = "the class is not the purpose's";
            faults.push(Fault::saying("/campaign/class", Code::CampaignClassMismatch, detail));
        }
        if class == CampaignClass::Marketing {
            self.check_marketing(controller, &mut faults);
        } else if let Some(at) = self.blocks.iter().position(|block| *block == BlockClass::Marketing) {
            let pointer = format!("/campaign/template/blocks/{at}");
            faults.push(Fault::at(pointer, Code::MarketingInTransactional));
        }
        self.check_sender(controller, &mut faults);
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    fn check_marketing(&self, controller: &ControllerRule, faults: &mut Vec<Fault>) {
        let mut need = |slot, name: &str| {
            if !self.slots.contains(&slot) {
                let detail = format!("the template needs the slot `{name}`");
                faults.push(Fault::saying("/campaign/template/slots", Code::CampaignIncomplete, detail));
            }
        };
        need(Slot::SenderName, "sender_name");
        need(Slot::PostalAddress, "postal_address");
        need(Slot::StopAddress, "stop_address");
        need(Slot::UnsubscribeLink, "unsubscribe_link");
        if self.first_contact {
            need(Slot::ObjectionNotice, "objection_notice");
        }
        let mut has = |is_there: bool, pointer: &str, key: &str| {
            if !is_there {
                let detail = format!("the policy names no `{key}` for the controller");
                faults.push(Fault::saying(pointer, Code::CampaignIncomplete, detail));
            }
        };
        has(controller.stop_address.is_some(), "/campaign/sender/stop_address", "stop_address");
        if self.first_contact {
            has(controller.objection_notice.is_some(), "/campaign/first_contact", "objection_notice");
        }
    }

    fn check_sender(&self, controller: &ControllerRule, faults: &mut Vec<Fault>) {
        let stated = &self.sender;
        for (name, said, known) in [
            ("legal_name", &stated.legal_name, Some(&controller.name)),
            ("postal_address", &stated.postal_address, Some(&controller.address)),
            ("stop_address", &stated.stop_address, controller.stop_address.as_ref()),
        ] {
            if said.is_some() && said.as_ref() != known {
                faults.push(Fault::at(format!("/campaign/sender/{name}"), Code::SenderMismatch));
            }
        }
    }
}
