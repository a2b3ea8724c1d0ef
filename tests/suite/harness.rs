//! A gateway on a real listener over a real database, and the people and programs around it.
//!
//! Whatever a test does to the gateway it does through the public HTTP API, by actors: `anna.gives(&["email_marketing"])`,
//! `shop.sends(…)`, `segmentation.pulls()`, `officer.erases(…)`. Only clients are registered through the facade, as an
//! operator does it. Every answer is checked for what holds of all of them, and when a gateway is dropped its log is
//! searched for personal data: the whole suite is one canary test.

mod answer;
mod client;
mod crowd;
mod database;
mod entropy;
mod gateway;
pub(crate) mod hsm;
mod importer;
pub(crate) mod kms;
mod link;
pub(crate) mod log;
pub(crate) mod mailbox;
mod officer;
mod person;
pub(crate) mod process;
mod provider;
mod recipient;
mod root;
mod server;
mod signer;
mod source;
mod staff;

pub(crate) use answer::Answer;
pub(crate) use client::{Client, Role};
pub(crate) use crowd::RAW;
pub(crate) use database::Database;
pub(crate) use entropy::SeededEntropy;
pub(crate) use gateway::{START, TestGateway, policy_with};
pub(crate) use importer::Importer;
pub(crate) use officer::Officer;
pub(crate) use person::Person;
pub(crate) use provider::{Forging, Provider};
pub(crate) use recipient::Recipient;
pub(crate) use root::TestRoot;
pub(crate) use signer::Signer;
pub(crate) use source::{Line, Source};
pub(crate) use staff::{Browser, Member, PASSWORD};

/// The mark in every personal value of the suite. It may be in no log, no error, no ledger entry and no database file.
pub(crate) const MARK: &str = "q7canary";

/// The databases that the gateway runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
}

/// Makes two tests of each function, one on each database.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::harness::Backend::Sqlite).await;
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::harness::Backend::Postgres).await;
                }
            )+
        }
    };
}
