//! `[mail]` and `[confirmation]`: the mail server, and how often it may be made use of.

use std::fmt;
use std::net::IpAddr;

use app::ConfirmationSettings;
use serde::Deserialize;

use super::ConfigError;

/// `[mail]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailSettings {
    /// The mail server; empty: none.
    pub host: String,
    /// Its port; 0: the usual one.
    pub port: u16,
    /// How the conversation is encrypted.
    pub tls: MailTls,
    /// Certificates (PEM) of the authority that the server's is trusted by, besides the public ones; empty: none.
    pub ca_file: String,
    /// The account; empty: none is needed.
    pub username: String,
    /// Its password.
    pub password: MailPassword,
    /// The address that mails come from.
    pub from: String,
    /// The name shown with it.
    pub sender: String,
    /// The address that answers go to; empty: the one that mails come from.
    pub reply_to: String,
}

/// How the conversation with a mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailTls {
    /// Not at all: only to this machine.
    None,
    /// From the first words on, or not at all (RFC 3207).
    Starttls,
    /// From the beginning (RFC 8314).
    Tls,
}

/// A password. Shown by no `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct MailPassword(String);

impl MailPassword {
    /// The password itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for MailPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl MailSettings {
    /// The port to connect to.
    #[must_use]
    pub const fn port_or_default(&self) -> u16 {
        match (self.port, self.tls) {
            (0, MailTls::None) => 25,
            (0, MailTls::Starttls) => 587,
            (0, MailTls::Tls) => 465,
            (port, _) => port,
        }
    }

    /// Whether the settings fit together. Without a host nothing is needed.
    ///
    /// # Errors
    /// When something is missing, or would send persons' addresses over the network in the clear.
    pub fn check(&self) -> Result<(), ConfigError> {
        let fault = |key, reason: &str| Err(ConfigError::Value { key, reason: reason.to_owned() });
        if self.host.is_empty() {
            return Ok(());
        }
        if self.tls == MailTls::None && !is_this_machine(&self.host) {
            return fault("mail.tls", "is `none` only for a mail server on this machine: use `starttls` or `tls`");
        }
        if self.from.is_empty() {
            return fault("mail.from", "the address that mails come from is missing");
        }
        if self.username.is_empty() != self.password.expose().is_empty() {
            return fault("mail.username", "an account has a name and a password: set both or neither");
        }
        if self.sender.chars().any(char::is_control) {
            return fault("mail.sender", "is one line");
        }
        Ok(())
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// `[confirmation]`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfirmationLimits {
    /// For how many hours a link is good.
    pub valid_hours: u32,
    /// After how many days what was never confirmed is removed.
    pub purge_days: u32,
    /// The most mails to one address in 24 hours.
    pub mails_per_address_a_day: u32,
    /// The least minutes from one to the next.
    pub minutes_between_mails: u32,
    /// The most mails that one machine can cause in an hour; 0: unbounded.
    pub mails_per_peer_an_hour: u32,
}

impl From<ConfirmationLimits> for ConfirmationSettings {
    fn from(limits: ConfirmationLimits) -> Self {
        Self {
            valid_hours: limits.valid_hours,
            purge_days: limits.purge_days,
            mails_per_address_a_day: limits.mails_per_address_a_day,
            minutes_between_mails: limits.minutes_between_mails,
            mails_per_peer_an_hour: limits.mails_per_peer_an_hour,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn settings(host: &str, tls: MailTls) -> MailSettings {
        MailSettings {
            ca_file: String::new(),
            host: host.to_owned(),
            port: 0,
            tls,
            username: String::new(),
            password: MailPassword::default(),
            from: "consent@shop.example".to_owned(),
            sender: "Example Shop".to_owned(),
            reply_to: String::new(),
        }
    }

    #[test]
    fn only_this_machine_is_spoken_to_in_the_clear() {
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"] {
            settings(host, MailTls::None).check().unwrap();
        }
        for host in ["mail.shop.example", "10.0.0.5", "localhost.evil.example", "192.168.1.1"] {
            let message = settings(host, MailTls::None).check().unwrap_err().to_string();
            assert!(message.starts_with("mail.tls"), "{message}");
            settings(host, MailTls::Starttls).check().unwrap();
            settings(host, MailTls::Tls).check().unwrap();
        }
    }

    #[test]
    fn what_is_missing_is_named_and_a_password_is_not_shown() {
        type Spoil = fn(&mut MailSettings);
        let cases: [(&str, Spoil); 3] = [
            ("mail.from", |mail| mail.from.clear()),
            ("mail.username", |mail| mail.username = "gateway".to_owned()),
            ("mail.username", |mail| mail.password = MailPassword("hunter2".to_owned())),
        ];
        for (key, spoil) in cases {
            let mut mail = settings("mail.shop.example", MailTls::Tls);
            spoil(&mut mail);
            let message = mail.check().unwrap_err().to_string();
            assert!(message.starts_with(key), "{message}");
            assert!(!format!("{message}{mail:?}").contains("hunter2"));
        }
        let ports =
            [MailTls::None, MailTls::Starttls, MailTls::Tls].map(|tls| settings("h", tls).port_or_default());
        assert_eq!(ports, [25, 587, 465]);
    }
}
