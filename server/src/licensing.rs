//! The licensing rules: who may log in, and until when. Pure decisions: the store gathers the
//! facts and writes down what was decided (docs/protocol.md, sections 5 and 7).

use jiff::{Span, Timestamp, civil::Date, tz::TimeZone};
pub use skyline_protocol::version::parse as parse_version;
use skyline_protocol::{LicenseKey, Status, version::Version};

use crate::{
    messages::Sentence,
    model::{Activation, Actor, Device, HistoryMark, License, LoginId, Product},
};

/// The code that a user tells the support when the last-login check failed.
pub const LAST_LOGIN_CODE: &str = "LL";

/// How many logins may report another value than the expected one, and in what time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResyncPolicy {
    /// How many such logins one license may have within the window.
    pub budget: u32,
    /// Length of the window in days of 24 hours, counted back from now.
    pub window_days: u32,
}

impl ResyncPolicy {
    /// The moment at which the window that ends `now` began; the oldest representable moment
    /// for a window that is longer than time.
    pub fn since(&self, now: Timestamp) -> Timestamp {
        let window = jiff::SignedDuration::from_hours(i64::from(self.window_days) * 24);
        now.checked_sub(window).unwrap_or(Timestamp::MIN)
    }
}

impl Default for ResyncPolicy {
    /// 3 in 30 days, the values of docs/protocol.md, section 7.
    fn default() -> Self {
        Self {
            budget: 3,
            window_days: 30,
        }
    }
}

/// A `start-session` request, as far as the decision looks at it.
#[derive(Clone, Debug)]
pub struct LoginAttempt {
    /// `productId`.
    pub product_id: String,
    /// `productVersion`.
    pub product_version: Version,
    /// `licenseKey`.
    pub license_key: LicenseKey,
    /// The machine that asks.
    pub device: Device,
    /// Who asks, for the audit log.
    pub who: Actor,
    /// `lastLoginReportedByClient`.
    pub reported: i64,
    /// The timestamp of the request: the value to be reported next time, if this login is accepted.
    pub value: i64,
    /// The moment of the attempt by the server's clock.
    pub now: Timestamp,
    /// Beginning of the window in which resyncs are counted.
    pub resyncs_since: Timestamp,
}

/// What the store knows about an attempt.
#[derive(Clone, Debug)]
pub struct LoginFacts {
    /// The product of the attempt, if there is one of that name.
    pub product: Option<Product>,
    /// The license of that key and product, if there is one.
    pub license: Option<(License, LoginHistory)>,
}

/// The logins accepted so far for one license.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoginHistory {
    /// The newest login of which the client is known to have received the answer.
    pub newest_confirmed: Option<LoginId>,
    /// The newest login whose value is the reported one.
    pub reported: Option<LoginId>,
    /// Whether the reported login is a resync that nothing has confirmed yet: reporting it does.
    pub confirms_resync: bool,
    /// How many confirmed resyncs there were since the attempt's `resyncs_since`.
    pub resyncs: u32,
    /// The greatest value of all.
    pub greatest_value: Option<i64>,
}

/// What is to be done about an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Let it in.
    Accept(Acceptance),
    /// Send it away; the last-login value does not move.
    Refuse(Refusal),
}

/// An accepted login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// Whether this login is the one that activates the license.
    pub activated_now: bool,
    /// Whether another device takes the license over, as an administrator has allowed.
    pub rebound: bool,
    /// The activation, to be written down if it is new or the device is another one.
    pub activation: Activation,
    /// The plan's name.
    pub plan: String,
    /// Whether it counts against the resync budget.
    pub resync: bool,
    /// Whether the reported value, which the history lacks, is added to it.
    pub adopted: bool,
}

/// Why a login was sent away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The version is below the product's minimum.
    Outdated,
    /// No license of that key for that product.
    NotFound,
    /// An administrator has stopped the license.
    Suspended,
    /// Another machine activated the license on that day.
    BoundToAnotherDevice(Date),
    /// The license ended on that day.
    Expired(Date),
    /// The reported last login was never accepted by this server.
    UnknownLastLogin,
    /// The reported last login is not the newest, once too often.
    TooManyResyncs,
}

impl Refusal {
    /// What the audit log calls it.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Outdated => "refused-outdated",
            Self::NotFound => "refused-not-found",
            Self::Suspended => "refused-suspended",
            Self::BoundToAnotherDevice(_) => "refused-other-device",
            Self::Expired(_) => "refused-expired",
            Self::UnknownLastLogin => "refused-unknown-last-login",
            Self::TooManyResyncs => "refused-too-many-resyncs",
        }
    }

    /// The status that the client is told.
    pub fn status(&self) -> Status {
        match self {
            Self::Outdated => Status::OutdatedVersion,
            Self::NotFound => Status::LicenseNotFound,
            Self::Suspended => Status::LicenseSuspended,
            Self::BoundToAnotherDevice(_) => Status::KeyBoundToAnotherDevice,
            Self::Expired(_) => Status::LicenseExpired,
            Self::UnknownLastLogin | Self::TooManyResyncs => Status::IntegrityBreach,
        }
    }

    /// The sentence that the user is told.
    pub fn sentence(&self) -> Sentence<'static> {
        match *self {
            Self::Outdated => Sentence::OutdatedVersion,
            Self::NotFound => Sentence::LicenseNotFound,
            Self::Suspended => Sentence::LicenseSuspended,
            Self::BoundToAnotherDevice(since) => Sentence::KeyBoundToAnotherDevice { since },
            Self::Expired(on) => Sentence::LicenseExpired { on },
            Self::UnknownLastLogin | Self::TooManyResyncs => Sentence::IntegrityBreach {
                code: LAST_LOGIN_CODE,
            },
        }
    }
}

/// Decides an attempt by what the store knows. The version goes first, so that an old program
/// can update whatever the state of its license is.
pub fn decide(attempt: &LoginAttempt, facts: &LoginFacts, policy: &ResyncPolicy) -> Decision {
    match accept(attempt, facts, policy) {
        Ok(acceptance) => Decision::Accept(acceptance),
        Err(refusal) => Decision::Refuse(refusal),
    }
}

fn accept(
    attempt: &LoginAttempt,
    facts: &LoginFacts,
    policy: &ResyncPolicy,
) -> Result<Acceptance, Refusal> {
    let product = facts.product.as_ref().ok_or(Refusal::NotFound)?;
    if is_outdated(product, &attempt.product_version) {
        return Err(Refusal::Outdated);
    }
    let (license, history) = facts.license.as_ref().ok_or(Refusal::NotFound)?;
    let today = utc_date(attempt.now);
    if license.suspended {
        return Err(Refusal::Suspended);
    }
    let mut rebound = false;
    if let Some(activation) = &license.activation {
        rebound = activation.device != attempt.device;
        if rebound && !license.rebinding {
            return Err(Refusal::BoundToAnotherDevice(activation.date));
        }
        check_expiry(activation, today)?;
    }
    let verdict = if rebound && attempt.reported == 0 {
        // A device that has never used the license has no last login.
        Verdict::FREE
    } else {
        check_last_login(attempt.reported, history, license.history_mark, policy)?
    };
    let (date, expiry) = match &license.activation {
        Some(activation) => (activation.date, activation.expiry),
        None => (today, expiry_date(today, license.plan.months)),
    };
    Ok(Acceptance {
        activated_now: license.activation.is_none(),
        rebound,
        activation: Activation {
            date,
            expiry,
            device: attempt.device.clone(),
        },
        plan: license.plan.id.clone(),
        resync: verdict.resync,
        adopted: verdict.adopt,
    })
}

/// Whether a license may go on being used by a session that is already open.
pub fn check_standing(license: &License, now: Timestamp) -> Result<(), Refusal> {
    if license.suspended {
        return Err(Refusal::Suspended);
    }
    license
        .activation
        .as_ref()
        .map_or(Ok(()), |activation| check_expiry(activation, utc_date(now)))
}

fn check_expiry(activation: &Activation, today: Date) -> Result<(), Refusal> {
    if today >= activation.expiry {
        return Err(Refusal::Expired(activation.expiry));
    }
    Ok(())
}

/// What the last-login check lets a login do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict {
    /// It must be paid for out of the resync budget.
    resync: bool,
    /// The reported value is added to the history.
    adopt: bool,
}

impl Verdict {
    const FREE: Self = Self {
        resync: false,
        adopt: false,
    };
}

/// The last-login check.
///
/// Everything from the newest confirmed login on is free: of the answers after it, nobody knows
/// which ones the client received.
fn check_last_login(
    reported: i64,
    history: &LoginHistory,
    mark: Option<HistoryMark>,
    policy: &ResyncPolicy,
) -> Result<Verdict, Refusal> {
    let lacking = history.reported.is_none() && reported != 0;
    if mark == Some(HistoryMark::Reset) {
        return Ok(Verdict {
            resync: false,
            adopt: lacking,
        });
    }
    let adopt = lacking
        && mark == Some(HistoryMark::Restored)
        // What the backup lacks came after it; anything else was never accepted.
        && history.greatest_value.is_none_or(|greatest| reported > greatest);
    if lacking && !adopt {
        return Err(Refusal::UnknownLastLogin);
    }
    let free = !adopt
        && history
            .newest_confirmed
            // 0, which no login precedes: the client has nothing stored, as is right for one that
            // never received an answer.
            .is_none_or(|newest| history.reported.is_some_and(|login| login >= newest));
    let cost = u32::from(!free) + u32::from(history.confirms_resync);
    if cost > 0 && history.resyncs.saturating_add(cost) > policy.budget {
        return Err(Refusal::TooManyResyncs);
    }
    Ok(Verdict {
        resync: !free,
        adopt,
    })
}

/// The day of a moment in UTC: the calendar by which licenses begin and end.
pub fn utc_date(moment: Timestamp) -> Date {
    moment.to_zoned(TimeZone::UTC).date()
}

/// The day on which a license activated on `date` ends: the same day of a later month, or that
/// month's last day where it has no such day. Saturates at the end of the calendar.
pub fn expiry_date(date: Date, months: i32) -> Date {
    Span::new()
        .try_months(months)
        .and_then(|span| date.checked_add(span))
        .unwrap_or(Date::MAX)
}

fn is_outdated(product: &Product, version: &Version) -> bool {
    // A minimum that is no version cannot be stored (`product set` refuses it).
    product
        .minimum_version
        .as_deref()
        .and_then(parse_version)
        .is_some_and(|minimum| *version < minimum)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use skyline_protocol::LicenseKey;

    use super::*;
    use crate::model::{LicenseId, Plan};

    const POLICY: ResyncPolicy = ResyncPolicy {
        budget: 3,
        window_days: 30,
    };

    fn device(name: &str) -> Device {
        Device {
            serial_number: name.to_owned(),
            cs_product_uuid: "20240113-E0C2-646E-FDB1-E0C2646EFDB5".to_owned(),
        }
    }

    fn attempt(reported: i64) -> LoginAttempt {
        LoginAttempt {
            product_id: "telepower".to_owned(),
            product_version: Version::new(7, 0, 3),
            license_key: LicenseKey::generate(),
            device: device("one"),
            who: Actor::client([127, 0, 0, 1].into()),
            reported,
            value: 1_000,
            now: "2024-12-25T10:00:00Z".parse().unwrap(),
            resyncs_since: Timestamp::UNIX_EPOCH,
        }
    }

    fn facts(history: LoginHistory) -> LoginFacts {
        LoginFacts {
            product: Some(Product {
                id: "telepower".to_owned(),
                minimum_version: None,
                update_url: None,
            }),
            license: Some((
                License {
                    id: LicenseId(1),
                    key_hint: "HXRB8".to_owned(),
                    product_id: "telepower".to_owned(),
                    plan: Plan {
                        id: "telepower.licensePlan.release.monthly".to_owned(),
                        months: 1,
                        limits: Default::default(),
                    },
                    issued_at: Timestamp::UNIX_EPOCH,
                    suspended: false,
                    rebinding: false,
                    history_mark: None,
                    activation: None,
                },
                history,
            )),
        }
    }

    fn activated(device_name: &str, expiry: Date) -> LoginFacts {
        let mut facts = facts(LoginHistory::default());
        facts.license.as_mut().unwrap().0.activation = Some(Activation {
            date: date(2024, 10, 25),
            expiry,
            device: device(device_name),
        });
        facts
    }

    fn refusal(attempt: &LoginAttempt, facts: &LoginFacts) -> Refusal {
        match decide(attempt, facts, &POLICY) {
            Decision::Refuse(refusal) => refusal,
            Decision::Accept(acceptance) => panic!("{acceptance:?}"),
        }
    }

    #[test]
    fn the_first_login_activates_for_the_plans_months() {
        let Decision::Accept(acceptance) =
            decide(&attempt(0), &facts(LoginHistory::default()), &POLICY)
        else {
            panic!("refused");
        };
        assert!(acceptance.activated_now && !acceptance.resync);
        assert_eq!(acceptance.activation.date, date(2024, 12, 25));
        assert_eq!(acceptance.activation.expiry, date(2025, 1, 25));
        assert_eq!(acceptance.activation.device, device("one"));
    }

    #[test]
    fn an_outdated_version_is_told_to_update_whatever_its_license() {
        let mut facts = facts(LoginHistory::default());
        facts.product.as_mut().unwrap().minimum_version = Some("7.1".to_owned());
        facts.license = None;
        assert_eq!(refusal(&attempt(0), &facts), Refusal::Outdated);
    }

    #[test]
    fn an_unknown_product_and_an_unknown_key_look_the_same() {
        let mut no_license = facts(LoginHistory::default());
        no_license.license = None;
        let mut no_product = no_license.clone();
        no_product.product = None;
        assert_eq!(refusal(&attempt(0), &no_license), Refusal::NotFound);
        assert_eq!(refusal(&attempt(0), &no_product), Refusal::NotFound);
    }

    #[test]
    fn another_device_is_told_since_when() {
        let facts = activated("two", date(2025, 10, 25));
        let expected = Refusal::BoundToAnotherDevice(date(2024, 10, 25));
        assert_eq!(refusal(&attempt(0), &facts), expected);
    }

    #[test]
    fn a_license_is_good_until_the_day_before_its_expiry_date() {
        let last_day = activated("one", date(2024, 12, 26));
        assert!(matches!(
            decide(&attempt(0), &last_day, &POLICY),
            Decision::Accept(_)
        ));
        let first_day_after = activated("one", date(2024, 12, 25));
        let expected = Refusal::Expired(date(2024, 12, 25));
        assert_eq!(refusal(&attempt(0), &first_day_after), expected);
    }

    #[test]
    fn a_suspended_license_is_refused() {
        let mut facts = activated("one", date(2025, 12, 26));
        facts.license.as_mut().unwrap().0.suspended = true;
        assert_eq!(refusal(&attempt(0), &facts), Refusal::Suspended);
    }

    #[test]
    fn the_last_login_check_follows_the_rules() {
        let check = |reported, newest_confirmed: Option<i64>, found: Option<i64>, resyncs| {
            let history = LoginHistory {
                newest_confirmed: newest_confirmed.map(LoginId),
                reported: found.map(LoginId),
                confirms_resync: false,
                resyncs,
                greatest_value: found.map(|_| 100),
            };
            check_last_login(reported, &history, None, &POLICY).map(|verdict| {
                assert!(!verdict.adopt);
                verdict.resync
            })
        };
        // (reported, newest confirmed, entry of that value, resyncs so far)
        assert_eq!(check(0, None, None, 9), Ok(false), "no answer ever arrived");
        assert_eq!(check(100, Some(5), Some(5), 9), Ok(false), "the newest");
        assert_eq!(
            check(100, Some(5), Some(6), 9),
            Ok(false),
            "newer, not confirmed"
        );
        assert_eq!(
            check(100, None, Some(2), 9),
            Ok(false),
            "nothing confirmed yet"
        );
        assert_eq!(check(0, Some(5), None, 0), Ok(true), "a reinstall");
        assert_eq!(
            check(100, Some(5), Some(4), 2),
            Ok(true),
            "a restored backup"
        );
        assert_eq!(check(0, Some(5), None, 3), Err(Refusal::TooManyResyncs));
        assert_eq!(
            check(100, Some(5), Some(4), 3),
            Err(Refusal::TooManyResyncs)
        );
        assert_eq!(check(100, Some(5), None, 0), Err(Refusal::UnknownLastLogin));
        assert_eq!(check(100, None, None, 0), Err(Refusal::UnknownLastLogin));
        assert_eq!(check(-1, None, None, 0), Err(Refusal::UnknownLastLogin));
    }

    #[test]
    fn after_a_restore_one_newer_value_is_taken_out_of_the_budget() {
        let check = |reported, mark, resyncs| {
            let history = LoginHistory {
                newest_confirmed: Some(LoginId(5)),
                reported: None,
                confirms_resync: false,
                resyncs,
                greatest_value: Some(100),
            };
            check_last_login(reported, &history, mark, &POLICY)
        };
        let restored = Some(HistoryMark::Restored);
        let adopted = Verdict {
            resync: true,
            adopt: true,
        };
        assert_eq!(check(101, restored, 2), Ok(adopted));
        assert_eq!(check(101, restored, 3), Err(Refusal::TooManyResyncs));
        assert_eq!(check(99, restored, 0), Err(Refusal::UnknownLastLogin));
        assert_eq!(check(101, None, 0), Err(Refusal::UnknownLastLogin));
        let reset = Verdict {
            resync: false,
            adopt: true,
        };
        assert_eq!(check(-7, Some(HistoryMark::Reset), 9), Ok(reset));
        assert_eq!(check(0, Some(HistoryMark::Reset), 9), Ok(Verdict::FREE));
    }

    #[test]
    fn a_license_that_is_to_be_rebound_goes_to_the_next_device_as_it_is() {
        let mut facts = activated("two", date(2025, 10, 25));
        let (license, history) = facts.license.as_mut().unwrap();
        license.rebinding = true;
        history.newest_confirmed = Some(LoginId(5));
        let Decision::Accept(acceptance) = decide(&attempt(0), &facts, &POLICY) else {
            panic!("refused");
        };
        assert!(acceptance.rebound && !acceptance.activated_now && !acceptance.resync);
        assert_eq!(acceptance.activation.device, device("one"));
        assert_eq!(acceptance.activation.expiry, date(2025, 10, 25));
        assert_eq!(
            refusal(&attempt(7), &facts),
            Refusal::UnknownLastLogin,
            "a last login of elsewhere"
        );
    }

    #[test]
    fn a_period_is_counted_in_calendar_months() {
        let cases = [
            ((2024, 12, 25), 1, (2025, 1, 25)),
            ((2024, 11, 20), 3, (2025, 2, 20)),
            ((2025, 1, 31), 1, (2025, 2, 28)),
            ((2024, 1, 31), 1, (2024, 2, 29)),
            ((2024, 2, 29), 12, (2025, 2, 28)),
            ((2024, 10, 31), 1, (2024, 11, 30)),
            ((2024, 12, 31), 3, (2025, 3, 31)),
        ];
        for ((y, m, d), months, (ey, em, ed)) in cases {
            assert_eq!(expiry_date(date(y, m, d), months), date(ey, em, ed));
        }
        assert_eq!(expiry_date(Date::MAX, 12), Date::MAX);
    }

    #[test]
    fn the_resync_window_never_reaches_beyond_time() {
        let policy = ResyncPolicy {
            budget: 0,
            window_days: u32::MAX,
        };
        assert_eq!(policy.since(Timestamp::UNIX_EPOCH), Timestamp::MIN);
    }
}
