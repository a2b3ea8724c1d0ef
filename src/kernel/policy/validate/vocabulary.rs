//! The words that policies are checked against: fideslang keys, and words that reveal special categories.

use crate::attribute::SensitiveTag;

/// Keys with this prefix are an operator's own and are not looked up.
pub const OWN_PREFIX: &str = "consentry.";

/// The `data_category` keys of persons in fideslang 3.1.
const DATA_CATEGORIES: &[&str] = &[
    "user",
    "user.account",
    "user.account.settings",
    "user.account.username",
    "user.authorization",
    "user.authorization.biometric",
    "user.authorization.credentials",
    "user.authorization.password",
    "user.behavior",
    "user.behavior.browsing_history",
    "user.behavior.media_consumption",
    "user.behavior.purchase_history",
    "user.behavior.search_history",
    "user.biometric",
    "user.biometric.fingerprint",
    "user.biometric.health",
    "user.biometric.retinal",
    "user.biometric.voice",
    "user.childrens",
    "user.contact",
    "user.contact.address",
    "user.contact.address.city",
    "user.contact.address.country",
    "user.contact.address.postal_code",
    "user.contact.address.state",
    "user.contact.address.street",
    "user.contact.email",
    "user.contact.fax_number",
    "user.contact.organization",
    "user.contact.phone_number",
    "user.contact.url",
    "user.content",
    "user.content.private",
    "user.content.public",
    "user.content.self_image",
    "user.criminal_history",
    "user.demographic",
    "user.demographic.age_range",
    "user.demographic.date_of_birth",
    "user.demographic.gender",
    "user.demographic.language",
    "user.demographic.marital_status",
    "user.demographic.political_opinion",
    "user.demographic.profile",
    "user.demographic.race_ethnicity",
    "user.demographic.religious_belief",
    "user.demographic.sexual_orientation",
    "user.device",
    "user.device.cookie",
    "user.device.cookie_id",
    "user.device.device_id",
    "user.device.ip_address",
    "user.financial",
    "user.financial.bank_account",
    "user.financial.credit_card",
    "user.government_id",
    "user.government_id.birth_certificate",
    "user.government_id.drivers_license_number",
    "user.government_id.immigration",
    "user.government_id.national_identification_number",
    "user.government_id.passport_number",
    "user.government_id.vehicle_registration",
    "user.health_and_medical",
    "user.health_and_medical.genetic",
    "user.health_and_medical.insurance_beneficiary_id",
    "user.health_and_medical.record_id",
    "user.job_title",
    "user.location",
    "user.location.imprecise",
    "user.location.precise",
    "user.name",
    "user.name.first",
    "user.name.last",
    "user.payment",
    "user.privacy_preferences",
    "user.sensor",
    "user.social",
    "user.telemetry",
    "user.unique_id",
    "user.unique_id.pseudonymous",
    "user.user_sensor",
    "user.workplace",
];

/// The `data_use` keys of fideslang 3.1.
const DATA_USES: &[&str] = &[
    "analytics",
    "analytics.reporting",
    "analytics.reporting.ad_performance",
    "analytics.reporting.campaign_insights",
    "analytics.reporting.content_performance",
    "analytics.reporting.system",
    "analytics.reporting.system.performance",
    "collect",
    "employment",
    "employment.recruitment",
    "essential",
    "essential.fraud_detection",
    "essential.legal_obligation",
    "essential.service",
    "essential.service.authentication",
    "essential.service.notifications",
    "essential.service.notifications.email",
    "essential.service.notifications.sms",
    "essential.service.operations",
    "essential.service.operations.improve",
    "essential.service.operations.support",
    "essential.service.payment_processing",
    "essential.service.security",
    "essential.service.upgrades",
    "finance",
    "functional",
    "functional.service",
    "functional.service.improve",
    "functional.storage",
    "functional.storage.privacy_preferences",
    "marketing",
    "marketing.advertising",
    "marketing.advertising.first_party",
    "marketing.advertising.first_party.contextual",
    "marketing.advertising.first_party.targeted",
    "marketing.advertising.frequency_capping",
    "marketing.advertising.negative_targeting",
    "marketing.advertising.profiling",
    "marketing.advertising.serving",
    "marketing.advertising.third_party",
    "marketing.advertising.third_party.targeted",
    "marketing.communications",
    "marketing.communications.email",
    "marketing.communications.sms",
    "operations",
    "personalize",
    "personalize.content",
    "personalize.content.limited",
    "personalize.content.profiled",
    "personalize.content.profiling",
    "personalize.profiling",
    "personalize.system",
    "sales",
    "third_party_sharing",
    "third_party_sharing.legal_obligation",
    "train_ai_system",
];

/// Whether a fideslang `data_category` is known, or the operator's own.
#[must_use]
pub fn is_data_category(key: &str) -> bool {
    DATA_CATEGORIES.binary_search(&key).is_ok() || is_own(key)
}

/// Whether a fideslang `data_use` is known, or the operator's own.
#[must_use]
pub fn is_data_use(key: &str) -> bool {
    DATA_USES.binary_search(&key).is_ok() || is_own(key)
}

fn is_own(key: &str) -> bool {
    key.strip_prefix(OWN_PREFIX).is_some_and(|rest| !rest.is_empty())
}

/// Whole words, and beginnings of words (with `*`), that reveal a special category or sensitive information.
/// A small list against mistakes: a policy writer still has to think.
const WORDS: &[(SensitiveTag, &[&str])] = &[
    (
        SensitiveTag::Health,
        &[
            "hiv",
            "aids",
            "health*",
            "pregnan*",
            "cancer*",
            "diabet*",
            "depress*",
            "psychiat*",
            "oncolog*",
            "addict*",
            "alcoholi*",
            "abort*",
            "fertil*",
            "infertil*",
            "disabil*",
            "disease*",
            "illness*",
            "medical*",
            "medicine*",
            "allerg*",
            "schwanger*",
            "krebs*",
            "krank*",
            "gesundheit*",
            "behinder*",
        ],
    ),
    (SensitiveTag::Ethnicity, &["ethnic*", "racial*", "hispanic*", "ethnisch*"]),
    (
        SensitiveTag::Religion,
        &[
            "relig*",
            "christian*",
            "catholic*",
            "protestant*",
            "muslim*",
            "islam*",
            "jewish*",
            "judais*",
            "hindu*",
            "buddhis*",
            "atheis*",
            "church*",
            "mosque*",
            "synagog*",
            "kirche*",
            "moschee*",
        ],
    ),
    (SensitiveTag::Politics, &["politi*", "partisan*", "republican*", "democrat*", "socialis*", "communis*"]),
    (SensitiveTag::Union, &["union", "unions", "unionis*", "gewerkschaft*"]),
    (
        SensitiveTag::Sexuality,
        &[
            "gay",
            "gays",
            "lesb*",
            "trans",
            "transgend*",
            "transsex*",
            "homosex*",
            "bisex*",
            "heterosex*",
            "queer*",
            "lgbt*",
            "sexual*",
            "erotic*",
            "porn*",
            "schwul*",
        ],
    ),
    (SensitiveTag::Genetic, &["genetic*", "genom*"]),
    (SensitiveTag::Biometric, &["biometr*"]),
    (SensitiveTag::PreciseLocation, &["gps", "geolocat*"]),
    (SensitiveTag::Financial, &["iban", "creditcard*", "password*"]),
];

/// The tag that a word or phrase would need, if any: such a topic is neither a label of an untagged attribute
/// nor an interest that may be stored (C-184/20, C-252/21: data that indirectly reveal special categories are
/// special).
#[must_use]
pub fn sensitive_topic(text: &str) -> Option<SensitiveTag> {
    let text = text.to_lowercase();
    let words = || text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let reveals = |listed: &str| match listed.strip_suffix('*') {
        Some(beginning) => words().any(|word| word.starts_with(beginning)),
        None => words().any(|word| word == listed),
    };
    WORDS.iter().find(|(_, listed)| listed.iter().any(|listed| reveals(listed))).map(|(tag, _)| *tag)
}

/// Whether a character can make a text look other than its bytes: controls, and marks that turn the writing
/// direction.
pub(super) fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_for_the_search() {
        assert!(DATA_CATEGORIES.is_sorted());
        assert!(DATA_USES.is_sorted());
        assert!(is_data_category("user.contact.email") && !is_data_category("user.contact.pigeon"));
        assert!(is_data_use("marketing.communications.email") && !is_data_use("user.contact.email"));
        assert!(is_data_use("consentry.loyalty") && !is_data_use("consentry."));
    }

    #[test]
    fn seg_03_a_sensitive_topic_is_known_by_its_words() {
        for (topic, tag) in [
            ("hiv_support", SensitiveTag::Health),
            ("Pregnancy", SensitiveTag::Health),
            ("trade union", SensitiveTag::Union),
            ("religious-books", SensitiveTag::Religion),
            ("trans rights", SensitiveTag::Sexuality),
        ] {
            assert_eq!(sensitive_topic(topic), Some(tag), "{topic}");
        }
        for harmless in ["public transport", "beehives", "garden", "reunion", "gaylord"] {
            assert_eq!(sensitive_topic(harmless), None, "{harmless}");
        }
    }
}
