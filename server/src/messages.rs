//! The sentences for the user, in the languages that the server speaks.
//!
//! The texts are in `locales/`, one Fluent file for each language; dates are put into words by ICU.

use fluent_bundle::{FluentArgs, FluentResource, concurrent::FluentBundle};
use icu_datetime::{DateTimeFormatter, fieldsets::MD, input::Date as IcuDate};
use icu_locale_core::{Locale, locale};
use jiff::civil::Date;
use unic_langid::LanguageIdentifier;

/// Longest part of a client's own text that is repeated to it, in characters: enough to recognise
/// it by, and no way to have the server send long answers.
const MAX_QUOTED_CHARACTERS: usize = 64;

/// A language of the user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// `english`, and whatever the server does not know.
    #[default]
    English,
    /// `russian`.
    Russian,
}

impl Language {
    /// The language of a request's `language`; English for one that the server does not speak.
    pub fn from_wire(name: &str) -> Self {
        if name.eq_ignore_ascii_case("russian") {
            Self::Russian
        } else {
            Self::English
        }
    }
}

/// Something to be told to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sentence<'a> {
    /// The program must be updated first.
    OutdatedVersion,
    /// Another machine has the license.
    KeyBoundToAnotherDevice {
        /// The day on which that machine activated it.
        since: Date,
    },
    /// Something that only a broken or changed program does.
    IntegrityBreach {
        /// What to tell the support.
        code: &'a str,
    },
    /// No such license.
    LicenseNotFound,
    /// The license has ended.
    LicenseExpired {
        /// The day on which it ended.
        on: Date,
    },
    /// An administrator has stopped the license.
    LicenseSuspended,
    /// A request that does not keep to docs/protocol.md, section 5.
    BadRequest {
        /// The wire name of the part at fault.
        part: &'a str,
    },
    /// A method that this server does not have.
    UnknownMethod {
        /// Its name.
        method: &'a str,
    },
    /// A request outside of a session, or with a token that is not this session's.
    InvalidSession,
    /// Too many requests.
    RateLimited {
        /// After how many seconds to try again.
        seconds: u64,
    },
    /// A fault of the server.
    InternalError,
}

/// The sentences of every language. Made once, shared by all connections.
pub struct Messages {
    english: Texts,
    russian: Texts,
}

impl Messages {
    /// Reads the embedded texts.
    ///
    /// # Panics
    /// When an embedded text is broken: a fault of the build, which the unit tests below find.
    pub fn new() -> Self {
        Self {
            english: Texts::new(locale!("en"), include_str!("../locales/en.ftl")),
            russian: Texts::new(locale!("ru"), include_str!("../locales/ru.ftl")),
        }
    }

    /// The sentence in words.
    pub fn text(&self, language: Language, sentence: &Sentence<'_>) -> String {
        match language {
            Language::English => self.english.text(sentence),
            Language::Russian => self.russian.text(sentence),
        }
    }
}

impl Default for Messages {
    fn default() -> Self {
        Self::new()
    }
}

/// One language's texts and its way to write a date.
struct Texts {
    bundle: FluentBundle<FluentResource>,
    day_and_month: DateTimeFormatter<MD>,
}

impl Texts {
    fn new(locale: Locale, texts: &str) -> Self {
        let identifier: LanguageIdentifier = locale
            .to_string()
            .parse()
            .expect("a language of this file is a language");
        let resource = FluentResource::try_new(texts.to_owned()).expect("the embedded text parses");
        let mut bundle = FluentBundle::new_concurrent(vec![identifier]);
        // Direction marks would help in mixed-direction text, which these languages have none of;
        // in a log or a comparison they are invisible trouble.
        bundle.set_use_isolating(false);
        bundle
            .add_resource(resource)
            .expect("no name is there twice");
        let day_and_month = DateTimeFormatter::try_new(locale.into(), MD::long())
            .expect("ICU's compiled data has every language of this file");
        Self {
            bundle,
            day_and_month,
        }
    }

    fn text(&self, sentence: &Sentence<'_>) -> String {
        let mut values = FluentArgs::new();
        let name = match sentence {
            Sentence::OutdatedVersion => "outdated-version",
            Sentence::KeyBoundToAnotherDevice { since } => {
                values.set("date", self.date(*since));
                "key-bound-to-another-device"
            }
            Sentence::IntegrityBreach { code } => {
                values.set("code", *code);
                "integrity-breach"
            }
            Sentence::LicenseNotFound => "license-not-found",
            Sentence::LicenseExpired { on } => {
                values.set("date", self.date(*on));
                "license-expired"
            }
            Sentence::LicenseSuspended => "license-suspended",
            Sentence::BadRequest { part } => {
                values.set("part", *part);
                "bad-request"
            }
            Sentence::UnknownMethod { method } => {
                let quoted: String = method.chars().take(MAX_QUOTED_CHARACTERS).collect();
                values.set("method", quoted);
                "unknown-method"
            }
            Sentence::InvalidSession => "invalid-session",
            Sentence::RateLimited { seconds } => {
                values.set("seconds", *seconds);
                "rate-limited"
            }
            Sentence::InternalError => "internal-error",
        };
        self.format(name, &values)
    }

    /// A date in words: `October 25, 2024`, `25 октября 2024 года`.
    fn date(&self, date: Date) -> String {
        let (year, month, day) = (date.year(), date.month(), date.day());
        let Ok(iso) = IcuDate::try_new_iso(year.into(), month.unsigned_abs(), day.unsigned_abs())
        else {
            return date.to_string();
        };
        let mut values = FluentArgs::new();
        values.set("dayAndMonth", self.day_and_month.format(&iso).to_string());
        // As text: a number would be grouped like a quantity ("2,024").
        values.set("year", year.to_string());
        self.format("date", &values)
    }

    fn format(&self, name: &str, values: &FluentArgs<'_>) -> String {
        let pattern = self
            .bundle
            .get_message(name)
            .and_then(|message| message.value());
        let Some(pattern) = pattern else {
            return name.to_owned();
        };
        // A value that is missing is shown by its name: still better than no sentence at all.
        self.bundle
            .format_pattern(pattern, Some(values), &mut Vec::new())
            .into_owned()
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn all() -> Vec<Sentence<'static>> {
        let day = date(2024, 10, 25);
        vec![
            Sentence::OutdatedVersion,
            Sentence::KeyBoundToAnotherDevice { since: day },
            Sentence::IntegrityBreach { code: "LL" },
            Sentence::LicenseNotFound,
            Sentence::LicenseExpired { on: day },
            Sentence::LicenseSuspended,
            Sentence::BadRequest { part: "data" },
            Sentence::UnknownMethod { method: "nothing" },
            Sentence::InvalidSession,
            Sentence::RateLimited { seconds: 2 },
            Sentence::InternalError,
        ]
    }

    #[test]
    fn every_sentence_is_there_in_every_language_with_its_values() {
        let messages = Messages::new();
        for language in [Language::English, Language::Russian] {
            for sentence in all() {
                let text = messages.text(language, &sentence);
                assert!(text.contains(' '), "{sentence:?} is missing: {text}");
                assert!(
                    !text.contains(['{', '$']),
                    "{sentence:?} lacks a value: {text}"
                );
                let cyrillic = text.chars().any(|c| ('а'..='я').contains(&c));
                assert_eq!(cyrillic, language == Language::Russian, "{text}");
            }
        }
    }

    #[test]
    fn the_seeds_sentences_are_said_word_for_word() {
        let messages = Messages::new();
        let russian = |sentence| messages.text(Language::Russian, &sentence);
        assert_eq!(russian(Sentence::OutdatedVersion), "Версия ПО устарела.");
        assert_eq!(
            russian(Sentence::KeyBoundToAnotherDevice {
                since: date(2024, 10, 25)
            }),
            "Ключ привязан к другому устройству 25 октября 2024 года. \
             Для перепривязки ключа используйте личный кабинет."
        );
        assert_eq!(
            russian(Sentence::IntegrityBreach { code: "LL" }),
            "Нарушена целостность программного обеспечения. \
             Пожалуйста, обратитесь в техническую поддержку с кодом: LL"
        );
    }

    #[test]
    fn a_date_is_put_into_words_for_every_month() {
        let messages = Messages::new();
        let english: Vec<String> = (1..=12)
            .map(|m| messages.english.date(date(2024, m, 1)))
            .collect();
        let russian: Vec<String> = (1..=12)
            .map(|m| messages.russian.date(date(2024, m, 1)))
            .collect();
        assert_eq!(english[9], "October 1, 2024");
        assert_eq!(english[4], "May 1, 2024");
        assert_eq!(russian[9], "1 октября 2024 года");
        assert_eq!(russian[4], "1 мая 2024 года");
        for months in [english, russian] {
            let distinct: std::collections::BTreeSet<_> = months.iter().collect();
            assert_eq!(distinct.len(), 12);
        }
    }

    #[test]
    fn seconds_are_counted_as_each_language_does() {
        let messages = Messages::new();
        let text = |language, seconds| messages.text(language, &Sentence::RateLimited { seconds });
        for (seconds, english, russian) in [
            (1, "1 second.", "1 секунду."),
            (2, "2 seconds.", "2 секунды."),
            (5, "5 seconds.", "5 секунд."),
            (21, "21 seconds.", "21 секунду."),
            (3600, "3600 seconds.", "3600 секунд."),
        ] {
            assert!(text(Language::English, seconds).ends_with(english));
            assert!(text(Language::Russian, seconds).ends_with(russian));
        }
    }

    #[test]
    fn an_unknown_language_is_answered_in_english() {
        assert_eq!(Language::from_wire("russian"), Language::Russian);
        for name in ["english", "klingon", "", "ru"] {
            assert_eq!(Language::from_wire(name), Language::English);
        }
    }

    #[test]
    fn a_long_method_name_is_not_repeated_whole() {
        let method = "я".repeat(100_000);
        let sentence = Sentence::UnknownMethod { method: &method };
        assert!(Messages::new().text(Language::English, &sentence).len() < 300);
    }
}
